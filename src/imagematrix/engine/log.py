"""What a build prints in; its full log in a file, why it failed and how it ended out."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from imagematrix.engine.locks import BuildLocks
from imagematrix.engine.progress import Reader, without_mounts
from imagematrix.planning import failure
from imagematrix.planning.failure import FailureCause

_TAIL_LINES: Final = 20
_KEPT_LINES: Final = 20_000
"""Of each step's output: the first error of a compiler may be thousands of lines above its end."""
_DRIFTED: Final = "drifted: "
"""How the macro `apt_install` of `site.j2`, and the script that makes bases, mark a line for us."""
_EXIT_CODE: Final = re.compile(r"exit code: (\d+)")
_PLACE: Final = re.compile(r"Dockerfile:\d+")


class Sink(Protocol):
    """Takes the full output."""

    def write(self, text: str, /) -> object:
        """Take some text."""


class LogFile(Sink, Protocol):
    """A sink that is a file."""

    @property
    def path(self) -> str:
        """Return where it lies, as attempts say it."""


class BuildLog:
    """The full output of a node in a file, and what each of its steps printed last in memory."""

    def __init__(self, stream: Sink, said: Callable[[str], None], locks: BuildLocks | None = None) -> None:
        self._locks = locks
        self._tell = said
        self._stream = stream
        self._reader = Reader(self)
        self._names: dict[str, str] = {}
        self._lines: dict[str, deque[str]] = {}
        self.drifted: list[str] = []
        """What steps print of packages that differ from the apt lock."""
        self._failed: tuple[str, str] | None = None
        """The first step that failed, and what the engine says of it."""

    def feed(self, chunk: bytes) -> None:
        """Take a chunk of what the build prints."""
        self._write(self._reader.feed(chunk))

    def close(self) -> None:
        """Note the end of the output."""
        self._write(self._reader.close())

    def began(self, step: str, name: str) -> None:
        """Note that a step began, and its name."""
        self._names[step] = without_mounts(name)
        if self._locks:
            self._locks.began(step, name)

    def said(self, step: str, line: str) -> None:
        """Keep a line of a step."""
        if line.startswith(_DRIFTED):
            self.drifted.append(line.removeprefix(_DRIFTED))
        self._lines.setdefault(step, deque(maxlen=_KEPT_LINES)).append(line)
        if self._locks:
            self._locks.spoke(step)

    def ended(self, step: str, error: str) -> None:
        """Note that a step ended; the first one that failed is the one that counts."""
        if error and not self._failed:
            self._failed = (step, error)
        if self._locks:
            self._locks.ended(step)

    def judged(self) -> tuple[FailureCause | None, str]:
        """Return the cause of the failure, and the text that decides whether it is transient."""
        output = self._output()
        cause = failure.find(output)
        own = failure.judged(output, cause)
        return cause, "\n".join([own, self._failed[1], *self._engine()] if self._failed else [own])

    def tail(self) -> tuple[str, ...]:
        """Return what the failing step said last: its own output, else all there is."""
        return tuple(self._output() or self._engine())[-_TAIL_LINES:]

    def why(self, cause: FailureCause | None, code: int) -> str:
        """Return the failure in one line."""
        if self._failed is None:
            return cause.text if cause else f"ended with exit code {code}"
        step, error = self._failed
        ended = _EXIT_CODE.search(error)
        if ended is None:  # the engine itself could not do it: its word counts
            return failure.abbreviated(error)
        place = next((found[0] for line in self._engine() if (found := _PLACE.match(line))), "")
        return failure.reason(cause, code=ended[1], step=" ".join(filter(None, [place, self._names.get(step, "")])))

    def _output(self) -> Sequence[str]:
        """Return the output of the step that failed, else what the program itself said."""
        return [*self._lines.get(self._failed[0] if self._failed else "", ())]

    def _engine(self) -> Sequence[str]:
        return [*self._lines.get("", ())]

    def _write(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._stream.write(line + "\n")
            self._tell(line)
