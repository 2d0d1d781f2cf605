"""The build command: everything is decided in `project`, `schedule` acts, this puts the two together."""

import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from imagematrix import report, schedule, signing, site
from imagematrix.commands.push import run as publishing
from imagematrix.commands.push.run import Publisher, Publishing, Unverified
from imagematrix.compat import catalogue
from imagematrix.engine import Engine, EngineImage, builder, disk, nodes
from imagematrix.errors import NoEngineError
from imagematrix.model import Key, Outcome, Plan, Pushed, PushStatus, Retry, Row, Site, Status, Step, Verdict
from imagematrix.planning import estimates, lock
from imagematrix.planning.forecast import Forecast
from imagematrix.planning.plan import Record, to_push
from imagematrix.planning.publication import Publication
from imagematrix.planning.trust import Bond, Bonds
from imagematrix.project import Project
from imagematrix.registry import Client, Manifest
from imagematrix.registry.pushing import Pushing
from imagematrix.registry.store import Store
from imagematrix.report import Document, ImageFact, Origins, Progress
from imagematrix.shell import Shell, stoppable
from imagematrix.signing import Signer
from imagematrix.state import State

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
    push: bool = False
    """Push what the registry of nodes lacks, and publish the rows that have registries."""
    push_jobs: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run."""

    report: Document
    published: tuple[Publication, ...]
    """What became of the tags of rows."""
    interrupted: bool
    lost: NoEngineError | None = None
    """Set when the engine stopped answering before the leaves could be named: the report then knows no images."""

    @property
    def good(self) -> bool:
        """Whether every leaf is there, and all is pushed that was to be; what is not verified is published in part."""
        leaves = all(leaf.outcome in (Status.BUILT, Status.REUSED) for leaf in self.report.leaves)
        pushes = all(pushed.outcome == PushStatus.PUSHED for pushed in self.report.pushes)
        return leaves and pushes and all(image.sound for image in self.published)


def run(
    project: Project,
    rows: Sequence[Row],
    options: Options,
    *,
    engine: Engine,
    store: Store | None = None,
    listen: Callable[[Plan, Forecast], Progress],
    waiting: Callable[[], None],
) -> Result:
    """Build the selected rows on an engine, and push what the store of nodes lacks if that is asked for.

    `listen` makes who is told of the progress; `waiting` is called when another build holds the project.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    with project.state.sole_builder(waiting=waiting), stoppable() as stop:
        if options.fresh:
            project = _refresh(project, started, options.fresh_layers)
        signer = _signer(project, store) if options.push and store else None
        decided = _decide(project, rows, options, engine=engine, store=store)
        plan = decided.plan
        if decided.pushes or decided.homes or any(step.verdict is Verdict.BUILD for step in plan.steps):
            done = _act(project, decided, options, engine=engine, store=store, signer=signer, listen=listen, stop=stop)
        else:
            done = _Done(outcomes=tuple(Outcome(key=step.node.key, status=Status.REUSED) for step in plan.steps))
        bonds = _pinned(project, decided)
        facts, sizes, lost = _name_leaves(engine, decided, done.outcomes, store, bonds)
    made = report.make(
        plan,
        done.outcomes,
        facts,
        pushes=done.pushes,
        started=started,
        seconds=time.monotonic() - clock,
        bytes_of=sizes,
        origins=Origins(
            bases=project.lock.bases,
            locks={row.name: project.locked(row) for row in rows},
            facts=catalogue.days(),
        ),
    )
    return Result(report=made, published=done.published, interrupted=stop.is_set(), lost=lost)


