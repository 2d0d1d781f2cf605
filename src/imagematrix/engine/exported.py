"""What a build wrote as a tar: read once, entry by entry."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

from imagematrix.audit import Kind
from imagematrix.engine.saved import KINDS, sha256
from imagematrix.planning.reproducible import Fingerprint


def fingerprints(path: Path) -> Iterator[tuple[str, Fingerprint]]:
    """Yield the entries of a tar: path -> what it holds."""
    with tarfile.open(path) as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isreg() else None
            yield (
                entry.name,
                Fingerprint(
                    kind=KINDS.get(entry.type, Kind.OTHER),
                    mode=f"{entry.mode:o}",
                    owner=f"{entry.uid}:{entry.gid}",
                    time=int(entry.mtime),
                    target=entry.linkname,
                    content=sha256(content) if content else "",
                ),
            )
