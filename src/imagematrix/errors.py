"""What can go wrong for a user, each kind with its exit code and its remedy.

One class per thing a user can do about it. Library code raises these and never prints or exits;
`commands.command` turns them into exit codes.
"""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

T = TypeVar("T")


class ExitCode(IntEnum):
    """The exit codes that all commands share."""

    GOOD = 0
    FAILED = 1
    BAD_INPUT = 2
    NO_ENGINE = 3
    STALE = 5
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in what a person wrote: where, what is wrong, and what to do.

    `line` counts from 1; 0 means that the mistake belongs to the whole file.
    """

    file: str
    line: int
    what: str
    hint: str = ""
    code: str = ""
    """A short name of this kind of mistake, for programs; it does not change with the wording."""
    rows: tuple[str, ...] = ()
    """The rows that have it, where it is not one of the file alone."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        more = f" and {len(self.rows) - 1} more" if len(self.rows) > 1 else ""
        rows = f" (row {self.rows[0]}{more})" if self.rows else ""
        return f"{place}: {self.what}{rows}" + (f"\n    {self.hint}" if self.hint else "")


class UserError(Exception):
    """The root of every error that is reported to the user without a traceback."""

    code: ExitCode = ExitCode.FAILED


class InputError(UserError):
    """The matrix, the lock, a template or a flag is wrong; carries all problems found, in file order."""

    code = ExitCode.BAD_INPUT

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda problem: (problem.file, problem.line, problem.what)))
        super().__init__("\n".join(map(str, self.problems)))


class Collector:
    """Goes on where something is wrong, so that all problems are found at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def attempt(self, make: Callable[[], T]) -> T | None:
        """Return what is made, or nothing where that raises InputError, whose problems are kept."""
        try:
            return make()
        except InputError as error:
            self.problems += error.problems
            return None


class FlagError(UserError):
    """A flag or a pattern on the command line is wrong."""

    code = ExitCode.BAD_INPUT


class NoEngineError(UserError):
    """No Docker Engine, or no usable buildx, answers."""

    code = ExitCode.NO_ENGINE


class LostEngineError(NoEngineError):
    """The engine went away while it was asked."""


class NoIndexError(UserError):
    """The package index does not answer."""

    code = ExitCode.NO_ENGINE


class RegistryError(UserError):
    """A registry refuses a request."""


class SilentRegistryError(RegistryError):
    """A registry does not answer or is too busy; a retry may succeed, not before `retry_after` seconds."""

    def __init__(self, what: str, *, retry_after: float = 0.0) -> None:
        self.retry_after = retry_after
        super().__init__(what)


class DeniedError(RegistryError):
    """A registry wants another login, or none will do."""


class MissingError(RegistryError):
    """A registry has no such image."""


class StaleError(UserError):
    """Leaves on the disk differ from what the matrix renders to."""

    code = ExitCode.STALE


class DiskError(UserError):
    """The disk refused: full, read-only, or no permission."""


class BusyError(UserError):
    """Another run of the same kind is under way, and this one does not wait for it."""


class InterruptedRunError(UserError):
    """The run was stopped by Ctrl-C or SIGTERM."""

    code = ExitCode.INTERRUPTED


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint: the known word nearest to a misspelt one, or the list of all known words."""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(choices)}" if choices else "none is declared"
