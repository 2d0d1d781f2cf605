"""What doctor says of a cluster: whether it takes this matrix's builds, and what each machine lacks."""

from collections.abc import Mapping
from typing import Final

from imagematrix import __version__
from imagematrix.cluster import Link, security
from imagematrix.cluster.machines import builds_for, none_usable, unusable
from imagematrix.cluster.messages import HealthQuestion, MachineHealth
from imagematrix.commands.doctor import space
from imagematrix.project import Project
from imagematrix.report.outputs import Prerequisite, PrerequisiteState
from imagematrix.text.formatting import count, size

_REMEDY: Final = "the others build without them; `imagematrix cluster status` lists all"


def cluster(project: Project, address: str, certificates: str) -> Prerequisite:
    """Ask the scheduler for its machines, and each of them how it is. Raises NoClusterError and FlagError."""
    link, wanted = Link(security.address(address), certificates, who=""), {row.platform for row in project.obtainable}
    try:
        link.look()
        found = sorted(link.machines(), key=lambda machine: machine.facts.name)
        answers = link.ask(HealthQuestion(repository=project.matrix.nodes), __version__)
    finally:
        link.close()
    health = {name: answer for name, answer in answers.items() if isinstance(answer, MachineHealth)}
    if not found:
        said, _, remedy = none_usable(link.name, found, version=__version__, platform="").partition("\n")
        return Prerequisite(what="cluster", state=PrerequisiteState.BAD, said=said, remedy=remedy.strip())
    faults = {each.facts.name: unusable(each, __version__, wanted) or _fault(health, each.facts.name) for each in found}
    usable = [each.facts for each in found if not faults[each.facts.name]]
    lines = [f"{each.facts.name}: {faults[each.facts.name] or _line(health[each.facts.name])}" for each in found]
    lacking = sorted(each for each in wanted if not any(builds_for(facts, each) for facts in usable))
    if lacking:
        said = "\n".join([f"no machine of the cluster at {link.name} can build for {lacking[0]}", *lines])
        return Prerequisite(what="cluster", state=PrerequisiteState.BAD, said=said)
    slots = sum(facts.slots for facts in usable)
    said = "\n".join([f"{count(len(usable), 'machine')}, {count(slots, 'worker slot')}", *lines])
    if len(usable) < len(found):
        return Prerequisite(what="cluster", state=PrerequisiteState.WEAK, said=said, remedy=_REMEDY)
    rooms = {space.state(each.free) for each in health.values() if each.free is not None}
    state = PrerequisiteState.WEAK if PrerequisiteState.WEAK in rooms else PrerequisiteState.GOOD
    return Prerequisite(what="cluster", state=state, said=said)


def _fault(health: Mapping[str, MachineHealth], name: str) -> str:
    """Return why a machine that takes jobs cannot do them; empty: it can."""
    if name not in health:
        return "it does not answer"
    found = health[name]
    if found.faults:
        return "; ".join(found.faults)
    is_full = found.free is not None and space.state(found.free) is PrerequisiteState.BAD
    return f"its disk has {size(found.free or 0)} free" if is_full else ""


def _line(found: MachineHealth) -> str:
    free = "free space is unknown" if found.free is None else f"{size(found.free)} free"
    return f"{found.engine}, {free}, it reaches the node cache"
