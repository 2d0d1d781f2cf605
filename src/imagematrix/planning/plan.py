"""The DAG and what exists in, a plan out: a verdict and a reason for each node."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from imagematrix import __version__
from imagematrix.model import Key, Node, Plan, Step, Verdict
from imagematrix.planning import keys
from imagematrix.planning.graph import Dag
from imagematrix.text.documents import Seconds

_CANDIDATES: Final = 64
"""How many of a layer's latest records are compared to find the nearest: a reason must not cost a plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is remembered of a node that was built: enough to say later what changed."""

    key: Key
    layer: str
    inputs: Mapping[str, str]
    rows: tuple[str, ...]
    seconds: Seconds
    version: str = ""
    """Of imagematrix, which built it."""
    given: str = ""
    """The hash of what the monorepo itself gave to its stage; empty: not known."""


def make(
    dag: Dag,
    *,
    present: Collection[Key],
    kept: Mapping[Key, str] | None = None,
    doubts: Mapping[Key, str] | None = None,
    history: Callable[[], Sequence[Record]] = list,
    all_rows: Collection[str] = (),
    given: Callable[[Node], str] = lambda _: "",
) -> Plan:
    """Decide for each node whether it is built, pulled or reused.

    `present` are the keys that exist on the engine, `kept` those in the registry, each with its digest there: both are
    proven. `doubts` says why images with the names of other nodes are not accepted. `history` gives what was built
    before, oldest first, and is only called when something must be built; `all_rows` names every row of the matrix, and
    `given` returns the hash of what the monorepo itself gave to a node's stage. These four are only asked for reasons,
    never for verdicts.
    """
    kept, doubts = kept or {}, doubts or {}
    needs = dag.needed(present, kept)
    needed = needs.keys
    read = {*needs.tools.values()}.union(*((dag.nodes[key].parent, dag.nodes[key].packages) for key in needed))
    pulled = {key for key in read if key and key not in needed and key not in present}
    past = _Past(dag, history() if needed else (), all_rows or dag.final_nodes)
    rows_by_node = dag.rows_by_node()
    gifts = {key: partial(given, dag.nodes[key]) for key in needed}
    steps = tuple(
        Step(
            node=node,
            verdict=_verdict(node, needed, pulled),
            reason=doubts.get(node.key) or past.reason(node, rows_by_node[node.key], needed, gifts[node.key])
            if node.key in needed
            else _found(node, present, kept),
            leaves=rows_by_node[node.key],
            digest=kept[node.key] if node.key in pulled else "",
            tool=needs.tools.get(node.key),
            give=gifts.get(node.key, str),
        )
        for node in dag.order()
    )
    return Plan(steps=steps, final_nodes=dag.final_nodes, rows=dag.rows)


def to_push(plan: Plan, *, present: Collection[Key], kept: Collection[Key]) -> tuple[Key, ...]:
    """Return the nodes that the registry lacks and the engine has, or will have when they are built; parents first."""
    return tuple(
        step.node.key
        for step in plan.steps
        if step.node.key not in kept and (step.node.key in present or step.verdict is Verdict.BUILD)
    )


def _verdict(node: Node, needed: Collection[Key], pulled: Collection[Key]) -> Verdict:
    if node.key in needed:
        return Verdict.BUILD
    return Verdict.PULL if node.key in pulled else Verdict.REUSE


def _found(node: Node, present: Collection[Key], kept: Collection[Key]) -> str:
    if node.key in present:
        return f"an image with key {node.key[:12]} exists"
    if node.key in kept:
        return f"an image with key {node.key[:12]} is in the registry"
    return "not needed: everything built on it exists"


class _Past:
    """Finds for a node that must be built the recorded one it comes from, to say what changed."""

    def __init__(self, dag: Dag, history: Sequence[Record], all_rows: Collection[str]) -> None:
        self._nodes = dag.nodes
        self._all_rows = frozenset(all_rows)
        self._by_key = {record.key: (age, record) for age, record in enumerate(history)}
        self._by_layer: dict[str, dict[Key, None]] = {}
        self._by_row: dict[tuple[str, str], Key] = {}
        for record in history:
            self._by_layer.setdefault(record.layer, {})[record.key] = None
            self._by_row.update({(record.layer, row): record.key for row in record.rows})

    def reason(self, node: Node, rows: tuple[str, ...], needed: Collection[Key], given: Callable[[], str]) -> str:
        if node.key in self._by_key:
            return "it was built before, but its image is gone from the engine"
        origin = self._origin(node, rows)
        if origin is None:
            return f"no {node.layer} was built before"
        changes = [self._below(change, node, needed) for change in keys.differences(origin.inputs, node.inputs)]
        replaced = set(rows) & set(origin.rows) or self._superseded(origin)
        of_version = _of_version(origin, node, given)
        return of_version + ("" if replaced else "new: unlike the nearest node, ") + "; ".join(changes)

    def _origin(self, node: Node, rows: tuple[str, ...]) -> Record | None:
        """Return the record a node most likely replaces.

        One of the same rows; else one that the matrix no longer wants; then the one with the fewest
        differing lines; then the latest.
        """
        same_rows = {key for row in rows if (key := self._by_row.get((node.layer, row)))}
        latest = list(self._by_layer.get(node.layer, ()))[-_CANDIDATES:]

        def likeness(key: Key) -> tuple[bool, int, int]:
            age, record = self._by_key[key]
            return (not self._superseded(record), _distance(record, node), -age)

        candidates = same_rows or latest
        return self._by_key[min(candidates, key=likeness)][1] if candidates else None

    def _superseded(self, record: Record) -> bool:
        return not self._all_rows & set(record.rows)

    def _below(self, change: str, node: Node, needed: Collection[Key]) -> str:
        """Name the node that a change is about, if it is about one."""
        changed = {keys.PARENT_CHANGED: node.parent, keys.PACKAGES_CHANGED: node.packages}.get(change)
        if changed is None:
            return change
        what = "parent " if changed == node.parent else ""
        return f"its {what}{self._nodes[changed].layer} {'is rebuilt' if changed in needed else 'differs'}"


def _of_version(origin: Record, node: Node, given: Callable[[], str]) -> str:
    """Begin a reason that another version of imagematrix is to blame for: all that the monorepo gave is the same."""
    is_another = origin.version not in ("", __version__)
    if is_another and keys.is_rendered_otherwise(origin.inputs, node.inputs) and origin.given == given():
        return f"imagematrix {__version__} renders this stage differently: "
    return ""


def _distance(record: Record, node: Node) -> int:
    pairs = ((record.inputs.get(name, ""), node.inputs.get(name, "")) for name in {*record.inputs, *node.inputs})
    return sum(len({*old.splitlines()} ^ {*new.splitlines()}) for old, new in pairs if old != new)
