"""Layers of the package that a monorepo copied to change them, with the originals that they are compared with later."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from imagematrix import __version__
from imagematrix.disk import telling
from imagematrix.errors import FlagError, did_you_mean
from imagematrix.model import File
from imagematrix.planning.copies import LayerCopy
from imagematrix.repository.shelf import LAYERS, Shelf, is_dropping
from imagematrix.text import versions

_COPIED: Final = ".copied"
"""In a copied layer: the version that it was copied from."""
_ORIGINAL: Final = ".original"
"""In a copied layer: the files as they were copied. A wheel holds one version alone, and git may have forgotten."""


class LayerCopies:
    """The copied layers of a monorepo."""

    def __init__(self, own: Shelf, stock: Shelf) -> None:
        self._own = own
        self._stock = stock

    def version(self, layer: str) -> str:
        """Return the version of the package that a layer was copied from; empty: it was not."""
        return self._own.text(f"{LAYERS}/{layer}/{_COPIED}").strip()

    def make(self, layer: str) -> tuple[str, ...]:
        """Copy a layer of the package into the monorepo; return the paths of the copy, relative to the root.

        Raises FlagError where there is no such layer, or the monorepo has a folder of that name.
        """
        folder, stock = f"{LAYERS}/{layer}", self._stock.layers()
        if layer not in stock:
            raise FlagError(f"--copy {layer}: the package has no such layer\n    {did_you_mean(layer, stock)}")
        if self._own.tree.files(folder, skip=is_dropping):
            raise FlagError(f"--copy {layer}: {folder} exists: move it away first")
        files = self._stock.files(folder)
        with telling():
            self._write(layer, files)
            self._remember(layer, files)
        return tuple(f"{folder}/{file.path}" for file in files)

    def read(self, layer: str, *, flag: str) -> LayerCopy:
        """Return a copied layer with its original and the package's. Raises FlagError where it is not one."""
        folder, version = f"{LAYERS}/{layer}", self.version(layer)
        if not version:
            copied = [name for name in self._own.layers() if self.version(name)]
            raise FlagError(f"{flag} {layer}: this layer was not copied from the package\n    {_known(copied)}")
        stock, own = {file.path: file for file in self._stock.files(folder)}, self._files(folder)
        if not stock:
            raise FlagError(f"{flag} {layer}: imagematrix {__version__} has no such layer: this one is yours alone")
        return LayerCopy(
            layer=layer,
            version=version,
            original=self._files(f"{folder}/{_ORIGINAL}"),
            own={path: file for path, file in own.items() if path != _COPIED and not path.startswith(f"{_ORIGINAL}/")},
            stock=stock,
        )

    def changed_upstream(self) -> Mapping[str, str]:
        """Return the copied layers that the package has changed since: layer -> the version it was copied from."""
        stock = self._stock.layers()
        copied = (name for name in self._own.layers() if name in stock and self.version(name))
        found = (self.read(name, flag="") for name in copied)
        return {copy.layer: copy.version for copy in found if copy.original and copy.changed_upstream}

    def replace(self, copy: LayerCopy, files: Iterable[File], *, obsolete: Collection[str]) -> None:
        """Write files of a copy and delete others; from now on it is a copy of the package as it is."""
        folder = f"{LAYERS}/{copy.layer}"
        files, gone = tuple(files), {f"{_ORIGINAL}/{path}" for path in copy.original.keys() - copy.stock.keys()}
        self._own.tree.check(f"{folder}/{path}" for path in (*gone, *obsolete, *(file.path for file in files)))
        with telling():
            self._write(copy.layer, files)
            self._own.tree.delete(folder, {*gone, *obsolete})
            self._remember(copy.layer, copy.stock.values())

    def _remember(self, layer: str, files: Iterable[File]) -> None:
        version = File(path=_COPIED, content=f"{versions.public(__version__)}\n".encode())
        self._write(layer, [*(replace(file, path=f"{_ORIGINAL}/{file.path}") for file in files), version])

    def _write(self, layer: str, files: Iterable[File]) -> None:
        for file in files:
            self._own.tree.replace(f"{LAYERS}/{layer}/{file.path}", file)

    def _files(self, folder: str) -> Mapping[str, File]:
        return {file.path: file for file in self._own.files(folder)}


def _known(copied: Collection[str]) -> str:
    return f"copied layers: {', '.join(copied)}" if copied else "`invoke layers --copy NAME` copies one"
