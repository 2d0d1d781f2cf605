"""The build command: everything is decided in `project`, `schedule` acts, this puts the two together."""

import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

from imagematrix import git, report, signing, site
from imagematrix.commands.build.decision import BuildDecision, BuildOptions, decide
from imagematrix.commands.build.images import name_leaves, pin
from imagematrix.commands.build.recorder import BuildRecorder
from imagematrix.commands.build.takeover import TakingOver
from imagematrix.compat import catalogue
from imagematrix.engine import Engine, builder, disk
from imagematrix.errors import FlagError, NoClusterError, NoEngineError, did_you_mean
from imagematrix.execution import schedule
from imagematrix.execution.protocol import Executor
from imagematrix.model import ExecutorWrapper, Key, Outcome, Plan, Pushed, PushStatus, Row, Status, Step, Verdict
from imagematrix.planning import estimates, jobs, lock
from imagematrix.planning.forecast import Forecast
from imagematrix.planning.jobs import JobFactory
from imagematrix.planning.publication import Publication
from imagematrix.project import Project
from imagematrix.registry import Client
from imagematrix.registry.publisher import Publisher
from imagematrix.registry.publishing import beside
from imagematrix.registry.store import Store
from imagematrix.report import Document, Origins, Progress
from imagematrix.shell import Shell, stoppable
from imagematrix.signing import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What came of a run."""

    report: Document
    published: tuple[Publication, ...]
    """What became of the tags of rows."""
    interrupted: bool
    lost: NoEngineError | NoClusterError | None = None
    """Set when the engine stopped answering before the leaves could be named: the report then knows no images. On many
    machines: when the registry lacks images that it had."""

    @property
    def good(self) -> bool:
        """Whether every leaf exists and everything requested was pushed; unverified images are published in part."""
        leaves = all(leaf.outcome in (Status.BUILT, Status.REUSED) for leaf in self.report.leaves)
        pushes = all(pushed.outcome == PushStatus.PUSHED for pushed in self.report.pushes)
        return leaves and pushes and all(image.sound for image in self.published)


def run(
    project: Project,
    rows: Sequence[Row],
    options: BuildOptions,
    *,
    engine: Engine,
    store: Store | None = None,
    wrap: Callable[[Executor], Executor] = lambda executor: executor,
    listen: Callable[[Plan, Forecast], Progress],
    waiting: Callable[[], None],
) -> BuildResult:
    """Build the selected rows on an engine, and push, if requested, what the node cache lacks.

    `wrap` gets the executor of the engine, and returns the one that does the jobs (`wrapper`). `listen` makes the
    listener of the progress; `waiting` is called when another build holds the project.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    with project.state.sole_builder(waiting=waiting), stoppable() as stop:
        if options.fresh:
            project = refresh(project, started, options.fresh_layers)
        signer = _signer(project, store) if options.push and store else None
        decided = decide(project, rows, options, engine=engine, store=store)
        plan = decided.plan
        if decided.pushes or decided.to_publish or any(step.verdict is Verdict.BUILD for step in plan.steps):
            done = _act(
                project,
                decided,
                options,
                engine=engine,
                store=store,
                signer=signer,
                wrap=wrap,
                listen=listen,
                stop=stop,
            )
        else:
            done = _Done(outcomes=tuple(Outcome(key=step.node.key, status=Status.REUSED) for step in plan.steps))
        bonds = pin(project, decided)
        facts, sizes, lost = name_leaves(engine, decided, done.outcomes, store, bonds)
    made = report.make(
        plan,
        done.outcomes,
        facts,
        pushes=done.pushes,
        started=started,
        seconds=time.monotonic() - clock,
        bytes_of=sizes,
        origins=origins(project, rows),
    )
    return BuildResult(report=made, published=done.published, interrupted=stop.is_set(), lost=lost)


def wrapper(known: Mapping[str, ExecutorWrapper], name: str) -> Callable[[Executor], Executor]:
    """Return what wraps the engine's executor in one of a plugin; without a name, nothing does.

    Raises FlagError for a name that no plugin has; the wrapper itself for what is not an executor.
    """
    if not name:
        return lambda executor: executor
    if name not in known:
        raise FlagError(
            f"no plugin has an executor {name!r} (--executor or IMAGEMATRIX_EXECUTOR)\n    {did_you_mean(name, known)}"
        )

    def wrapped(executor: Executor) -> Executor:
        try:
            made = known[name](executor)
        except Exception as error:  # noqa: BLE001  # foreign code may raise anything
            raise FlagError(
                f"the executor {name!r} of a plugin cannot start: {type(error).__name__}: {error}"
            ) from None
        if missing := [each for each in ("build", "answers", "cancel") if not callable(getattr(made, each, None))]:
            raise FlagError(f"the executor {name!r} of a plugin has no {' and no '.join(missing)}: see docs/plugins.md")
        return made  # type: ignore[no-any-return]  # that it has the methods is all that can be known

    return wrapped


