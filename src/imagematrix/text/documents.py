"""Reads and writes JSON. What is read may be damaged or hostile: it becomes a typed noun, or an error with its place.

The only home of msgspec. Types say what is valid, their ranges too: an impossible number of worker slots would
otherwise use the memory for it.
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping
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


def read_lines(text: str, read_line: Callable[[str], _T]) -> tuple[list[_T], list[str]]:
    """Return the lines of a JSON Lines text that can be read, and of each other one its number and what is wrong."""
    found, damaged = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if line:
            try:
                found.append(read_line(line))
            except DamagedError as error:
                damaged.append(f"{number}: {error}")
    return found, damaged


def write(noun: object, *, optional: Collection[str] = ()) -> str:
    """Write a noun as indented JSON, with a line end. Optional keys are left out where they are null.

    Numbers have three digits after the point: they are seconds.
    """
    document = _written(msgspec.to_builtins(noun), optional)
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _written(value: object, optional: Collection[str]) -> object:
    match value:
        case dict():
            kept = ((key, each) for key, each in value.items() if each is not None or key not in optional)
            return {_written(key, optional): _written(each, optional) for key, each in kept}
        case list() | tuple():
            return [_written(each, optional) for each in value]
        case float():
            return round(value, 3)
        case str():  # bytes of a log or a name that are not UTF-8 have no place in JSON
            return value if value.isascii() else value.encode(errors="replace").decode()
        case _:
            return value


def schema(kind: type[object]) -> Mapping[str, object]:
    """Return the JSON Schema of the documents of a kind."""
    return msgspec.json.schema(kind)
