"""Builds on many machines: Dask `distributed` carries jobs to machines, each with an engine of its own.

`Cluster` is an executor like any other. `machine` does a job on one of the machines, with a `Host` that knows the
engine and the registry. `messages` are what travels between them. The only home of dask.
"""

from imagematrix.cluster.checking import ClusterChecks
from imagematrix.cluster.executor import Cluster, ClusterPlan
from imagematrix.cluster.link import Link
from imagematrix.cluster.pushes import ClusterPushes

__all__ = ["Cluster", "ClusterChecks", "ClusterPlan", "ClusterPushes", "Link"]
