"""Which node of a plan starts next: a state machine without threads or time."""

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence

from imagematrix.model import Key, Step, Verdict


class ReadyQueue:
    """The steps of a plan that must be built and have not begun; `begun` are those that have.

    `take` gives, of those whose needs are done, the one with the longest remaining path: its own seconds and those of
    the longest chain that needs it. Ties go to the one first in the plan, so the same plan and the same events give the
    same order. Each step is given out once, by `take`, `failed` or `drain`.
    """

    def __init__(
        self, steps: Iterable[Step], seconds: Mapping[Key, float], *, begun: Collection[Key] = frozenset()
    ) -> None:
        wanted = [step for step in steps if step.verdict is not Verdict.REUSE]
        self._index = {step.node.key: index for index, step in enumerate(wanted)}
        self._waiting = {step.node.key: step for step in wanted if step.node.key not in begun}
        self._children: dict[Key, list[Key]] = {key: [] for key in self._index}
        self._missing = {step.node.key: sum(key in self._index for key in step.needs) for step in wanted}
        for step in wanted:
            for key in step.needs:
                if key in self._children:
                    self._children[key].append(step.node.key)
        self._path = remaining_paths(wanted, seconds)
        self._ready: dict[str, list[tuple[float, int, Key]]] = {step.node.platform: [] for step in wanted}
        """Heaps, by Docker platform."""
        self._platforms = {step.node.key: step.node.platform for step in wanted}
        self._push(key for key in self._waiting if not self._missing[key])

    def take(self, full: Collection[str] = ()) -> Step | None:
        """Give the next step to build, of none of the Docker platforms `full`; None when no such step is ready."""
        heaps = [heap for platform, heap in self._ready.items() if platform not in full and self._is_ready(heap)]
        if not heaps:
            return None
        return self._waiting.pop(heapq.heappop(min(heaps, key=lambda heap: heap[0]))[-1])

    def give_back(self, step: Step) -> None:
        """Take back a step that was not begun after all."""
        self._waiting[step.node.key] = step
        self._push([step.node.key])

    def done(self, key: Key) -> None:
        """Note that a node was built: what needs nothing else is ready."""
        for child in self._children[key]:
            self._missing[child] -= 1
        self._push(child for child in self._children[key] if not self._missing[child])

    def failed(self, key: Key) -> tuple[Step, ...]:
        """Note that a node failed; return everything that is built on it, in plan order."""
        lost = dict.fromkeys(self._children[key])
        walked = list(lost)
        for child in walked:  # grows while it is walked
            more = [each for each in self._children[child] if each not in lost]
            lost |= dict.fromkeys(more)
            walked += more
        return self._give_out(child for child in walked if child in self._waiting)

    def drain(self) -> tuple[Step, ...]:
        """Give out everything that was not given out yet, in plan order: nothing more will start."""
        return self._give_out(tuple(self._waiting))

    def _is_ready(self, heap: list[tuple[float, int, Key]]) -> bool:
        while heap and heap[0][-1] not in self._waiting:
            heapq.heappop(heap)  # `drain` gave it out, or it had begun
        return bool(heap)

    def _push(self, ready: Iterable[Key]) -> None:
        for key in ready:
            heapq.heappush(self._ready[self._platforms[key]], (-self._path[key], self._index[key], key))

    def _give_out(self, lost: Iterable[Key]) -> tuple[Step, ...]:
        return tuple(self._waiting.pop(key) for key in sorted(lost, key=self._index.__getitem__))


def remaining_paths(steps: Sequence[Step], seconds: Mapping[Key, float]) -> Mapping[Key, float]:
    """Return for each step, parents first, how many seconds it takes with the longest chain that is built on it."""
    paths: dict[Key, float] = {}
    below: dict[Key, float] = {}
    for step in reversed(steps):  # children before parents
        key = step.node.key
        paths[key] = seconds[key] + below.get(key, 0.0)
        below.update({need: max(below.get(need, 0.0), paths[key]) for need in step.needs})
    return paths
