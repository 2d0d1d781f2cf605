"""The files of layers as they lie in a leaf: under the layer's name, rendered, with the lock."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError
from imagematrix.model import File, LayerSource, Row, Sources
from imagematrix.planning import requirements
from imagematrix.planning.render.apt import RowAptLocks
from imagematrix.planning.render.packages import Installations
from imagematrix.planning.render.sources import TEMPLATE_SUFFIX, folder_of, is_section, is_template
from imagematrix.planning.render.templates import Templates

_PLACING: Final = "place.py"
"""The program that puts the files of a package layer into place."""


class LayerFiles:
    """The files of each layer of a row; rows that render the same share them."""

    def __init__(self, sources: Sources, templates: Templates, installations: Installations, apt: RowAptLocks) -> None:
        self._sources = sources
        self._placed = {
            name: [file for file in source.files if not is_section(file)] for name, source in sources.layers.items()
        }
        self._rendered = {name: [*filter(is_template, files)] for name, files in self._placed.items()}
        self._templates = templates
        self._installations = installations
        self._apt = apt
        self._placing = templates.own(_PLACING).encode()
        self._known: dict[tuple[str, tuple[str, ...], str | None, bool, File | None], tuple[File, ...]] = {}

    def of(self, layer: str, row: Row) -> tuple[File, ...]:
        """Return the files of a layer. Raises InputError where one cannot be rendered, or two have one place."""
        source = self._sources.layers[layer]
        rendered = tuple(self._templates.text(source, file, row) for file in self._rendered[layer])
        chosen, apt_lock = self._installations.of(layer, row), self._apt.file(row, layer)
        lock, is_placed = chosen.lock, chosen.tool is not None
        known = self._known.get((layer, rendered, lock, is_placed, apt_lock))
        if known is None:
            texts = iter(rendered)
            known = tuple(_placed(layer, file, texts.__next__) for file in self._placed[layer])
            _refuse_twins(source, known)
            if lock is not None:
                known += (File(path=f"{layer}/{requirements.LOCK}", content=lock.encode()),)
            known += (File(path=f"{layer}/{_PLACING}", content=self._placing),) if is_placed else ()
            known += (apt_lock,) if apt_lock else ()
            self._known[layer, rendered, lock, is_placed, apt_lock] = known
        return known


def _placed(layer: str, file: File, next_text: Callable[[], str]) -> File:
    path = f"{layer}/{file.path}"
    if not is_template(file):
        return replace(file, path=path)
    return File(path=path.removesuffix(TEMPLATE_SUFFIX), content=next_text().encode(), executable=file.executable)


def _refuse_twins(source: LayerSource, placed: Iterable[File]) -> None:
    """Raise InputError for files with the same path in the leaf: `x` beside `x.j2`."""
    paths = [file.path.partition("/")[2] for file in placed]
    twins = {path for path in paths if paths.count(path) > 1}
    if twins:
        what, hint = f"exists beside its own template {TEMPLATE_SUFFIX}", "delete one of the two"
        raise InputError(
            Diagnostic(code="template", file=f"{folder_of(source)}/files/{path}", message=what, hint=hint)
            for path in twins
        )
