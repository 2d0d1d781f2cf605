"""The `imagematrix` command: the same tasks without a tasks.py, and usage errors with exit code 2 and a hint."""

from typing import Any

from invoke import Exit, Program
from invoke.exceptions import ParseError

from imagematrix import __version__
from imagematrix.commands import spelling
from imagematrix.commands.command import Command
from imagematrix.errors import ExitCode, did_you_mean
from imagematrix.tasks import GROUPS, collection


class _Program(Program):
    def print_help(self) -> None:
        """Print the commands by what they are for, instead of invoke's own options."""
        print(f"Usage: {self.binary} COMMAND [--flags] [COMMAND [--flags] ...]\n")
        for purpose, commands in GROUPS.items():
            print(f"{purpose}:")
            self.print_columns([(command.name, _summary(command)) for command in commands])
        print(f"{self.binary} --help COMMAND lists the flags of a command.")
        print(f"{self.binary} --print-completion-script=bash (or zsh, fish) prints what completes them.")

    def parse_tasks(self) -> None:
        """Parse task names and flags; what invoke calls a parse error is wrong input here."""
        try:
            super().parse_tasks()
        except ParseError as error:
            raise Exit(f"{error}\n    {_hint(error)}", code=int(ExitCode.BAD_INPUT)) from None


def _summary(command: Command) -> str:
    return spelling.respelled(str(command.__doc__).splitlines()[0], "imagematrix ")


def _hint(error: ParseError) -> str:
    word = str(error).partition("'")[2].partition("'")[0]
    context: Any = error.context
    known = context.flags if word.startswith("-") and context else collection().task_names
    return did_you_mean(word, known)


program = _Program(name="imagematrix", binary="imagematrix", namespace=collection(), version=__version__)
