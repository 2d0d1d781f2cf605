"""The files beside a leaf's Dockerfile: how to build the leaf alone, how to run it, what it is.

Each file comes from a template: of the highest layer of the row that has one (`common/layers/LAYER/leaf`), else of the
monorepo (`common/leaf`), else of the package. Empty results are left out.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from imagematrix import compat
from imagematrix.model import File, Leaf, Row, Sources
from imagematrix.planning.render.sources import (
    SECTION_TEMPLATE,
    TEMPLATE_SUFFIX,
    companions,
    companions_of,
    is_section,
    is_template,
    template_names,
)
from imagematrix.planning.render.stages import base_image
from imagematrix.planning.render.templates import Templates

_PREFIX: Final = "leaf/"
"""Where the package's templates of a leaf are."""
_PRINTED: Final = frozenset({"image", "tag"})
"""Values that they print unchanged."""
_ENTRYPOINT: Final = re.compile(r"^[ \t]*ENTRYPOINT\s", re.MULTILINE | re.IGNORECASE)
"""What stands after an image's name is given to this program, and takes no command's place."""


class Companions:
    """Renders the templates of a leaf, and the sections that its layers have in its README."""

    def __init__(self, sources: Sources, templates: Templates) -> None:
        self._sources = sources
        self._templates = templates
        self._files = companions(sources) | {
            name: file for layer in sources.layers.values() for name, file in companions_of(layer).items()
        }
        self._ours = {_placed(name.removeprefix(_PREFIX)): name for name in templates.ours(_PREFIX)}
        self._ours |= {_placed(file.path): name for name, file in companions(sources).items()}
        self._chosen: dict[tuple[str, ...], Mapping[str, str]] = {}
        self._reading: dict[tuple[str, ...], tuple[str, ...]] = {}

    def files(self, leaf: Leaf) -> Iterable[File]:
        """Yield the files. Raises InputError naming template, line and row."""
        extra = {
            "image": leaf.row.published_image,
            "built_image": leaf.row.image,
            "base_image": leaf.base_image,
            "bootstrap": leaf.row.base.bootstrap,
            "layers": leaf.row.family.layers,
            "cuda_use": compat.cuda_of(leaf.row.values),
            "entrypoint": any(_ENTRYPOINT.search(stage.text) for stage in leaf.stages),
            "sections": tuple(self._sections(leaf.row)),
        }
        for path, name in self._of(leaf.row.family.layers).items():
            copied = self._copied(name)
            if copied:
                yield replace(copied, path=path)
            elif text := self._templates.render(name, leaf.row, **extra):
                yield File(path=path, content=text.encode(), executable=text.startswith("#!"))

    def reads(self, layers: Iterable[str]) -> frozenset[str]:
        """Return the names of the values that the templates of the leaves of some layers may read."""
        return self._templates.names(self._rendered(tuple(layers)))

    def subject(self, row: Row, values: Mapping[str, object]) -> Hashable:
        """Return everything that may keep a row's files from being rendered: rows that agree on it fail alike."""
        layers = row.family.layers
        seen = map(values.get, self._read_by(layers))
        return (_PREFIX, layers, base_image(row), row.base.bootstrap, compat.cuda_of(row.values), *seen)

    def _of(self, layers: tuple[str, ...]) -> Mapping[str, str]:
        """Return the files of the leaves of some layers: path -> name of the template, or of the file to copy."""
        known = self._chosen.get(layers)
        if known is None:
            theirs = [companions_of(self._sources.layers[layer]) for layer in layers]
            found = self._ours | {_placed(file.path): name for files in theirs for name, file in files.items()}
            known = self._chosen[layers] = dict(sorted(found.items()))
        return known

    def _rendered(self, layers: tuple[str, ...]) -> list[str]:
        return [name for name in self._of(layers).values() if not self._copied(name)]

    def _copied(self, name: str) -> File | None:
        file = self._files.get(name)
        return file if file and not is_template(file) else None

    def _read_by(self, layers: tuple[str, ...]) -> tuple[str, ...]:
        known = self._reading.get(layers)
        if known is None:
            own = self._templates.known_names(self._rendered(layers)) - _PRINTED
            names = (name for layer in layers for name in template_names(self._sources.layers[layer]))
            sections = [name for name in names if name.endswith(SECTION_TEMPLATE)]
            known = self._reading[layers] = tuple(sorted(own | self._templates.known_names(sections)))
        return known

    def _sections(self, row: Row) -> Iterable[str]:
        for layer in row.family.layers:
            source = self._sources.layers[layer]
            for file in filter(is_section, source.files):
                yield self._templates.text(source, file, row, layers=row.family.layers).strip()


def _placed(path: str) -> str:
    """Return the path of a template's text in the leaf."""
    return path.removesuffix(TEMPLATE_SUFFIX)
