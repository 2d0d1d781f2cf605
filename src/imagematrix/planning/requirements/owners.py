"""Which matrices need a lock of `locks/`: several matrix files in one folder share their locks.

A line in the head of a lock names them. It is in no lock's name and in no leaf. A lock without one is that of
`matrix.toml`, the only matrix of most projects.
"""

import re
from collections.abc import Collection
from typing import Final

from imagematrix.model import MATRIX

_LINE: Final = re.compile(r"^# For (.+)\n", re.MULTILINE)
_PLACE: Final = re.compile(r"^# Python .*\n", re.MULTILINE)
"""The line of a requirements lock's head that it follows; of an apt lock it is the first."""


def of(lock: str) -> frozenset[str]:
    """Return the names of the matrix files that need a lock."""
    found = _LINE.search(lock)
    return frozenset(found[1].split(", ")) if found else frozenset({MATRIX})


def claimed(lock: str, matrix: str, *, before: Collection[str]) -> str:
    """Return a lock that a matrix needs beside those that needed it `before`."""
    return _with(lock, {*before, matrix})


def released(lock: str, matrix: str) -> str:
    """Return a lock that a matrix no longer needs, and another one does."""
    return _with(lock, of(lock) - {matrix})


def without(lock: str) -> str:
    """Return a lock without that line."""
    return _LINE.sub("", lock, count=1)


def _with(lock: str, names: Collection[str]) -> str:
    line = "" if {*names} == {MATRIX} else f"# For {', '.join(sorted(names))}\n"
    text = without(lock)
    head = _PLACE.search(text)
    at = head.end() if head else text.index("\n") + 1
    return text[:at] + line + text[at:]
