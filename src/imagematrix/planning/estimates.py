"""What building a node will take, in seconds and bytes: from what it took before, else from its lock or its layer.

Wrong estimates cost time or a warning, never an image: only the order of builds, the time left that is shown and
the disk guard rest on them.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from imagematrix.model import BASE_LAYER, Downloads, Key, Node, Size, Step, Verdict
from imagematrix.planning.plan import Record

_BASE_SECONDS: Final = 40.0
_FETCHING_SECONDS: Final = 20.0
_COPYING_SECONDS: Final = 2.0
"""How long a base made here takes on a two-core machine, a stage that installs from the network, and one that does not:
for those that were never built, and have no lock. Measured on the layers of this repository."""

PULL_SECONDS: Final = 5.0
"""For any node that is pulled: its size is not looked up, because the order of builds does not need it."""

_START_SECONDS: Final = 8.0
_DOWNLOADED_BYTES_A_SECOND: Final = 100e6
_INSTALLED_BYTES_A_SECOND: Final = 130e6
"""With these tensorflow-cpu 2.20 takes 21 s, paddle 3.3 17 s, torch 2.13 for the CPU 16 s; measured on 2026-11-22 (two
cores, a mirror near by) were 20, 20 and 15 s."""

_LINKED_BYTES_A_SECOND: Final = 400e6
"""Linking paddle 3.3 (861 MB) took 2 s on the quiet machine, 10 s beside other builds; measured on 2026-11-30."""

_TYPICAL_BYTES: Final = 150_000_000
"""What a layer without a lock adds, where none of it was built before: as much as `base` or `system`."""

_COUNTED: Final = 5
"""How many of the latest builds count: machines and mirrors change."""


def seconds(
    steps: Iterable[Step], *, history: Sequence[Record] = (), sizes: Mapping[Key, Size] | None = None
) -> Mapping[Key, float]:
    """Estimate how long the builds and pulls of nodes take.

    `history` is what was built before, oldest first; `sizes` are those of the nodes that install from a lock.
    """
    past = _Past((record, record.seconds) for record in history)
    found = sizes or {}
    tools = {step.node.key: step.tool for step in steps if step.tool}

    def unknown(step: Step) -> float:
        size = found.get(step.node.key)
        if linked := _linked(step, found):
            return _COPYING_SECONDS + linked.installed / _LINKED_BYTES_A_SECOND
        return _seconds_of(size) if size else _typical_seconds(step.node)

    def expected(step: Step) -> float:
        if step.verdict is Verdict.PULL:
            return PULL_SECONDS
        return _COPYING_SECONDS if _is_there(step, tools) else past.median(step, unknown)

    return {step.node.key: expected(step) for step in steps}


def added_bytes(
    steps: Sequence[Step], *, history: Sequence[Record], sizes: Mapping[Key, Size], images: Mapping[Key, int]
) -> Mapping[Key, int]:
    """Estimate how much of the engine's disk the builds of nodes take, at their peak.

    `images` are the sizes of the nodes that the engine has: for nodes of the history, the size that they add to their
    parents is known.
    """
    past = _Past(
        (record, float(images[record.key] - images[parent]))
        for record in history
        if (parent := Key(record.inputs.get("parent", ""))) in images and record.key in images
    )

    tools = {step.node.key: step.tool for step in steps if step.tool}

    def unknown(step: Step) -> float:
        size = sizes.get(step.node.key)
        if linked := _linked(step, sizes):
            return linked.installed
        # What is downloaded stays in a cache of the engine's until it is needed elsewhere.
        return size.download + size.installed if size else _TYPICAL_BYTES

    return {step.node.key: 0 if _is_there(step, tools) else round(past.median(step, unknown)) for step in steps}


def _is_there(step: Step, tools: Mapping[Key, Key]) -> bool:
    """Whether the files that a node links will have been installed on its very parent."""
    files = step.node.packages
    return files is not None and files in tools and tools[files] == step.node.parent


def _linked(step: Step, sizes: Mapping[Key, Size]) -> Size | None:
    """Return the size of the files that a node links."""
    return sizes.get(step.node.packages) if step.node.packages else None


def _typical_seconds(node: Node) -> float:
    if node.layer == BASE_LAYER:
        return _BASE_SECONDS
    return _COPYING_SECONDS if node.stage.downloads is Downloads.NOTHING else _FETCHING_SECONDS


def _seconds_of(size: Size) -> float:
    return _START_SECONDS + size.download / _DOWNLOADED_BYTES_A_SECOND + size.installed / _INSTALLED_BYTES_A_SECOND


class _Past:
    """Finds what a node took before: one of the same rows, else any of its layer.

    Linking packages is not installing them: where a layer does the one now, the other does not count.
    """

    def __init__(self, measured: Iterable[tuple[Record, float]]) -> None:
        self._of_layer: dict[tuple[str, bool], list[float]] = {}
        self._of_row: dict[tuple[str, bool, str], list[float]] = {}
        for record, value in measured:
            layer, links = record.layer, "packages" in record.inputs
            self._of_layer.setdefault((layer, links), []).append(value)
            for row in record.rows:
                self._of_row.setdefault((layer, links, row), []).append(value)

    def median(self, step: Step, unknown: Callable[[Step], float]) -> float:
        """Return the median of the latest, else what is thought of the unknown."""
        layer, links = step.node.layer, step.node.packages is not None
        own = (self._of_row[layer, links, row] for row in step.leaves if (layer, links, row) in self._of_row)
        values = next(own, self._of_layer.get((layer, links)))
        return statistics.median(values[-_COUNTED:]) if values else unknown(step)
