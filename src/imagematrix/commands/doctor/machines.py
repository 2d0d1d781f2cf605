"""What doctor says of a cluster: whether it takes this matrix's builds, and which machines do not."""

from imagematrix import __version__
from imagematrix.cluster import Link, security
from imagematrix.cluster.machines import builds_for, none_usable, unusable
from imagematrix.project import Project
from imagematrix.report.outputs import Prerequisite, PrerequisiteState
from imagematrix.text.formatting import count


def cluster(project: Project, address: str, certificates: str) -> Prerequisite:
    """Ask the scheduler for its machines. Raises NoClusterError and FlagError."""
    link, wanted = Link(security.address(address), certificates, who=""), {row.platform for row in project.obtainable}
    try:
        link.look()
        found = sorted(link.machines(), key=lambda machine: machine.facts.name)
    finally:
        link.close()
    idle = {each.facts.name: why for each in found if (why := unusable(each, __version__, wanted))}
    slots = sum(each.facts.slots for each in found if each.facts.name not in idle)
    usable = [each.facts for each in found if each.facts.name not in idle]
    lacking = sorted(each for each in wanted if not any(builds_for(facts, each) for facts in usable))
    if lacking:
        said, _, remedy = none_usable(link.name, found, version=__version__, platform=lacking[0]).partition("\n")
        return Prerequisite(what="cluster", state=PrerequisiteState.BAD, said=said, remedy=" ".join(remedy.split()))
    said = f"{count(len(found) - len(idle), 'machine')}, {count(slots, 'worker slot')}"
    if not idle:
        return Prerequisite(what="cluster", state=PrerequisiteState.GOOD, said=said)
    words = "; ".join(f"{name}: {why}" for name, why in idle.items())
    return Prerequisite(what="cluster", state=PrerequisiteState.WEAK, said=f"{said}; {words}", remedy=_REMEDY)


_REMEDY = "the others build without them; `imagematrix cluster status` lists all"
