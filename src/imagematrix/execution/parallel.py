"""The only module that starts threads."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from typing import TypeVar

_T = TypeVar("_T")


def thread(work: Callable[[], object], *, name: str) -> threading.Thread:
    """Return a daemon thread that is not started yet: the process can exit while it still waits for something."""
    return threading.Thread(target=work, name=name, daemon=True)


def start(work: Callable[[], object], *, name: str) -> threading.Thread:
    """Start such a thread."""
    made = thread(work, name=name)
    made.start()
    return made


def after(seconds: float, act: Callable[[], object]) -> threading.Timer:
    """Call `act` after so many seconds, unless the timer is cancelled first."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    return timer


@contextmanager
def pool(jobs: int, *, name: str, waits: bool = True) -> Iterator[ThreadPoolExecutor]:
    """Give a pool that runs `jobs` calls at once.

    When the block ends, also by an exception, calls that have not started are cancelled. With `waits`, the pool then
    waits for those that have.
    """
    made = ThreadPoolExecutor(jobs, thread_name_prefix=name)
    try:
        yield made
    finally:
        made.shutdown(wait=waits, cancel_futures=True)


def ended(waiting: list[Future[_T]], *, seconds: float) -> tuple[list[Future[_T]], list[Future[_T]]]:
    """Wait until one of some calls ends, at most so many seconds; return those that ended, and the others."""
    done, _ = wait(waiting, timeout=seconds, return_when=FIRST_COMPLETED)
    return [call for call in waiting if call in done], [call for call in waiting if call not in done]


__all__ = [
    "CancelledError",
    "Future",
    "ThreadPoolExecutor",
    "after",
    "as_completed",
    "ended",
    "pool",
    "start",
    "thread",
]
