"""Builds anew what downloads something that no lock names, and keeps the nodes whose content is the same."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from imagematrix.commands.build.acting import act
from imagematrix.commands.build.decision import BuildMeans, BuildOptions, decide
from imagematrix.commands.terminal import note
from imagematrix.engine import Engine, saved
from imagematrix.engine.saved import Blob
from imagematrix.model import EngineImage, Key, Leaf, Node, Row, Step, Verdict, node_ref
from imagematrix.planning import lock, moved
from imagematrix.planning.graph import Dag
from imagematrix.planning.reproducible import Difference, Fingerprint
from imagematrix.planning.trust import nodes
from imagematrix.project import Project


def refresh(project: Project, rows: Sequence[Row], options: BuildOptions, means: BuildMeans) -> Project:
    """Return the project with a lock in which exactly the nodes of the rows have moved whose content did.

    A node that is built on another one of them is looked at only where that did not move: else it is rebuilt anyway.
    One that is nowhere is not looked at: the build downloads it today. What cannot be built counts as moved, so that
    the build tries it again and reports it.
    """
    return _settled(project, rows, _Trial(options=options, rows=rows, means=means).moved)


def all_moved(project: Project, rows: Sequence[Row], epoch: str) -> Project:
    """Return the project with a lock in which all such nodes of the rows have moved, for where none can be compared."""
    return _settled(project, rows, lambda project, due, _dag, _leaves: _at(project, due, epoch))


_Judge = Callable[[Project, Sequence[Node], Dag, Mapping[str, Leaf]], Project]


def _settled(project: Project, rows: Sequence[Row], judge: _Judge) -> Project:
    leaves = project.leaves(rows)
    before, settled = project.lock, set[str]()
    while due := moved.due(dag := project.dag(leaves), settled):
        project = judge(project, due, dag, leaves)
        settled.update(node.moving for node in due)
    if project.lock != before:
        whole = project.dag(project.leaves(project.obtainable))
        project = replace(project, lock=moved.pruned(project.lock, whole))
        project.repository.write_lock(lock.dump(project.lock))
    return project


def _at(project: Project, due: Sequence[Node], epoch: str) -> Project:
    return replace(project, lock=moved.recorded(project.lock, [node.moving for node in due], epoch))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """How nodes are built anew."""

    options: BuildOptions
    rows: Sequence[Row]
    means: BuildMeans

    def moved(self, project: Project, due: Sequence[Node], dag: Dag, leaves: Mapping[str, Leaf]) -> Project:
        """Build nodes anew; return the project at a lock in which those have moved whose content differs."""
        present = nodes(self.means.engine.images(), project.state.bonds())
        kept = self.means.store.keys(dag.restricted([node.key for node in due]), present) if self.means.store else {}
        tried = _at(project, due, self.options.refresh)
        new = {node.moving: node.key for node in tried.dag(leaves).nodes.values() if node.moving}
        # A resumed run meets those that it has moved before.
        later = [node for node in due if new[node.moving] != node.key]
        there = [node for node in later if node.key in present or node.key in kept]
        if not there or self.means.stop.is_set():
            return project
        self._build(tried, there, {node.key: kept[node.key] for node in there if node.key not in present})
        if self.means.stop.is_set():
            return project
        after = nodes(self.means.engine.images(), project.state.bonds())

        def is_changed(node: Node) -> bool:
            return self._is_changed(node, after.get(node.key), after.get(new[node.moving]), present)

        return _at(project, [node for node in there if is_changed(node)], self.options.refresh)

    def _build(self, tried: Project, there: Sequence[Node], pulled: Mapping[Key, str]) -> None:
        names = tuple(map(_name, there))
        note(f"{len(there)} nodes download what no lock names: they are built again, and compared")
        options = replace(self.options, only_nodes=names, push=False, fresh=False)
        decided = decide(tried, self.rows, options, engine=self.means.engine, store=self.means.store)
        pulls = tuple(_pull(node, pulled[node.key]) for node in there if node.key in pulled)
        plan = replace(decided.plan, steps=(*decided.plan.steps, *pulls))
        act(tried, replace(decided, plan=plan), options, self.means)

    def _is_changed(
        self, node: Node, old: EngineImage | None, new: EngineImage | None, present: Mapping[Key, EngineImage]
    ) -> bool:
        name = _name(node)
        if old is None or new is None:
            return True
        change = _change(self.means.engine, old.id, new.id)
        if change:
            note(f"{name}: what it downloads has moved: /{change.path} ({change.what})")
            return True
        note(f"{name}: what it downloads has not moved")
        for each in present[node.key].names if node.key in present else ():
            self.means.engine.tag(old.id, each)  # the new image took the names of rows
        self.means.engine.untag(node_ref(new.key))
        return False


def _name(node: Node) -> str:
    """Name a node as `--only-nodes` does."""
    return f"{node.leaf.row.name}/{node.layer}"


def _pull(node: Node, digest: str) -> Step:
    """Return a step that pulls what a node held so far; nothing else must be there for it."""
    alone = replace(node, parent=None, packages=None)
    return Step(node=alone, verdict=Verdict.PULL, reason="to be compared", leaves=(node.leaf.row.name,), digest=digest)


def _change(engine: Engine, old: str, new: str) -> Difference | None:
    """Return the first difference between two images of one node."""
    before, after = engine.diff_ids(old), engine.diff_ids(new)
    if before == after:
        return None
    shared = {one for one, other in zip(before, after, strict=False) if one == other}
    return moved.change(_content(engine, old, shared), _content(engine, new, shared))


def _content(engine: Engine, image: str, shared: Collection[str]) -> Mapping[str, Fingerprint]:
    """Return what the filesystem layers of an image hold that are not shared: path -> fingerprint."""
    found: dict[str, Fingerprint] = {}
    for layer in saved.layers(engine.saved(image), fingerprints, skipped=shared):
        found |= layer
    return found


def fingerprints(blob: Blob) -> Mapping[str, Fingerprint]:
    """Return what is compared of a filesystem layer: path -> fingerprint."""
    return {entry.path: moved.fingerprint(entry) for entry in blob.entries() if not moved.is_noise(entry.path)}
