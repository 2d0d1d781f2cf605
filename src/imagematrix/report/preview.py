"""A plan in, what would be built out: for a reader and for a machine."""

import json
from collections.abc import Mapping, Sequence

from imagematrix.model import Plan, Step, Verdict
from imagematrix.report.words import count, label, some

_NODES_SHOWN = 12
_LEAVES_SHOWN = 3
_WAITING_SHOWN = 20


def plan_text(plan: Plan) -> str:
    """Say what would be built, why, and which leaves wait for it; alike nodes are told together."""
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in _to_build(plan):
        groups.setdefault((step.node.layer, step.reason), []).append(step)
    lines = [line for (layer, reason), steps in groups.items() for line in _group_lines(layer, reason, steps)]
    waiting = _waiting(plan)
    if waiting:
        lines += [f"waiting: {some(waiting, _WAITING_SHOWN)}", ""]
    return "\n".join([*lines, _counts_line(plan)]) + "\n"


def plan_json(plan: Plan) -> str:
    """Write a plan as the JSON that `invoke plan --json` promises."""
    document = {"nodes": [_document(step) for step in plan.steps], "summary": _counts(plan)}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _group_lines(layer: str, reason: str, steps: Sequence[Step]) -> list[str]:
    return [
        f"build {layer}: {count(len(steps), 'node')}: {reason}",
        *(f"    {label(step)}{_for(step)}" for step in steps[:_NODES_SHOWN]),
        *([f"    and {len(steps) - _NODES_SHOWN} more"] if len(steps) > _NODES_SHOWN else []),
        "",
    ]


def _for(step: Step) -> str:
    return f"  for {some(step.leaves, _LEAVES_SHOWN)}" if len(step.leaves) > 1 else ""


def _counts_line(plan: Plan) -> str:
    counts = _counts(plan)
    nodes, leaves = count(counts["nodes"], "node"), count(counts["leaves"], "leaf", "leaves")
    if not counts["build"]:
        return f"{nodes}: nothing to build, {leaves} up to date"
    waits = "waits" if counts["waiting"] == 1 else "wait"
    return f"{nodes}: {counts['build']} to build, {counts['reuse']} reused; {counts['waiting']} of {leaves} {waits}"


def _counts(plan: Plan) -> Mapping[str, int]:
    build = len(_to_build(plan))
    return {
        "nodes": len(plan.steps),
        "build": build,
        "reuse": len(plan.steps) - build,
        "leaves": len(plan.tips),
        "waiting": len(_waiting(plan)),
    }


def _to_build(plan: Plan) -> list[Step]:
    return [step for step in plan.steps if step.verdict is Verdict.BUILD]


def _waiting(plan: Plan) -> list[str]:
    """Return the leaves whose last node must be built, sorted."""
    building = {step.node.key for step in _to_build(plan)}
    return [name for name, tip in plan.tips.items() if tip in building]


def _document(step: Step) -> Mapping[str, object]:
    return {
        "key": step.node.key,
        "layer": step.node.layer,
        "parent": step.node.parent,
        "verdict": step.verdict.value,
        "reason": step.reason,
        "leaves": list(step.leaves),
    }
