"""Threads: what begins, what is waited for, and what is dropped."""

import threading
import time

import pytest

from imagematrix.execution import parallel


@pytest.mark.parametrize("waits", [True, False])
def test_a_pool_drops_what_has_not_begun(waits: bool) -> None:
    """By an error in its block, too: who called need not clean up."""
    begun, go, ran = threading.Event(), threading.Event(), list[int]()

    def work(number: int) -> None:
        begun.set()
        go.wait(0.3 if waits else 30)
        ran.append(number)

    def fail() -> None:
        with parallel.pool(1, name="test", waits=waits) as pool:
            for number in range(3):
                pool.submit(work, number)
            begun.wait(10)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert ran == ([0] if waits else [])
    go.set()


def test_what_ended_is_told_from_the_rest() -> None:
    go = threading.Event()
    with parallel.pool(2, name="test") as pool:
        waiting = [pool.submit(go.wait, 10), pool.submit(go.is_set)]
        ended, rest = parallel.ended(waiting, seconds=10)
        assert ([call.result() for call in ended], rest) == ([False], waiting[:1])
        go.set()


def test_a_timer_that_is_cancelled() -> None:
    rung = list[str]()
    parallel.after(60, lambda: rung.append("late")).cancel()
    parallel.after(0, lambda: rung.append("in time")).join(10)
    assert rung == ["in time"]


def test_no_thread_keeps_the_process_from_exiting() -> None:
    thread = parallel.start(lambda: time.sleep(0), name="test")
    assert thread.daemon
    thread.join(10)
