"""How near the scheduler comes to the shortest possible run; run as `python -m benchmarks.scheduler`.

Part 1 plays DAGs with known durations through `ReadyQueue`, the same state machine that `schedule.run` uses,
in virtual time. Three kinds of DAG, all from fixed seeds:

- `quickstart`: three bases, ten rows, the durations measured on a two-core machine;
- `grid`: what a monorepo looks like: bases x Pythons x frameworks x versions, each row ending in a notebook
  and a boot layer of its own; durations scatter around each layer's typical one (log-normal, sigma 0.5);
- `random`: each node is built on a random earlier one: no such matrix exists, the case only looks for trouble.

`ratio` is makespan / max(critical path, work / jobs). That bound cannot always be reached: when all rows
are built on one base, nothing can overlap with it. `strict` divides by a better bound: for any moment, the moment
itself plus what even endlessly many jobs could not have done by then, / jobs; likewise from the end. A list
scheduler is within 2 - 1/jobs of the optimum on any DAG, and near 1 where there are many rows for each job.

Part 2 runs the real thing, threads and all, on an executor that does nothing, where 3 % of the nodes fail for good and
5 % in passing.

Part 3 is a night of 5,000 nodes: the real thing in a world with a clock of its own, with the same failures, and with
estimates that are wrong by up to a half. Waits before retries are not in its bound, which is that of part 1 for what
was really run.
"""

import heapq
import itertools
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tests.fakes import MIRROR_IS_ILL, job_of, plan_of
from tests.virtual import Nature, World, lower_bound, nature

from imagematrix.execution import schedule
from imagematrix.model import Attempt, BuildJob, Key, Outcome, Plan, Retry, Step
from imagematrix.planning import estimates
from imagematrix.planning.ready_queue import ReadyQueue

Seconds = Mapping[str, float]
JOBS = (1, 2, 4, 8, 16, 64)
GOAL = 1.05
TYPICAL_SECONDS: Seconds = {
    "base": 40,
    "system": 26,
    "python": 16,
    "tensorflow": 20,
    "paddle": 20,
    "torch": 60,
    "notebook": 10,
    "boot": 2,
}
"""How long the layers of this repository take on a two-core machine."""


class Grid:
    """A DAG in the making: node -> parent, the layer of each, and how long each takes."""

    def __init__(self, seed: int, sigma: float) -> None:
        self.parents: dict[str, str | None] = {}
        self.layers: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self._random = random.Random(seed)
        self._sigma = sigma

    def add(self, layer: str, parent: str | None) -> str:
        """Add a node; return its name."""
        name = f"{layer}-{len(self.parents)}"
        self.parents[name], self.layers[name] = parent, layer
        self.seconds[name] = TYPICAL_SECONDS[layer] * self._random.lognormvariate(0, self._sigma)
        return name

    @property
    def known(self) -> Mapping[Key, float]:
        """Estimate without an error."""
        return {Key(name): seconds for name, seconds in self.seconds.items()}

    def stack(self, layers: tuple[str, ...], parent: str | None) -> str | None:
        """Add layers one on the other; return the top."""
        for layer in layers:
            parent = self.add(layer, parent)
        return parent


def quickstart() -> Grid:
    """Three Debian releases; two TensorFlow, a Paddle and a plain row on each but the oldest."""
    grid = Grid(0, 0.0)
    for frameworks in ((), ("tensorflow", "tensorflow", "paddle"), ("tensorflow", "tensorflow", "paddle")):
        python = grid.stack(("base", "system", "python"), None)
        grid.stack(("notebook", "boot"), python)
        for framework in frameworks:
            grid.stack((framework, "notebook", "boot"), python)
    return grid


