"""Reads JSON that may be anybody's, or damaged: into typed nouns, or an error that says where it is wrong.

The only home of msgspec. Types say what is valid, their ranges too: a number of lanes that no machine has would
otherwise cost the memory that it asks for.
"""

import datetime as dt
from typing import Annotated, Final, TypeVar

import msgspec

_T = TypeVar("_T")

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
"""A duration: at most 31 years."""
Moment = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
"""Seconds since 1970."""
Bytes = Annotated[int, msgspec.Meta(ge=-(10**15), le=10**15)]
"""A size, or how much one differs from another."""
Count = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
"""A small number: tries, lanes."""
Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
"""What registries and engines know content by."""
Aware = Annotated[dt.datetime, msgspec.Meta(tz=True)]
"""A day and time that says its time zone."""

_SLACK: Final = 24 * 3600.0
"""In seconds: how far clocks of machines that share a project may differ."""
_LONGEST: Final = 200
"""How much of a reason is worth showing."""


def is_future(moment: dt.datetime, *, now: float) -> bool:
    """Whether a moment is later than now, in seconds since 1970, by more than clocks differ."""
    return moment.timestamp() > now + _SLACK


class DamagedError(ValueError):
    """A document is not what it should be."""


def read(text: str, kind: type[_T]) -> _T:
    """Return a JSON text as a noun of some kind. Raises DamagedError, which says what was expected where."""
    try:
        return msgspec.json.decode(text.encode(errors="replace"), type=kind)
    except (msgspec.DecodeError, RecursionError) as error:  # ValidationError is a DecodeError
        raise DamagedError(str(error)[:_LONGEST]) from None
