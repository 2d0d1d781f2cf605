"""How long to wait before what failed in passing is tried again."""

from collections.abc import Callable
from typing import Final

import tenacity

from imagematrix.model import Flake, Retry

_GROWING: Final = tenacity.wait_exponential(multiplier=2, max=60)
"""Seconds, after the second failure twice those after the first. A mirror in trouble needs minutes, not days."""

_CHANCE: Final = tenacity.wait_random(0, 2)
"""Seconds, so that those who failed together do not come back together."""


def wait(
    asked: Callable[[tenacity.RetryCallState], float], *, longest: float
) -> Callable[[tenacity.RetryCallState], float]:
    """Return exponential back-off with jitter, at least Retry-After, up to `longest`.

    `asked` returns the Retry-After of the last failure in seconds; 0: it had none.
    """

    def seconds(state: tenacity.RetryCallState) -> float:
        return max(_GROWING(state), min(asked(state), longest)) + _CHANCE(state)

    return seconds


def noted(state: tenacity.RetryCallState, *, why: str, flake: Flake) -> Retry:
    """Return the record of a try that failed, before the wait for the next one."""
    return Retry(number=state.attempt_number, why=why, flake=flake, wait_seconds=state.upcoming_sleep)
