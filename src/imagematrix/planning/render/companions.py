"""What stands beside a leaf's Dockerfile: how to build the leaf alone, how to run it, what it is."""

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Final

from imagematrix import compat
from imagematrix.model import File, Leaf, Row, Sources
from imagematrix.planning.render.sources import SECTION_TEMPLATE, TEMPLATE_SUFFIX, is_section, template_names
from imagematrix.planning.render.stages import base_image
from imagematrix.planning.render.templates import Templates

_PREFIX: Final = "leaf/"
"""Where our templates of a leaf are."""
_PRINTED: Final = frozenset({"image", "tag"})
"""What they print as it is, whatever it is."""
_ENTRYPOINT: Final = re.compile(r"^[ \t]*ENTRYPOINT\s", re.MULTILINE | re.IGNORECASE)
"""What stands after an image's name is given to this program, and takes no command's place."""


class Companions:
    """Renders the templates of a leaf, and the sections that its layers have in its README."""

    def __init__(self, sources: Sources, templates: Templates) -> None:
        self._sources = sources
        self._templates = templates
        self._names = templates.ours(_PREFIX)
        self._reading: dict[tuple[str, ...], tuple[str, ...]] = {}

    def files(self, leaf: Leaf) -> Iterable[File]:
        """Yield the files. Raises InputError naming template, line and row."""
        extra = {
            "image": leaf.row.image,
            "base_image": leaf.base_image,
            "bootstrap": leaf.row.base.bootstrap,
            "layers": leaf.row.family.layers,
            "cuda_use": compat.cuda_of(leaf.row.values),
            "entrypoint": any(_ENTRYPOINT.search(stage.text) for stage in leaf.stages),
            "sections": tuple(self._sections(leaf.row)),
        }
        for name in self._names:
            text = self._templates.render(name, leaf.row, **extra)
            if not text:  # an example for images of another kind
                continue
            path = name.removeprefix(_PREFIX).removesuffix(TEMPLATE_SUFFIX)
            yield File(path=path, content=text.encode(), executable=text.startswith("#!"))

    def reads(self) -> frozenset[str]:
        """Return the names of the values that our templates may ask for."""
        return self._templates.names(self._names)

    def subject(self, row: Row, values: Mapping[str, object]) -> Hashable:
        """Return all that may keep the files of a row from being rendered: rows that agree on it fail alike."""
        layers = row.family.layers
        seen = map(values.get, self._read_by(layers))
        return (_PREFIX, layers, base_image(row), row.base.bootstrap, compat.cuda_of(row.values), *seen)

    def _read_by(self, layers: tuple[str, ...]) -> tuple[str, ...]:
        known = self._reading.get(layers)
        if known is None:
            own = self._templates.known_names(self._names) - _PRINTED
            names = (name for layer in layers for name in template_names(self._sources.layers[layer]))
            sections = [name for name in names if name.endswith(SECTION_TEMPLATE)]
            known = self._reading[layers] = tuple(sorted(own | self._templates.known_names(sections)))
        return known

    def _sections(self, row: Row) -> Iterable[str]:
        for layer in row.family.layers:
            source = self._sources.layers[layer]
            for file in filter(is_section, source.files):
                yield self._templates.text(source, file, row, layers=row.family.layers).strip()
