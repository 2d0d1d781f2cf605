"""The bytes of `buildx --progress rawjson` in, readable log lines out.

The stream holds JSON values, one a line in new versions of buildx and indented over many lines in 0.13,
and after a failure plain text: so it is read as a stream of values.
"""

import base64
import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from imagematrix.secrecy import hidden
from imagematrix.text.visible import visible

_HIDDEN: Final = ("[internal]", "[context ", "copy /context", "load remote build context")
"""Steps of the engine that every build has; they are not shown."""
_MOUNTS: Final = re.compile(r"--mount=\S+\s+")


class Watcher(Protocol):
    """Receives the steps of a build, before the lines that describe them. A step is named by its digest."""

    def began(self, step: str, name: str) -> None:
        """Hear that a step began, perhaps once more; the name is BuildKit's, with its mounts."""

    def said(self, step: str, line: str) -> None:
        """Hear a line that a step printed; without a step, one of the program's own."""

    def ended(self, step: str, error: str) -> None:
        """Hear that a step ended; why it failed, if it did."""


class Reader:
    """Turns chunks of progress output into lines, each as soon as it is whole."""

    def __init__(self, watcher: Watcher | None = None) -> None:
        self._watcher = watcher
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._parse = json.JSONDecoder().raw_decode
        self._pending = ""
        self._announced: set[str] = set()
        self._partial: dict[str, bytes] = {}
        """Vertex -> what it has said of a line that is not whole yet."""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Take a chunk; yield the lines it completes."""
        self._pending += self._decode(chunk)
        while self._pending:
            self._pending = self._pending.lstrip()
            value, length = self._next()
            if not length:
                return
            self._pending = self._pending[length:]
            yield from self._told(value) if isinstance(value, dict) else self._said("", _clean(str(value)))

    def close(self) -> Iterator[str]:
        """Yield what is left when the program has ended."""
        for vertex in tuple(self._partial):
            yield from self._rest(vertex)
        for line in self._pending.splitlines():
            yield from self._said("", _clean(line))
        self._pending = ""

    def _next(self) -> tuple[object, int]:
        """Return the next value or line of plain text with its length; length 0 while it is not whole yet."""
        if self._pending.startswith("{"):
            try:
                return self._parse(self._pending)
            except json.JSONDecodeError:
                return None, 0
        line, newline, _ = self._pending.partition("\n")
        return line, len(line) + len(newline) if newline else 0

    def _told(self, document: Mapping[str, Any]) -> Iterator[str]:
        """Tell what a step said before that it failed, in whatever order its document has them."""
        vertexes = document.get("vertexes") or ()
        for vertex in vertexes:
            yield from self._start(vertex)
        for log in document.get("logs") or ():
            yield from self._log(log["vertex"], base64.b64decode(log.get("data") or ""))
        for vertex in vertexes:
            yield from self._end(vertex)

    def _start(self, vertex: Mapping[str, Any]) -> Iterator[str]:
        name = _clean(vertex.get("name", ""))
        if not vertex.get("started") or name.startswith(_HIDDEN):
            return
        if self._watcher and not vertex.get("completed"):
            self._watcher.began(vertex["digest"], name)
        if vertex["digest"] not in self._announced:
            self._announced.add(vertex["digest"])
            yield f"# {without_mounts(name)}"

    def _end(self, vertex: Mapping[str, Any]) -> Iterator[str]:
        if vertex.get("completed"):
            yield from self._rest(vertex["digest"])
        error = _clean(vertex.get("error", ""))
        if self._watcher and (vertex.get("completed") or error):
            self._watcher.ended(vertex["digest"], error)
        if error:
            yield f"ERROR: {error}"

    def _log(self, vertex: str, data: bytes) -> Iterator[str]:
        """Put chunks together to lines; a chunk may end within a character."""
        *whole, self._partial[vertex] = (self._partial.get(vertex, b"") + data).split(b"\n")
        for line in whole:
            yield from self._said(vertex, _line(line))

    def _rest(self, vertex: str) -> Iterator[str]:
        rest = self._partial.pop(vertex, b"")
        if rest:
            yield from self._said(vertex, _line(rest))

    def _said(self, step: str, line: str) -> Iterator[str]:
        if self._watcher:
            self._watcher.said(step, line)
        yield line


def without_mounts(name: str) -> str:
    """Return a step's name without what it mounts."""
    return _MOUNTS.sub("", name)


def _line(data: bytes) -> str:
    """Return a line as text that can be seen; of one redrawn with carriage returns the last state counts."""
    return _clean(data.decode(errors="replace").rstrip("\r").rpartition("\r")[2])


def _clean(text: str) -> str:
    """Return a line as text that can be seen, without secrets."""
    return hidden(visible(text))
