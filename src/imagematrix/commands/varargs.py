"""A positional argument that takes any number of words: `invoke add FAMILY AXIS=VALUE …`.

invoke's parser has no such thing: to it, a word too many is the name of the next task. It gives a positional argument
the next word as long as the argument has no value, so this one has none until it has all its words. How many there
are is read from the command line of the process. It works the same in any collection, under any program.
"""

import sys
from collections.abc import Collection, Sequence

from invoke.parser import Argument


class Varargs(Argument):
    """A positional argument that takes all words behind a task's name that are not flags."""

    def __init__(self, *, name: str, help: str, task: str, valued: Collection[str]) -> None:  # noqa: A002 - invoke's
        super().__init__(name=name, kind=list, positional=True, help=help)
        self._count = len(_words(sys.argv, task, valued))
        self._words: list[str] = []

    @property
    def value(self) -> list[str] | None:
        """The words; None while there are more to come."""
        return None if len(self._words) < self._count else self._words

    @value.setter
    def value(self, arg: str) -> None:
        self._words.append(arg)


def _words(argv: Sequence[str], task: str, valued: Collection[str]) -> list[str]:
    """Return the words of a command line behind a task's name; `valued` are the flags that take the next word."""
    at = next((at for at, word in enumerate(argv) if at and word.rpartition(".")[2] == task), len(argv))
    behind = argv[at + 1 : argv.index("--") if "--" in argv else len(argv)]
    pairs = zip(["", *behind], behind, strict=False)
    return [word for before, word in pairs if not word.startswith("-") and before not in valued]
