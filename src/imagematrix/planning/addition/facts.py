"""The facts of a new row: which are missing, and where one is written."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.compat import nearest
from imagematrix.matrix import RowFactory
from imagematrix.model import Matrix, Row
from imagematrix.planning.render import Renderer

OWNERS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("torchvision", "torchaudio"), ("torch",)),
    **dict.fromkeys(("pins", "numpy", "protobuf", "keras"), ("torch", "tensorflow", "paddle")),
    **dict.fromkeys(("miniconda", "miniconda_sha256", "jupyterlab", "tensorboard"), ("python",)),
    "tensorrt_deb": ("tensorrt",),
    "horovod_options": ("reduce",),
}
"""Fact -> the axes whose new values a person would write it for; of others, a row says it for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A fact that the other values of an axis have, and the new one has not."""

    axis: str
    value: str
    name: str
    proposal: str
    """What the catalogue says it is, if it knows."""

    def __str__(self) -> str:
        place = f"bases.{self.value}" if self.axis == "base" else f'facts.{self.axis}."{self.value}"'
        return f"{self.name} for {self.axis} {self.value} is not known: {place}"


class FactPlacement:
    """Says where a fact of a new row is written: no other row may change by it."""

    def __init__(self, old: Matrix, factory: RowFactory, renderer: Renderer, values: Mapping[str, str]) -> None:
        self._factory = factory
        self._old = old
        self._renderer = renderer
        self._values = values

    def of(self, name: str, axes: Iterable[str]) -> tuple[str, str] | None:
        """Return the first of these axes, with its value, that no row has yet; nothing: the row says it itself."""
        for axis in (*axes, *OWNERS.get(name, ())):
            value = self._values.get(axis, "")
            if (
                value
                and axis != "base"
                and not self._factory.facts_of(axis, value)
                and not self._reads(name, axis, value)
            ):
                return axis, value
        return None

    def _reads(self, name: str, axis: str, value: str) -> bool:
        """Whether any row with this value has a template that reads the fact."""
        families = {row.family.layers for row in self._old.rows if row.values.get(axis) == value}
        return any(name in self._renderer.reads(layers) for layers in families)

    def written(self, name: str) -> tuple[str, str]:
        """Return what the matrix says already of a value of the row, and of which; nothing where it does not."""
        for axis, value in self._values.items():
            facts = self._old.bases[value].facts if axis == "base" else self._factory.facts_of(axis, value)
            if name in facts:
                return facts[name], f"{axis} {value}"
        return "", ""


def missing_facts(row: Row, siblings: Iterable[Row]) -> Iterator[Missing]:
    """Yield the facts that the row's values lack: what all others of an axis have, or some and the catalogue knows."""
    names: dict[str, dict[str, set[str]]] = {}
    for sibling in (each for each in siblings if not each.impossible):
        for axis in sibling.values:
            names.setdefault(axis, {}).setdefault(sibling.values[axis], set())
        for name, axis in facts_of_row(sibling):
            names[axis][sibling.values[axis]].add(name)
    for axis, by_value in sorted(names.items()):
        others = [of for value, of in by_value.items() if value != row.values.get(axis)]
        for name in sorted(set().union(*others) - row.values.keys()) if axis in row.values else ():
            missed = missing_fact(row, axis, name)
            is_new = row.values[axis] not in by_value
            if missed.proposal or (is_new and all(name in of for of in others)):
                yield missed


def missing_fact(row: Row, axis: str, name: str) -> Missing:
    """Return a fact that a value of the row lacks, with what the catalogue says it is."""
    value, build, python = row.values[axis], row.values.get("torch_build", ""), row.values.get("python", "")
    proposal = nearest.fact(axis, value, name, build=build, python=python)
    return Missing(axis=axis, value=value, name=name, proposal=proposal)


def facts_of_row(row: Row) -> Iterator[tuple[str, str]]:
    """Yield the facts of a row, each with the axis or fact that it follows from."""
    for origin in row.origins:
        for name, place in origin.items():
            if place and place[0] in ("facts", "bases"):
                yield name, "base" if place[0] == "bases" else str(place[1])
