"""The `imagematrix` command: the same tasks without a tasks.py, and usage errors with exit code 2 and a hint."""

import os
import sys
from pathlib import Path
from typing import Any, Final

from invoke import Collection, Exit, Program
from invoke.exceptions import ParseError

from imagematrix import __version__
from imagematrix.commands import spelling
from imagematrix.commands.command import Command, mute
from imagematrix.errors import ExitCode, did_you_mean
from imagematrix.tasks import GROUPS, collection

_SCRIPTS: Final = Path(__file__).parent / "templates/completion"
_COMPLETED: Final = ("imagematrix", "inv")
"""The programs that a completion script is for: `inv` as in `scripts/inv`, a program of this kind."""


class MatrixProgram(Program):
    """A program whose commands are ours; without a namespace with those of the tasks.py that it finds."""

    def print_help(self) -> None:
        """Print the commands by what they are for, instead of invoke's own options."""
        try:
            self._print_help()
            sys.stdout.flush()
        except BrokenPipeError:
            mute()

    def _print_help(self) -> None:
        print(f"Usage: {self.binary} COMMAND [--flags] [COMMAND [--flags] ...]\n")
        for purpose, commands in GROUPS.items():
            print(f"{purpose}:")
            self.print_columns([(command.name, _summary(command, f"{self.binary} ")) for command in commands])
        if others := self._others():
            print("Of this repository:")
            self.print_columns(others)
        print(f"{self.binary} --help COMMAND lists the flags of a command.")
        print(f"{self.binary} --print-completion-script=bash (or zsh, fish) prints what completes them.")

    def _others(self) -> list[tuple[str, str]]:
        """Return the tasks that are not ours, with what they do."""
        if not hasattr(self, "collection"):  # only --help was given
            self.load_collection()
        found = ((name, task) for name, task in _tasks(self.collection).items() if not isinstance(task, Command))
        return [(name, str(task.__doc__ or "").partition("\n")[0]) for name, task in sorted(found)]

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse invoke's own flags; its completion scripts know no values, ours do."""
        self.normalize_argv(argv)
        flag, _, shell = self.argv[1].partition("=") if len(self.argv) > 1 else ("", "", "")
        if flag == "--print-completion-script":
            print(_completion_script(shell or "".join(self.argv[2:3])), end="")
            raise Exit
        super().parse_core(argv)

    def parse_collection(self) -> None:
        """Find the tasks; a shell that asks what may come next is answered before anything is parsed."""
        super().parse_collection()
        if self.args.complete.value:
            from imagematrix.commands import completion

            words = self.argv[self.argv.index("--") + 1 :] if "--" in self.argv else []
            for word in completion.candidates(words, _tasks(self.collection)):
                print(word)
            raise Exit

    def parse_tasks(self) -> None:
        """Parse task names and flags; what invoke calls a parse error is wrong input here."""
        try:
            super().parse_tasks()
        except ParseError as error:
            raise Exit(_mistake(error, self.collection), code=int(ExitCode.BAD_INPUT)) from None


def _summary(command: Command, prefix: str) -> str:
    return spelling.respelled(str(command.__doc__).splitlines()[0], prefix)


def _tasks(found: Collection) -> dict[str, Any]:
    return {name: found[name] for name in found.task_names}


def _mistake(error: ParseError, found: Collection) -> str:
    """Return what is wrong with a command line, with the nearest word that would be right."""
    context: Any = error.context
    flag = next((flag for flag in context.flags.values() if str(flag) in str(error)), None) if context else None
    if flag is not None:
        return f"--{flag.name} needs a value: `{context.name} --{flag.name} VALUE`"
    word = str(error).partition("'")[2].partition("'")[0]
    known = context.flags if word.startswith("-") and context else found.task_names
    return f"{error}\n    {did_you_mean(word, known)}"


def _completion_script(shell: str) -> str:
    """Return the script that completes our programs. Raises Exit, with code 2, for a shell that is not supported."""
    known = sorted(path.suffix[1:] for path in _SCRIPTS.iterdir())
    if shell not in known:
        hint = did_you_mean(shell, known)
        raise Exit(f"--print-completion-script {shell}: not supported\n    {hint}", code=int(ExitCode.BAD_INPUT))
    return (_SCRIPTS / f"imagematrix.{shell}").read_text(encoding="utf-8").replace("@programs@", " ".join(_COMPLETED))


program = MatrixProgram(name="imagematrix", binary="imagematrix", namespace=collection(), version=__version__)
with_tasks = MatrixProgram(name="imagematrix", binary=os.environ.get(spelling.VARIABLE, "inv"), version=__version__)
"""With the tasks of a repository's tasks.py, as invoke has them: what a script like `scripts/inv` runs."""
