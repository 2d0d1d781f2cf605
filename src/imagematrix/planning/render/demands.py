"""What the stages of rows take from their bases, as their rendered text shows."""

from collections.abc import Hashable, Iterable, Mapping

from imagematrix.errors import InputError
from imagematrix.model import Row, Sources
from imagematrix.planning import demands
from imagematrix.planning.render.sources import template_names
from imagematrix.planning.render.templates import Templates


class Demands:
    """Looks it up once for all rows whose templates read the same values."""

    def __init__(self, sources: Sources, templates: Templates) -> None:
        self._sources = sources
        self._templates = templates
        # A whole Dockerfile has stages on other images, too.
        layers = {name: source for name, source in sources.layers.items() if not source.whole}
        self._layers = {name for name, source in layers.items() if demands.may_demand(source.template)}
        self._takers_of: dict[Hashable, Mapping[str, str]] = {}
        self._taken_by: dict[str, tuple[str, ...]] = {}

    def of(self, row: Row) -> Mapping[str, str]:
        """Return what the stages of a row take from its base, by what rules call it: the names of the layers."""
        layers = tuple(layer for layer in row.family.layers if layer in self._layers)
        asked = (row.family.layers, *self._templates.seen(layers, self._templates.values(row)))
        known = self._takers_of.get(asked)
        if known is None:
            known = self._takers_of[asked] = self._takers(row)
        return known

    def _takers(self, row: Row) -> Mapping[str, str]:
        layers = row.family.layers
        takers: dict[str, list[str]] = {}
        has_python = False
        for layer, parent in zip(layers, ("${BASE_IMAGE}", *layers), strict=False):
            if layer not in self._layers:
                continue
            name = self._sources.layers[layer].template_path
            try:
                text = self._templates.render(name, row, layer=layer, parent=parent)
            except InputError:  # rendering the stage reports it
                continue
            for demand in self._taken(text):
                if demand != demands.BASE_PYTHON or not has_python:
                    takers.setdefault(demand, []).append(layer)
            has_python = has_python or demands.sets_path(text)
        found = {demand: " ".join(names) for demand, names in takers.items()}
        return found if self._reads(layers, "miniconda") else {**found, "without_miniconda": "yes"}

    def _reads(self, layers: Iterable[str], fact: str) -> bool:
        """Whether a template of some layers reads a fact, which may be there for other rows alone."""
        names = [name for layer in layers for name in template_names(self._sources.layers[layer])]
        return fact in self._templates.known_names(names)

    def _taken(self, text: str) -> tuple[str, ...]:
        known = self._taken_by.get(text)
        if known is None:
            known = self._taken_by[text] = tuple(demands.taken(text))
        return known
