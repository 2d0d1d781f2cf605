"""Where a try at a node may run, when many machines build: by where its parents' images are, and by who failed."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from imagematrix.model import FlakeKind, Key, Plan, Verdict

MOST_FAULTS = 2
"""A machine that has failed so often for its own reasons is set aside for the rest of the run."""

_OWN_FAULTS = frozenset({FlakeKind.ENGINE, FlakeKind.NETWORK})
"""Failures that another machine may not have: its engine, and its way to registries and sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where the image of a parent is."""

    key: Key
    machine: str
    """The machine that made it; empty: the registry had it before the run."""
    is_pushed: bool
    """The registry has it: any machine can pull it."""
    is_shared: bool
    """Several nodes are built on it, so they need not all be built where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a try may run."""

    machines: tuple[str, ...]
    """One of these; none: no machine can do it as long as `lost` are not made again."""
    lost: tuple[Key, ...] = ()
    """Parents whose images no usable machine can get: they must be made again first."""


def place(parents: Sequence[Whereabouts], *, machines: Collection[str], shunned: Collection[str]) -> Placement:
    """Decide where a try may run.

    `machines` are those that take jobs, `shunned` those where this node failed for the machine's own reasons: they
    count only if there is no other.
    """
    usable = frozenset(machines).difference(shunned) or frozenset(machines)
    lost = [parent for parent in parents if not parent.is_pushed and parent.machine not in usable]
    homes = {parent.machine for parent in parents if not parent.is_pushed}
    if len(homes) > 1 and not lost:  # one of them must be made where the other is
        lost = [parent for parent in parents if not parent.is_pushed and parent.machine != min(homes)]
    if lost:
        return Placement(machines=(), lost=tuple(parent.key for parent in lost))
    near = {parent.machine for parent in parents if not parent.is_shared} & usable
    return Placement(machines=tuple(sorted(homes or near or usable)))


def is_own_fault(kind: FlakeKind | None) -> bool:
    """Whether a failure of this kind may be the machine's own, so that the next try is made elsewhere."""
    return kind in _OWN_FAULTS


def shared(plan: Plan) -> frozenset[Key]:
    """Return the nodes that are pushed before anything is built on them: several nodes need them.

    What only one node is built on is pushed beside the next build, which needs no pull because it runs on the same
    machine. (When every node was pushed before the next, 684 builds took 1.8 times as long as needed in a simulation.)
    """
    wanted = [step for step in plan.steps if step.verdict is not Verdict.REUSE]
    needs = Counter(need for step in wanted for need in step.needs)
    beside_others = {need for step in wanted if len(step.needs) > 1 for need in step.needs}
    return frozenset(need for need, number in needs.items() if number > 1 or need in beside_others)
