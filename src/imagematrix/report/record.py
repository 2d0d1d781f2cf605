"""A plan and its outcomes in, the run as data out: what `report.json` says."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

from imagematrix.model import Key, Outcome, Plan, Pushed, Retry, Status, Step
from imagematrix.planning import sizes
from imagematrix.planning.requirements import Locked
from imagematrix.text.words import label

INTERRUPTED: Final = "interrupted"
"""Why an interrupted node failed: the documented outcomes are four, so it counts as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFact:
    """What is known of an image that exists, on the engine or, if it is not needed there, in the registry."""

    image: str
    digest: str
    """Its id: the digest of its configuration."""
    bytes: int
    """As the engine counts it; as the registry does, compressed, when only that has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """How a node ended; `outcome` is built, reused, failed or skipped."""

    key: Key
    layer: str
    parent: Key | None
    label: str
    outcome: Status
    seconds: float
    """What its tries took, without their waits."""
    waited: float
    """Seconds in which they waited for a cache that another build used."""
    log: str
    attempts: int
    retries: tuple[Retry, ...]
    started: float | None
    """Seconds since the run began; None where it was not begun."""
    lane: int | None
    """Which of the builds that run at once it was, from 0; None where it was not begun."""
    why: str
    tail: tuple[str, ...]
    blame: Key | None
    bytes: int | None
    """What it adds to its parent, a first one to nothing; None where no engine could tell."""
    leaves: tuple[str, ...]

    @property
    def interrupted(self) -> bool:
        """It was being built when the run was stopped: not its own fault."""
        return self.outcome is Status.FAILED and self.why == INTERRUPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafReport:
    """How a row ended: failed when one of its nodes did, skipped when the run stopped before it was done."""

    name: str
    family: str
    tag: str
    outcome: Status
    image: str
    fact: ImageFact | None
    """None where the run leaves no image of this row."""
    blame: Key | None
    """The node that broke it."""
    seconds: float
    """Time spent on nodes that only this row has."""
    why: str
    base: str
    """What it stands on: the digest of its base where that is locked, else its name."""
    locks: tuple[str, ...]
    """What its Python packages are installed from, lowest layer first; a later one outdoes those before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Where the versions in images come from."""

    bases: Mapping[str, str] = field(default_factory=dict)
    """Image of a base -> its locked digest."""
    locks: Mapping[str, Sequence[Locked]] = field(default_factory=dict)
    """Row name -> its locks, lowest layer first."""
    facts: Mapping[str, date] = field(default_factory=dict)
    """Data file of the catalogue -> the day on which its sources were last looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One run: when, how long, and how every node and every row ended, in plan order."""

    started: datetime
    seconds: float
    nodes: tuple[NodeReport, ...]
    leaves: tuple[LeafReport, ...]
    versions: Mapping[str, Mapping[str, str]]
    """Lock -> package -> version, of all locks that leaves name."""
    pushes: tuple[Pushed, ...] = ()
    """What became of the pushes of nodes."""
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
) -> RunReport:
    """Join what was planned, how it ended, the images that exist (row name -> fact), and what they are made from.

    `bytes_of` are the sizes of the nodes that exist, with all that is below them.
    """
    origins = origins or Origins()
    nodes = tuple(_node(step, outcome, bytes_of or {}) for step, outcome in zip(plan.steps, outcomes, strict=True))
    by_key = {node.key: node for node in nodes}
    leaves = tuple(_leaf(name, plan, by_key, images.get(name), origins) for name in plan.tips)
    locks = {locked.path: locked for name in plan.tips for locked in origins.locks.get(name, ())}
    versions = {path: sizes.pins(locks[path].text) for path in sorted(locks)}
    return RunReport(
        started=started,
        seconds=seconds,
        nodes=nodes,
        leaves=leaves,
        versions=versions,
        pushes=pushes,
        facts=origins.facts,
    )


def to_json(report: RunReport) -> str:
    """Write a report as the JSON that `--report` promises."""
    labels = {node.key: node.label for node in report.nodes}
    document = {
        "started": report.started.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seconds": round(report.seconds, 3),
        "nodes": [_node_document(node) for node in report.nodes],
        "leaves": [_leaf_document(leaf, labels) for leaf in report.leaves],
        "locks": report.versions,
        "pushes": [_push_document(pushed) for pushed in report.pushes],
        "facts": {name: day.isoformat() for name, day in report.facts.items()},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _node(step: Step, outcome: Outcome, bytes_of: Mapping[Key, int]) -> NodeReport:
    parent = step.node.parent
    whole, below = bytes_of.get(step.node.key), bytes_of.get(parent) if parent else 0
    interrupted = outcome.status is Status.INTERRUPTED
    return NodeReport(
        key=outcome.key,
        layer=step.node.layer,
        parent=parent,
        label=label(step),
        outcome=Status.FAILED if interrupted else outcome.status,
        seconds=outcome.seconds,
        waited=outcome.waited,
        log=outcome.log,
        attempts=outcome.attempts,
        retries=outcome.retries,
        started=outcome.started,
        lane=outcome.lane,
        why=INTERRUPTED if interrupted else outcome.why,
        tail=outcome.tail,
        blame=outcome.blame,
        bytes=None if whole is None or below is None else whole - below,
        leaves=step.leaves,
    )


def _leaf(
    name: str, plan: Plan, nodes: Mapping[Key, NodeReport], fact: ImageFact | None, origins: Origins
) -> LeafReport:
    row, stack = plan.rows[name], tuple(_chain(plan.tips[name], nodes))
    tip = stack[0]
    good = tip.outcome in {Status.BUILT, Status.REUSED}
    broken = None if good else next((node for node in stack if node.outcome is Status.FAILED), None)
    stopped = broken is not None and broken.interrupted
    blame = broken.key if broken and not stopped else None
    return LeafReport(
        name=name,
        family=row.family.name,
        tag=row.tag,
        outcome=tip.outcome if good else Status.FAILED if blame else Status.SKIPPED,
        image=fact.image if fact else row.image,
        fact=fact if good else None,  # an older image of that name is not what this run was asked for
        blame=blame,
        seconds=sum(node.seconds for node in stack if node.leaves == (name,)),
        why=INTERRUPTED if stopped else tip.why,
        base=origins.bases.get(row.base.image, row.base.image or row.base.bootstrap),
        locks=tuple(locked.path for locked in origins.locks.get(name, ())),
    )


def _chain(tip: Key, nodes: Mapping[Key, NodeReport]) -> Iterable[NodeReport]:
    """Yield the nodes of a row, last to first."""
    key: Key | None = tip
    while key is not None and key in nodes:
        yield nodes[key]
        key = nodes[key].parent


def _node_document(node: NodeReport) -> Mapping[str, object]:
    return {
        "key": node.key,
        "layer": node.layer,
        "parent": node.parent,
        "label": node.label,
        "outcome": node.outcome.value,
        "seconds": round(node.seconds, 3),
        **({"waited": round(node.waited, 3)} if node.waited else {}),
        "log": node.log,
        "attempts": node.attempts,
        "retries": retry_documents(node.retries),
        "started": None if node.started is None else round(node.started, 3),
        "lane": node.lane,
        "why": node.why,
        "tail": list(node.tail),
        "bytes": node.bytes,
        "leaves": list(node.leaves),
    }


def _push_document(pushed: Pushed) -> Mapping[str, object]:
    return {
        "node": pushed.key,
        "name": pushed.name,
        "outcome": pushed.status.value,
        "seconds": round(pushed.seconds, 3),
        "attempts": pushed.attempts,
        "retries": retry_documents(pushed.retries),
        "why": pushed.why,
    }


def retry_documents(retries: Iterable[Retry]) -> list[Mapping[str, object]]:
    """Return what report.json says of the tries that were repeated, of a node, a push or a tag."""
    return [
        {
            "number": retry.number,
            "why": retry.why,
            "kind": retry.flake.kind.value,
            "source": retry.flake.source,
            "waited": round(retry.wait_seconds, 3),
        }
        for retry in retries
    ]


def _leaf_document(leaf: LeafReport, labels: Mapping[Key, str]) -> Mapping[str, object]:
    return {
        "name": leaf.name,
        "family": leaf.family,
        "tag": leaf.tag,
        "outcome": leaf.outcome.value,
        "image": leaf.image,
        "digest": leaf.fact.digest if leaf.fact else None,
        "bytes": leaf.fact.bytes if leaf.fact else None,
        "blame": {"node": leaf.blame, "label": labels[leaf.blame]} if leaf.blame else None,
        "seconds": round(leaf.seconds, 3),
        "why": leaf.why,
        "base": leaf.base,
        "locks": list(leaf.locks),
    }
