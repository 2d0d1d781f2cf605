"""What a platform's review asks of an image, computed from its filesystem layers: nothing is run.

`layers` keeps of each layer what rules ask for, entry by entry: memory follows the number of protected files, not the
image's size. `contents` knows credentials and configurations; `rules` judges, and `[platforms.X]` in matrix.toml says
which rules count.
"""

from imagematrix.audit.layers import Entry, Kind, Layer, read
from imagematrix.audit.rules import NEEDS, RULES, Evidence, judge

__all__ = ["NEEDS", "RULES", "Entry", "Evidence", "Kind", "Layer", "judge", "read"]
