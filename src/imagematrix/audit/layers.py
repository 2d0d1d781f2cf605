"""What is kept of an image's filesystem layers, and what is seen once they lie on top of each other."""

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import translate
from functools import cache
from typing import Final, TypeVar

from imagematrix.audit import contents
from imagematrix.model import Platform

PROTECTED: Final = ("bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr")
"""Where nothing of a base may change (Huawei ModelArts' rules for custom images, seed 001)."""

_REMOVED: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_SETUID: Final = 0o6000


class Kind(StrEnum):
    """What a tar entry is, as far as rules tell."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a filesystem layer's tar; `path` is relative to the root."""

    path: str
    kind: Kind
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    target: str = ""
    checksum: Callable[[], int] = int
    content: Callable[[], bytes] = bytes
    """Both read a file's content, which may be done once and only before the next entry is asked for."""


Identity = tuple[str, int, int, int, int, int, str]
"""Kind, mode, uid, gid, size, checksum, target: equal for files that are the same, whenever they were written."""


@dataclass(slots=True, kw_only=True)
class Layer:
    """What is kept of one filesystem layer."""

    files: dict[str, Identity] = field(default_factory=dict)
    """The protected files it brings."""
    removed: set[str] = field(default_factory=set)
    """What it takes away from those below: files or whole directories."""
    emptied: set[str] = field(default_factory=set)
    """Directories of which nothing from below is left."""
    required: set[str] = field(default_factory=set)
    """Files it brings of those that the platform's own tools need."""
    supervisor: dict[str, bytes] = field(default_factory=dict)
    """Supervisor's configuration files that it brings: path -> content."""
    secrets: set[tuple[str, str, bytes]] = field(default_factory=set)
    """Path, what it is, the credential itself."""
    setuid: dict[str, int] = field(default_factory=dict)
    """Root's files that run as root (or its group), wherever they are: path -> mode."""
    bytes: int = 0
    """Sum of its files' sizes."""
    packed: int = 0
    """How many bytes a registry would hold."""


def is_protected(path: str, platform: Platform) -> bool:
    """Whether a file of the base must stay as it is."""
    return path.partition("/")[0] in PROTECTED or _matches(path, platform.protected)


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return bool(patterns and _any(patterns).match(f"/{path}"))


@cache
def _any(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))


def read(entries: Iterable[Entry], platform: Platform) -> Layer:
    """Keep of a layer what rules ask for."""
    layer = Layer()
    for entry in entries:
        parent, _, name = entry.path.rpartition("/")
        if name == _OPAQUE:
            layer.emptied.add(parent)
        elif name.startswith(_REMOVED):
            layer.removed.add(f"{parent}/{name.removeprefix(_REMOVED)}".lstrip("/"))
        elif entry.kind is not Kind.DIRECTORY:
            layer.bytes += entry.size
            if entry.kind is Kind.FILE and entry.mode & _SETUID and entry.uid == 0:
                layer.setuid[entry.path] = entry.mode
            if _matches(entry.path, platform.required):
                layer.required.add(entry.path)
            text = _text(entry)
            if text:
                _keep(entry.path, text, layer)
            if is_protected(entry.path, platform):
                layer.files[entry.path] = _identity(entry, layer, text)
    return layer


def _text(entry: Entry) -> bytes | None:
    """Return a file's content where a rule asks for it."""
    if entry.kind is Kind.FILE and entry.size <= contents.TEXT_BYTES and contents.is_asked_for(entry.path):
        return entry.content()
    return None


def _keep(path: str, text: bytes, layer: Layer) -> None:
    if contents.is_supervisors(path):
        layer.supervisor[path] = text
    layer.secrets |= {(path, what, found) for what, found in contents.secrets(path, text)}


def _identity(entry: Entry, layer: Layer, text: bytes | None) -> Identity:
    if entry.kind is Kind.HARDLINK and entry.target in layer.files:  # it is the same file once more
        return layer.files[entry.target]
    checksum = 0
    if entry.kind is Kind.FILE:
        checksum = entry.checksum() if text is None else zlib.crc32(text)
    return (entry.kind.value, entry.mode, entry.uid, entry.gid, entry.size, checksum, entry.target)


_Kept = TypeVar("_Kept")


def stacked(
    files: Mapping[str, _Kept], layers: Iterable[Layer], *, of: Callable[[Layer], Mapping[str, _Kept]]
) -> dict[str, _Kept]:
    """Return which of the files that are kept of layers are seen once these lie on top of each other."""
    seen = dict(files)
    for layer in layers:
        # A file in the place of a directory takes away what was in it, as a whiteout does.
        gone = layer.removed | layer.emptied | layer.files.keys()
        if gone:
            seen = {path: kept for path, kept in seen.items() if not is_gone(path, layer, gone)}
        seen |= of(layer)
    return seen


def is_gone(path: str, layer: Layer, gone: set[str]) -> bool:
    """Whether a layer takes a file away, itself or a directory that it lies in."""
    if path in layer.removed:
        return True
    at = path.rfind("/")
    while at > 0:
        if path[:at] in gone:
            return True
        at = path.rfind("/", 0, at)
    return False
