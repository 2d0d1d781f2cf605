"""matrix.toml: TOML text in, rows out, and which of them a command means.

`parsing` is the way through; `declaration`, `head` and `family` read what is written, `facts`, `exclusion` and `grid`
work out the rows, `tagging` names them, `selection` picks among them, `row_factory` makes those that are not there.
"""

from imagematrix.matrix.family import ROW_FACTS
from imagematrix.matrix.parsing import parse
from imagematrix.matrix.row_factory import RowFactory
from imagematrix.matrix.selection import select

__all__ = ["ROW_FACTS", "RowFactory", "parse", "select"]
