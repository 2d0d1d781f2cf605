"""What `plan` prints: what would be built, for a reader and for a machine; or one node explained."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imagematrix.errors import FlagError, did_you_mean
from imagematrix.model import Key, Plan, Size, Step, Verdict
from imagematrix.planning import sizes
from imagematrix.report.outputs import PlanDocument, PlannedNode, PlanSummary
from imagematrix.text import documents
from imagematrix.text.formatting import abbreviate, approx_duration, count, label, quantity, size

_ALL: Final = sys.maxsize


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """How much of long lists is shown."""

    nodes: int = 12
    leaves: int = 3
    waiting: int = 20


Sizes = Mapping[Key, Size]
"""What is predicted of nodes that install Python packages."""


def plan_text(plan: Plan, predicted: Sizes, seconds: float, *, whole: bool = False) -> str:
    """Say what would be built, why, how much of it is downloaded, how long it takes, and which leaves wait for it.

    Similar nodes share a line; `seconds` are those of the whole plan. Of long lists the beginning is shown, unless
    `whole`.
    """
    shown = _Shown(nodes=_ALL, leaves=_ALL, waiting=_ALL) if whole else _Shown()
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in _to_build(plan):
        groups.setdefault((step.node.layer, step.reason), []).append(step)
    lines = [
        line
        for (layer, reason), steps in groups.items()
        for line in _group_lines(layer, reason, steps, predicted, shown)
    ]
    pulled = [label(step) for step in plan.steps if step.verdict is Verdict.PULL]
    if pulled:
        lines += [f"pull from the registry: {abbreviate(pulled, shown.nodes)}", ""]
    lines += _chained(plan)
    waiting = _waiting(plan)
    if waiting:
        lines += [f"waiting: {abbreviate(waiting, shown.waiting)}", "", *_stored(plan, predicted)]
    length = f"; takes {approx_duration(seconds)}" if waiting else ""
    return "\n".join([*lines, _counts_line(plan) + _total(plan, predicted) + length]) + "\n"


def plan_json(plan: Plan, predicted: Sizes, seconds: float) -> str:
    """Write a plan as the JSON that `invoke plan --json` promises; `seconds` are those of the whole."""
    nodes = tuple(_entry(step, predicted.get(step.node.key)) for step in plan.steps)
    return documents.write(PlanDocument(nodes=nodes, summary=_summary(plan, predicted, seconds)))


def _group_lines(layer: str, reason: str, steps: Sequence[Step], predicted: Sizes, shown: _Shown) -> list[str]:
    return [
        f"build {layer}: {count(len(steps), 'node')}: {reason}",
        *(f"    {label(step)}{_download(step, predicted)}{_for(step, shown)}" for step in steps[: shown.nodes]),
        *([f"    and {len(steps) - shown.nodes} more"] if len(steps) > shown.nodes else []),
        "",
    ]


def _chained(plan: Plan) -> list[str]:
    """Say which layers are not package layers, but installed on those below them, and why."""
    counts = Counter((step.node.layer, step.node.stage.chained) for step in _to_build(plan) if step.node.stage.chained)
    lines = [f"not a package layer: {layer}, {count(number, 'node')}: {why}" for (layer, why), number in counts.items()]
    return [*lines, ""] if lines else []


def _stored(plan: Plan, predicted: Sizes) -> list[str]:
    """Say how much of Python packages there is to store in the end: each package layer once, compressed."""
    files = [step.node.key for step in plan.steps if step.node.stage.tool]
    if not files:
        return []
    links = sum(step.node.packages is not None for step in plan.steps)
    whole, own = sizes.total(predicted.values()), sum(key not in files for key in predicted)
    layers = f"{count(len(files), 'package layer')}, linked by {count(links, 'node')}"
    others = f"{count(own, 'node')} with packages of their own"
    return [f"to store: {size(whole.download)} of Python packages: {layers}, and {others}", ""]


def _for(step: Step, shown: _Shown) -> str:
    return f"  for {abbreviate(step.leaves, shown.leaves)}" if len(step.leaves) > 1 else ""


def _download(step: Step, predicted: Sizes) -> str:
    found = predicted.get(step.node.key)
    return f"  {quantity(found)}" if found else ""


def _total(plan: Plan, predicted: Sizes) -> str:
    found = _to_come(plan, predicted)
    return f"; Python packages: {quantity(found)}" if found != Size() else ""


def _to_come(plan: Plan, predicted: Sizes) -> Size:
    """Return what the nodes to build install, as far as it is known."""
    return sizes.total(predicted.get(step.node.key, Size()) for step in _to_build(plan))


def _counts_line(plan: Plan) -> str:
    build, waiting = len(_to_build(plan)), len(_waiting(plan))
    nodes, leaves = count(len(plan.steps), "node"), count(len(plan.final_nodes), "leaf", "leaves")
    if not build:
        return f"{nodes}: nothing to build, {leaves} up to date"
    waits = "waits" if waiting == 1 else "wait"
    return f"{nodes}: {build} to build, {len(plan.steps) - build} reused; {waiting} of {leaves} {waits}"


def _summary(plan: Plan, predicted: Sizes, seconds: float) -> PlanSummary:
    build, whole = len(_to_build(plan)), _to_come(plan, predicted)
    return PlanSummary(
        nodes=len(plan.steps),
        build=build,
        reuse=len(plan.steps) - build,
        leaves=len(plan.final_nodes),
        waiting=len(_waiting(plan)),
        download=whole.download,
        installed=whole.installed,
        stored=sizes.total(predicted.values()).download,
        seconds=round(seconds),
    )


def _to_build(plan: Plan) -> list[Step]:
    return [step for step in plan.steps if step.verdict is Verdict.BUILD]


def _waiting(plan: Plan) -> list[str]:
    """Return the leaves whose last node must be built, sorted."""
    building = {step.node.key for step in _to_build(plan)}
    return [name for name, tip in plan.final_nodes.items() if tip in building]


def _entry(step: Step, found: Size | None) -> PlannedNode:
    known = found if found and not found.unknown else None
    return PlannedNode(
        key=step.node.key,
        layer=step.node.layer,
        parent=step.node.parent,
        packages=step.node.packages,
        chained=step.node.stage.chained,
        verdict=step.verdict,
        reason=step.reason,
        leaves=step.leaves,
        download=known.download if known else None,
        installed=known.installed if known else None,
    )


def explanation(plan: Plan, name: str) -> str:
    """Explain the nodes of a layer, or the one whose key begins so. Raises FlagError when there is none."""
    steps = [step for step in plan.steps if name == step.node.layer or step.node.key.startswith(name)]
    if not steps:
        known = {step.node.layer for step in plan.steps}
        raise FlagError(f"--why {name}: no layer or key of this plan\n    {did_you_mean(name, known)}")
    return "\n".join(line for step in steps for line in _explained(step))


def _explained(step: Step) -> Iterator[str]:
    yield f"{label(step)}"
    yield f"    key      {step.node.key}"
    yield f"    verdict  {step.verdict}: {step.reason}"
    yield f"    leaves   {', '.join(step.leaves)}"
    if step.node.stage.chained:
        yield f"    not a package layer: {step.node.stage.chained}"
    if step.tool:
        yield f"    installed by {step.tool}"
    yield "    made from"
    for name, value in sorted(step.node.inputs.items()):
        first, *more = value.splitlines() or [""]
        yield f"        {name}: {first}"
        yield from (f"            {line}" for line in more)
    yield ""
