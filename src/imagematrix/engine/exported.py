"""What a build wrote as a tar: read once, entry by entry."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from imagematrix.planning.keys import Sha256
from imagematrix.planning.reproducible import Fingerprint

_CHUNK_BYTES: Final = 1 << 20


def fingerprints(path: Path) -> Iterator[tuple[str, Fingerprint]]:
    """Yield the entries of a tar: path -> what it holds."""
    with tarfile.open(path) as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isreg() else None
            hashed = Sha256()
            while content and (chunk := content.read(_CHUNK_BYTES)):
                hashed.add(chunk)
            yield (
                entry.name,
                Fingerprint(
                    kind=_KINDS.get(entry.type, "other"),
                    mode=f"{entry.mode:o}",
                    owner=f"{entry.uid}:{entry.gid}",
                    time=int(entry.mtime),
                    target=entry.linkname,
                    content=hashed.text() if content else "",
                ),
            )


_KINDS: Final = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
}
