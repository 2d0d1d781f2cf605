"""The `imagematrix` command: the same tasks without a tasks.py, and usage errors with exit code 2 and a hint."""

from typing import Any

from invoke import Exit, Program
from invoke.exceptions import ParseError

from imagematrix import __version__
from imagematrix.errors import ExitCode, did_you_mean
from imagematrix.tasks import collection


class _Program(Program):
    def parse_tasks(self) -> None:
        """Parse task names and flags; what invoke calls a parse error is wrong input here."""
        try:
            super().parse_tasks()
        except ParseError as error:
            raise Exit(f"{error}\n    {_hint(error)}", code=int(ExitCode.BAD_INPUT)) from None


def _hint(error: ParseError) -> str:
    word = str(error).partition("'")[2].partition("'")[0]
    context: Any = error.context
    known = context.flags if word.startswith("-") and context else collection().task_names
    return did_you_mean(word, known)


program = _Program(name="imagematrix", binary="imagematrix", namespace=collection(), version=__version__)
