"""Which builds wait for a cache that one step at a time may use.

BuildKit starts such a step, and then lets it wait without a word. So a step waits from its start, if another build of
this run uses the cache then, until it prints something or no other build uses the cache. What another client of the
engine does is not known here.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from imagematrix.model import Key

Told = Callable[[Key, str], None]
"""Takes a build and the cache that it waits for, empty when it no longer does; called from any thread."""


@dataclass(slots=True)
class _Use:
    """A step that runs or waits, and the caches that it locks."""

    caches: frozenset[str]
    since: float | None = None
    """When it began to wait; None: it does not."""


@dataclass(slots=True)
class Locks:
    """The caches that the builds of a run use or wait for."""

    told: Told
    clock: Callable[[], float] = time.monotonic
    _guard: threading.RLock = field(default_factory=threading.RLock)
    _uses: dict[tuple[Key, str], _Use] = field(default_factory=dict)
    _waited: dict[Key, float] = field(default_factory=dict)

    def of(self, build: Key) -> "BuildLocks":
        """Return the listener of the steps of one build."""
        return BuildLocks(self, build)

    def began(self, build: Key, step: str, name: str) -> None:
        """Take it that a step began; which caches it locks is in its name."""
        caches = frozenset(locked(name))
        with self._guard:
            if not caches or (build, step) in self._uses:
                return
            held = self._held_by_others(build, caches)
            self._uses[build, step] = _Use(caches, self.clock() if held else None)
            if held:
                self.told(build, min(held))

    def spoke(self, build: Key, step: str) -> None:
        """Take it that a step printed something: it has its caches."""
        with self._guard:
            use = self._uses.get((build, step))
            if use:
                self._stop_waiting(build, use)

    def ended(self, build: Key, step: str) -> None:
        """Take it that a step ended, and gave its caches back."""
        with self._guard:
            use = self._uses.pop((build, step), None)
            if use is None:
                return
            self._stop_waiting(build, use)
            for (other, _), waiting in self._uses.items():
                if not self._held_by_others(other, waiting.caches):
                    self._stop_waiting(other, waiting)

    def left(self, build: Key) -> float:
        """Take it that all steps of a build ended; return how many seconds they waited."""
        with self._guard:
            for step in [step for key, step in self._uses if key == build]:
                self.ended(build, step)
            return self._waited.pop(build, 0.0)

    def _held_by_others(self, build: Key, caches: frozenset[str]) -> frozenset[str]:
        used = (use.caches for (other, _), use in self._uses.items() if other != build)
        return caches & frozenset(itertools.chain.from_iterable(used))

    def _stop_waiting(self, build: Key, use: _Use) -> None:
        if use.since is None:
            return
        self._waited[build] = self._waited.get(build, 0.0) + self.clock() - use.since
        use.since = None
        self.told(build, "")


@dataclass(frozen=True, slots=True)
class BuildLocks:
    """The same for the steps of one build."""

    locks: Locks
    build: Key

    def began(self, step: str, name: str) -> None:
        """Take it that a step began."""
        self.locks.began(self.build, step, name)

    def spoke(self, step: str) -> None:
        """Take it that a step printed something."""
        self.locks.spoke(self.build, step)

    def ended(self, step: str) -> None:
        """Take it that a step ended."""
        self.locks.ended(self.build, step)

    def left(self) -> float:
        """Take it that the build ended; return how many seconds it waited."""
        return self.locks.left(self.build)


def locked(name: str) -> Iterator[str]:
    """Yield the caches that a step, by its name in BuildKit, uses alone."""
    for word in name.split():
        options = dict(option.partition("=")[::2] for option in word.removeprefix("--mount=").split(","))
        if word.startswith("--mount=") and (options.get("type"), options.get("sharing")) == ("cache", "locked"):
            yield options.get("id") or options.get("target", "")
