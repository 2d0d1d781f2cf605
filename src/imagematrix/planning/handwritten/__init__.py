"""A Dockerfile that people wrote, as one layer: what it reads of its context, and its stages as they are in a leaf."""

from imagematrix.planning.handwritten.ignoring import Ignored, is_match, literal
from imagematrix.planning.handwritten.reading import Whole, WrittenStage, faults, quoted, read, unquoted, words
from imagematrix.planning.handwritten.stages import WholeStage, sources, stages
from imagematrix.planning.handwritten.template import escaped, plain, template, variable

__all__ = [
    "Ignored",
    "Whole",
    "WholeStage",
    "WrittenStage",
    "escaped",
    "faults",
    "is_match",
    "literal",
    "plain",
    "quoted",
    "read",
    "sources",
    "stages",
    "template",
    "unquoted",
    "variable",
    "words",
]
