"""The only home of threads: who needs one gets it here."""

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

_T = TypeVar("_T")


def start(work: Callable[[], object], *, name: str) -> threading.Thread:
    """Start a thread that does not keep the process from exiting: what it waits for may never come."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


def after(seconds: float, act: Callable[[], object]) -> threading.Timer:
    """Do something after a time, in seconds, unless the timer is cancelled before."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    return timer


@contextmanager
def pool(jobs: int, *, name: str, waits: bool = True) -> Iterator[ThreadPoolExecutor]:
    """Give a pool that makes so many calls at once.

    When its block ends, also by an error, calls that have not begun are dropped; those that have are waited for, if
    `waits`.
    """
    made = ThreadPoolExecutor(jobs, thread_name_prefix=name)
    try:
        yield made
    finally:
        made.shutdown(wait=waits, cancel_futures=True)


def ended(
    waiting: Collection[Future[_T]], *, seconds: float | None = None
) -> tuple[Collection[Future[_T]], Collection[Future[_T]]]:
    """Wait until a call of some ends, but no longer than so many seconds; return those that ended, and the others."""
    done, rest = wait(waiting, timeout=seconds, return_when=FIRST_COMPLETED)
    return done, rest


__all__ = ["Future", "ThreadPoolExecutor", "after", "ended", "pool", "start"]
