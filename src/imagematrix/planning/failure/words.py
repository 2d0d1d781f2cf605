"""What a report says of a step that failed."""

from collections.abc import Sequence
from typing import Final

from imagematrix.planning.failure.lines import FailureCause
from imagematrix.planning.failure.readers import MISSING_PACKAGE

_KILLED: Final = "137"
_LED_TO: Final = 4
"""How many lines above its error a tool may have said whom it asked."""
_STEP_LENGTH: Final = 80


def reason(cause: FailureCause | None, *, code: str, step: str) -> str:
    """Return why a step failed, in one line: its cause, its exit code, and which it is."""
    killed = " (killed: perhaps it ran out of memory)" if code == _KILLED else ""
    return f"{cause.text if cause else 'it printed no error'}; exit code {code}{killed} of {_abbreviated(step)}"


def is_not_in_index(said: str) -> bool:
    """Whether uv found no solution since an index answered that it has no such package."""
    return MISSING_PACKAGE.search(" ".join(said.split())) is not None


def judged(output: Sequence[str], cause: FailureCause | None) -> str:
    """Return the text that decides whether a failure is transient: its cause, what led to it, and what followed."""
    start = max(0, cause.line - _LED_TO) if cause else -_LED_TO
    return "\n".join(output[start:])


def _abbreviated(step: str) -> str:
    words = " ".join(step.split())
    return words if len(words) <= _STEP_LENGTH else f"{words[: _STEP_LENGTH - 1].rstrip()}…"
