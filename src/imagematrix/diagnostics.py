"""The one noun for what is wrong, or worth knowing, in what a person wrote.

Readers of files and the rules of `compat` make diagnostics, `InputError` carries those that end a command, and `check`
reports all of them. The reason why a build failed is none: its output has no line that a person wrote
(`planning.failure.FailureCause`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from imagematrix import codes

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
class Diagnostic:
    """Where something is wrong, how bad it is, what it is, what to do, and which rows have it."""

    code: str
    """A short name of this kind of mistake, for programs; it does not change with the wording."""
    message: str
    hint: str = ""
    """What was expected or would work. A fact that would is named as `add` takes it: `torchvision=0.20.0`."""
    severity: Severity = Severity.ERROR
    file: str = ""
    """Relative to the project's root; empty: of a row whose place is not looked up yet."""
    line: int = 0
    """From 1; 0: the whole file."""
    about: str = ""
    """The axis or fact to blame, if there is one."""
    rows: tuple[str, ...] = ()
    """The rows that have it, where it is not one of the file alone."""

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def text(self) -> str:
        """The lines that a person reads: place, level, message and code, then what to do and which rows have it."""
        return self.told()

    def told(self, *, whole: bool = False) -> str:
        """Return these lines; with all rows if `whole`."""
        first = f"{self.place}: {self.severity.level}: {self.message} [{codes.shown(self.code)}]"
        return "\n    ".join([first, *self._details(whole=whole)])

    def _details(self, *, whole: bool) -> Iterator[str]:
        if self.hint:
            yield self.hint
        if self.severity is Severity.BROKEN:
            yield 'to build it anyway, say why in the row: allow = "…"'
        if whole:
            yield from self.rows
        elif self.rows:
            yield self.rows[0] + (f" and {len(self.rows) - 1} more" if len(self.rows) > 1 else "")

    @property
    def words(self) -> Mapping[str, str]:
        """The words of `add` that the hint needs: name -> value."""
        return {match["name"]: match["quoted"] or match["value"].rstrip(".") for match in _WORD.finditer(self.hint)}
