"""How far a run on many machines was from the shortest possible one."""

from typing import TYPE_CHECKING

from imagematrix.report.document import Document

if TYPE_CHECKING:
    from imagematrix.model import Key


def ratio(run: Document) -> float | None:
    """Return how many times as long as needed the builds took; None: the run had no machines, or built nothing.

    No run is shorter than its longest chain of builds, or than all builds on all worker slots. Pulls count as waits.
    """
    nodes = [node for node in run.nodes if node.ran]
    slots = sum(machine.slots for machine in run.machines)
    if not nodes or not slots:
        return None
    ends: dict[Key | None, float] = {}
    work = {node.key: max(0.0, node.seconds - node.pulled) for node in nodes}
    for node in run.nodes:  # parents first
        below = max(ends.get(node.parent, 0.0), ends.get(node.packages, 0.0))
        ends[node.key] = below + work.get(node.key, 0.0)
    least = max(*ends.values(), sum(work.values()) / slots)
    took = max((node.started or 0.0) + node.waited + node.seconds for node in nodes)
    return took / least if least else None
