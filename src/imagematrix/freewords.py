"""Tasks that take any number of words: `invoke add FAMILY AXIS=VALUE …`.

To invoke's parser, a positional argument is one word, and a word too many the name of the next task. It asks a
positional whether it has its value before it hands it the next word, so this one has none until it got them all;
how many those are, the command line of the process tells. All of this is a matter of the argument alone, so it is the
same with `invoke`, in whatever collection the task is.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import invoke
from invoke.parser import Argument

NAME = "words"
"""The parameter that takes them."""


class Words(Argument):
    """A positional argument of a known number of words."""

    def __init__(self, count: int, *, help: str | None) -> None:  # noqa: A002 - as its base names it
        super().__init__(name=NAME, kind=list, positional=True, help=help)
        self._count = count
        self._words: list[str] = []

    @property
    def value(self) -> list[str] | None:
        """The words; nothing while there are more to come."""
        return None if len(self._words) < self._count else self._words

    @value.setter
    def value(self, arg: str) -> None:
        self._words.append(arg)


class Task(invoke.Task[Any]):
    """A task whose parameter `words` takes all words behind its name that are no flags."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments as invoke makes them, but for that one."""
        made = super().get_arguments(ignore_unknown_help=ignore_unknown_help)
        flags = [flag for each in made if each.takes_value for flag in each.names]
        count = len(_words(sys.argv, self.name.strip("_"), [f"--{flag.replace('_', '-')}" for flag in flags]))
        return [Words(count, help=each.help) if each.name == NAME else each for each in made]


def _words(argv: Sequence[str], task: str, valued: Iterable[str]) -> list[str]:
    """Return the words of a command line behind a task's name; what follows a flag with a value is none."""
    at = next((at for at, word in enumerate(argv) if at and word.rpartition(".")[2] == task), len(argv))
    behind = argv[at + 1 : argv.index("--") if "--" in argv else len(argv)]
    flags = set(valued)
    pairs = zip(["", *behind], behind, strict=False)
    return [word for before, word in pairs if not word.startswith("-") and before not in flags]
