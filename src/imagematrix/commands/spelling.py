"""How people type the commands of a project: `invoke build`, `scripts/inv build`, `imagematrix build`.

The text of messages says `invoke`; what is printed says what people typed.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Final

VARIABLE: Final = "IMAGEMATRIX_PROGRAM"
"""Names the program that people type, where it is not the one that runs: a script around invoke."""
_DEFAULT: Final = "invoke "
_COMMAND: Final = re.compile(r"\binvoke (?=[a-z])")
_PROGRAMS: Final = frozenset({"imagematrix", "inv", "invoke"})


def prefix(argv: Sequence[str], environment: Mapping[str, str], *tasks: str) -> str:
    """Return what people type before a command's name, up to the name of its collection: `invoke images.`.

    `tasks` are the names that the running command may have.
    """
    program = environment.get(VARIABLE) or _program(PurePath(argv[0]))
    if not program:
        return _DEFAULT
    if program.endswith("."):
        return program
    names = (word.rpartition(".") for word in argv[1:])
    return f"{program} " + next((collection + dot for collection, dot, name in names if name in tasks), "")


def respelled(text: str, prefix: str) -> str:
    """Return a text whose commands are called as people type them."""
    return text if prefix == _DEFAULT else _COMMAND.sub(prefix, text)


def _program(called: PurePath) -> str:
    """Return the program that was called; empty for one that only holds invoke."""
    if called.name == "__main__.py" and called.parent.name in _PROGRAMS:
        return f"python -m {called.parent.name}"
    return called.name if called.name in _PROGRAMS else ""
