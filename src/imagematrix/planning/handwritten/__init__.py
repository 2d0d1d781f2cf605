"""A Dockerfile that people wrote, as one layer: what it reads of its context, and its stages as they are in a leaf."""

from imagematrix.planning.handwritten.ignoring import Ignored, is_match, literal
from imagematrix.planning.handwritten.reading import Whole, faults, read
from imagematrix.planning.handwritten.stages import WholeStage, sources, stages
from imagematrix.planning.handwritten.template import template

__all__ = ["Ignored", "Whole", "WholeStage", "faults", "is_match", "literal", "read", "sources", "stages", "template"]