def origins(project: Project, rows: Sequence[Row]) -> Origins:
    """Return where the versions in the images of rows come from."""
    return Origins(
        bases=project.lock.bases,
        locks={row.name: project.locked(row) for row in rows},
        facts=catalogue.days(),
    )


def refresh(project: Project, now: datetime, layers: Collection[str]) -> Project:
    """Move the epoch: stages that install from the network are rebuilt, here and in every checkout with this lock."""
    project = project.refreshed(now.strftime("%Y-%m-%dT%H:%M:%SZ"), layers)
    project.repository.write_lock(lock.dump(project.lock))
    return project


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """All that a run has done."""

    outcomes: tuple[Outcome, ...]
    pushes: tuple[Pushed, ...] = ()
    published: tuple[Publication, ...] = ()


def _act(
    project: Project,
    decided: BuildDecision,
    options: BuildOptions,
    *,
    engine: Engine,
    store: Store | None,
    signer: Signer | None,
    wrap: Callable[[Executor], Executor],
    listen: Callable[[Plan, Forecast], Progress],
    stop: threading.Event,
) -> _Done:
    plan, repository, shell = decided.plan, project.matrix.nodes, Shell()
    where = site.discover(project.matrix.site, root=project.repository.root)
    history, sizes = project.state.history(), project.node_sizes(plan)
    seconds = estimates.seconds(plan.steps, history=history, sizes=sizes)
    client = Client(where, tries=1)  # what is published is tried again as a whole
    publisher = Publisher(
        engine=engine,
        client=client,
        voucher=replace(store.voucher, signer=signer) if store else None,
        doubts={},  # what was doubted has been rebuilt
        unverified=decided.unverified,
        retries=options.retries,
        stop=stop,
    )
    there = {key: image.bytes for key, image in decided.images.items()}
    needs = estimates.added_bytes(plan.steps, history=history, sizes=sizes, images=there)
    with (
        listen(plan, Forecast(plan.steps, seconds, jobs=options.jobs)) as progress,
        builder.ready(
            engine=engine,
            shell=shell,
            where=where,
            compression=project.matrix.compression,
            logs=project.state.log,
            said=progress.output,
            waiting=progress.waiting,
        ) as of_engine,
        beside(publisher, jobs=options.push_jobs, stop=stop, nodes=decided.pushes) as publishing,
    ):
        executor = wrap(of_engine)
        listener = BuildRecorder(progress, project.state, decided, publishing, repository=repository)
        images = {key: image.id for key, image in decided.images.items()}
        listener.push(images)
        outcomes = schedule.run(
            plan,
            TakingOver(executor=executor, client=client, voucher=store.voucher, remove=engine.untag)
            if store
            else executor,
            listener,
            job=job_factory(project, decided, options, shell).job,
            images=images,
            jobs=options.jobs,
            retries=options.retries,
            fail_fast=options.fail_fast,
            seconds=seconds,
            refuses=_guard(project, engine, needs, stop),
            stop=stop,
            tick=progress.tick,
        )
        pushes, published = listener.published()
        return _Done(outcomes=outcomes, pushes=pushes, published=published)


def job_factory(project: Project, decided: BuildDecision, options: BuildOptions, shell: Shell) -> JobFactory:
    return jobs.factory(
        decided.plan,
        lock=project.lock,
        platform=project.matrix.platform,
        repository=project.matrix.nodes,
        pushed=decided.pushes,
        kept=decided.in_registry,
        revision=git.revision(shell, project.repository.root),
        seconds=options.time_limit,
    )


def _signer(project: Project, store: Store) -> Signer | None:
    """Return what signs nodes that are pushed; None where they are not signed. Raises FlagError where it cannot."""
    declared, verifier = project.matrix.signing, store.voucher.verifier
    return signing.signer(declared, project.repository.root, Shell(), verifier) if declared and verifier else None


def _guard(
    project: Project, engine: Engine, needs: Mapping[Key, int], stop: threading.Event
) -> Callable[[Step, Collection[Key]], str]:
    """Watch the engine's disk, where that is this machine's."""
    folder = engine.storage()
    if not folder:
        return schedule.anything

    @cache  # each refusal asks, and the answer takes seconds on a busy engine
    def reclaimable(nights: int | None) -> int:
        from imagematrix.commands.gc import run as gc  # rarely needed, and slow to import

        options = gc.GcOptions(dry=True) if nights is None else gc.GcOptions(dry=True, nights=nights)
        return gc.run(project, options, engine=engine, waiting=lambda: None).freed

    def free() -> int:
        return shutil.disk_usage(folder).free

    return disk.Guard(needs=needs, free=free, reclaimable=reclaimable, pause=stop.wait).refusal
