"""The build command on many machines: the plan is made here, the machines of a cluster do its jobs."""

import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from imagematrix import __version__, report
from imagematrix.cluster import Cluster, ClusterPlan, Link, security
from imagematrix.cluster.messages import RemoteParent
from imagematrix.commands import request
from imagematrix.commands.build import refreshing
from imagematrix.commands.build import run as local
from imagematrix.commands.build.acting import job_factory
from imagematrix.commands.build.decision import BuildDecision, BuildOptions, decide
from imagematrix.commands.build.images import pin
from imagematrix.commands.build.machine_progress import MachineProgress
from imagematrix.commands.build.recorder import BuildRecorder
from imagematrix.commands.build.run import BuildResult
from imagematrix.commands.build.signed_pushes import signed
from imagematrix.errors import NoClusterError
from imagematrix.execution import schedule
from imagematrix.model import Key, Outcome, Plan, Pushed, Row, Status, UsedMachine, Verdict
from imagematrix.planning import estimates, placement
from imagematrix.planning.forecast import Forecast
from imagematrix.planning.publication import Publication
from imagematrix.planning.ready_queue import remaining_paths
from imagematrix.project import Project
from imagematrix.registry import Manifest
from imagematrix.registry.publisher import Publisher
from imagematrix.registry.publishing import beside
from imagematrix.registry.store import Store
from imagematrix.report import ImageFact, Progress
from imagematrix.shell import Shell, stoppable
from imagematrix.signing import Signer
from imagematrix.text.formatting import count

