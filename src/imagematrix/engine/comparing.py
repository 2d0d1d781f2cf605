"""Compares two images of one node by what their filesystem layers hold, as far as it counts."""

from collections.abc import Callable, Collection, Iterator, Mapping

from imagematrix.engine import Engine, saved
from imagematrix.engine.saved import Blob
from imagematrix.errors import NoEngineError
from imagematrix.planning import moved
from imagematrix.planning.reproducible import Difference, Fingerprint


def change(engine: Engine, old: str, new: str, *, stopped: Callable[[], bool] = lambda: False) -> Difference | None:
    """Return the first difference between two images, by their ids; None: they hold the same.

    Only the filesystem layers that they do not share are read. Raises NoEngineError, also once `stopped` is true.
    """
    before, after = engine.diff_ids(old), engine.diff_ids(new)
    if before == after:
        return None
    shared = {one for one, other in zip(before, after, strict=False) if one == other}

    def content(image: str) -> Mapping[str, Fingerprint]:
        return _content(_until(engine.saved(image), stopped), shared)

    return moved.change(content(old), content(new))


def fingerprints(blob: Blob) -> Mapping[str, Fingerprint]:
    """Return what is compared of a filesystem layer: path -> fingerprint."""
    return {entry.path: moved.fingerprint(entry) for entry in blob.entries() if not moved.is_noise(entry.path)}


def _content(chunks: Iterator[bytes], shared: Collection[str]) -> Mapping[str, Fingerprint]:
    """Return what the filesystem layers of an image hold that are not shared: path -> fingerprint."""
    found: dict[str, Fingerprint] = {}
    for layer in saved.layers(chunks, fingerprints, skipped=shared):
        found |= layer
    return found


def _until(chunks: Iterator[bytes], stopped: Callable[[], bool]) -> Iterator[bytes]:
    for chunk in chunks:
        if stopped():
            raise NoEngineError("interrupted")
        yield chunk
