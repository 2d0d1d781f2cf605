"""The build command: everything is decided in `project`, `schedule` acts, this puts the two together."""

import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from imagematrix import builder, disk, estimates, lock, report, schedule, site, sweep
from imagematrix.engine import Engine, EngineImage, node_ref, nodes
from imagematrix.errors import NoEngineError
from imagematrix.forecast import Forecast
from imagematrix.model import Key, Outcome, Plan, Retry, Row, Status, Step, Verdict
from imagematrix.plan import Record
from imagematrix.project import Project, Selection
from imagematrix.report import ImageFact, Origins, Progress, RunReport
from imagematrix.shell import Shell, stoppable
from imagematrix.workspace import Workspace

TIME_LIMIT_SECONDS: Final = 120 * 60.0
"""Nothing that is well takes so long: 5 GB at 1 MB/s are 83 minutes, compiling Horovod takes 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to build."""

    jobs: int
    retries: int
    fail_fast: bool = False
    fresh: bool = False
    fresh_layers: tuple[str, ...] = ()
    """Which layers alone `fresh` is about; empty: all that install from the network."""
    time_limit: float = TIME_LIMIT_SECONDS
    """Seconds that a try at a node may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run."""

    report: RunReport
    interrupted: bool
    lost: NoEngineError | None = None
    """Set when the engine stopped answering before the leaves could be named: the report then knows no images."""

    @property
    def good(self) -> bool:
        """Whether every leaf is there."""
        return all(leaf.outcome in (Status.BUILT, Status.REUSED) for leaf in self.report.leaves)


def run(
    project: Project,
    selection: Selection,
    options: Options,
    *,
    engine: Engine,
    listen: Callable[[Plan, Forecast], Progress],
    waiting: Callable[[], None],
) -> Result:
    """Build the selected rows on an engine.

    `listen` makes who is told of the progress; `waiting` is called when another build holds the project.
    """
    rows = project.possible(project.rows(selection))
    started, clock = datetime.now(UTC), time.monotonic()
    with project.workspace.sole_builder(waiting=waiting), stoppable() as stop:
        if options.fresh:
            project = _refresh(project, started, options.fresh_layers)
        plan, images = _decide(project, rows, engine)
        if any(step.verdict is Verdict.BUILD for step in plan.steps):
            outcomes = _act(project, plan, options, engine=engine, images=images, listen=listen, stop=stop)
        else:
            outcomes = tuple(Outcome(key=step.node.key, status=Status.REUSED) for step in plan.steps)
        facts, sizes, lost = _name_leaves(engine, plan, images, outcomes)
    made = report.make(
        plan,
        outcomes,
        facts,
        started=started,
        seconds=time.monotonic() - clock,
        bytes_of=sizes,
        origins=Origins(bases=project.lock.bases, locks={row.name: project.locked(row) for row in rows}),
    )
    return Result(report=made, interrupted=stop.is_set(), lost=lost)


def _refresh(project: Project, now: datetime, layers: Collection[str]) -> Project:
    """Move the epoch: stages that install from the network are built anew, here and wherever the lock goes."""
    project = project.refreshed(now.strftime("%Y-%m-%dT%H:%M:%SZ"), layers)
    project.workspace.write_lock(lock.dump(project.lock))
    return project


def _decide(project: Project, rows: Sequence[Row], engine: Engine) -> tuple[Plan, Sequence[EngineImage]]:
    leaves = project.leaves(rows)
    project.workspace.write_leaves(project.files(leaves), keep=project.directories())
    images = engine.images()
    return project.plan(project.dag(leaves), images), images


def _act(
    project: Project,
    plan: Plan,
    options: Options,
    *,
    engine: Engine,
    images: Sequence[EngineImage],
    listen: Callable[[Plan, Forecast], Progress],
    stop: threading.Event,
) -> tuple[Outcome, ...]:
    where = site.discover(project.matrix.site, root=project.workspace.root)
    history, sizes = project.workspace.history(), project.node_sizes(plan)
    seconds = estimates.seconds(plan.steps, history=history, sizes=sizes)
    there = {key: image.bytes for key, image in nodes(images).items()}
    needs = estimates.added_bytes(plan.steps, history=history, sizes=sizes, images=there)
    with (
        listen(plan, Forecast(plan.steps, seconds, jobs=options.jobs)) as progress,
        builder.ready(
            engine=engine,
            shell=Shell(),
            where=where,
            lock=project.lock,
            platform=project.matrix.platform,
            workspace=project.workspace,
            names=_names(plan),
            time_limit=options.time_limit,
            said=progress.output,
        ) as executor,
    ):
        return schedule.run(
            plan,
            executor,
            _Remembering(progress, project.workspace),
            jobs=options.jobs,
            retries=options.retries,
            fail_fast=options.fail_fast,
            seconds=seconds,
            refuses=_guard(project, engine, needs),
            stop=stop,
        )


def _guard(project: Project, engine: Engine, needs: Mapping[Key, int]) -> Callable[[Step, Collection[Key]], str]:
    """Watch the engine's disk, where that is this machine's."""
    folder = engine.storage()
    if not folder:
        return schedule.anything

    def reclaimable() -> int:
        return sweep.run(project, sweep.Options(dry=True), engine=engine, waiting=lambda: None).freed

    return disk.Guard(needs=needs, free=lambda: shutil.disk_usage(folder).free, reclaimable=reclaimable).refusal


def _names(plan: Plan) -> Mapping[Key, Sequence[str]]:
    """Return the image names of the leaves that end in a node."""
    names: dict[Key, list[str]] = {}
    for row, tip in plan.tips.items():
        names.setdefault(tip, []).append(plan.rows[row].image)
    return names


def _name_leaves(
    engine: Engine, plan: Plan, images: Sequence[EngineImage], outcomes: Sequence[Outcome]
) -> tuple[Mapping[str, ImageFact], Mapping[Key, int], NoEngineError | None]:
    """See that each leaf that exists has its own name; return what became of them, by row name, and the nodes' sizes.

    An engine that is gone by now must not cost the report: the error is returned beside it.
    """
    try:
        if any(outcome.status is Status.BUILT for outcome in outcomes):
            images = engine.images()
        present = nodes(images)
        return _named(engine, plan, present), {key: image.bytes for key, image in present.items()}, None
    except NoEngineError as error:
        return {}, {}, error


def _named(engine: Engine, plan: Plan, images: Mapping[Key, EngineImage]) -> Mapping[str, ImageFact]:
    facts: dict[str, ImageFact] = {}
    for name, tip in plan.tips.items():
        image = images.get(tip)
        if image:
            wanted = plan.rows[name].image
            if wanted not in image.names:
                engine.tag(node_ref(tip), wanted)
            facts[name] = ImageFact(image=wanted, digest=image.id, bytes=image.bytes)
    return facts


class _Remembering:
    """A listener that records each node the moment it is built, so that a killed run loses nothing."""

    def __init__(self, listener: schedule.Listener, workspace: Workspace) -> None:
        self._next = listener
        self._workspace = workspace

    def started(self, step: Step) -> None:
        self._next.started(step)

    def retried(self, step: Step, retry: Retry) -> None:
        self._next.retried(step, retry)

    def finished(self, step: Step, outcome: Outcome) -> None:
        if outcome.status is Status.BUILT:
            node = step.node
            self._workspace.remember(
                Record(key=node.key, layer=node.layer, inputs=node.inputs, rows=step.leaves, seconds=outcome.seconds)
            )
        self._next.finished(step, outcome)
