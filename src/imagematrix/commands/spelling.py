"""How people type the commands of a project: `invoke build`, `scripts/inv build`, `imagematrix build`.

The text of messages says `invoke`; what is printed says what people typed.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Final

VARIABLE: Final = "IMAGEMATRIX_PROGRAM"
"""Names the program that people type, where it is not the one that runs: a script around invoke."""
_DEFAULT: Final = "invoke "
_COMMAND: Final = re.compile(r"\binvoke (?P<name>[a-z]+)(?P<names_file>(?=[^`\n]* --file ))?")
_WITHOUT_MATRIX: Final = frozenset({"cluster", "engine", "explain", "init", "schema", "worker"})
"""The commands that are not about a matrix file, or about none that people must name."""
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


def respelled(text: str, prefix: str, *, file: str = "") -> str:
    """Return a text whose commands are called as people type them, for the matrix file that they named."""
    if prefix == _DEFAULT and not file:
        return text
    flag = f" --file {shlex.quote(file)}" if file else ""

    def typed(found: re.Match[str]) -> str:
        needs_none = found["name"] in _WITHOUT_MATRIX or found["names_file"] is not None
        return f"{prefix}{found['name']}{'' if needs_none else flag}"

    return _COMMAND.sub(typed, text)


def _program(called: PurePath) -> str:
    """Return the program that was called; empty for one that only holds invoke."""
    if called.name == "__main__.py" and called.parent.name in _PROGRAMS:
        return f"python -m {called.parent.name}"
    return called.name if called.name in _PROGRAMS else ""
