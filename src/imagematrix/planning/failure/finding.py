"""What a step that failed printed in, its cause out: the first error of the tool that failed.

The tools of a build call each other, and each reports that the one below failed: `make`, called by a `setup.py` that
`pip` called. So the output is read from its end. An echo ("make: *** Error 1") points to what was printed above it, up
to an error that says what went wrong; of a tool that prints several of those, the first one counts.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from imagematrix.planning.failure.lines import (
    BLOCK,
    GAP,
    PREFIX,
    FailureCause,
    abbreviated,
    message,
    traceback_frames,
)
from imagematrix.planning.failure.shapes import GOING_ON, SHAPES, UNIT, Role, Shape

_REACH: Final = 40
"""How many lines before the end of the output the last error may be: what is older was survived."""


@dataclass(frozen=True, slots=True)
class _Error:
    line: int
    shape: Shape


def find(output: Sequence[str]) -> FailureCause | None:
    """Return the cause of a failure; None where the output does not say it."""
    lines = _tried_last([_bare(line) for line in output])
    errors = [*_errors(lines)]
    last = _last(errors, lines)
    if last is None:
        return _last_words(lines, range(max(0, len(lines) - _REACH), len(lines)))
    place = _followed(errors, last, lines)
    if isinstance(place, FailureCause):
        return place
    text = abbreviated(place.shape.read(lines, place.line) if place.shape.read else message(lines[place.line]))
    return _unreachable(lines, place) or FailureCause(text=text, line=place.line)


_GOING_ON_RE: Final = re.compile("|".join(GOING_ON))

_COMPILED: Final = tuple((re.compile(rf"(?:{shape.pattern})"), shape) for shape in SHAPES)


def _bare(line: str) -> str:
    return line.rstrip().rpartition("\r")[2]


def _tried_last(lines: Sequence[str]) -> Sequence[str]:
    """Leave out that pip looked for another version after the one that it could not build: it is not the cause."""
    given_up = next((number for number, line in enumerate(lines) if _DISCARDED.match(line)), None)
    return lines if given_up is None or not _MISSING.search("\n".join(lines[-3:])) else lines[:given_up]


_DISCARDED: Final = re.compile(r" *WARNING: Discarding .* errored out")


def _errors(lines: Sequence[str]) -> Iterator[_Error]:
    """Yield lines with the form of an error, except the code that tracebacks show."""
    code = traceback_frames(lines)
    for number, line in enumerate(lines):
        text = PREFIX.sub("", line)
        if number in code or not text:
            continue
        shape = next((shape for pattern, shape in _COMPILED if pattern.match(text)), None)
        if shape and shape.role is not Role.NOISE:
            yield _Error(number, shape)


def _last(errors: Sequence[_Error], lines: Sequence[str]) -> _Error | None:
    after = 0
    for number in range(len(lines) - 1, (errors[-1].line if errors else len(lines)) - 1, -1):
        after += bool(lines[number].strip())
    return errors[-1] if errors and after <= _REACH else None


def _followed(errors: Sequence[_Error], last: _Error, lines: Sequence[str]) -> _Error | FailureCause:
    """Follow echoes up to what they echo: the last of them where there is nothing."""
    echo = last
    for error in reversed([error for error in errors if error.line <= last.line]):
        if echo.line - error.line > echo.shape.reach:
            break
        if error.shape.role is Role.CAUSE:
            if _is_outside(error, echo, lines):
                break
            return _first(errors, error)
        echo = error
    return _quoted(lines, last.line) or echo


def _is_outside(error: _Error, echo: _Error, lines: Sequence[str]) -> bool:
    """Whether what is above an echo is not of what it echoes: of the output that pip quotes, of dpkg's package."""
    if echo.shape.tool == "dpkg":
        return any(_PACKAGE.match(line) for line in lines[error.line : echo.line])
    block = _block(lines, echo.line)
    return echo.shape.tool in ("pip build", "uv build") and bool(block) and error.line < block.start


_PACKAGE: Final = re.compile(r"(?:Setting up|Unpacking|Preparing to unpack) ")


def _first(errors: Sequence[_Error], found: _Error) -> _Error:
    """Return the first error of the same tool."""
    for error in reversed([error for error in errors if error.line < found.line]):
        if error.shape.tool == found.shape.tool and error.shape.role is Role.CAUSE:
            if found.shape.tool not in UNIT and found.line - error.line > GAP:
                break
            if found.shape.tool != "Python":
                found = error
    return found


def _block(lines: Sequence[str], end: int) -> range:
    """Return the lines of the last output of a subprocess that pip or uv quote up to a line."""
    heads = [number for number in range(end + 1) if BLOCK.search(lines[number])]
    return range(heads[-1] + 1, len(lines)) if heads else range(0)


def _quoted(lines: Sequence[str], end: int) -> FailureCause | None:
    """Return the last words of the output that pip or uv quote."""
    block = _block(lines, len(lines) - 1)
    stop = next((number for number in block if _BLOCK_END.match(lines[number])), len(lines))
    return _last_words(lines, range(block.start, stop)) if block and block.start <= max(end, stop) else None


_BLOCK_END: Final = re.compile(r"\s*(?:\[end of output\]|-{20,}|hint: .*)$")


def _last_words(lines: Sequence[str], among: range) -> FailureCause | None:
    for number in reversed(among):
        text = PREFIX.sub("", lines[number]).strip()
        if text and not _GOING_ON_RE.match(text):
            return FailureCause(text=abbreviated(text), line=number)
    return None


def _unreachable(lines: Sequence[str], error: _Error) -> FailureCause | None:
    """Return why a package seems to be missing when its index could not be read: a list that was not fetched."""
    if not _MISSING.search(lines[error.line]):
        return None
    for number in reversed(range(error.line)):
        if found := _NOT_FETCHED.search(lines[number]):
            why = re.sub(r"<\S+ object at 0x\w+>: ", "", next(filter(None, found.groups())))
            return FailureCause(text=abbreviated(f"{why} (so: {message(lines[error.line])})"), line=number)
    return None


_MISSING: Final = re.compile(
    r"Unable to locate package|has no installation candidate|was not found$|\(from versions: |No matching dist"
)
_NOT_FETCHED: Final = re.compile(
    r"^W: (Failed to fetch (?!.* Some index).+)"
    r"|Retry\(total=0,.* after (connection broken by .+)"
    r"|^WARNING: (The repository located at \S+ is not a trusted or secure host and is being ignored)"
)
