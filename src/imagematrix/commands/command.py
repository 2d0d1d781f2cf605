"""What makes a function a command: its parameters are its flags, and its errors become exit codes.

A parameter's annotation names its flag in `options`, where each flag is declared once.
"""

import errno
import functools
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_type_hints

from invoke import Context, Exit, Task
from invoke.parser import Argument

from imagematrix import codes
from imagematrix.commands import spelling
from imagematrix.commands.varargs import Varargs
from imagematrix.errors import ExitCode, InputError, UserError

_DISK_REFUSES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""The disk or the user's share of it is full, or it is read-only: not a bug, so no traceback."""
_FILE: Final = "file"
"""The flag of all commands that are about a project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A flag of commands, or the words that one takes. The parameter's name is the flag's."""

    help: str
    kind: type
    """`bool`: given or not; `int`: a whole number; `list`: may be given again."""
    default: Any
    """The value where it is not given."""
    least: int = 0
    """For a number: the smallest valid one."""
    environment: str = ""
    """The variable that gives the value where the flag is not given."""
    value_optional: bool = False
    """It may be given without a value, which is then True."""
    varargs: bool = False
    """It takes all words of the command that are not flags."""
    names: str = ""
    """What shells complete its value with: a kind of names of the project, as `completion.NAMES` knows them."""
    choices: tuple[str, ...] = ()
    """What shells complete its value with, where that is the same in each project."""


class Command(Task[Callable[..., None]]):
    """A command of imagematrix, as a task of invoke."""

    def __init__(self, body: Callable[..., None], *, file: str = "") -> None:
        self._of = body
        self.options = _options(body, file)
        super().__init__(_task(body, self.options), name=body.__name__.strip("_"), positional=(), auto_shortflags=False)

    def of_matrix(self, file: str) -> "Command":
        """Return the same command for another matrix file, unless one is named on the command line."""
        return Command(self._of, file=file)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: ARG002 - invoke's
        """Return the flags for invoke's parser."""
        valued = {f"--{dashed(name)}" for name, option in self.options.items() if option.kind is not bool}
        return [
            Varargs(name=name, help=option.help, task=self.name, valued=valued)
            if option.varargs
            else _Flag(name, option)
            for name, option in self.options.items()
        ]


command = Command
"""The decorator."""


class _Flag(Argument):
    """A flag whose value is checked when it is parsed."""

    def __init__(self, parameter: str, option: Option) -> None:
        self._least = option.least
        super().__init__(
            names=[dashed(parameter)],
            attr_name=parameter if "_" in parameter else None,
            kind=option.kind,
            default=option.default if option.kind is bool else None,  # of a bool True: it has a --no-… too
            help=option.help,
            optional=option.value_optional,
        )

    def set_value(self, value: Any, cast: bool = True) -> None:  # noqa: ANN401 - as its base has it
        """Take a value from the command line. Raises Exit, with code 2, for one that is not a valid number."""
        try:
            super().set_value(value, cast)
            valid = self.kind is not int or self.value >= self._least
        except ValueError:
            valid = False
        if not valid:
            what = f"--{self.names[0]} {value}: must be a whole number, {self._least} or more"
            raise Exit(what, code=int(ExitCode.BAD_INPUT))


def dashed(parameter: str) -> str:
    """Return a flag without its dashes: `dry-run` of the parameter `dry_run`."""
    return parameter.replace("_", "-")


def _options(body: Callable[..., None], file: str) -> Mapping[str, Option]:
    """Return the flags of a command: parameter -> the option that its annotation holds."""
    hints = get_type_hints(body, include_extras=True)
    found: dict[str, Option] = {name: hint.__metadata__[0] for name, hint in hints.items() if name != "return"}
    if file and _FILE in found:
        found[_FILE] = replace(found[_FILE], default=file, help=f"The matrix file (default: {file}).")
    return found


def _task(body: Callable[..., None], options: Mapping[str, Option]) -> Callable[..., None]:
    """Return what invoke runs: values from the environment filled in, errors turned into messages and exit codes."""
    name = body.__name__.strip("_")

    def reworded(text: str, file: str) -> str:
        typed = spelling.prefix(sys.argv, os.environ, name)
        # The schema is a file that is the same everywhere.
        return text if name == "schema" else spelling.respelled(text, typed, file=file)

    @functools.wraps(body)
    def run(_: Context, **values: Any) -> None:  # noqa: ANN401 - of any flag
        from imagematrix import secrecy

        secrecy.learn_environment()
        given = {name: _value(option, values.get(name)) for name, option in options.items()}
        respelled = functools.partial(reworded, file=str(values.get(_FILE) or ""))
        try:
            with secrecy.guarded_output(respelled):
                body(**given)
        except UserError as error:
            raise Exit(secrecy.hidden(respelled(_message(error, given))), code=int(error.code)) from None
        except BrokenPipeError:
            mute()
        except KeyboardInterrupt:
            raise Exit("interrupted", code=int(ExitCode.INTERRUPTED)) from None
        except Exit:
            raise
        except Exception as error:  # noqa: BLE001 - nothing is swallowed: its whole traceback is printed
            if isinstance(error, OSError) and error.errno in _DISK_REFUSES:
                what = f"cannot write {error.filename or 'a file'}: {error.strerror}"
            else:  # a bug, whose traceback may hold a secret
                what = traceback.format_exc()
            raise Exit(secrecy.hidden(what), code=int(ExitCode.FAILED)) from None

    return run


def mute() -> None:
    """Print nothing more: the reader of our output (`| head`) has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _message(error: UserError, given: Mapping[str, Any]) -> str:
    """Return what is wrong, with the paths of a project as they are from here."""
    from imagematrix.repository import from_here

    if not isinstance(error, InputError):
        return _with_code(error)
    if _FILE not in given:
        return str(error)
    return str(InputError(replace(each, file=from_here(given[_FILE], each.file)) for each in error.diagnostics))


def _with_code(error: UserError) -> str:
    """Return what is wrong, with the code of its kind at the end of the first line."""
    first, end, more = str(error).partition("\n")
    code = codes.of_error(error)
    return f"{first} [{code}]{end}{more}" if first and code else str(error)


def _value(option: Option, given: Any) -> Any:  # noqa: ANN401 - of any flag
    if given in (None, ""):
        return os.environ.get(option.environment) or option.default
    return given
