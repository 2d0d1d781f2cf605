"""A plan and its outcomes in, the run's document out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime

from imagematrix.model import Key, Outcome, Plan, Pushed, Status, Step, UsedMachine
from imagematrix.planning import sizes
from imagematrix.planning.requirements import Locked
from imagematrix.report import document
from imagematrix.report.document import INTERRUPTED, Document, FailedNode, LeafEntry, MachineEntry, NodeEntry, PushEntry
from imagematrix.text.formatting import label


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFact:
    """What is known of an image that exists, on the engine or, if it is not needed there, in the registry."""

    image: str
    digest: str
    """Its id: the digest of its configuration."""
    bytes: int
    """As the engine counts it; as the registry does, compressed, when only that has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Where the versions in images come from."""

    bases: Mapping[str, str] = field(default_factory=dict)
    """Image of a base -> its locked digest."""
    locks: Mapping[str, Sequence[Locked]] = field(default_factory=dict)
    """Row name -> its locks, lowest layer first."""
    facts: Mapping[str, date] = field(default_factory=dict)
    """Data file of the catalogue -> the day on which its sources were last looked at."""


def make(
    plan: Plan,
    outcomes: Sequence[Outcome],
    images: Mapping[str, ImageFact],
    *,
    pushes: tuple[Pushed, ...] = (),
    started: datetime,
    seconds: float,
    bytes_of: Mapping[Key, int] | None = None,
    origins: Origins | None = None,
) -> Document:
    """Join what was planned, how it ended, the images that exist (row name -> fact), and what they are made from.

    `bytes_of` are the sizes of the nodes that exist, with everything below them.
    """
    origins = origins or Origins()
    added = _added(plan, bytes_of or {})
    nodes = tuple(_node(step, outcome, added) for step, outcome in zip(plan.steps, outcomes, strict=True))
    by_key = {node.key: node for node in nodes}
    locks = {locked.path: locked for name in plan.final_nodes for locked in origins.locks.get(name, ())}
    return replace(
        document.begun(started, seconds),
        nodes=nodes,
        leaves=tuple(_leaf(name, plan, by_key, images.get(name), origins) for name in plan.final_nodes),
        locks={path: sizes.pins(locks[path].text) for path in sorted(locks)},
        pushes=tuple(map(_push, pushes)),
        facts=origins.facts,
    )


def with_machines(run: Document, machines: Iterable[UsedMachine]) -> Document:
    """Add the machines that a run had."""
    return replace(run, machines=tuple(MachineEntry(**asdict(machine)) for machine in machines))


def _added(plan: Plan, bytes_of: Mapping[Key, int]) -> Mapping[Key, int]:
    """Return what nodes add to those below them and to the files that they link, as far as it is known."""
    added: dict[Key, int] = {}
    for step in plan.steps:
        node = step.node
        below = (node.parent or step.tool,) if node.parent or node.stage.tool else ()
        linked = (added.get(node.packages),) if node.packages else ()
        known = [bytes_of.get(key) if key else None for key in (node.key, *below)]
        sizes = [size for size in (*known, *linked) if size is not None]
        if len(sizes) == len(known) + len(linked):
            # The engine counts linked files a little differently from those alone.
            added[node.key] = max(sizes[0] - sum(sizes[1:]), 0)
    return added


def _node(step: Step, outcome: Outcome, added: Mapping[Key, int]) -> NodeEntry:
    interrupted = outcome.status is Status.INTERRUPTED
    return NodeEntry(
        key=outcome.key,
        layer=step.node.layer,
        parent=step.node.parent,
        packages=step.node.packages,
        label=label(step),
        outcome=Status.FAILED if interrupted else outcome.status,
        seconds=outcome.seconds,
        waited=outcome.waited,
        pulled=outcome.pulled,
        log=outcome.log,
        attempts=outcome.attempts,
        retries=document.retries(outcome.retries),
        started=outcome.started,
        lane=outcome.slot,
        machine=outcome.machine,
        why=INTERRUPTED if interrupted else outcome.why,
        tail=outcome.tail,
        bytes=added.get(step.node.key),
        drifted=outcome.drifted,
        leaves=step.leaves,
    )


def _leaf(name: str, plan: Plan, nodes: Mapping[Key, NodeEntry], fact: ImageFact | None, origins: Origins) -> LeafEntry:
    row, stack = plan.rows[name], tuple(_chain(plan.final_nodes[name], nodes))
    tip = stack[0]
    good = tip.outcome in {Status.BUILT, Status.REUSED}
    broken = None if good else next((node for node in stack if node.outcome is Status.FAILED), None)
    stopped = broken is not None and broken.interrupted
    blame = FailedNode(node=broken.key, label=broken.label) if broken and not stopped else None
    known = fact if good else None  # an older image of that name is not what this run was asked for
    return LeafEntry(
        name=name,
        family=row.family.name,
        tag=row.tag,
        platform=row.platform,
        outcome=tip.outcome if good else Status.FAILED if blame else Status.SKIPPED,
        image=fact.image if fact else row.image,
        digest=known.digest if known else None,
        bytes=known.bytes if known else None,
        blame=blame,
        seconds=sum(node.seconds for node in stack if node.leaves == (name,)),
        why=INTERRUPTED if stopped else tip.why,
        base=origins.bases.get(row.base.image, row.base.image or row.base.bootstrap),
        locks=tuple(locked.path for locked in origins.locks.get(name, ())),
    )


def _chain(tip: Key, nodes: Mapping[Key, NodeEntry]) -> Iterable[NodeEntry]:
    """Yield the nodes of a row, last to first; files of a package layer after the node that links them."""
    key: Key | None = tip
    while key is not None and key in nodes:
        node = nodes[key]
        yield node
        if node.packages and node.packages in nodes:
            yield nodes[node.packages]
        key = node.parent


def _push(pushed: Pushed) -> PushEntry:
    return PushEntry(
        node=pushed.key,
        name=pushed.name,
        outcome=pushed.status.value,
        seconds=pushed.seconds,
        attempts=pushed.attempts,
        retries=document.retries(pushed.retries),
        why=pushed.why,
        machine=pushed.machine,
        started=None if pushed.ended is None else max(0.0, pushed.ended - pushed.seconds),
    )
