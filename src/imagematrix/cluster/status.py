"""What a scheduler says of its cluster."""

from imagematrix.cluster import security
from imagematrix.cluster.link import Link, ListedMachine
from imagematrix.text.formatting import count


def text(at: str, certificates: str) -> str:
    """Return a line for each machine of a cluster. Raises FlagError and NoClusterError."""
    link = Link(security.address(at), certificates, who="")
    try:
        link.look()
        machines = sorted(link.machines(), key=lambda machine: machine.facts.name)
    finally:
        link.close()
    slots = sum(machine.facts.slots for machine in machines if not machine.away)
    head = f"{link.name}: {count(len(machines), 'machine')}, {count(slots, 'worker slot')}"
    return "\n".join([head, *map(_line, machines), ""])


def _line(machine: ListedMachine) -> str:
    facts = machine.facts
    state = f"takes no jobs: {machine.away}" if machine.away else count(facts.slots, "worker slot")
    return "  ".join(["", facts.name, facts.platform, f"imagematrix {facts.version}", state, *facts.labels])
