"""What a monorepo gives to a stage itself: where that is the same and the stage is not, imagematrix renders another."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Final

from imagematrix.model import APT_LOCK, BASE_LAYER, FILES, SOURCES, File, Row, Service, Sources, Stage
from imagematrix.planning import dockerfile, keys, requirements
from imagematrix.planning.render.sources import template_names, templates_of
from imagematrix.planning.render.templates import Templates

_MENTIONED: Final = re.compile(r"common/layers/([^/\s\"']+)/")
"""In a template: a layer that it includes files of."""
_LOCKS: Final = (f"/{APT_LOCK}", f"/{requirements.LOCK}")
_DIGITS: Final = 16


class Given:
    """Hashes the values that a stage's templates read, its locks, and what of its sources the monorepo wrote."""

    def __init__(self, sources: Sources, templates: Templates) -> None:
        self._sources = sources
        self._templates = templates
        self._hashes: dict[str, str] = {}

    def of(self, row: Row, stage: Stage) -> str:
        """Return the hash of what the monorepo gave to a stage of a row."""
        inputs = {file.path: _content(file) for file in stage.inputs if self._is_given(file.path)}
        layer = "" if stage.layer == BASE_LAYER else _layer(stage)
        found = {"inputs": inputs, **(self._of_layer(row, layer) if layer else {})}
        return keys.hash_of(found)[:_DIGITS]

    def _is_given(self, path: str) -> bool:
        """Whether a file that a stage reads is a lock, or one of the monorepo's own that any layer may copy."""
        folder = "/".join(path.split("/")[:2])
        is_own = path in self._sources.own or folder in self._sources.own
        return is_own or path.endswith(_LOCKS) or dockerfile.is_within(path, SOURCES)

    def _of_layer(self, row: Row, layer: str) -> Mapping[str, object]:
        source, layers = self._sources.layers[layer], row.family.layers
        values = self._templates.values(row)
        names = self._templates.known_names(template_names(source))
        return {
            "values": {name: self._plain(values.get(name)) for name in sorted(names)},
            "own": {name: self._own(name) for name in sorted({layer, *self._included(layer)})},
            "below": layers[: layers.index(layer)],
            "labels": (row.name, row.base.image, row.base.bootstrap) if layer == layers[-1] else (),
        }

    def _included(self, layer: str) -> Iterator[str]:
        """Yield the layers that the templates of a layer include files of."""
        for _, text in templates_of(self._sources.layers[layer]):
            yield from (name for name in _MENTIONED.findall(text) if name in self._sources.layers)

    def _own(self, layer: str) -> str:
        """Return the hash of a layer that the monorepo wrote; empty for one of the package."""
        source = self._sources.layers[layer]
        if not (source.whole or f"layers/{layer}" in self._sources.own):
            return ""
        known = self._hashes.get(layer)
        if known is None:
            known = self._hashes[layer] = keys.hash_of(
                [source.template, *map(_identity, (*source.files, *source.context))]
            )
        return known

    def _plain(self, value: object) -> object:
        """Return what stands for a value in the hash: for a service of the package its name."""
        if isinstance(value, Iterable) and not isinstance(value, str):
            return [self._plain(each) for each in value]
        if isinstance(value, Service):
            return repr(asdict(value)) if f"services/{value.name}" in self._sources.own else value.name
        return None if value is None else str(value)


def _layer(stage: Stage) -> str:
    """Return the layer that a stage is of: the files of a package layer are of that layer."""
    return stage.layer.removesuffix(FILES) if stage.tool else stage.layer


def _identity(file: File) -> list[str]:
    return [file.path, _content(file), str(file.executable)]


def _content(file: File) -> str:
    return file.stored.sha256 if file.stored else keys.digest_of(file.content)
