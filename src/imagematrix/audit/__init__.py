"""What a destination's review requires of an image, computed from its filesystem layers: the image is not run.

A rule is a module: see `rule`. `layers` keeps what the rules need of each filesystem layer, entry by entry: memory
grows with the number of files that they keep, not with the image's size. `contents` recognises credentials and
configurations. `[destinations.X.rules]` in matrix.toml lists the rules that apply, with their parameters.
"""

from imagematrix.audit.layers import Entry, FilesystemLayer, Kind, Seen, is_gone, matches, read, stacked
from imagematrix.audit.rule import Evidence, Globs, Rule, Size, declared, judge, load, stock

__all__ = [
    "Entry",
    "Evidence",
    "FilesystemLayer",
    "Globs",
    "Kind",
    "Rule",
    "Seen",
    "Size",
    "declared",
    "is_gone",
    "judge",
    "load",
    "matches",
    "read",
    "stacked",
    "stock",
]
