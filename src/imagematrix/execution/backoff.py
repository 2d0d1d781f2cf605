"""Retries with exponential back-off and jitter. The only module that uses tenacity."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Final, TypeVar

from imagematrix.model import Flake, Retry

if TYPE_CHECKING:
    import tenacity

_T = TypeVar("_T")

_LONGEST_GROWTH: Final = 60.0
"""Seconds. A mirror in trouble needs minutes, not days."""


def ignore(_retry: Retry) -> None:
    """Ignore a retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """A transient failure."""

    why: str
    flake: Flake


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raised:
    error: Exception
    passing: Passing


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Retries transient failures: waits double, have jitter, and are at least as long as `Retry-After`."""

    tries: int
    """At most, with the first one."""
    longest: float
    """Seconds: the longest `Retry-After` that is honoured. After a longer one, the next try comes this late."""
    stop: Event | None = None
    """Nothing is retried once it is set."""
    first: float = 2.0
    """Seconds before the second try, doubled before each further one. The jitter adds up to as many, so that what
    failed together is not all retried together."""
    sleep: Callable[[float], object] | None = None
    """How to wait. Default: until `stop` is set."""

    def settle(
        self,
        attempt: Callable[[], _T],
        passing: Callable[[_T], Passing | None],
        tell: Callable[[Retry], None] = ignore,
    ) -> _T:
        """Try until the result is not a transient failure; return the last result. `tell` hears of each wait."""
        import tenacity

        def last(state: "tenacity.RetryCallState") -> _T:
            assert state.outcome is not None  # noqa: S101  (tenacity sets it before it asks)
            result: _T = state.outcome.result()
            return result

        def found(state: "tenacity.RetryCallState") -> Passing:
            failure = passing(last(state))
            assert failure is not None  # noqa: S101  (else it would not be tried again)
            return failure

        def note(state: "tenacity.RetryCallState") -> None:
            failure = found(state)
            number, seconds = state.attempt_number, state.upcoming_sleep
            tell(Retry(number=number, why=failure.why, flake=failure.flake, wait_seconds=seconds))

        growing = tenacity.wait_exponential(multiplier=self.first, max=_LONGEST_GROWTH)
        chance = tenacity.wait_random(0, self.first)
        result: _T = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda result: passing(result) is not None),
            stop=self._stop(),
            wait=lambda state: max(growing(state), min(found(state).flake.retry_after, self.longest)) + chance(state),
            sleep=self._nap,
            before_sleep=note,
            retry_error_callback=last,
        )(attempt)
        return result

    def call(
        self,
        attempt: Callable[[], _T],
        passing: Callable[[Exception], Passing | None],
        tell: Callable[[Retry], None] = ignore,
    ) -> _T:
        """Try until no transient failure is raised; return the result, or raise the last error."""

        def caught() -> _T | _Raised:
            try:
                return attempt()
            except Exception as error:
                failure = passing(error)
                if failure is None:
                    raise
                return _Raised(error=error, passing=failure)

        last = self.settle(caught, lambda result: result.passing if isinstance(result, _Raised) else None, tell)
        if isinstance(last, _Raised):
            raise last.error
        return last

    def _stop(self) -> "tenacity.stop.stop_base":
        import tenacity

        enough = tenacity.stop_after_attempt(self.tries)
        return enough | tenacity.stop_when_event_set(self.stop) if self.stop else enough

    def _nap(self, seconds: float) -> None:
        (self.sleep or (self.stop.wait if self.stop else time.sleep))(seconds)


def poll(ask: Callable[[], bool], *, times: int, seconds: float, stop: Event, sleep: Callable[[float], object]) -> None:
    """Ask so many times, so many seconds apart, until the answer is yes or `stop` is set."""
    for number in range(times):
        if number:
            sleep(seconds)
        if ask() or stop.is_set():
            return
