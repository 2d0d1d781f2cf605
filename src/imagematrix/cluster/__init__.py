"""Builds on many machines: Dask `distributed` connects them and carries jobs; each has an engine of its own.

`Cluster` is an executor like any other. `dispatcher` sends jobs to machines that have a free worker slot. `machine`
does a job on one of them, with a `Host` that knows the engine and the registry. `messages` are what travels between
them. The only home of dask.
"""

from imagematrix.cluster.checking import ClusterChecks
from imagematrix.cluster.executor import Cluster, ClusterPlan
from imagematrix.cluster.link import Link
from imagematrix.cluster.machines import went_away
from imagematrix.cluster.pushes import ClusterPushes

__all__ = ["Cluster", "ClusterChecks", "ClusterPlan", "ClusterPushes", "Link", "went_away"]
