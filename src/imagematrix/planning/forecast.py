"""How long the rest of a run takes: a state machine without threads or time, which plays the rest as it will be run."""

import heapq
from collections.abc import Collection, Mapping

from imagematrix.model import Key, Step, Verdict
from imagematrix.planning.ready_queue import ReadyQueue


class Forecast:
    """The steps of a plan that are not built yet, those that are being built, and how long each takes."""

    def __init__(self, steps: Collection[Step], seconds: Mapping[Key, float], *, jobs: int) -> None:
        self._left = {step.node.key: step for step in steps if step.verdict is not Verdict.REUSE}
        self._begun: dict[Key, float] = {}
        self._seconds = seconds
        self._jobs = jobs

    def started(self, key: Key, now: float) -> None:
        """Note that a build began."""
        self._begun[key] = now

    def finished(self, key: Key) -> None:
        """Note that a step ended, however."""
        self._left.pop(key, None)
        self._begun.pop(key, None)

    def left(self, now: float) -> float:
        """Return after how many seconds the last build ends, if each takes what it is thought to take.

        What takes longer already is thought to end at once.
        """
        running = [(max(0.0, begun + self._seconds[key] - now), key) for key, begun in self._begun.items()]
        heapq.heapify(running)
        queue = ReadyQueue(tuple(self._left.values()), self._seconds, begun=self._begun)
        moment = 0.0
        while True:
            while len(running) < self._jobs and (step := queue.take()):
                heapq.heappush(running, (moment + self._seconds[step.node.key], step.node.key))
            if not running:
                return moment
            moment, key = heapq.heappop(running)
            queue.done(key)


def whole(steps: Collection[Step], seconds: Mapping[Key, float], *, jobs: int) -> float:
    """Return how many seconds a run takes that has not begun."""
    return Forecast(steps, seconds, jobs=jobs).left(0.0)
