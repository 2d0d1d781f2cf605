"""The sources of leaves: what people wrote under common/, and what the package has beside it.

A layer or service of the monorepo stands before the package's one of the same name. What the package's layer `boot`
starts (boot files, services) comes with it: a monorepo with a `boot` of its own, other than a copy, brings its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from imagematrix.errors import Collector, InputError
from imagematrix.model import File, Service, Sources
from imagematrix.repository.copies import LayerCopies
from imagematrix.repository.shelf import LAYERS, Shelf, is_dropping
from imagematrix.tree import Tree

_PACKAGE: Final = Path(__file__).parents[1]
STOCK: Final = _PACKAGE / "stock"
"""The folder whose `common` comes with the package."""
_BOOT_FILES: Final = "common/init"
_BOOT_LAYER: Final = "boot"
_FIXTURES: Final = "imagematrix.stock.common.layers.fixtures"
"""What the checks of the package's layers share."""
_RULES: Final = "common/rules"
_COMPANIONS: Final = "common/leaf"
_BOOTSTRAP: Final = "common/bootstrap/debian.sh"


class Common:
    """The folders `common` of a project and of the package."""

    checks_folder: Final = LAYERS
    """Where pytest looks for conftest.py, and no higher."""

    def __init__(self, tree: Tree) -> None:
        self._own = Shelf(tree)
        self._stock = Shelf(Tree(STOCK))
        self.copies = LayerCopies(self._own, self._stock)

    def layers(self) -> Mapping[str, bool]:
        """Return the layers there are, and whether each has a template."""
        return {**self._stock.layers(), **self._own_layers()}

    def _own_layers(self) -> Mapping[str, bool]:
        """Return the folders of the monorepo; what is left of one has no template, and stands before none."""
        stock = self._stock.layers()
        return {name: whole for name, whole in self._own.layers().items() if whole or name not in stock}

    def _own_services(self) -> list[str]:
        stock = self._stock.services()
        return [name for name in self._own.services() if self._own.declares(name) or name not in stock]

    def is_own(self, layer: str) -> bool:
        """Whether a layer is a folder of the monorepo."""
        return layer in self._own_layers()

    def rules(self) -> Mapping[str, str]:
        """Return the rules for destinations that the monorepo brings: file -> text."""
        tree = self._own.tree
        names = sorted(tree.files(_RULES, skip=lambda name: name == "__pycache__"))
        return {file: tree.text(file) for file in (f"{_RULES}/{name}" for name in names if name.endswith(".py"))}

    def plugins(self) -> tuple[str, ...]:
        """Return the modules with fixtures that pytest loads before it looks for conftest.py."""
        return (_FIXTURES,) if self._has_stock_boot() else ()

    def check_fixtures(self) -> str:
        """Return what the checks of layers share: the texts of the package's and the monorepo's, the latter last."""
        paths = (f"{path}/conftest.py" for path in (LAYERS, *(f"{LAYERS}/{layer}" for layer in self._own_layers())))
        stock = self._stock.text(f"{LAYERS}/fixtures.py") if self._has_stock_boot() else ""
        return stock + "".join(map(self._own.text, paths))

    def check_file(self, layer: str) -> str:
        """Return where a layer keeps its checks: relative to the root, or absolute for a layer of the package."""
        path = _check_path(layer)
        return path if self.is_own(layer) else str(STOCK / path)

    def checks(self) -> Mapping[str, str]:
        """Return the texts of the layers' checks, by layer."""
        own = self._own_layers()
        shelves = {layer: self._own if layer in own else self._stock for layer in self.layers()}
        return {
            layer: shelf.tree.text(_check_path(layer))
            for layer, shelf in shelves.items()
            if shelf.tree.is_file(_check_path(layer))
        }

    def sources(self) -> Sources:
        """Read everything that leaves are made of. Raises InputError with every file that cannot be read."""
        found, own = Collector(), self._own_layers()
        shelves = {name: self._own if name in own else self._stock for name, whole in self.layers().items() if whole}
        layers = {
            name: layer for name, shelf in shelves.items() if (layer := found.attempt(partial(shelf.layer, name)))
        }
        init = found.attempt(self._boot_files) or ()
        leaf = found.attempt(lambda: _merged(self._stock.files(_COMPANIONS), self._own.files(_COMPANIONS))) or ()
        services = [found.attempt(partial(self._service, name, shelves)) for name in self._services()]
        if found.diagnostics:
            raise InputError(found.diagnostics)
        return Sources(
            layers=layers,
            init=init,
            leaf=leaf,
            services=tuple(sorted((each for each in services if each and each.layers), key=lambda each: each.port)),
            bootstrap=File(path="bootstrap.sh", content=self._bootstrap(), executable=True),
            own=frozenset(self._written()),
        )

    def _written(self) -> Iterator[str]:
        """Yield what of the sources the monorepo wrote itself, as `Sources.own` names it."""
        yield from (f"layers/{name}" for name in self._own_layers())
        yield from (f"services/{name}" for name in self._own_services())
        yield from (f"init/{path}" for path in self._own.tree.files(_BOOT_FILES, skip=is_dropping))
        yield from ("bootstrap.sh",) if self._own.tree.is_file(_BOOTSTRAP) else ()

    def _services(self) -> list[str]:
        stock = self._stock.services() if self._has_stock_boot() else ()
        return sorted({*stock, *self._own_services()})

    def _service(self, name: str, layers: Mapping[str, Shelf]) -> Service:
        """Return a service. One of the package is not brought by a layer of the monorepo that only has the name."""
        if name in self._own_services():
            return self._own.service(name, layers)
        made = self._stock.service(name, layers)
        return replace(made, layers=tuple(layer for layer in made.layers if self._is_stock(layer)))

    def _is_stock(self, layer: str) -> bool:
        """Whether a layer is one of the package, or a copy of it."""
        return not self.is_own(layer) or bool(self.copies.version(layer))

    def _has_stock_boot(self) -> bool:
        return self._is_stock(_BOOT_LAYER)

    def _boot_files(self) -> tuple[File, ...]:
        own = self._own.files(_BOOT_FILES, prefix="init/")
        return _merged(_stock_boot_files(), own) if self._has_stock_boot() else own

    def _bootstrap(self) -> bytes:
        tree = self._own.tree if self._own.tree.is_file(_BOOTSTRAP) else self._stock.tree
        return tree.read(_BOOTSTRAP)


def _stock_boot_files() -> tuple[File, ...]:
    """Return the package's boot files; in a checkout of imagematrix they are those of its own monorepo."""
    is_built = (STOCK / _BOOT_FILES).is_dir()
    return Shelf(Tree(STOCK if is_built else _PACKAGE.parents[1])).files(_BOOT_FILES, prefix="init/")


def _merged(stock: tuple[File, ...], own: tuple[File, ...]) -> tuple[File, ...]:
    """Return files of the package and of the monorepo; of two with one path the latter."""
    found = {file.path: file for file in (*stock, *own)}
    return tuple(found[path] for path in sorted(found))


def _check_path(layer: str) -> str:
    return f"{LAYERS}/{layer}/test_{layer}.py"


def is_of_package(root: Path, path: str) -> bool:
    """Whether a path below `common` is one of the package's, and none of a project's."""
    return path.startswith("common/") and not (root / path).exists() and (STOCK / path).exists()
