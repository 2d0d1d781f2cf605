"""What `docker save` writes of an image: its filesystem layers, read in one pass and stored nowhere."""

import json
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import IO, Any, Final, Protocol, TypeVar, cast

from imagematrix.audit import Entry, Kind
from imagematrix.planning.keys import Sha256

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
"""What compressed content begins with (RFC 1952, RFC 8878)."""
_BLOCK: Final = 1 << 16
"""Bytes that are read at once. At each member tarfile copies what it has not used of a block."""

_SAMPLES: Final = ((1 << 20, 1), (1 << 28, 16))
"""Of a blob up to so many bytes, which blocks are compressed to estimate the whole: each, or every 16th."""

_SAMPLE_OF_LARGE: Final = 64
"""Of larger ones every 64th: compressing 5 GB takes minutes."""

KINDS: Final[Mapping[bytes, Kind]] = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
}
"""Types of a tar's entries; all others are `Kind.OTHER`."""

_Kept = TypeVar("_Kept")


def layers(
    chunks: Iterator[bytes], keep: Callable[["Blob"], _Kept], *, skipped: Collection[str] = (), weigh: bool = False
) -> list[_Kept]:
    """Return what `keep` returns of each filesystem layer, lowest first.

    A layer whose diff id is `skipped` is left out, where the engine keeps layers by diff id: all but those of
    containerd's image store. With `weigh`, layers say how big they would be compressed.
    """
    kept: dict[str, _Kept] = {}
    documents: dict[str, Any] = {}
    for member, stream in _members(_Chunks(chunks)):
        if f"sha256:{member.name.rpartition('/')[2]}" in skipped:
            continue
        blob = Blob(stream, member.size, weigh=weigh)
        if blob.begins(b"{", b"["):
            documents[member.name] = json.loads(blob.read(member.size))
        elif member.name.startswith("blobs/") or member.name.endswith("/layer.tar"):
            kept[member.name] = keep(blob)
    return [kept[name] for name in documents["manifest.json"][0]["Layers"] if name in kept]


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _members(source: _Readable, *, every: bool = False) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Yield the members of a tar that cannot be sought in; without `every`, its files alone."""
    with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r|*", bufsize=_BLOCK) as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # it would keep every one
            if every or member.isreg():
                # Of a hard link tarfile would look for the target, among members that were let go.
                content = archive.extractfile(member) if member.isreg() else None
                yield member, cast("IO[bytes]", content)


def _relative(path: str) -> str:
    return path.removeprefix("./").strip("/")


def _checksum(stream: IO[bytes]) -> int:
    checksum = 0
    while block := stream.read(_BLOCK):
        checksum = zlib.crc32(block, checksum)
    return checksum


def sha256(stream: IO[bytes]) -> str:
    """Return the hash of what is left of a stream."""
    hashing = Sha256()
    while block := stream.read(_BLOCK):
        hashing.add(block)
    return hashing.text()


class _Chunks:
    """Chunks, read as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts, missing = [], size
        while missing:
            if not self._rest:
                self._rest = next(self._chunks, b"")
                if not self._rest:
                    break
            part, self._rest = self._rest[:missing], self._rest[missing:]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


class Blob:
    """A blob of an image as it is read."""

    def __init__(self, stream: IO[bytes], size: int, *, weigh: bool) -> None:
        self._stream = stream
        self._size = size
        self._head = stream.read(_BLOCK)
        self._is_packed = self.begins(_GZIP, _ZSTD)
        self._packer = zlib.compressobj(6)
        self._every = next((every for most, every in _SAMPLES if size <= most), _SAMPLE_OF_LARGE)
        self._weigh = weigh
        self._blocks = self._sampled = self._made = 0
        self._sample(self._head)

    def begins(self, *heads: bytes) -> bool:
        return self._head.startswith(heads)

    def read(self, size: int) -> bytes:
        block, self._head = self._head[:size], self._head[size:]
        if len(block) < size:
            rest = self._stream.read(size - len(block))
            self._sample(rest)
            block += rest
        return block

    def entries(self) -> Iterator[Entry]:
        """Yield what the layer holds."""
        for member, stream in _members(self._unpacked(), every=True):
            yield Entry(
                path=_relative(member.name),
                kind=KINDS.get(member.type, Kind.OTHER),
                mode=member.mode,
                uid=member.uid,
                gid=member.gid,
                size=member.size,
                target=_relative(member.linkname) if member.islnk() else member.linkname,
                checked=lambda stream=stream: _checksum(stream),  # type: ignore[misc]
                hashed=lambda stream=stream: sha256(stream),  # type: ignore[misc]
                content=lambda stream=stream: stream.read(),  # type: ignore[misc]
            )

    def _unpacked(self) -> _Readable:
        """Return what reads the content of the blob; gzip is left to tarfile."""
        if not self.begins(_ZSTD):
            return self
        from zstandard import ZstdDecompressor  # only images that are made so need it

        return ZstdDecompressor().stream_reader(cast("IO[bytes]", self), read_across_frames=True)

    def packed(self) -> int:
        """Return the size of the blob as a registry has it: exact where the engine keeps it so, else an estimate."""
        if self._is_packed or not self._sampled:
            return self._size
        self._made += len(self._packer.flush())
        return self._size * self._made // self._sampled

    def _sample(self, block: bytes) -> None:
        if self._weigh and self._blocks % self._every == 0:
            self._sampled += len(block)
            self._made += len(self._packer.compress(block))
        self._blocks += 1
