"""The committed tree of a project: read once, written atomically, pruned only where a file carries our mark."""

from imagematrix.repository.committed import Repository, from_here
from imagematrix.repository.leaves import IMAGES, MANIFEST
from imagematrix.repository.reading import STOCK
from imagematrix.tree import nearest_matrix

__all__ = ["IMAGES", "MANIFEST", "STOCK", "Repository", "from_here", "nearest_matrix"]
