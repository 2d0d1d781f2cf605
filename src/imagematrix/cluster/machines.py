"""Which machines of a cluster take jobs, and which are avoided."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from imagematrix.cluster.link import Link, ListedMachine
from imagematrix.cluster.messages import MachineFacts
from imagematrix.errors import NoClusterError
from imagematrix.execution.worker import ENGINE_SECONDS
from imagematrix.model import FlakeKind, Key, UsedMachine
from imagematrix.planning import placement
from imagematrix.text import platforms

_LOOK_SECONDS: Final = 1.0
"""How soon a thread that waits for a machine sees that it need not wait any more."""


def none_usable(cluster: str, found: Sequence[ListedMachine], *, version: str, platform: str) -> str:
    """Say why a cluster has no machine for a Docker platform of a run, and what to do."""
    if not found:
        return (
            f"no machine has joined the cluster at {cluster}\n"
            f"    run `imagematrix worker {cluster}` on each machine that has an engine"
        )
    why = [f"{each.facts.name}: {unusable(each, version, [platform])}" for each in found]
    return "\n    ".join([f"no machine of the cluster at {cluster} can build for {platform}", *sorted(why)])


def unusable(machine: ListedMachine, version: str, wanted: Collection[str]) -> str:
    """Say why a machine gets no jobs of a run for some Docker platforms, and what to do; empty: it gets some."""
    if machine.facts.version != version:
        return f"it has imagematrix {machine.facts.version}, and this is {version}: install the same version on both"
    if not any(builds_for(machine.facts, platform) for platform in wanted):
        others = " or ".join(sorted(wanted))
        return f"its engine builds for {machine.facts.platform}: add a machine of {others}, or --emulate it there"
    return machine.away


def builds_for(machine: MachineFacts, platform: str, *, natively: bool = False) -> bool:
    """Whether a machine runs the programs of a Docker platform, by emulation too unless `natively`."""
    emulated = () if natively else machine.emulates
    return platforms.without_variant(platform) in platforms.run_by(machine.platform, emulated)


def gone(link: Link, machines: "Machines") -> str:
    """Say why a cluster does nothing any more; empty: it would."""
    if not link.is_up():
        return f"the connection to {link.name} broke"
    return "" if machines.usable() else f"no machine of {link.name} takes jobs any more"


def went_away(left: str, why: str, *, kept: str) -> NoClusterError:
    """Return that a cluster went away: what is `left`, and what was done and is `kept`."""
    return NoClusterError(
        f"{left}: {why}\n"
        f"    what was {kept} is kept: start the scheduler and the machines, and run the same command again"
    )


class Machines:
    """The machines of a run. Its methods may be called from any thread."""

    def __init__(self, *, version: str, platforms: Collection[str], changed: Callable[[], None]) -> None:
        """Take what machines must be of, any of the platforms; `changed` is called when one comes or goes."""
        self._version = version
        self._platforms = platforms
        self._changed = changed
        self._there: dict[str, MachineFacts] = {}
        self._seen: dict[str, MachineFacts] = {}
        """Those that have been there."""
        self._first_slots: dict[str, int] = {}
        self._slots_given = 0
        self._shunned: dict[Key, set[str]] = {}
        self._faults: Counter[str] = Counter()
        self._usable: dict[str, frozenset[str]] = {}
        """By Docker platform: asked for with each job."""
        self._none_since: dict[str, float] = {}
        """Docker platforms that no machine takes jobs for, and since when."""
        self._lock = threading.Lock()
        self._came = threading.Condition(self._lock)

    def take(self, link: Link) -> None:
        """Take the machines of a cluster. Raises NoClusterError for a Docker platform that none of them is for."""
        found = link.machines()
        self.reset(each.facts for each in found if not each.away)
        for platform in sorted(self._platforms):
            if not self.usable(platform):
                raise NoClusterError(none_usable(link.name, found, version=self._version, platform=platform))

    def reset(self, found: Iterable[MachineFacts]) -> None:
        """Take it that exactly these are there."""
        with self._came:
            self._there.clear()
            for facts in found:
                self._add(facts)
            self._note_change()
        self._changed()

    def joined(self, facts: MachineFacts) -> None:
        """Note a machine that takes jobs; one of another version or platform would refuse them."""
        with self._came:
            self._add(facts)
            self._note_change()
        self._changed()

    def left(self, name: str) -> None:
        """Note a machine that takes no more jobs."""
        with self._came:
            self._there.pop(name, None)
            self._note_change()
        self._changed()

    def usable(self, platform: str = "") -> frozenset[str]:
        """Return those that take jobs, for a Docker platform if one is named.

        Those that emulate it count only if no other machine is for it, and last those that were set aside.
        """
        with self._lock:
            return self._find_usable(platform)

    def await_usable(self, platform: str, *, lasts: Callable[[], bool]) -> frozenset[str]:
        """Return those that take jobs for a Docker platform; if there are none, wait for one while `lasts` is true.

        When the last one has left, a machine is waited for as long as a lost engine is. So all that waits gives up at
        once, and what comes later does not wait any more.
        """
        with self._came:
            while not (found := self._find_usable(platform)) and lasts():
                left = self._none_since.setdefault(platform, time.monotonic()) + ENGINE_SECONDS - time.monotonic()
                if left <= 0:
                    break
                self._came.wait(min(left, _LOOK_SECONDS))
            return found

    def wake(self) -> None:
        """Let those who wait for a machine look again whether they need one."""
        with self._came:
            self._came.notify_all()

    def has(self, name: str) -> bool:
        """Whether a machine takes jobs, or was only set aside."""
        with self._lock:
            return name in self._there

    def labelled(self, label: str) -> frozenset[str]:
        """Return those that take jobs and have a label."""
        with self._lock:
            return frozenset(name for name, facts in self._there.items() if label in facts.labels)

    def capacities(self) -> Mapping[str, int]:
        """Return how many nodes each machine builds at once."""
        with self._lock:
            return {name: facts.slots for name, facts in self._there.items()}

    def slots(self, platform: str = "") -> int:
        """Return how many nodes all of them build at once, or those that take jobs for a Docker platform."""
        with self._lock:
            wanted = self._find_usable(platform) if platform else self._there
            return sum(facts.slots for name, facts in self._there.items() if name in wanted)

    def slot(self, machine: str, number: int) -> int:
        """Return the number of a worker slot among those of all machines."""
        with self._lock:
            return self._first_slots.get(machine, 0) + number

    def shunned(self, key: Key) -> Collection[str]:
        """Return the machines where a node failed for their own reasons."""
        with self._lock:
            return frozenset(self._shunned.get(key, ()))

    def shun(self, key: Key, machines: Iterable[str]) -> None:
        """Let the next try at a node avoid machines."""
        with self._lock:
            self._shunned.setdefault(key, set()).update(machines)

    def failed(self, key: Key, machine: str, kind: FlakeKind) -> None:
        """Note a failure on a machine: the next try avoids it if it may be the machine's own."""
        if not machine or not placement.is_own_fault(kind):
            return
        self.shun(key, [machine])
        if kind is FlakeKind.ENGINE:
            with self._lock:
                self._faults[machine] += 1
                self._usable.clear()
            self._changed()  # what waits for it goes elsewhere if it is set aside now

    def used(self) -> tuple[UsedMachine, ...]:
        """Return the machines that have been there, those that left too."""
        with self._lock:
            return tuple(
                UsedMachine(
                    name=facts.name,
                    slots=facts.slots,
                    labels=facts.labels,
                    faults=self._faults[facts.name],
                    is_set_aside=facts.name in self._set_aside(),
                )
                for facts in sorted(self._seen.values(), key=lambda facts: facts.name)
            )

    def _add(self, facts: MachineFacts) -> None:
        if facts.version == self._version and any(builds_for(facts, platform) for platform in self._platforms):
            self._there[facts.name] = self._seen[facts.name] = facts
            self._first_slots.setdefault(facts.name, self._slots_given)
            if self._first_slots[facts.name] == self._slots_given:
                self._slots_given += facts.slots

    def _note_change(self) -> None:
        self._usable.clear()
        for platform in {*self._platforms, *self._none_since}:
            if self._find_usable(platform):
                self._none_since.pop(platform, None)
            else:
                self._none_since.setdefault(platform, time.monotonic())
        self._came.notify_all()

    def _find_usable(self, platform: str) -> frozenset[str]:
        if platform not in self._usable:
            there = frozenset(self._there)
            if platform:
                there = self._builders(platform, natively=True) or self._builders(platform, natively=False)
            self._usable[platform] = there - self._set_aside() or there
        return self._usable[platform]

    def _builders(self, platform: str, *, natively: bool) -> frozenset[str]:
        return frozenset(name for name, facts in self._there.items() if builds_for(facts, platform, natively=natively))

    def _set_aside(self) -> frozenset[str]:
        return frozenset(name for name, faults in self._faults.items() if faults >= placement.MOST_FAULTS)
