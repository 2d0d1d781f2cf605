"""What people wrote under common/: layers, services, boot files, and what stands beside every Dockerfile."""

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import Collector, InputError
from imagematrix.matrix import service
from imagematrix.model import File, LayerSource, Service, Sources
from imagematrix.planning.render.sources import TEMPLATE_SUFFIX
from imagematrix.text import formatting
from imagematrix.tree import Tree

LAYERS: Final = "common/layers"
_RULES: Final = "common/rules"
_COMPANIONS: Final = "common/leaf"
_SERVICES: Final = "common/services"
_BOOTSTRAP: Final = "common/bootstrap/debian.sh"
_TEMPLATE: Final = "Dockerfile.j2"
BIG: Final = 8 * 2**20
"""Bytes up to which a file of a layer is held in memory; a text may not have more."""
_MOST_OF_FILE: Final = 20 * 10**9
"""Bytes that a file of a layer may have: each command hashes it, a gigabyte a second."""


class Common:
    """The folder `common` of a project, read."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def layers(self) -> Mapping[str, bool]:
        """Return the folders of common/layers, and whether each has a template."""
        return {name: self._tree.is_file(f"{LAYERS}/{name}/{_TEMPLATE}") for name in self._tree.folders(LAYERS)}

    def rules(self) -> Mapping[str, str]:
        """Return the rules for platforms that the monorepo brings: file -> text."""
        files = [
            f"{_RULES}/{name}"
            for name in sorted(self._tree.files(_RULES, skip=lambda name: name == "__pycache__"))
            if name.endswith(".py")
        ]
        return {file: self._tree.text(file) for file in files}

    checks_folder: Final = LAYERS
    """Where pytest looks for conftest.py, and no higher."""

    def check_fixtures(self) -> str:
        """Return what the checks of layers share: the texts of conftest.py, the one for all layers first."""
        paths = (LAYERS, *(f"{LAYERS}/{layer}" for layer in self.layers()))
        found = (f"{path}/conftest.py" for path in paths)
        return "".join(self._tree.text(path) for path in found if self._tree.is_file(path))

    def check_file(self, layer: str) -> str:
        """Return where a layer keeps its checks, relative to the root."""
        return f"{LAYERS}/{layer}/test_{layer}.py"

    def checks(self) -> Mapping[str, str]:
        """Return the texts of the layers' checks, by layer."""
        paths = {layer: self.check_file(layer) for layer in self.layers()}
        return {layer: self._tree.text(path) for layer, path in paths.items() if self._tree.is_file(path)}

    def sources(self) -> Sources:
        """Read everything that people wrote under common/. Raises InputError with every file that cannot be read."""
        found, script = Collector(), self._tree.is_file(_BOOTSTRAP)
        layers = {
            name: layer
            for name, whole in self.layers().items()
            if whole and (layer := found.attempt(partial(self._layer, name)))
        }
        init = found.attempt(lambda: self._read_all("common/init", prefix="init/")) or ()
        leaf = found.attempt(lambda: self._read_all(_COMPANIONS)) or ()
        services = [found.attempt(partial(self._service, name, layers)) for name in self._tree.folders(_SERVICES)]
        if found.diagnostics:
            raise InputError(found.diagnostics)
        return Sources(
            layers=layers,
            init=init,
            leaf=leaf,
            services=tuple(sorted(filter(None, services), key=lambda service: service.port)),
            bootstrap=File(path="bootstrap.sh", content=self._tree.read(_BOOTSTRAP), executable=True)
            if script
            else None,
        )

    def _service(self, name: str, layers: Collection[str]) -> Service:
        folder = f"{_SERVICES}/{name}"
        declaration = f"{folder}/{service.FILE}"
        if not self._tree.is_file(declaration):
            what, hint = f"there is no {service.FILE}", "it declares the service: see docs/services.md"
            raise InputError([Diagnostic(code="unsafe_path", file=folder, message=what, hint=hint)])
        files = self._read_all(folder, prefix=f"services/{name}/")
        others = tuple(file for file in files if not file.path.endswith(f"/{service.FILE}"))
        return service.parse(self._tree.text(declaration), name, layers=layers, files=others, file=declaration)

    def _layer(self, name: str) -> LayerSource:
        template = f"{LAYERS}/{name}/{_TEMPLATE}"
        self._refuse_big([template])
        return LayerSource(
            name=name,
            template=self._tree.text(template),
            template_path=template,
            files=self._read_all(f"{LAYERS}/{name}/files"),
            leaf=self._read_all(f"{LAYERS}/{name}/leaf"),
        )

    def _read_all(self, folder: str, prefix: str = "") -> tuple[File, ...]:
        """Return all files below a folder; without editors' and Python's droppings."""
        paths = {path: f"{folder}/{path}" for path in self._tree.files(folder, skip=is_dropping)}
        self._refuse_big(paths.values(), most=_MOST_OF_FILE)
        self._refuse_big(at for at in paths.values() if at.endswith((TEMPLATE_SUFFIX, ".md")))
        return tuple(self._file(prefix + path, at) for path, at in paths.items())

    def _file(self, path: str, at: str) -> File:
        """Return a file of the repository as one of a leaf; a big one is hashed, and not read into memory."""
        executable = self._tree.is_executable(at)
        if self._tree.size(at) > BIG:
            return File(path=path, stored=self._tree.stored(at), executable=executable)
        return File(path=path, content=self._tree.read(at), executable=executable)

    def _refuse_big(self, texts: Iterable[str], *, most: int = BIG) -> None:
        if problems := [_oversized(at, size, most) for at in texts if (size := self._tree.size(at)) > most]:
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
