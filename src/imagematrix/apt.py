"""Asks apt what it would install today: one question about a base in, an answer for each of its lists out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from imagematrix import scratch, secrecy
from imagematrix.engine import builder, buildx, buildx_command, connect
from imagematrix.errors import NoEngineError
from imagematrix.model import EPOCH, File, Site
from imagematrix.planning import apt_locks, site_files
from imagematrix.planning.apt_locks import Answers, AptQuestion
from imagematrix.shell import Shell

_SECONDS: Final = 180.0
"""For the lists of a distribution and all simulations; usually it takes about ten seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AptResult:
    """What apt says of a base, or why it says nothing: its mirror does not answer, say."""

    answers: Answers = field(default_factory=dict)
    why: str = ""


class Apt:
    """Asks by what a site fetches from: with this machine's apt, or on an engine with that of an image."""

    def __init__(self, shell: Shell, where: Site, *, script: File, digests: Mapping[str, str]) -> None:
        self._shell = shell
        self._site = where
        self._script = script
        self._digests = digests

    def ask(self, question: AptQuestion) -> AptResult:
        """Return what apt says of a base."""
        try:
            code, said = self._of_suite(question) if question.base.suite else self._of_image(question)
        except (NoEngineError, TimeoutError) as error:
            return AptResult(why=str(error))
        if code:
            return AptResult(why=apt_locks.last_words(said) or f"exit code {code}")
        answers = apt_locks.answers(said)
        return AptResult(answers=answers, why="" if answers else apt_locks.last_words(said).removeprefix("! "))

    def cancel(self) -> None:
        """Stop what is being asked."""
        self._shell.cancel()

    def _of_suite(self, question: AptQuestion) -> tuple[int, str]:
        """Ask by the script that makes bases: it takes no engine."""
        with scratch.folder("apt") as folder:
            script = folder / "bootstrap.sh"
            script.write_bytes(self._script.content)
            argv = ("sh", str(script), "--platform", question.base.platform, "--ask", question.base.suite)
            return self._run(argv, env=self._site.proxies, stdin=apt_locks.asked_text(question))

    def _of_image(self, question: AptQuestion) -> tuple[int, str]:
        """Ask in a build, which has the base already, and reaches mirrors as all builds do."""
        engine, image = connect(), site_files.mirrored(question.base.image, self._site)
        digest = self._digests.get(question.base.image)
        pulled = f"{image.partition('@')[0]}@{digest}" if digest else image
        with scratch.folder("apt") as folder, scratch.folder("site") as secrets:
            argv = buildx.output_argv(
                program=buildx_command(engine),
                folder=str(folder),
                platform=question.base.platform,
                arguments={EPOCH: datetime.now(UTC).isoformat()},  # what BuildKit remembers is yesterday's answer
                site=self._site,
                secrets=builder.secrets(self._site, secrets),
            )
            environment = {**buildx.ENVIRONMENT, **self._site.proxies, **engine.environment}
            code, said = self._run(argv, env=environment, stdin=apt_locks.dockerfile_of(question, pulled))
            answers = folder / "answers"
            return code, answers.read_text(encoding="utf-8") if answers.exists() else said

    def _run(self, argv: Sequence[str], *, env: Mapping[str, str], stdin: str) -> tuple[int, str]:
        said: list[bytes] = []
        code = self._shell.run(argv, env=env, stdin=stdin.encode(), sink=said.append, seconds=_SECONDS)
        return code, secrecy.hidden(b"".join(said).decode(errors="replace"))
