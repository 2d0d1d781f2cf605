"""What is kept of an image's filesystem layers, and what is seen once they lie on top of each other."""

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import translate
from functools import cache
from typing import Any, Final

from imagematrix.audit import contents

_REMOVED: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"


class Kind(StrEnum):
    """What a tar entry is, as far as rules tell."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    OTHER = "other"


@dataclass(slots=True, kw_only=True)
class Entry:
    """One entry of a filesystem layer's tar; `path` is relative to the root."""

    path: str
    kind: Kind
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    target: str = ""
    checked: Callable[[], int] = int
    hashed: Callable[[], str] = str
    content: Callable[[], bytes] = bytes
    """All three read a file's content, which may be done once and only before the next entry is read."""
    _text: bytes | None = None
    _checksum: int | None = None

    def text(self) -> bytes | None:
        """Return a file's content; None where it is too long to be a configuration or a credential, or no file."""
        if self.kind is not Kind.FILE or self.size > contents.TEXT_BYTES:
            return None
        if self._text is None:
            self._text = self.content()
        return self._text

    def checksum(self) -> int:
        """Return the CRC of a file's content."""
        if self._checksum is None:
            text = self.text()
            self._checksum = self.checked() if text is None else zlib.crc32(text)
        return self._checksum


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A layer as one rule sees it."""

    kept: Mapping[str, Any]
    """What the rule kept of the layer's files: path -> what."""
    removed: frozenset[str]
    """What it takes away from those below: files or whole directories."""
    emptied: frozenset[str]
    """Directories of which nothing from below is left."""
    bytes: int
    """Sum of its files' sizes."""
    packed: int
    """How many bytes a registry would hold."""


@dataclass(slots=True, kw_only=True)
class FilesystemLayer:
    """What is kept of one filesystem layer."""

    kept: dict[str, dict[str, object]] = field(default_factory=dict)
    """Rule -> path -> what it kept."""
    removed: set[str] = field(default_factory=set)
    emptied: set[str] = field(default_factory=set)
    bytes: int = 0
    packed: int = 0

    def seen_by(self, rule: str) -> Seen:
        """Return the layer as a rule sees it."""
        return Seen(
            kept=self.kept.get(rule, {}),
            removed=frozenset(self.removed),
            emptied=frozenset(self.emptied),
            bytes=self.bytes,
            packed=self.packed,
        )


Keep = Callable[[Entry, Mapping[str, object]], object]
"""What a rule keeps of an entry, given what it kept of the layer so far; None: nothing."""


def matches(path: str, globs: tuple[str, ...]) -> bool:
    """Whether a path matches one of some globs of absolute paths."""
    return bool(globs and _any(globs).match(f"/{path}"))


@cache
def _any(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, globs)))


def read(entries: Iterable[Entry], rules: Mapping[str, Keep]) -> FilesystemLayer:
    """Keep what rules need of a layer."""
    layer = FilesystemLayer(kept={name: {} for name in rules})
    for entry in entries:
        parent, _, name = entry.path.rpartition("/")
        if name == _OPAQUE:
            layer.emptied.add(parent)
        elif name.startswith(_REMOVED):
            layer.removed.add(f"{parent}/{name.removeprefix(_REMOVED)}".lstrip("/"))
        elif entry.kind is not Kind.DIRECTORY:
            layer.bytes += entry.size
            for rule, keep in rules.items():
                kept = keep(entry, layer.kept[rule])
                if kept is not None:
                    layer.kept[rule][entry.path] = kept
    return layer


def stacked(files: Mapping[str, Any], layers: Iterable[Seen]) -> dict[str, Any]:
    """Return which of the files that a rule kept are seen once the layers lie on top of each other."""
    seen = dict(files)
    for layer in layers:
        # A file in the place of a directory takes away what was in it, as a whiteout does.
        gone = layer.removed | layer.emptied | layer.kept.keys()
        if gone:
            seen = {path: kept for path, kept in seen.items() if not is_gone(path, layer, gone)}
        seen |= layer.kept
    return seen


def is_gone(path: str, layer: Seen, gone: frozenset[str]) -> bool:
    """Whether a layer takes a file away, itself or a directory that it lies in."""
    if path in layer.removed:
        return True
    at = path.rfind("/")
    while at > 0:
        if path[:at] in gone:
            return True
        at = path.rfind("/", 0, at)
    return False
