"""What a platform's review requires of an image, computed from its filesystem layers: the image is not run.

A rule is a module: see `rule`. `layers` keeps of each layer what the rules ask for, entry by entry: memory follows the
number of files that they keep, not the image's size. `contents` recognises credentials and configurations.
`[platforms.X.rules]` in matrix.toml says which rules count, with their parameters.
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
