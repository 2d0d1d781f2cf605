"""The output of a step as lines, and the cause that one of them says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LONGEST: Final = 300
"""Characters of a cause: it is one line of a report."""
GAP: Final = 6
"""How many lines apart two errors of one tool may be that belong together."""
BLOCK: Final = re.compile(r"\[\d+ lines of output\]|Complete output \(\d+ lines\)|^\s*\[std(?:out|err)\]$")
PREFIX: Final = re.compile(r"^[\s│├└╰─▶>]*(?:cause: )?(?=\S)")
_LOGIN: Final = re.compile(r"(?<=:)//[^/\s@]+@")
"""What logs in to an address: a reason is read by many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCause:
    """What went wrong, in one line, and the line of the output that says it."""

    text: str
    line: int


def message(line: str) -> str:
    """Return a line without what is drawn before it, and without the words that only say that it is an error."""
    return re.sub(r"^(?:ERROR: (?!\d)|\u00d7 )", "", PREFIX.sub("", line).strip())


def abbreviated(text: str) -> str:
    """Return a text as one line that a report has room for."""
    words = _LOGIN.sub("//", " ".join(text.split()))
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


def indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def traceback_frames(lines: Sequence[str]) -> frozenset[int]:
    """Return the lines of tracebacks that are frames: from its head up to the first that is not indented further."""
    found: set[int] = set()
    depth: int | None = None
    for number, line in enumerate(lines):
        if depth is not None and line.strip() and indentation(line) <= depth:
            depth = None
        if "Traceback (most recent call last):" in line:
            depth = indentation(line)
        if depth is not None:
            found.add(number)
    return frozenset(found)