_READY: Final = (Status.BUILT, Status.REUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """All that machines have done."""

    outcomes: tuple[Outcome, ...]
    pushes: tuple[Pushed, ...] = ()
    digests: Mapping[Key, str] = field(default_factory=dict)
    """What the registry has since this run."""
    machines: tuple[UsedMachine, ...] = ()
    gone: str = ""
    """Why the cluster would do nothing more; empty: it would."""


def link(project: Project, address: str, certificates: str) -> Link:
    """Return a connection that is not open yet. Raises FlagError for an address that is not valid."""
    who = f"{project.repository.root} on {platform.node()}"
    return Link(security.address(address), certificates, who=who)


def run(
    project: Project,
    rows: Sequence[Row],
    options: BuildOptions,
    *,
    link: Link,
    store: Store | None,
    listen: Callable[[Plan, Forecast], Progress],
    waiting: Callable[[], None],
) -> BuildResult:
    """Build the selected rows on the machines of a cluster; each node that they build is pushed to the node cache.

    What is published is copied from there to the registries of rows; no machine is needed for it. `listen` makes the
    listener of the progress; `waiting` is called when another build holds the project. Raises NoClusterError if the
    cluster cannot take the builds.
    """
    assert store  # noqa: S101  (`request.cluster` has seen to it)
    started, clock = datetime.now(UTC), time.monotonic()
    signer = request.signer(project, store)
    with project.state.sole_builder(waiting=waiting), stoppable() as stop, closing(link):
        if options.fresh:
            project = local.move_epoch(project, local.now(), options.fresh_layers)
        if options.refresh:  # no machine compares yet: all of it is built anew
            project = refreshing.all_moved(project, rows, options.refresh)
        decided = _without_pulls(decide(project, rows, options, engine=None, store=store))
        if store.is_silent:
            raise NoClusterError(f"{store.repository} does not answer (above), and machines exchange images through it")
        done = _act(project, decided, options, link=link, store=store, signer=signer, listen=listen, stop=stop)
        pin(project, decided)
        published = _published(project, decided, done.outcomes, options, store=store, stop=stop)
        facts, missing = _facts(decided, done, store)
    made = report.make(
        decided.plan,
        done.outcomes,
        facts,
        pushes=done.pushes,
        started=started,
        seconds=time.monotonic() - clock,
        origins=local.origins(project, rows),
    )
    lost = _lost(done, store.repository, missing) if not stop.is_set() else None
    return BuildResult(
        report=report.with_machines(made, done.machines), published=published, interrupted=stop.is_set(), lost=lost
    )


def _without_pulls(decided: BuildDecision) -> BuildDecision:
    """Let machines pull what they need: what the registry has is there for all of them."""
    steps = tuple(
        replace(step, verdict=Verdict.REUSE) if step.verdict is Verdict.PULL else step for step in decided.plan.steps
    )
    return replace(decided, plan=replace(decided.plan, steps=steps))


def _act(
    project: Project,
    decided: BuildDecision,
    options: BuildOptions,
    *,
    link: Link,
    store: Store,
    signer: Signer | None,
    listen: Callable[[Plan, Forecast], Progress],
    stop: threading.Event,
) -> _Done:
    plan = decided.plan
    if all(step.verdict is Verdict.REUSE for step in plan.steps):
        return _Done(outcomes=tuple(Outcome(key=step.node.key, status=Status.REUSED) for step in plan.steps))
    seconds = estimates.seconds(plan.steps, history=project.state.history(), sizes=project.node_sizes(plan))
    kept = _kept_parents(decided, store)
    shown = MachineProgress(plan)
    cluster = Cluster(
        link,
        ClusterPlan(
            version=__version__,
            repository=store.repository,
            compression=project.matrix.compression,
            platforms={step.node.platform for step in plan.steps if step.verdict is Verdict.BUILD},
            paths=remaining_paths(plan.steps, seconds),
            shared=placement.shared(plan),
            final=frozenset(plan.final_nodes.values()),
            kept=kept,
            doubt=store.voucher.doubt,
            is_signed=signer is not None,
        ),
        logs=project.state.log,
        said=shown.output,
        waiting=shown.waiting,
    )
    jobs = cluster.open()
    with (
        listen(plan, Forecast(plan.steps, seconds, jobs=cluster.slots())) as progress,
        signed(cluster.pushes(), replace(store.voucher, signer=signer)) as pushes,
    ):
        shown.show(progress, cluster.begun)
        recorder = BuildRecorder(shown, project.state, decided, pushes, repository=store.repository)
        begun = time.monotonic()
        outcomes = schedule.run(
            plan,
            cluster,
            recorder,
            job=job_factory(project, decided, options, Shell()).job,
            images={key: parent.ids[0] for key, parent in kept.items()},
            jobs=jobs,
            retries=options.retries,
            fail_fast=options.fail_fast,
            seconds=seconds,
            stop=stop,
            settle=cluster.settle,
            tick=shown.tick,
        )
        ended = (_on_clock(pushed, begun) for pushed in recorder.published()[0])
        return _Done(
            outcomes=outcomes,
            pushes=tuple(ended),
            digests=cluster.digests(),
            machines=cluster.used(),
            gone=cluster.gone(),
        )


def _on_clock(pushed: Pushed, begun: float) -> Pushed:
    return pushed if pushed.ended is None else replace(pushed, ended=pushed.ended - begun)


def _published(
    project: Project,
    decided: BuildDecision,
    outcomes: Sequence[Outcome],
    options: BuildOptions,
    *,
    store: Store,
    stop: threading.Event,
) -> tuple[Publication, ...]:
    """Publish the rows that are in the node cache by now."""
    ready = {outcome.key for outcome in outcomes if outcome.status in _READY}
    wanted = {key: row for key, row in decided.to_publish.items() if key in ready}
    if not wanted or stop.is_set():
        return ()
    publisher = Publisher(
        engine=None,
        client=store.client,
        voucher=request.voucher(project, store.client),  # with the records of this run
        doubts={},
        unverified=decided.unverified,
        retries=options.retries,
        stop=stop,
    )
    with beside(publisher, jobs=options.push_jobs, stop=stop) as publishing:
        for key, row in wanted.items():
            publishing.offer_row(row, key, "")
        return tuple(ended for ended in publishing.rest() if isinstance(ended, Publication))


def _kept_parents(decided: BuildDecision, store: Store) -> Mapping[Key, RemoteParent]:
    """Return what the registry has of that something is built on, as machines find it."""
    parents = {need for step in decided.plan.steps if step.verdict is Verdict.BUILD for need in step.needs}
    kept = {key: digest for key, digest in decided.in_registry.items() if key in parents}
    manifests = store.manifests(kept) if kept else {}
    return {
        key: RemoteParent(key=key, ids=(manifests[key].config, digest), digest=digest, bytes=manifests[key].bytes)
        for key, digest in kept.items()
        if key in manifests
    }


def _facts(decided: BuildDecision, done: _Done, store: Store) -> tuple[Mapping[str, ImageFact], Sequence[str]]:
    """Return what the registry has of the rows' images, by row name, and the rows whose images it should have."""
    plan = decided.plan
    ready = {outcome.key for outcome in done.outcomes if outcome.status in _READY}
    digests = {**decided.in_registry, **done.digests}
    finals = {key: digests[key] for key in ready & {*plan.final_nodes.values()} if key in digests}
    manifests = store.manifests(finals) if finals else {}
    rows = {name: manifests[key] for name, key in plan.final_nodes.items() if key in manifests}
    missing = [name for name, key in plan.final_nodes.items() if key in ready and key not in manifests]
    return {name: _fact(plan.rows[name], manifest) for name, manifest in rows.items()}, missing


def _fact(row: Row, manifest: Manifest) -> ImageFact:
    return ImageFact(image=row.image, digest=manifest.config, bytes=manifest.bytes)


def _lost(done: _Done, repository: str, missing: Sequence[str]) -> NoClusterError | None:
    """Return that the cluster went away before all was built, or that its registry lacks what was."""
    failed = [outcome for outcome in done.outcomes if outcome.status is Status.FAILED]
    if done.gone and failed:
        return NoClusterError(
            f"{count(len(failed), 'node')} not built: {done.gone}\n"
            "    what was pushed is kept: start the scheduler and the machines, and run the same command again"
        )
    if not missing:
        return None
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return NoClusterError(
        f"{repository} lacks the image of {missing[0]}{more}, which a machine has built and pushed\n"
        "    someone removed it, or the registry lost it: run the same command again"
    )