def _refresh(project: Project, now: datetime, layers: Collection[str]) -> Project:
    """Move the epoch: stages that install from the network are built anew, here and wherever the lock goes."""
    project = project.refreshed(now.strftime("%Y-%m-%dT%H:%M:%SZ"), layers)
    project.repository.write_lock(lock.dump(project.lock))
    return project


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """All that a run is going to do."""

    plan: Plan
    images: Mapping[Key, EngineImage]
    """The nodes that the engine has."""
    kept: Mapping[Key, str]
    """Nodes that are in the registry, of those that were asked for, with their digests there."""
    pushes: tuple[Key, ...]
    homes: Mapping[Key, Row]
    """Last nodes of rows that are published."""
    unverified: Unverified
    """Says of their images why they are not verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """All that a run has done."""

    outcomes: tuple[Outcome, ...]
    pushes: tuple[Pushed, ...] = ()
    published: tuple[Publication, ...] = ()


def _decide(
    project: Project, rows: Sequence[Row], options: Options, *, engine: Engine, store: Store | None
) -> _Decided:
    leaves = project.leaves(rows)
    project.repository.write_leaves(project.files(leaves), keep=project.directories())
    listed, dag = engine.images(), project.dag(leaves)
    present = nodes(listed, project.state.bonds())
    kept = store.keys(dag, present, whole=options.push) if store else {}
    plan = project.plan(dag, listed, kept=kept, doubted=store.doubts if store else {})
    homes = {tip: dag.rows[name] for name, tip in dag.tips.items() if options.push and dag.rows[name].repositories}
    return _Decided(
        plan=plan,
        images=present,
        kept=kept,
        pushes=to_push(plan, present=present, kept=kept) if options.push and store else (),
        homes=homes,
        unverified=publishing.unverified(project, dag),
    )


def _act(
    project: Project,
    decided: _Decided,
    options: Options,
    *,
    engine: Engine,
    store: Store | None,
    signer: Signer | None,
    listen: Callable[[Plan, Forecast], Progress],
    stop: threading.Event,
) -> _Done:
    plan, repository = decided.plan, project.matrix.nodes
    where = site.discover(project.matrix.site, root=project.repository.root)
    history, sizes = project.state.history(), project.node_sizes(plan)
    seconds = estimates.seconds(plan.steps, history=history, sizes=sizes)
    there = {key: image.bytes for key, image in decided.images.items()}
    needs = estimates.added_bytes(plan.steps, history=history, sizes=sizes, images=there)
    with (
        listen(plan, Forecast(plan.steps, seconds, jobs=options.jobs)) as progress,
        builder.ready(
            engine=engine,
            shell=Shell(),
            where=where,
            lock=project.lock,
            matrix=project.matrix,
            root=project.repository.root,
            state=project.state,
            names=_names(plan),
            images={key: image.id for key, image in decided.images.items()},
            time_limit=options.time_limit,
            said=progress.output,
            waiting=progress.waiting,
        ) as executor,
        publishing.beside(_publisher(decided, engine, where, store, stop), jobs=options.push_jobs, stop=stop) as out,
    ):
        pushing = None
        if store and decided.pushes:
            pushing = Pushing(
                decided.pushes,
                voucher=replace(store.voucher, signer=signer),
                engine=engine,
                client=Client(where, tries=1),  # pushes are tried again as a whole
                jobs=options.push_jobs,
                retries=options.retries,
                stop=stop,
            )
        listener = _Keeping(progress, project.state, decided, pushing, out, repository=repository)
        listener.push({key: image.id for key, image in decided.images.items()})
        outcomes = schedule.run(
            plan,
            executor,
            listener,
            jobs=options.jobs,
            retries=options.retries,
            fail_fast=options.fail_fast,
            seconds=seconds,
            refuses=_guard(project, engine, needs, stop),
            stop=stop,
            tick=progress.tick,
        )
        return _Done(outcomes=outcomes, pushes=listener.pushed(), published=tuple(out.rest()))


def _signer(project: Project, store: Store) -> Signer | None:
    """Return what signs nodes that are pushed; None where they are not signed. Raises FlagError where it cannot."""
    declared, verifier = project.matrix.signing, store.voucher.verifier
    return signing.signer(declared, project.repository.root, Shell(), verifier) if declared and verifier else None


def _publisher(decided: _Decided, engine: Engine, where: Site, store: Store | None, stop: threading.Event) -> Publisher:
    return Publisher(
        engine=engine,
        client=Client(where, tries=1),
        voucher=store.voucher if store else None,
        doubts={},  # what is doubted was built anew
        unverified=decided.unverified,
        stop=stop,
    )


def _guard(
    project: Project, engine: Engine, needs: Mapping[Key, int], stop: threading.Event
) -> Callable[[Step, Collection[Key]], str]:
    """Watch the engine's disk, where that is this machine's."""
    folder = engine.storage()
    if not folder:
        return schedule.anything

    def reclaimable() -> int:
        from imagematrix.commands.gc import run as gc  # seldom asked, and as long to import as half of the rest

        return gc.run(project, gc.GcOptions(dry=True), engine=engine, waiting=lambda: None).freed

    def free() -> int:
        return shutil.disk_usage(folder).free

    return disk.Guard(needs=needs, free=free, reclaimable=reclaimable, pause=stop.wait).refusal


def _names(plan: Plan) -> Mapping[Key, Sequence[str]]:
    """Return the image names of the leaves that end in a node."""
    names: dict[Key, list[str]] = {}
    for row, tip in plan.tips.items():
        names.setdefault(tip, []).append(plan.rows[row].image)
    return names


def _name_leaves(
    engine: Engine, decided: _Decided, outcomes: Sequence[Outcome], store: Store | None, bonds: Bonds
) -> tuple[Mapping[str, ImageFact], Mapping[Key, int], NoEngineError | None]:
    """See that each leaf that exists has its own name; return what became of them, by row name, and the nodes' sizes.

    An engine that is gone by now must not cost the report: the error is returned beside it.
    """
    plan, present = decided.plan, decided.images
    try:
        if any(outcome.attempts for outcome in outcomes):
            present = nodes(engine.images(), bonds)
        tips = {*plan.tips.values()}.difference(present)
        remote = {key: digest for key, digest in decided.kept.items() if key in tips}
        found = _remote(plan, store.manifests(remote)) if store and remote else {}
        sizes = {key: image.bytes for key, image in present.items()}
        return {**found, **_named(engine, plan, present)}, sizes, None
    except NoEngineError as error:
        return {}, {}, error


def _pinned(project: Project, decided: _Decided) -> Bonds:
    """Record what this run took the registry's word for, so that later ones take nothing else; return all records."""
    bonds, place = project.state.bonds(), project.matrix.nodes
    news = [
        Bond(key=key, digest=digest, place=place)
        for key, digest in decided.kept.items()
        if not bonds.hold(key, digest, place)
    ]
    if news:
        project.state.bind(*news)
    return bonds


