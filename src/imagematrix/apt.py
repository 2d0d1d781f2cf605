"""Asks apt what it would install today: one question about a base in, an answer for each of its lists out."""

from dataclasses import dataclass, field
from typing import Final

from imagematrix import scratch, secrecy
from imagematrix.model import File, Site
from imagematrix.planning import apt_locks
from imagematrix.planning.apt_locks import Answers, AptQuestion
from imagematrix.shell import Shell

_SECONDS: Final = 180.0
"""For the lists of a distribution and all simulations; usually it takes about ten seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AptResult:
    """What apt says of a base, or why it says nothing: its mirror does not answer, say."""

    answers: Answers = field(default_factory=dict)
    why: str = ""


class HostApt:
    """Asks with this machine's apt, by the script that makes bases: no engine is needed."""

    def __init__(self, shell: Shell, script: File, where: Site) -> None:
        self._shell = shell
        self._script = script
        self._site = where

    def ask(self, question: AptQuestion) -> AptResult:
        """Return what apt says of a base that is made here."""
        said: list[bytes] = []
        with scratch.folder("apt") as folder:
            script = folder / "bootstrap.sh"
            script.write_bytes(self._script.content)
            try:
                code = self._shell.run(
                    ("sh", str(script), "--ask", question.base.suite),
                    env=dict(self._site.proxies),
                    stdin=apt_locks.asked_text(question).encode(),
                    sink=said.append,
                    seconds=_SECONDS,
                )
            except TimeoutError as error:
                return AptResult(why=str(error))
        text = secrecy.hidden(b"".join(said).decode(errors="replace"))
        if code:
            return AptResult(why=apt_locks.last_words(text) or f"exit code {code}")
        return AptResult(answers=apt_locks.answers(text))

    def cancel(self) -> None:
        """Stop what is being asked."""
        self._shell.cancel()