def monorepo(rows: int, seed: int) -> Grid:
    """About `rows` rows: 6 bases, 4 Pythons, 3 frameworks, as many versions as it takes."""
    grid = Grid(seed, 0.5)
    versions = max(1, rows // (6 * 4 * 3))
    for _base in range(6):
        system = grid.stack(("base", "system"), None)
        for _python in range(4):
            python = grid.add("python", system)
            for framework, _version in itertools.product(("tensorflow", "paddle", "torch"), range(versions)):
                grid.stack((framework, "notebook", "boot"), python)
    return grid


def at_random(nodes: int, seed: int) -> Grid:
    """Each node on a random earlier one; one in twenty on nothing."""
    grid = Grid(seed, 0.5)
    chance = random.Random(seed)
    for _ in range(nodes):
        orphan = not grid.parents or chance.random() < 0.05
        grid.add(chance.choice(sorted(TYPICAL_SECONDS)), None if orphan else chance.choice(list(grid.parents)))
    return grid


def makespan(plan: Plan, seconds: Seconds, jobs: int, thought: Mapping[Key, float]) -> float:
    """Run a plan in virtual time, in the order of what its builds are thought to take."""
    queue = ReadyQueue(plan.steps, thought)
    running: list[tuple[float, Key]] = []
    now = 0.0
    while True:
        while len(running) < jobs and (step := queue.take()):
            heapq.heappush(running, (now + seconds[step.node.key], step.node.key))
        if not running:
            return now
        now, key = heapq.heappop(running)
        queue.done(key)


def bounds(grid: Grid, jobs: int) -> tuple[float, float]:
    """Return the plain and the strict lower bound."""
    head = dict.fromkeys(grid.parents, 0.0)
    tail = dict(head)
    for name, parent in grid.parents.items():
        if parent is not None:
            head[name] = head[parent] + grid.seconds[parent]
    for name, parent in reversed(grid.parents.items()):
        if parent is not None:
            tail[parent] = max(tail[parent], tail[name] + grid.seconds[name])
    critical = max(head[name] + grid.seconds[name] + tail[name] for name in grid.parents)
    plain = max(critical, sum(grid.seconds.values()) / jobs)
    strict = 0.0
    for last in _some(tail.values()):
        late = [name for name in grid.parents if tail[name] >= last]
        for moment in _some(head.values()):
            left = sum(min(grid.seconds[name], max(0.0, head[name] + grid.seconds[name] - moment)) for name in late)
            strict = max(strict, moment + left / jobs + last if left else 0.0)
    return plain, max(plain, strict)


def _some(values: Iterable[float]) -> list[float]:
    ordered = sorted(set(values))
    return ordered[:: max(1, len(ordered) // 12)]


def cases() -> Iterator[tuple[str, Grid]]:
    """Name every DAG that is measured."""
    yield "quickstart", quickstart()
    for rows, seed in ((72, 1), (288, 2), (1584, 3)):
        yield "grid", monorepo(rows, seed)
    for nodes, seed in ((50, 4), (500, 5), (5000, 6)):
        yield "random", at_random(nodes, seed)


def virtual() -> None:
    """Print part 1."""
    print(f"{'DAG':<12}{'nodes':>6}{'jobs':>6}{'makespan':>11}{'ratio':>8}{'strict':>8}{'by table':>10}")
    for title, grid in cases():
        plan = plan_of(grid.parents, layers=grid.layers)
        for jobs in JOBS:
            known = makespan(plan, grid.seconds, jobs, grid.known)
            guessed = makespan(plan, grid.seconds, jobs, estimates.seconds(plan.steps))
            plain, strict = bounds(grid, jobs)
            print(
                f"{title:<12}{len(grid.parents):>6}{jobs:>6}{known:>10.0f}s{known / plain:>8.3f}{known / strict:>8.3f}"
                f"{guessed / plain:>10.3f}{'' if known / plain <= GOAL else '   above the goal'}"
            )


class Nothing:
    """An executor that fails as is given, and otherwise builds nothing; and a listener that hears nothing."""

    def __init__(self, given: Nature) -> None:
        self._failing = given.failing
        self._flakes = dict(given.flaky)

    def build(self, job: BuildJob) -> Attempt:
        """Build nothing."""
        if self._flakes.pop(job.key, 0):
            return Attempt(ok=False, flake=MIRROR_IS_ILL)
        return Attempt(ok=job.key not in self._failing)

    def answers(self) -> bool:
        """Be there."""
        return True

    def cancel(self) -> None:
        """Cancel nothing."""

    def started(self, step: Step) -> None:
        """Hear nothing."""

    def retried(self, step: Step, retry: Retry) -> None:
        """Hear nothing."""

    def finished(self, step: Step, outcome: Outcome) -> None:
        """Hear nothing."""


def overhead() -> None:
    """Print part 2."""
    grid = monorepo(1656, 3)
    plan = plan_of(grid.parents, layers=grid.layers)
    given = nature(plan, grid.known, failing=0.03, flaky=0.05, seed=9)
    for jobs in (1, 8):
        spent = []
        for _ in range(3):
            nothing = Nothing(given)
            begun = time.perf_counter()
            schedule.run(
                plan,
                nothing,
                nothing,
                job=job_of(plan),
                jobs=jobs,
                stop=threading.Event(),
                sleep=lambda _seconds: None,
            )
            spent.append(time.perf_counter() - begun)
        each = statistics.median(spent) / len(plan.steps) * 1000
        print(f"run() of {len(plan.steps)} nodes that take no time, {jobs} jobs: {each:.3f} ms a node")


def night() -> None:
    """Print part 3."""
    grid = monorepo(1656, 3)
    plan = plan_of(grid.parents, layers=grid.layers)
    chance = random.Random(10)
    guessed = {key: seconds * chance.uniform(0.67, 1.5) for key, seconds in grid.known.items()}
    for jobs in (4, 8, 16, 32):
        world = World(plan, nature(plan, grid.known, failing=0.03, flaky=0.05, seed=9), jobs=jobs)
        listener = Nothing(Nature(seconds={}))
        outcomes = schedule.run(
            plan,
            world,
            listener,
            job=job_of(plan),
            jobs=jobs,
            seconds=guessed,
            stop=threading.Event(),
            clock=world.clock,
            sleep=world.sleep,
        )
        counts = Counter(outcome.status.value for outcome in outcomes)
        ratio = world.clock() / lower_bound(plan, world.spent, jobs=jobs)
        retried = sum(bool(outcome.retries) for outcome in outcomes)
        print(f"a night of {len(plan.steps)} nodes, {jobs} jobs: {dict(counts)}, {retried} retried: ratio {ratio:.3f}")


if __name__ == "__main__":
    virtual()
    overhead()
    night()
