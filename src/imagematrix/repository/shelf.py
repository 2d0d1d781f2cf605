"""A folder `common`, read: layers, services, boot files, templates. A monorepo has one, the package another."""

from collections.abc import Collection, Iterable
from typing import Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError
from imagematrix.matrix import service
from imagematrix.model import File, LayerSource, Service
from imagematrix.planning.render.sources import TEMPLATE_SUFFIX
from imagematrix.text import formatting
from imagematrix.tree import Tree

LAYERS: Final = "common/layers"
SERVICES: Final = "common/services"
_TEMPLATE: Final = "Dockerfile.j2"
BIG: Final = 8 * 2**20
"""Bytes up to which a file of a layer is held in memory; a text may not have more."""
_MOST_OF_FILE: Final = 20 * 10**9
"""Bytes that a file of a layer may have: each command hashes it, a gigabyte a second."""


class Shelf:
    """What is below one `common`. Paths are relative to the folder that it is in, also in messages."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def layers(self) -> dict[str, bool]:
        """Return the folders of common/layers, and whether each has a template."""
        names = (name for name in self.tree.folders(LAYERS) if not is_dropping(name))
        return {name: self.tree.is_file(f"{LAYERS}/{name}/{_TEMPLATE}") for name in names}

    def services(self) -> list[str]:
        """Return the folders of common/services."""
        return [name for name in self.tree.folders(SERVICES) if not is_dropping(name)]

    def declares(self, service_name: str) -> bool:
        """Whether a folder of common/services has its declaration."""
        return self.tree.is_file(f"{SERVICES}/{service_name}/{service.FILE}")

    def layer(self, name: str) -> LayerSource:
        """Read a layer. Raises InputError."""
        template = f"{LAYERS}/{name}/{_TEMPLATE}"
        self._refuse_big([template])
        return LayerSource(
            name=name,
            template=self.tree.text(template),
            template_path=template,
            files=self.files(f"{LAYERS}/{name}/files"),
            leaf=self.files(f"{LAYERS}/{name}/leaf"),
        )

    def service(self, name: str, layers: Collection[str]) -> Service:
        """Read a service; `layers` are those that there are. Raises InputError."""
        folder = f"{SERVICES}/{name}"
        declaration = f"{folder}/{service.FILE}"
        if not self.tree.is_file(declaration):
            what, hint = f"there is no {service.FILE}", "it declares the service: see docs/services.md"
            raise InputError([Diagnostic(code="unsafe_path", file=folder, message=what, hint=hint)])
        files = self.files(folder, prefix=f"services/{name}/")
        others = tuple(file for file in files if not file.path.endswith(f"/{service.FILE}"))
        return service.parse(self.tree.text(declaration), name, layers=layers, files=others, file=declaration)

    def files(self, folder: str, prefix: str = "") -> tuple[File, ...]:
        """Return all files below a folder; without editors' and Python's droppings."""
        paths = {path: f"{folder}/{path}" for path in self.tree.files(folder, skip=is_dropping)}
        self._refuse_big(paths.values(), most=_MOST_OF_FILE)
        self._refuse_big(at for at in paths.values() if at.endswith((TEMPLATE_SUFFIX, ".md")))
        return tuple(self.file(prefix + path, at) for path, at in paths.items())

    def text(self, path: str) -> str:
        """Return the text of a file; empty when there is none."""
        return self.tree.text(path) if self.tree.is_file(path) else ""

    def file(self, path: str, at: str) -> File:
        """Return a file of the repository as one of a leaf; a big one is hashed, and not read into memory."""
        executable = self.tree.is_executable(at)
        if self.tree.size(at) > BIG:
            return File(path=path, stored=self.tree.stored(at), executable=executable)
        return File(path=path, content=self.tree.read(at), executable=executable)

    def _refuse_big(self, texts: Iterable[str], *, most: int = BIG) -> None:
        if problems := [_oversized(at, size, most) for at in texts if (size := self.tree.size(at)) > most]:
            raise InputError(problems)


def is_dropping(name: str) -> bool:
    """Whether editors or Python leave files or folders of this name."""
    return name == "__pycache__" or name.endswith(("~", ".swp", ".pyc"))


def _oversized(path: str, size: int, most: int) -> Diagnostic:
    return Diagnostic(
        file=path,
        message=f"has {formatting.size(size)}, and may have {formatting.size(most)}",
        hint="copy what is not a template as it is, or download it in a step of the layer, checked by its hash",
        code="oversized_file",
    )
