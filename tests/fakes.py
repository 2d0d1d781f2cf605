"""Stateful stand-ins for the outside world, and small plans to run on them."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from imagematrix.model import (
    Attempt,
    Base,
    BuildJob,
    DockerfileBuild,
    Downloads,
    Family,
    File,
    Flake,
    FlakeKind,
    Key,
    Leaf,
    Lock,
    Node,
    Outcome,
    ParentImage,
    Plan,
    Retry,
    Row,
    Stage,
    Step,
    Verdict,
)
from imagematrix.planning import jobs
from imagematrix.planning.jobs import JobFactory

_SCRIPT = File(path="bootstrap.sh", content=b"")
"""A base is made by one."""

MIRROR_IS_ILL = Flake(kind=FlakeKind.SERVER, source="mirror.example.com")


def row(name: str, registry: str = "") -> Row:
    """Make the row of a `family:tag`."""
    family, tag = name.split(":")
    repositories = (f"{registry}/{family}",) if registry else ()
    return Row(
        family=Family(name=family, layers=(), tag=""),
        base=Base(name="debian12"),
        tag=tag,
        axes={},
        values={},
        image=f"{registry}/{name}" if registry else name,
        repositories=repositories,
    )


def plan_of(
    parents: Mapping[str, str | None],
    *,
    rows: Mapping[str, str] | None = None,
    layers: Mapping[str, str] | None = None,
    reused: Collection[str] = (),
    pulled: Collection[str] = (),
) -> Plan:
    """Make a plan from node -> parent, parents first; node names are the keys.

    `rows` maps row names to their last nodes (default: a row `image:<node>` for each node without a child);
    a node's layer is its name unless `layers` says otherwise.
    """
    final_nodes = rows or {f"image:{name}": name for name in parents if name not in parents.values()}
    standing: dict[str, list[str]] = {name: [] for name in parents}
    for row_name in sorted(final_nodes):
        node: str | None = final_nodes[row_name]
        while node is not None:
            standing[node].append(row_name)
            node = parents[node]
    leaf = Leaf(row=row("image:any"), base_image="", bootstrap=None, stages=())
    steps = tuple(
        Step(
            node=Node(
                key=Key(name),
                layer=(layers or {}).get(name, name),
                parent=Key(parent) if parent else None,
                stage=Stage(layer=name, text="", inputs=(_SCRIPT,), downloads=Downloads.NOTHING),
                leaf=leaf,
                inputs={},
            ),
            verdict=Verdict.REUSE if name in reused else Verdict.PULL if name in pulled else Verdict.BUILD,
            reason=f"an image with key {name} exists" if name in reused else f"no {name} was built before",
            leaves=tuple(standing[name]),
        )
        for name, parent in parents.items()
    )
    return Plan(
        steps=steps,
        final_nodes={name: Key(final_nodes[name]) for name in sorted(final_nodes)},
        rows={name: row(name) for name in sorted(final_nodes)},
    )


def factory_of(plan: Plan) -> JobFactory:
    """Return what makes the jobs of a plan that pushes nothing, as a build makes them."""
    return jobs.factory(plan, lock=Lock(), repository="", pushed=(), kept=(), revision="", seconds=60.0)


def of_platform(step: Step, platform: str) -> Step:
    """Return a step whose node is for another Docker platform."""
    leaf = replace(step.node.leaf, row=replace(step.node.leaf.row, platform=platform))
    return replace(step, node=replace(step.node, leaf=leaf))


def job_of(plan: Plan) -> Callable[[Step, Mapping[Key, str]], BuildJob]:
    """Return the function that makes the job of a step."""
    return factory_of(plan).job


def parent_of(job: BuildJob) -> ParentImage | None:
    """Return the image that a job builds upon, where it is a node's."""
    source = job.work.source if isinstance(job.work, DockerfileBuild) else None
    return source if isinstance(source, ParentImage) else None


@dataclass
class FakeExecutor:
    """A little engine: what is in it afterwards says what was built, how often, and in which order."""

    fails: Collection[str] = ()
    """Nodes that fail for good."""
    flaky: Mapping[str, int] = field(default_factory=dict)
    """Nodes that fail in passing so many times before they build."""
    flake: Flake = MIRROR_IS_ILL
    """How they fail."""
    absent: int = 0
    """How many more times it does not answer."""
    raises: Mapping[str, BaseException] = field(default_factory=dict)
    endless: Collection[str] = ()
    """Nodes that build until they are cancelled."""
    seconds: float = 0.0
    images: list[str] = field(default_factory=list)
    """What was built, in order."""
    tries: Counter[str] = field(default_factory=Counter)
    orphans: list[str] = field(default_factory=list)
    """What was begun before its parent was there."""
    running: int = 0
    most_running: int = 0
    cancels: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    """Set when an endless build has begun."""
    there: Collection[str] = ()
    """Images that exist before the run."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def build(self, job: BuildJob) -> Attempt:
        """Pretend to build, as the fields say."""
        self._begin(job)
        try:
            attempt = self._attempt(job)
        finally:
            with self.lock:
                self.running -= 1
        if attempt.ok:
            with self.lock:
                self.images.append(job.key)
        return attempt

    def answers(self) -> bool:
        """Come back after having been asked so many times."""
        with self.lock:
            self.absent -= 1
            return self.absent < 0

    def cancel(self) -> None:
        """End what runs and refuse what comes."""
        self.cancels += 1
        self.cancelled.set()

    def _begin(self, job: BuildJob) -> None:
        with self.lock:
            self.tries[job.key] += 1
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            parent = parent_of(job)
            if parent and parent.key not in self.images and parent.key not in self.there:
                self.orphans.append(job.key)

    def _attempt(self, job: BuildJob) -> Attempt:
        key = job.key
        if key in self.endless:
            self.reached.set()
        if self.cancelled.wait(60.0 if key in self.endless else self.seconds):
            return Attempt(ok=False, why="cancelled")
        if key in self.raises:
            raise self.raises[key]
        if key in self.fails:
            return Attempt(ok=False, why=f"no such package: {key}", tail=("line 1", "E: line 2"), log=f"logs/{key}.log")
        if self.tries[key] <= self.flaky.get(key, 0):
            return Attempt(ok=False, flake=self.flake, why="503 from the mirror", log=f"logs/{key}.log")
        return Attempt(ok=True, log=f"logs/{key}.log")


@dataclass
class Recorder:
    """A listener that remembers."""

    events: list[tuple[str, str]] = field(default_factory=list)
    """(what, node) in the order told."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def started(self, step: Step) -> None:
        """Remember a start."""
        self._note("started", step)

    def retried(self, step: Step, retry: Retry) -> None:
        """Remember a retry and its wait."""
        self._note(f"retried {retry.number}: {retry.why}", step)
        self.waits.append(retry.wait_seconds)

    def finished(self, step: Step, outcome: Outcome) -> None:
        """Remember an outcome."""
        self._note("finished", step)
        self.outcomes[step.node.key] = outcome

    def _note(self, what: str, step: Step) -> None:
        self.threads.add(threading.get_ident())
        self.events.append((what, step.node.key))
