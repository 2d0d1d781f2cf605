"""Whether the engine's disk holds one build more: what is free against what it and those that run will take."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.errors import NoEngineError
from imagematrix.model import Key, Step
from imagematrix.text.formatting import size

RESERVE_BYTES: Final = 500_000_000
"""What stays free for what cannot be predicted: logs, packages that are unpacked, the engine's own records."""
_ASKED_AGAIN: Final = 20
_PAUSE_SECONDS: Final = 0.5
"""Ten seconds in all: an engine gives back what a failed build took some time after that has ended."""
_OTHERS: Final = (
    "`invoke gc` finds nothing of this checkout to free: `docker system df` shows what the engine holds, "
    "`invoke gc --all` frees what other checkouts left"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Stops a run before its disk is full: then the engine and all who share it fail, in places far from the cause."""

    needs: Mapping[Key, int]
    """How many bytes builds are thought to take."""
    free: Callable[[], int]
    """Bytes that the engine's disk has."""
    reclaimable: Callable[[int | None], int]
    """Bytes that `gc` frees if it keeps so many nights (None: its default); called only if the disk is too full."""
    pause: Callable[[float], object]
    """Waits so many seconds; returns whether to stop waiting."""

    def refusal(self, step: Step, running: Collection[Key]) -> str:
        """Return why a step is not to be started while others run, empty when there is room.

        What those have taken already counts twice: ask again when they have ended. When nothing runs it is the last
        word, and not said at once.
        """
        needed = RESERVE_BYTES + sum(self.needs[key] for key in (step.node.key, *running))
        if self.free() >= needed or (not running and self._comes(needed)):
            return ""
        return f"disk guard: {size(self.free())} free, {size(needed)} needed{self._remedy()}"

    def _comes(self, needed: int) -> bool:
        """Whether there is room after a while."""
        return any(self.free() >= needed for _ in range(_ASKED_AGAIN) if not self.pause(_PAUSE_SECONDS))

    def _remedy(self) -> str:
        try:
            freed, most = self.reclaimable(None), self.reclaimable(0)
        except NoEngineError:  # the user of the engine will report it
            return ""
        if not most:
            return f"; {_OTHERS}"
        remedy = f"`invoke gc` could free {size(freed)}" if freed else "`invoke gc` finds nothing to free"
        return f"; {remedy}, `invoke gc --keep 0` {size(most)}" if most > freed else f"; {remedy}"
