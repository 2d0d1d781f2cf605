"""What builds left behind and neither the matrix nor the last nights need. Decides, removes nothing.

Only what is proven to belong to the project is removed: a node by the label and the name that agree, and by the record
of this project; a name by the rows it was built for; a piece of build cache by the step that made it.
"""

from imagematrix.planning.garbage.build_cache import cache
from imagematrix.planning.garbage.cleanup import (
    SHORT,
    CleanupPlan,
    CleanupResult,
    EngineCleanup,
    GarbageKind,
    Needs,
    Thing,
    joined,
    total,
)
from imagematrix.planning.garbage.leftovers import containers, logs
from imagematrix.planning.garbage.nodes import EngineNode, images
from imagematrix.planning.garbage.registry import StoredNode, stored_keys, tags
from imagematrix.planning.garbage.runs import keys, nights, node_repositories, repositories, repository

__all__ = [
    "SHORT",
    "CleanupPlan",
    "CleanupResult",
    "EngineCleanup",
    "EngineNode",
    "GarbageKind",
    "Needs",
    "StoredNode",
    "Thing",
    "cache",
    "containers",
    "images",
    "joined",
    "keys",
    "logs",
    "nights",
    "node_repositories",
    "repositories",
    "repository",
    "stored_keys",
    "tags",
    "total",
]
