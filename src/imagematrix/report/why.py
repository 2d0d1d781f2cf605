"""One node of a plan explained: its verdict, the reason, and all that its key was made from."""

from collections.abc import Iterator

from imagematrix.errors import FlagError, did_you_mean
from imagematrix.model import Plan, Step
from imagematrix.text.words import label


def explanation(plan: Plan, name: str) -> str:
    """Explain the nodes of a layer, or the one whose key begins so. Raises FlagError when there is none."""
    steps = [step for step in plan.steps if name == step.node.layer or step.node.key.startswith(name)]
    if not steps:
        known = {step.node.layer for step in plan.steps}
        raise FlagError(f"--why {name}: no layer or key of this plan\n    {did_you_mean(name, known)}")
    return "\n".join(line for step in steps for line in _lines(step))


def _lines(step: Step) -> Iterator[str]:
    yield f"{label(step)}"
    yield f"    key      {step.node.key}"
    yield f"    verdict  {step.verdict}: {step.reason}"
    yield f"    leaves   {', '.join(step.leaves)}"
    yield "    made from"
    for name, value in sorted(step.node.inputs.items()):
        first, *more = value.splitlines() or [""]
        yield f"        {name}: {first}"
        yield from (f"            {line}" for line in more)
    yield ""