def _remote(plan: Plan, manifests: Mapping[Key, Manifest]) -> Mapping[str, ImageFact]:
    """Return what the registry says of leaves that nobody needed here."""
    return {
        name: ImageFact(image=plan.rows[name].image, digest=manifests[tip].config, bytes=manifests[tip].bytes)
        for name, tip in plan.tips.items()
        if tip in manifests
    }


def _named(engine: Engine, plan: Plan, images: Mapping[Key, EngineImage]) -> Mapping[str, ImageFact]:
    facts: dict[str, ImageFact] = {}
    for name, tip in plan.tips.items():
        image = images.get(tip)
        if image:
            wanted = plan.rows[name].image
            if wanted not in image.names:
                engine.tag(image.id, wanted)
            facts[name] = ImageFact(image=wanted, digest=image.id, bytes=image.bytes)
    return facts


class _Keeping:
    """A listener that keeps each node the moment it is built: on record, for all machines, and for its users.

    So a killed run loses nothing.
    """

    def __init__(
        self,
        listener: Progress,
        state: State,
        decided: _Decided,
        pushing: Pushing | None,
        publishing: Publishing,
        *,
        repository: str,
    ) -> None:
        self._next = listener
        self._repository = repository
        self._state = state
        self._steps = {step.node.key: step for step in decided.plan.steps}
        self._pushing = pushing
        self._publishing = publishing
        self._homes = decided.homes
        for step in decided.plan.steps:
            if step.verdict is not Verdict.BUILD:
                key = step.node.key
                self._publish(key, decided.images[key].id if key in decided.images else "")

    def started(self, step: Step) -> None:
        self._next.started(step)

    def retried(self, step: Step, retry: Retry) -> None:
        self._next.retried(step, retry)

    def finished(self, step: Step, outcome: Outcome) -> None:
        node = step.node
        if outcome.image:
            pulled = [Bond(key=node.key, digest=step.digest, place=self._repository)] if step.digest else []
            self._state.bind(Bond(key=node.key, digest=outcome.image), *pulled)
        if outcome.status is Status.BUILT:
            self._state.remember(
                Record(key=node.key, layer=node.layer, inputs=node.inputs, rows=step.leaves, seconds=outcome.seconds)
            )
        self._next.finished(step, outcome)
        if outcome.status is Status.BUILT:
            self.push({node.key: outcome.image})
            self._publish(node.key, outcome.image)
        self._tell()

    def push(self, images: Mapping[Key, str]) -> None:
        """Push nodes that the engine has, key -> id, of those that are to be pushed."""
        if self._pushing:
            for key, image in images.items():
                self._pushing.offer(key, image)

    def _publish(self, key: Key, image: str) -> None:
        if key in self._homes:
            self._publishing.offer(self._homes[key], key, image)

    def pushed(self) -> tuple[Pushed, ...]:
        """Wait for the pushes that are not over; return what became of all."""
        if self._pushing is None:
            return ()
        try:
            while not self._pushing.is_over():
                self._tell()
        finally:
            self._pushing.close()
        self._tell()
        return self._pushing.outcomes()

    def _tell(self) -> None:
        self._next.tick()
        for pushed in self._pushing.news() if self._pushing else ():
            if pushed.digest:
                self._state.bind(Bond(key=pushed.key, digest=pushed.digest, place=self._repository))
            self._next.pushed(self._steps[pushed.key], pushed)
