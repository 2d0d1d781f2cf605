"""What changed between two versions of the leaves: for who reviews a change of many of them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from imagematrix.model import BASE_LAYER
from imagematrix.planning import dockerfile, sizes
from imagematrix.planning.requirements import LOCK

_T = TypeVar("_T")

_DOCKERFILE: Final = "Dockerfile"
_STAGE: Final = re.compile(r"^FROM \S+ AS (?P<name>\S+)\n", re.MULTILINE)
_LEAF: Final = re.compile(r"[^/]+/(?P<family>[^/]+)/(?P<tag>[^/]+)/(?P<path>.+)")

Files = Mapping[str, str]
"""Path from the root -> text."""
Moved = tuple[str, str, str]
"""Package, old version, new version; empty: it was not there, or is not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What changed, each with the names of the rows; rows are sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    stages: Mapping[str, tuple[str, ...]]
    """Layer -> the rows whose stage of it is another: its text, or a file that it reads."""
    packages: Mapping[Moved, tuple[str, ...]]
    companions: tuple[str, ...]
    """Rows of which only READMEs, run examples and the like changed."""

    @property
    def changed(self) -> tuple[str, ...]:
        """The rows that exist before and after, and differ."""
        return tuple(sorted({row for rows in self.stages.values() for row in rows} | {*self.companions}))


def between(old: Files, new: Files) -> Changes:
    """Compare two versions of leaves.

    Both hold the Dockerfile of each leaf that changed, and every file that changed.
    """
    before, after = _by_row(old), _by_row(new)
    both = sorted(before.keys() & after.keys())
    stages = {row: tuple(_stages(before[row], after[row])) for row in both}
    return Changes(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        stages=_inverted(stages),
        packages=_inverted({row: tuple(_moved(before[row], after[row])) for row in both}),
        companions=tuple(row for row in both if not stages[row] and before[row] != after[row]),
    )


def _by_row(files: Files) -> Mapping[str, Files]:
    rows: dict[str, dict[str, str]] = {}
    for path, text in files.items():
        if found := _LEAF.fullmatch(path):
            rows.setdefault(f"{found['family']}:{found['tag']}", {})[found["path"]] = text
    return {row: found for row, found in rows.items() if _DOCKERFILE in found}


def _stages(old: Files, new: Files) -> Iterator[str]:
    """Yield the layers whose stages differ, lowest first."""
    before, after = _split(old[_DOCKERFILE]), _split(new[_DOCKERFILE])
    differing = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    for layer, text in after.items():
        read = dockerfile.context_paths(text)
        if before.get(layer) != text or any(
            dockerfile.is_within(path, source) for path in differing for source in read
        ):
            yield layer
    yield from (layer for layer in before if layer not in after)


def _split(text: str) -> Mapping[str, str]:
    """Return the stages of a Dockerfile: layer -> text; above the first stands what the base is."""
    heads = [*_STAGE.finditer(text)]
    ends = [*(head.start() for head in heads[1:]), len(text)]
    stages = {head["name"]: text[head.start() : end].strip() for head, end in zip(heads, ends, strict=True)}
    return {BASE_LAYER: text[: heads[0].start()] if heads else text, **stages}


def _moved(old: Files, new: Files) -> Iterator[Moved]:
    before, after = _packages(old), _packages(new)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield name, before.get(name, ""), after.get(name, "")


def _packages(files: Files) -> Mapping[str, str]:
    locks = (text for path, text in files.items() if path.endswith(f"/{LOCK}"))
    return {name: version for text in locks for name, version in sizes.pins(text).items()}


def _inverted(found: Mapping[str, tuple[_T, ...]]) -> Mapping[_T, tuple[str, ...]]:
    rows: dict[_T, list[str]] = {}
    for row, each in found.items():
        for one in each:
            rows.setdefault(one, []).append(row)
    return {one: tuple(names) for one, names in rows.items()}
