"""Builds nodes anew on the machines of a cluster, where they are compared with what the registry has of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from imagematrix.cluster import went_away
from imagematrix.commands.build.decision import BuildOptions
from imagematrix.commands.build.refreshing import Trial
from imagematrix.commands.build.spread_acting import SpreadMeans, act, as_parents, decided_for_machines, refuse_silent
from imagematrix.model import Key, Row, Status
from imagematrix.planning.graph import Dag
from imagematrix.planning.reproducible import Difference
from imagematrix.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadTrials:
    """Trials of nodes of some rows. Where the registry or the cluster goes away, they raise NoClusterError."""

    rows: Sequence[Row]
    options: BuildOptions
    means: SpreadMeans

    def there(self, dag: Dag) -> Mapping[Key, str]:
        """Return which nodes of a DAG the registry has."""
        kept = self.means.store.keys(dag, ())
        refuse_silent(self.means.store)
        return kept

    def compare(self, tried: Project, trials: Sequence[Trial]) -> Mapping[Key, Difference | None]:
        """Build nodes anew; see `Trials`.

        What has moved is in the registry then, under its new key: a run that is resumed finds it there, and does not
        compare it again.
        """
        names = tuple(trial.name for trial in trials)
        options = replace(self.options, only_nodes=names, push=False, fresh=False)
        decided = decided_for_machines(tried, self.rows, options, self.means.store)
        before = as_parents({trial.node.key: trial.digest for trial in trials}, self.means.store)
        refuse_silent(self.means.store)
        compared = {trial.new: before[trial.node.key] for trial in trials if trial.node.key in before}
        done = act(tried, decided, options, self.means, compared=compared)
        if done.gone and any(outcome.status is Status.FAILED for outcome in done.outcomes):
            raise went_away("what no lock names could not be compared", done.gone, kept="pushed")
        return done.changes
