"""Decides which nodes have moved that download something no lock names: they are built anew, and compared."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from imagematrix.commands.terminal import note
from imagematrix.model import Key, Leaf, Node, Row
from imagematrix.planning import lock, moved
from imagematrix.planning.graph import Dag
from imagematrix.planning.reproducible import Difference
from imagematrix.project import Project
from imagematrix.text.formatting import count


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A node that is built anew, to be compared with what it holds so far."""

    node: Node
    new: Key
    """Its key if it has moved."""
    digest: str
    """What the registry has of it so far; empty: the engine has it."""

    @property
    def name(self) -> str:
        """The node as `--only-nodes` names it."""
        return f"{self.node.leaf.row.name}/{self.node.layer}"


class Trials(Protocol):
    """Builds nodes anew and compares them, with an engine or on the machines of a cluster."""

    def there(self, dag: Dag) -> Mapping[Key, str]:
        """Return which nodes of a DAG have an image to compare with: key -> digest in the registry, as in `Trial`."""

    def compare(self, tried: Project, trials: Sequence[Trial]) -> Mapping[Key, Difference | None]:
        """Build nodes anew, as a project has them; return what differs first, by new key, of those compared.

        The new images of nodes that hold the same are removed.
        """


def refresh(project: Project, rows: Sequence[Row], epoch: str, trials: Trials, stop: threading.Event) -> Project:
    """Return the project with a lock in which exactly the nodes of the rows have moved whose content did.

    A node that is built on another one of them is looked at only where that did not move: else it is rebuilt anyway.
    One that is nowhere is not looked at: the build downloads it today. What cannot be built or compared counts as
    moved, so that the build tries it again and reports it. Once `stop` is set, the project is returned as it was. What
    `trials` raises leaves the lock as it was, too.
    """
    leaves = project.leaves(rows)
    found, settled = project, set[str]()
    while due := moved.due(dag := found.dag(leaves), settled):
        tried = _at(found, due, epoch)
        these = _trials(tried, due, dag, leaves, trials)
        if these:
            note(f"{count(len(these), 'node')} with downloads that no lock names: built again, and compared")
        changes = trials.compare(tried, these) if these else {}
        if stop.is_set():
            return project
        moving = [each for each in these if _has_moved(each, changes)]
        _remember_again(found, [each for each in these if each not in moving])
        found = _at(found, [each.node for each in moving], epoch)
        settled.update(node.moving for node in due)
    if found.lock != project.lock:
        whole = found.dag(found.leaves(found.obtainable))
        found = replace(found, lock=moved.pruned(found.lock, whole))
        found.repository.write_lock(lock.dump(found.lock))
    return found


def _at(project: Project, due: Sequence[Node], epoch: str) -> Project:
    return replace(project, lock=moved.recorded(project.lock, [node.moving for node in due], epoch))


def _trials(
    tried: Project, due: Sequence[Node], dag: Dag, leaves: Mapping[str, Leaf], trials: Trials
) -> Sequence[Trial]:
    new = {node.moving: node.key for node in tried.dag(leaves).nodes.values() if node.moving}
    later = [node for node in due if new[node.moving] != node.key]  # a resumed run meets those that it has moved
    there = trials.there(dag.restricted([node.key for node in later])) if later else {}
    return [Trial(node=node, new=new[node.moving], digest=there[node.key]) for node in later if node.key in there]


def _remember_again(project: Project, same: Sequence[Trial]) -> None:
    """Record nodes that stay as built last, in place of their trials: what changes later is compared with them."""
    built = {record.key: record for record in project.state.history()} if same else {}
    for trial in same:
        if trial.new in built:
            project.state.remember(replace(built[trial.new], key=trial.node.key, inputs=trial.node.inputs))


def _has_moved(trial: Trial, changes: Mapping[Key, Difference | None]) -> bool:
    if trial.new not in changes:
        note(f"{trial.name}: it was not compared, and counts as moved")
        return True
    change = changes[trial.new]
    if change:
        note(f"{trial.name}: what it downloads has moved: /{change.path} ({change.what})")
    else:
        note(f"{trial.name}: what it downloads has not moved")
    return change is not None
