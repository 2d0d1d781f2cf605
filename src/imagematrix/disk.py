"""Whether the engine's disk holds one build more: what is free against what it and those that run will take."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.errors import NoEngineError
from imagematrix.model import Key, Step
from imagematrix.report.words import size

RESERVE_BYTES: Final = 500_000_000
"""What stays free, for what nobody predicts: logs, packages that are unpacked, the engine's own records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Stops a run before its disk is full: then the engine and all who share it fail, in places far from the cause."""

    needs: Mapping[Key, int]
    """How many bytes builds are thought to take."""
    free: Callable[[], int]
    """Bytes that the engine's disk has."""
    reclaimable: Callable[[], int]
    """Bytes that cleaning up would give; asked only of a disk that is too full."""

    def refusal(self, step: Step, running: Collection[Key]) -> str:
        """Return why a step is not to be started while others run, empty when there is room.

        What those have taken already counts twice: ask again when they have ended.
        """
        needed = RESERVE_BYTES + sum(self.needs[key] for key in (step.node.key, *running))
        free = self.free()
        if free >= needed:
            return ""
        return f"disk guard: {size(free)} free, {size(needed)} needed{self._remedy()}"

    def _remedy(self) -> str:
        try:
            freed = self.reclaimable()
        except NoEngineError:  # what it is about to say comes from whoever needs the engine
            return ""
        return f"; `invoke gc` could free {size(freed)}" if freed else "; `invoke gc` finds nothing to free"
