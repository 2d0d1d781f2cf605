"""An image's filesystem layers, read from the engine in one pass: for `audit` to judge."""

import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Final, Protocol, cast

from imagematrix import audit
from imagematrix.audit import Entry, FilesystemLayer, Kind, Rule
from imagematrix.engine import Engine
from imagematrix.planning.checks import CheckOutcome, CheckResult

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
"""What compressed content begins with (RFC 1952, RFC 8878)."""
_BLOCK: Final = 1 << 16
"""Bytes that are read at once. At each member tarfile copies what it has not used of a block."""

_SAMPLES: Final = ((1 << 20, 1), (1 << 28, 16))
"""Of a blob up to so many bytes, which blocks are compressed to estimate the whole: each, or every 16th."""

_SAMPLE_OF_LARGE: Final = 64
"""Of larger ones every 64th: compressing 5 GB takes minutes."""

_LINES_SHOWN: Final = 100

_KINDS: Final[Mapping[bytes, Kind]] = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
}


def audited(
    engine: Engine, image: str, base: str, rules: Mapping[str, Rule], *, owner: str, stop: Callable[[], bool]
) -> list[CheckResult]:
    """Check an image, by its id, which is built on `base`, by rules: a check for each.

    Raises InterruptedError soon after `stop` says so.
    """
    if not engine.image_id(base):
        why = f"the base {base} is not on the engine, so its filesystem layers cannot be recognised: docker pull {base}"
        return [_check(owner, rule, (why,)) for rule in rules]
    below, all_layers = engine.diff_ids(base), engine.diff_ids(image)
    if all_layers[: len(below)] != below:
        why = f"the image is not built on the {base} that is on the engine now: rebuild it"
        return [_check(owner, rule, (why,)) for rule in rules]
    layers = read(_until(stop, engine.saved(image)), rules)
    command = _command(engine.config(image))
    found = audit.judge(rules, layers, base=base, below=len(below), command=command)
    return [_check(owner, rule, offences) for rule, offences in found.items()]


def _command(config: Mapping[str, Any]) -> tuple[str, ...]:
    return (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))


def _until(stop: Callable[[], bool], chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if stop():
            raise InterruptedError("the run was stopped")
        yield chunk


def _check(owner: str, rule: str, offences: Sequence[str]) -> CheckResult:
    if not offences:
        return CheckResult(owner=owner, name=rule, outcome=CheckOutcome.PASSED)
    more = len(offences) - _LINES_SHOWN
    tail = (*offences[1:_LINES_SHOWN], *([f"and {more} more"] if more > 0 else []))
    return CheckResult(owner=owner, name=rule, outcome=CheckOutcome.FAILED, why=offences[0], tail=tail)


def read(chunks: Iterator[bytes], rules: Mapping[str, Rule]) -> list[FilesystemLayer]:
    """Read what `docker save` writes of one image; return its layers, lowest first."""
    keep = {name: rule.kept for name, rule in rules.items()}
    layers: dict[str, FilesystemLayer] = {}
    documents: dict[str, Any] = {}
    for member, stream in _members(_Chunks(chunks)):
        blob = _Blob(stream, member.size)
        if blob.begins(b"{", b"["):
            documents[member.name] = json.loads(blob.read(member.size))
        elif member.name.startswith("blobs/") or member.name.endswith("/layer.tar"):
            layer = audit.read(_entries(blob.unpacked()), keep)
            layer.packed = blob.packed()
            layers[member.name] = layer
    return [layers[name] for name in documents["manifest.json"][0]["Layers"]]


def _entries(blob: "_Readable") -> Iterator[Entry]:
    for member, stream in _members(blob, every=True):
        yield Entry(
            path=_relative(member.name),
            kind=_KINDS.get(member.type, Kind.OTHER),
            mode=member.mode,
            uid=member.uid,
            gid=member.gid,
            size=member.size,
            target=_relative(member.linkname) if member.islnk() else member.linkname,
            checked=lambda stream=stream: _checksum(stream),  # type: ignore[misc]
            content=lambda stream=stream: stream.read(),  # type: ignore[misc]
        )


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


class _Blob:
    """A blob of an image as it is read; says how big it would be compressed."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._size = size
        self._head = stream.read(_BLOCK)
        self._is_packed = self.begins(_GZIP, _ZSTD)
        self._packer = zlib.compressobj(6)
        self._every = next((every for most, every in _SAMPLES if size <= most), _SAMPLE_OF_LARGE)
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

    def unpacked(self) -> _Readable:
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
        if self._blocks % self._every == 0:
            self._sampled += len(block)
            self._made += len(self._packer.compress(block))
        self._blocks += 1
