"""Builds nodes anew with this machine's engine, and compares them there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from imagematrix.commands.build.acting import act
from imagematrix.commands.build.decision import BuildMeans, BuildOptions, decide
from imagematrix.commands.build.refreshing import Trial
from imagematrix.engine import comparing
from imagematrix.model import EngineImage, Key, Row, Step, Verdict, node_ref
from imagematrix.planning.graph import Dag
from imagematrix.planning.reproducible import Difference
from imagematrix.planning.trust import nodes
from imagematrix.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTrials:
    """Trials of nodes of some rows."""

    project: Project
    rows: Sequence[Row]
    options: BuildOptions
    means: BuildMeans

    def there(self, dag: Dag) -> Mapping[Key, str]:
        """Return which nodes of a DAG the engine or the registry has."""
        present = self._present()
        kept = self.means.store.keys(dag, present) if self.means.store else {}
        return {**kept, **dict.fromkeys(present, "")}

    def compare(self, tried: Project, trials: Sequence[Trial]) -> Mapping[Key, Difference | None]:
        """Build nodes anew; see `Trials`."""
        before = self._present()
        options = replace(self.options, only_nodes=tuple(trial.name for trial in trials), push=False, fresh=False)
        decided = decide(tried, self.rows, options, engine=self.means.engine, store=self.means.store)
        pulls = tuple(_pull(trial) for trial in trials if trial.digest)
        plan = replace(decided.plan, steps=(*decided.plan.steps, *pulls))
        act(tried, replace(decided, plan=plan), options, self.means)
        if self.means.stop.is_set():
            return {}
        after = self._present()
        both = [trial for trial in trials if trial.node.key in after and trial.new in after]
        return {trial.new: self._change(trial, before, after) for trial in both}

    def _present(self) -> Mapping[Key, EngineImage]:
        return nodes(self.means.engine.images(), self.project.state.bonds())

    def _change(
        self, trial: Trial, before: Mapping[Key, EngineImage], after: Mapping[Key, EngineImage]
    ) -> Difference | None:
        engine, old = self.means.engine, after[trial.node.key]
        change = comparing.change(engine, old.id, after[trial.new].id)
        if change is None:
            for name in before[trial.node.key].names if trial.node.key in before else ():
                engine.tag(old.id, name)  # the new image took the names of rows
            engine.untag(node_ref(trial.new))
        return change


def _pull(trial: Trial) -> Step:
    """Return a step that pulls what a node held so far; nothing else must be there for it."""
    alone = replace(trial.node, parent=None, packages=None)
    leaves = (trial.node.leaf.row.name,)
    return Step(node=alone, verdict=Verdict.PULL, reason="to be compared", leaves=leaves, digest=trial.digest)
