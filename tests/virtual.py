"""A world with a clock of its own: the real scheduler, threads and all, runs in it as fast as it can.

The clock moves when all that could run does: it knows what that is, so a scheduler that leaves a slot empty stops it.
"""

import heapq
import itertools
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.fakes import MIRROR_IS_ILL

from imagematrix.model import Attempt, BuildJob, Key, Plan, Verdict

_PATIENCE_SECONDS = 120.0
"""Real seconds after which a world that stands still is given up."""


@dataclass(frozen=True, kw_only=True)
class Nature:
    """What builds do: how long they take, which fail for good, and which fail in passing, how often."""

    seconds: Mapping[Key, float]
    failing: frozenset[Key] = frozenset()
    flaky: Mapping[Key, int] = field(default_factory=dict)


def nature(plan: Plan, seconds: Mapping[Key, float], *, failing: float, flaky: float, seed: int) -> Nature:
    """Draw which nodes fail, in shares of all."""
    chance = random.Random(seed)
    keys = [step.node.key for step in plan.steps]
    return Nature(
        seconds=seconds,
        failing=frozenset(chance.sample(keys, round(len(keys) * failing))),
        flaky=dict.fromkeys(chance.sample(keys, round(len(keys) * flaky)), 1),
    )


class World:
    """An executor with `jobs` slots, the clock it goes by, and the way to wait there."""

    def __init__(self, plan: Plan, given: Nature, *, jobs: int) -> None:
        self._nature = given
        self._jobs = jobs
        self._left = dict(given.flaky)
        steps = [step for step in plan.steps if step.verdict is Verdict.BUILD]
        built = {step.node.key for step in steps}
        self._children: dict[Key | None, list[Key]] = {}
        for step in steps:
            parent = step.node.parent if step.node.parent in built else None
            self._children.setdefault(parent, []).append(step.node.key)
        self._could_run = set(self._children[None])
        """Nodes that are not done, on parents that are."""
        self._sleepers: list[tuple[float, int, threading.Event]] = []
        self._number = itertools.count()
        self._lock = threading.Lock()
        self._now = 0.0
        self.spent: dict[Key, float] = {}
        """Seconds that the tries at each node took."""

    def clock(self) -> float:
        """Return the seconds since this world began."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Wait here."""
        awake = threading.Event()
        with self._lock:
            heapq.heappush(self._sleepers, (self._now + seconds, next(self._number), awake))
            self._go_on()
        if not awake.wait(_PATIENCE_SECONDS):
            raise TimeoutError("less runs than could: the world stands still")

    def build(self, job: BuildJob) -> Attempt:
        """Take a node's time, then do as its nature is; what fails, of either kind, does so half-way."""
        key = job.key
        flake = MIRROR_IS_ILL if self._left.get(key) else None
        ok = not flake and key not in self._nature.failing
        seconds = self._nature.seconds[key] * (1.0 if ok else 0.5)
        self.sleep(seconds)
        with self._lock:
            self.spent[key] = self.spent.get(key, 0.0) + seconds
            if flake:
                self._left[key] -= 1
            else:
                self._could_run.remove(key)
                self._could_run.update(self._children.get(key, ()) if ok else ())
                self._go_on()
        return Attempt(ok=ok, flake=flake, why="" if ok else "it fails")

    def answers(self) -> bool:
        """Be there."""
        return True

    def cancel(self) -> None:
        """Cancel nothing: who waits here is awake soon."""

    def _go_on(self) -> None:
        if self._sleepers and len(self._sleepers) == min(self._jobs, len(self._could_run)):
            self._now, _, awake = heapq.heappop(self._sleepers)
            awake.set()


def lower_bound(plan: Plan, spent: Mapping[Key, float], *, jobs: int) -> float:
    """Return what no run of these tries could beat: the longest chain, or all of the work on all slots."""
    ends: dict[Key | None, float] = {}
    for step in plan.steps:
        ends[step.node.key] = ends.get(step.node.parent, 0.0) + spent.get(step.node.key, 0.0)
    return max(*ends.values(), sum(spent.values()) / jobs)
