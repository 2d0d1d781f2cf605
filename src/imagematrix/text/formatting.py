"""Names and quantities as a person reads them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from imagematrix.model import Size, Step

_STEP: Final = 1000
_TWO_DIGITS: Final = 10
_SIXTY: Final = 60
_HOURS_FROM: Final = 150
"""Minutes from which on one counts in hours."""


def label(step: Step) -> str:
    """Name a node: its layer, what the tags of its leaves have in common, and how many those are.

    `tensorflow 2.20.0-python3.11-debian12`, `notebook tensorflow:2.20.0-python3.11-debian12`,
    `python tensorflow:python3.11-debian12 (2 leaves)`, `system debian12 (5 leaves)`: the family is named
    where all leaves are of one and it is not the layer's own name.
    """
    layer = step.node.layer
    shared = _common(step.leaves).removeprefix(f"{layer}:")
    leaves = f"({count(len(step.leaves), 'leaf', 'leaves')})" if len(step.leaves) > 1 else ""
    return " ".join(filter(None, (layer, shared, leaves)))


def count(number: int, singular: str, plural: str = "") -> str:
    """Write a number with its noun: `1 leaf`, `3 leaves`; the default plural has an s."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def abbreviate(names: Sequence[str], limit: int) -> str:
    """Write at most `limit` names, and how many more there are."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def ages(days: Mapping[str, int]) -> str:
    """Write names with their ages: `cuda (97 days), python (1 day)`."""
    return ", ".join(f"{name} ({count(number, 'day')})" for name, number in days.items())


def size(number: int) -> str:
    """Write bytes as the engine does, in powers of 1000."""
    value, units = float(number), ["B", "kB", "MB", "GB"]
    while value >= _STEP and len(units) > 1:
        value, units = value / _STEP, units[1:]
    return f"{value:.0f} {units[0]}" if value >= _TWO_DIGITS or units[0] == "B" else f"{value:.1f} {units[0]}"


def growth(number: int) -> str:
    """Write a difference of bytes with its sign: `+7.5 MB`."""
    sign = "+" if number > 0 else "-" if number < 0 else "±"
    return f"{sign}{size(abs(number))}"


def quantity(predicted: Size) -> str:
    """Write what is predicted: `344 MB to download, about 1.2 GB installed`; and what is not known."""
    known = f"{size(predicted.download)} to download, about {size(predicted.installed)} installed"
    return known + (f", and {count(predicted.unknown, 'file')} of unknown size" if predicted.unknown else "")


def duration(seconds: float) -> str:
    """Write seconds: `0.4s`, `14.2s`, `3m 12s`, `1h 02m`."""
    if round(seconds, 1) < _SIXTY:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), _SIXTY)
    return f"{minutes}m {rest:02}s" if minutes < _SIXTY else f"{minutes // _SIXTY}h {minutes % _SIXTY:02}m"


def approx_duration(seconds: float) -> str:
    """Write how long something will take, no more exactly than it can be known: `about 12 min`, `about 3 h`."""
    minutes = round(seconds / _SIXTY)
    if not minutes:
        return "less than a minute"
    return f"about {minutes} min" if minutes < _HOURS_FROM else f"about {round(minutes / _SIXTY)} h"


def _common(leaves: Sequence[str]) -> str:
    families = {leaf.partition(":")[0] for leaf in leaves}
    tags = [leaf.partition(":")[2].split("-") for leaf in leaves]
    shared = "-".join(_in_all(tags)) if tags else ""
    if not shared:
        return abbreviate(leaves, 1)
    return f"{families.pop()}:{shared}" if len(families) == 1 else shared


def _in_all(tags: Iterable[Sequence[str]]) -> list[str]:
    first, *others = tags
    return [part for part in first if all(part in other for other in others)]
