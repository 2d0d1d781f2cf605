"""What `add` puts into matrix.toml: words in; the row, its place and what it lacks out."""

from imagematrix.planning.addition.decision import Addition, decide, wanted
from imagematrix.planning.addition.facts import Missing

__all__ = ["Addition", "Missing", "decide", "wanted"]
