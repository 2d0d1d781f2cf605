"""What a rule says of a row."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_WORD: Final = re.compile(r"""\b(?P<name>[a-z_]+) ?=(?!=) ?(?:"(?P<quoted>[^"]+)"|(?P<value>[^\s",;]+))""")


class Level(StrEnum):
    """What is done about it: the exit code, a line of the output, or nothing without a flag."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """What a person wrote is wrong: it cannot even be judged."""
    IMPOSSIBLE = "impossible"
    """It is impossible: no wheel, no build."""
    BROKEN = "broken"
    """It is known to be wrong upstream: an error, unless the row says why it is built all the same."""
    UNKNOWN = "unknown"
    """The catalogue cannot tell: a warning, because the world moves on faster than a table."""
    NOTE = "note"
    """Good to know."""

    @property
    def is_error(self) -> bool:
        """Whether such a row is refused."""
        return self.level is Level.ERROR

    @property
    def level(self) -> Level:
        """Its place among the three levels that compilers, editors and CI know."""
        return {Severity.UNKNOWN: Level.WARNING, Severity.NOTE: Level.NOTE}.get(self, Level.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a row, and the axis or fact to blame."""

    severity: Severity
    about: str
    what: str
    remedy: str = ""
    """What would work. A fact that would is named as `add` takes it: `torchvision=0.20.0`."""
    code: str = ""
    """A short name of the check that found it, for programs: that of the rule."""

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}" if self.remedy else self.what

    @property
    def words(self) -> Mapping[str, str]:
        """The words of `add` that the remedy needs: name -> value."""
        return {match["name"]: match["quoted"] or match["value"].rstrip(".") for match in _WORD.finditer(self.remedy)}


def impossible(about: str, what: str, remedy: str = "") -> Finding:
    """Return a finding that no reason can overrule."""
    return Finding(severity=Severity.IMPOSSIBLE, about=about, what=what, remedy=remedy)


def broken(about: str, what: str, remedy: str = "") -> Finding:
    """Return a finding that a row may overrule by a reason."""
    return Finding(severity=Severity.BROKEN, about=about, what=what, remedy=remedy)


def unknown(about: str, what: str, remedy: str = "") -> Finding:
    """Return a warning."""
    return Finding(severity=Severity.UNKNOWN, about=about, what=what, remedy=remedy)


def note(about: str, what: str, remedy: str = "") -> Finding:
    """Return a note."""
    return Finding(severity=Severity.NOTE, about=about, what=what, remedy=remedy)
