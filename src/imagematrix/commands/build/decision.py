"""All that a build is going to do, decided before anything is built."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imagematrix.commands import foreign
from imagematrix.commands import leaves as leaf_files
from imagematrix.commands.push import run as publishing
from imagematrix.commands.terminal import note
from imagematrix.engine import Engine
from imagematrix.errors import FlagError, did_you_mean
from imagematrix.execution.protocol import Executor
from imagematrix.model import EngineImage, Key, Outcome, Plan, Pushed, Row, Status, Verdict
from imagematrix.planning.forecast import Forecast
from imagematrix.planning.graph import Dag
from imagematrix.planning.plan import to_push
from imagematrix.planning.publication import Publication
from imagematrix.planning.trust import nodes
from imagematrix.project import Project
from imagematrix.registry.publisher import Unverified
from imagematrix.registry.settlements import Settlements
from imagematrix.registry.store import Store
from imagematrix.report import Progress
from imagematrix.signing import Signer

TIME_LIMIT_SECONDS: Final = 120 * 60.0
"""Nothing that is well takes so long: 5 GB at 1 MB/s are 83 minutes, compiling Horovod takes 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How to build."""

    jobs: int
    retries: int
    fail_fast: bool = False
    fresh: bool = False
    fresh_layers: tuple[str, ...] = ()
    """The layers that `fresh` is limited to; empty: all that install from the network."""
    refresh: str = ""
    """The epoch at which what no lock names is downloaded again and compared; empty: it is not."""
    time_limit: float = TIME_LIMIT_SECONDS
    """Seconds that a try at a node may take."""
    push: bool = False
    """Push what the node cache lacks, and publish the rows that have registries."""
    push_jobs: int = 2
    only_nodes: tuple[str, ...] = ()
    """Nodes as a pipeline names them; empty: all of the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildDecision:
    """All that a run is going to do."""

    plan: Plan
    images: Mapping[Key, EngineImage]
    """The nodes that the engine has."""
    in_registry: Mapping[Key, str]
    """The requested nodes that are in the registry, with their digests there."""
    pushes: tuple[Key, ...]
    to_publish: Mapping[Key, Row]
    """Last nodes of rows that are published."""
    unverified: Unverified
    """Says of their images why they are not verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildMeans:
    """What a run has to act with."""

    engine: Engine
    store: Store | None
    wrap: Callable[[Executor], Executor]
    """Gets the executor of the engine, returns the one that does the jobs."""
    listen: Callable[[Plan, Forecast], Progress]
    stop: threading.Event
    signer: Signer | None = None
    """Signs nodes that are pushed; None: none is pushed, or they are not signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildDone:
    """All that a run has done."""

    outcomes: tuple[Outcome, ...]
    pushes: tuple[Pushed, ...] = ()
    published: tuple[Publication, ...] = ()

    @property
    def lost_sources(self) -> int:
        """How many nodes failed because what they are built on was removed from the engine."""
        return sum(outcome.lost_source for outcome in self.outcomes)

    def followed_by(self, later: "BuildDone", *, after: float) -> "BuildDone":
        """Return what came of both, in the order of the later one, which began `after` seconds after this.

        What this one did, and the later one found there, is this one's.
        """
        done = {each.key: each for each in self.outcomes if each.status in (Status.BUILT, Status.REUSED)}
        pushed = {each.key: each for each in (*self.pushes, *later.pushes)}
        published = {each.row.name: each for each in self.published}
        for each in later.published:
            if each.row.name not in published or not each.is_kept:
                published[each.row.name] = each
        return BuildDone(
            outcomes=tuple(
                done.get(outcome.key, outcome) if outcome.status is Status.REUSED else _delayed(outcome, after)
                for outcome in later.outcomes
            ),
            pushes=tuple(pushed.values()),
            published=tuple(published.values()),
        )


def all_reused(plan: Plan) -> tuple[Outcome, ...]:
    """Return the outcomes of a plan of which everything is there."""
    return tuple(Outcome(key=step.node.key, status=Status.REUSED) for step in plan.steps)


def _delayed(outcome: Outcome, seconds: float) -> Outcome:
    return outcome if outcome.started is None else replace(outcome, started=outcome.started + seconds)


def decide(
    project: Project, rows: Sequence[Row], options: BuildOptions, *, engine: Engine | None, store: Store | None
) -> BuildDecision:
    """Decide what a run does. Without an engine everything that exists is in the registry."""
    leaves = project.leaves(rows)
    leaf_files.write(project, project.files(leaves), say=note)
    listed = engine.images() if engine else ()
    dag = restricted(project.dag(leaves), options.only_nodes)
    present = nodes(listed, project.state.bonds())
    kept = store.keys(dag, present, whole=options.push) if store else {}
    plan = project.plan(dag, listed, kept=kept, doubted=store.doubts if store else {})
    if engine:
        foreign.refuse(_built(plan), engine, project.matrix.site)
    to_publish = {
        tip: dag.rows[name] for name, tip in dag.final_nodes.items() if options.push and dag.rows[name].repositories
    }
    return BuildDecision(
        plan=plan,
        images=present,
        in_registry=kept,
        pushes=to_push(plan, present=present, kept=kept) if options.push and store else (),
        to_publish=to_publish,
        unverified=publishing.unverified(project, dag, Settlements(store.voucher) if store else None),
    )


def _built(plan: Plan) -> list[Row]:
    """Return a row for each node that is built: those of a part of the DAG may have nodes of other rows."""
    return [step.node.leaf.row for step in plan.steps if step.verdict is Verdict.BUILD]


def restricted(dag: Dag, names: Sequence[str]) -> Dag:
    """Return the DAG of the named nodes, `family:tag/layer`, and of all that they need; of no name, the whole DAG.

    Raises FlagError with every name that stands for no node.
    """
    if not names:
        return dag
    known = {f"{row}/{dag.nodes[key].layer}": key for key, rows in dag.rows_by_node().items() for row in rows}
    wrong = [
        f"--only-nodes {name}: there is no such node\n    {did_you_mean(name, known)}"
        for name in names
        if name not in known
    ]
    if wrong:
        raise FlagError("\n".join(wrong))
    return dag.restricted([known[name] for name in names])
