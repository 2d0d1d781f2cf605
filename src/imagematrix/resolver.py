"""Asks uv: one question about requirements in, one lock or uv's refusal out."""

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from uv import find_uv_bin

from imagematrix import requirements, site
from imagematrix.errors import NoIndexError
from imagematrix.model import Site
from imagematrix.requirements import Question
from imagematrix.shell import Shell

_NO_SOLUTION: Final = "No solution found"
_UNREACHABLE: Final = re.compile(r"Failed to fetch|Request failed after|error sending request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A lock's text, or why there is none."""

    text: str = ""
    why: str = ""


class Uv:
    """Resolves questions with what a site fetches from."""

    def __init__(self, shell: Shell, where: Site) -> None:
        self._shell = shell
        self._program = find_uv_bin()
        self._has_wheelhouse = bool(where.wheelhouse)
        self._environment = site.resolving_environment(where)
        self._configuration = site.resolving_toml(where)

    def resolve(self, question: Question) -> Answer:
        """Resolve upon the locks below or, where that has no solution, anew together with all that is below.

        Raises NoIndexError when the index does not answer.
        """
        resolved, said = self._compile(question, anew=False)
        anew = not resolved and bool(question.constraints) and _NO_SOLUTION in said
        if anew:
            resolved, said = self._compile(question, anew=True)
        if resolved:
            return Answer(text=requirements.lock_text(question, resolved, anew=anew))
        if _NO_SOLUTION not in said and _UNREACHABLE.search(said):
            raise NoIndexError(f"the package index does not answer: committed locks stay as they are\n{said}")
        return Answer(why=said + self._remedy(said))

    def cancel(self) -> None:
        """Stop what is being resolved."""
        self._shell.cancel()

    def _remedy(self, said: str) -> str:
        is_nowhere = "there is no version of" in said and not self._has_wheelhouse
        return "\nno wheelhouse is configured here: if a wheel is to come from one, see `[site]`" if is_nowhere else ""

    def _compile(self, question: Question, *, anew: bool) -> tuple[str, str]:
        """Return what uv resolved and what it said; nothing resolved means that it failed."""
        with tempfile.TemporaryDirectory(prefix="imagematrix-lock-") as name:
            folder = Path(name)
            for path, text in requirements.files(question, anew=anew).items():
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")
            # It may hold credentials: the folder is nobody else's, and gone afterwards.
            (folder / requirements.CONFIGURATION).write_text(self._configuration, encoding="utf-8")
            argv = requirements.argv(question, uv=(self._program, sys.executable), folder=name, anew=anew)
            code, said = self._shell.capture(argv, env=self._environment)
            if code:
                return "", said.strip() or f"uv ended with exit code {code}"
            # Even what requires nothing is an answer.
            return (folder / requirements.OUTPUT).read_text(encoding="utf-8") or "# nothing\n", said
