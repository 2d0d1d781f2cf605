"""What a platform's review asks of an image, computed from its filesystem layers: nothing is run.

A rule is a function from the evidence to what offends it, in the table `RULES`; `[platforms.X]` in matrix.toml says
which ones count. Layers come as iterators of tar entries, and of each only what rules ask for is kept: the files
below the protected directories, so memory follows their number and not the image's size.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

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
    """Reads a file's content, which may be done once and only before the next entry is asked for."""


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
    setuid: dict[str, int] = field(default_factory=dict)
    """Root's files that run as root (or its group), wherever they are: path -> mode."""
    bytes: int = 0
    """Sum of its files' sizes."""
    packed: int = 0
    """How many bytes a registry would hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """An image as rules see it."""

    base_name: str
    base: Sequence[Layer]
    own: Sequence[Layer]
    """The layers on top of the base's."""


def is_protected(path: str, platform: Platform) -> bool:
    """Whether a file of the base must stay as it is."""
    return path.partition("/")[0] in PROTECTED or f"/{path}" in platform.protected


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
            if is_protected(entry.path, platform):
                layer.files[entry.path] = _identity(entry, layer)
    return layer


def _identity(entry: Entry, layer: Layer) -> Identity:
    if entry.kind is Kind.HARDLINK and entry.target in layer.files:  # it is the same file once more
        return layer.files[entry.target]
    content = entry.checksum() if entry.kind is Kind.FILE else 0
    return (entry.kind.value, entry.mode, entry.uid, entry.gid, entry.size, content, entry.target)


def judge(evidence: Evidence, platform: Platform) -> Mapping[str, tuple[str, ...]]:
    """Return what offends each of a platform's rules; nothing where the image obeys."""
    return {name: tuple(RULES[name](evidence, platform)) for name in platform.rules}


# --- rules --------------------------------------------------------------------------------------


def _official_base(evidence: Evidence, platform: Platform) -> list[str]:
    if any(fnmatchcase(evidence.base_name, pattern) for pattern in platform.official_bases):
        return []
    return [f"{evidence.base_name} is none of {', '.join(platform.official_bases) or 'no declared bases'}"]


def _base_unchanged(evidence: Evidence, _: Platform) -> list[str]:
    before = _stacked({}, evidence.base)
    after = _stacked(before, evidence.own)
    return sorted(
        f"/{path} {'changed' if path in after else 'removed'}"
        for path, identity in before.items()
        if after.get(path) != identity
    )


def _stacked(files: Mapping[str, Identity], layers: Iterable[Layer]) -> dict[str, Identity]:
    """Return the protected files that are seen once layers lie on top."""
    seen = dict(files)
    for layer in layers:
        # A file in the place of a directory takes away what was in it, as a whiteout does.
        gone = layer.removed | layer.emptied | layer.files.keys()
        if gone:
            seen = {path: identity for path, identity in seen.items() if not _is_gone(path, layer, gone)}
        seen |= layer.files
    return seen


def _is_gone(path: str, layer: Layer, gone: set[str]) -> bool:
    if path in layer.removed:
        return True
    at = path.rfind("/")
    while at > 0:
        if path[:at] in gone:
            return True
        at = path.rfind("/", 0, at)
    return False


def _no_new_setuid(evidence: Evidence, _: Platform) -> list[str]:
    known = {(path, mode) for layer in evidence.base for path, mode in layer.setuid.items()}
    new = {(path, mode) for layer in evidence.own for path, mode in layer.setuid.items()} - known
    return sorted(f"/{path} mode {mode:o}" for path, mode in new)


def _max_size(evidence: Evidence, platform: Platform) -> list[str]:
    layers = [*evidence.base, *evidence.own]
    sizes = {
        "unpacked": sum(layer.bytes for layer in layers),
        "compressed, as a registry counts": sum(layer.packed for layer in layers),
    }
    limit = platform.max_bytes
    return [f"{size / 1e9:.2f} GB {how}, allowed are {limit / 1e9:g} GB" for how, size in sizes.items() if size > limit]


Rule = Callable[[Evidence, Platform], Sequence[str]]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "official-base": _official_base,
        "base-unchanged": _base_unchanged,
        "no-new-setuid": _no_new_setuid,
        "max-size": _max_size,
    }
)
"""Name in matrix.toml -> rule."""

NEEDS: Final[Mapping[str, str]] = MappingProxyType({"official-base": "official_bases", "max-size": "max_size"})
"""Rule -> the key of `[platforms.X]` that it cannot do without."""
