"""What can go wrong for a user, each kind with its exit code and its remedy.

One class per thing a user can do about it. Library code raises these and never prints or exits;
`commands.command` turns them into exit codes.
"""

import difflib
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TypeVar

from imagematrix.diagnostics import Diagnostic

T = TypeVar("T")


class ExitCode(IntEnum):
    """The exit codes that all commands share."""

    GOOD = 0
    FAILED = 1
    BAD_INPUT = 2
    NO_ENGINE = 3
    STALE = 5
    INTERRUPTED = 130


class UserError(Exception):
    """The root of every error that is reported to the user without a traceback."""

    code: ExitCode = ExitCode.FAILED


class InputError(UserError):
    """The matrix, the lock, a template or a flag is wrong; carries all diagnostics, in file order."""

    code = ExitCode.BAD_INPUT

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(set(diagnostics), key=lambda each: (each.file, each.line, each.message)))
        super().__init__("\n".join(each.text for each in self.diagnostics))


class Collector:
    """Goes on where something is wrong, so that all problems are found at once."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []

    def attempt(self, make: Callable[[], T]) -> T | None:
        """Return what is made, or nothing where that raises InputError, whose diagnostics are kept."""
        try:
            return make()
        except InputError as error:
            self.diagnostics += error.diagnostics
            return None


class FlagError(UserError):
    """A flag or a pattern on the command line is wrong."""

    code = ExitCode.BAD_INPUT


class NoEngineError(UserError):
    """No Docker Engine, or no usable buildx, answers."""

    code = ExitCode.NO_ENGINE


class LostEngineError(NoEngineError):
    """The engine went away while it was asked."""


class NoClusterError(UserError):
    """No cluster takes the builds: it does not answer, refuses, or has no machine for them."""

    code = ExitCode.NO_ENGINE


class NoMachineError(UserError):
    """No machine runs the programs of a Docker platform."""

    code = ExitCode.NO_ENGINE


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


class DoubtError(RegistryError):
    """What a registry has under a name is not what belongs there."""


class MissingError(RegistryError):
    """A registry has no such image."""


class StaleError(UserError):
    """Leaves on the disk differ from what the matrix renders to."""

    code = ExitCode.STALE


class DiskError(UserError):
    """The disk refused: full, read-only, or no permission."""


class ConflictError(UserError):
    """Two changes of one file do not go together: people decide."""


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
