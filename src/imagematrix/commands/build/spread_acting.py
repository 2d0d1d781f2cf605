"""Carries out on the machines of a cluster what a build is going to do."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from imagematrix import __version__
from imagematrix.cluster import Cluster, ClusterPlan, Link
from imagematrix.cluster.messages import RemoteParent
from imagematrix.commands.build.acting import job_factory
from imagematrix.commands.build.decision import BuildDecision, BuildOptions, all_reused, decide
from imagematrix.commands.build.machine_progress import MachineProgress
from imagematrix.commands.build.recorder import BuildRecorder
from imagematrix.commands.build.signed_pushes import signed
from imagematrix.errors import NoClusterError
from imagematrix.execution import schedule
from imagematrix.model import Key, Outcome, Plan, Pushed, Row, UsedMachine, Verdict
from imagematrix.planning import estimates, placement
from imagematrix.planning.forecast import Forecast
from imagematrix.planning.ready_queue import remaining_paths
from imagematrix.planning.reproducible import Difference
from imagematrix.project import Project
from imagematrix.registry.store import Store
from imagematrix.report import Progress
from imagematrix.shell import Shell
from imagematrix.signing import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadMeans:
    """What a run on many machines has to act with."""

    link: Link
    store: Store
    signer: Signer | None
    """None: nodes are not signed."""
    listen: Callable[[Plan, Forecast], Progress]
    stop: threading.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinesDone:
    """All that machines have done."""

    outcomes: tuple[Outcome, ...]
    pushes: tuple[Pushed, ...] = ()
    digests: Mapping[Key, str] = field(default_factory=dict)
    """What the registry has since this run."""
    changes: Mapping[Key, Difference | None] = field(default_factory=dict)
    """What differs first of the nodes that were compared; None: nothing."""
    machines: tuple[UsedMachine, ...] = ()
    gone: str = ""
    """Why the cluster would do nothing more; empty: it would."""


def decided_for_machines(project: Project, rows: Sequence[Row], options: BuildOptions, store: Store) -> BuildDecision:
    """Decide what machines do: they pull what they need, as what the registry has is there for all of them.

    Raises NoClusterError where the registry does not answer.
    """
    decided = decide(project, rows, options, engine=None, store=store)
    refuse_silent(store)
    steps = tuple(
        replace(step, verdict=Verdict.REUSE) if step.verdict is Verdict.PULL else step for step in decided.plan.steps
    )
    return replace(decided, plan=replace(decided.plan, steps=steps))


def refuse_silent(store: Store) -> None:
    """Raise NoClusterError for a registry that does not answer: machines exchange images through it."""
    if store.is_silent:
        raise NoClusterError(f"{store.repository} does not answer (above), and machines exchange images through it")


def act(
    project: Project,
    decided: BuildDecision,
    options: BuildOptions,
    means: SpreadMeans,
    *,
    compared: Mapping[Key, RemoteParent] = MappingProxyType({}),
) -> MachinesDone:
    """Carry out what was decided. Nodes that are `compared` with something are kept only where they differ from it."""
    store, signer = means.store, means.signer
    plan = decided.plan
    if all(step.verdict is Verdict.REUSE for step in plan.steps):
        return MachinesDone(outcomes=all_reused(plan))
    seconds = estimates.seconds(plan.steps, history=project.state.history(), sizes=project.node_sizes(plan))
    kept = _kept_parents(decided, store)
    shown = MachineProgress(plan)
    cluster = Cluster(
        means.link,
        ClusterPlan(
            version=__version__,
            repository=store.repository,
            compression=project.matrix.compression,
            platforms={step.node.platform for step in plan.steps if step.verdict is Verdict.BUILD},
            seconds=seconds,
            paths=remaining_paths(plan.steps, seconds),
            shared=placement.shared(plan),
            final=frozenset(plan.final_nodes.values()),
            kept=kept,
            doubt=store.voucher.doubt,
            is_signed=signer is not None,
            compared=compared,
        ),
        logs=project.state.log,
        said=shown.output,
        waiting=shown.waiting,
    )
    jobs = cluster.open()
    with (
        means.listen(plan, Forecast(plan.steps, seconds, jobs=cluster.slots())) as progress,
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
            limits=cluster.limits(),
            retries=options.retries,
            fail_fast=options.fail_fast,
            seconds=seconds,
            stop=means.stop,
            settle=cluster.settle,
            tick=shown.tick,
        )
        ended = (_on_clock(pushed, begun) for pushed in recorder.published()[0])
        return MachinesDone(
            outcomes=outcomes,
            pushes=tuple(ended),
            digests=cluster.digests(),
            changes=cluster.changes(),
            machines=cluster.used(),
            gone=cluster.gone(),
        )


def _on_clock(pushed: Pushed, begun: float) -> Pushed:
    return pushed if pushed.ended is None else replace(pushed, ended=pushed.ended - begun)


def _kept_parents(decided: BuildDecision, store: Store) -> Mapping[Key, RemoteParent]:
    """Return what the registry has of that something is built on, as machines find it."""
    parents = {need for step in decided.plan.steps if step.verdict is Verdict.BUILD for need in step.needs}
    return as_parents({key: digest for key, digest in decided.in_registry.items() if key in parents}, store)


def as_parents(kept: Mapping[Key, str], store: Store) -> Mapping[Key, RemoteParent]:
    """Return nodes that the registry has, by their digests, as machines find them; not those that are gone by now."""
    manifests = store.manifests(kept) if kept else {}
    return {
        key: RemoteParent(key=key, ids=(manifests[key].config, digest), digest=digest, bytes=manifests[key].bytes)
        for key, digest in kept.items()
        if key in manifests
    }
