"""What the checks of images need on any machine: of a project nothing but what is named here."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from imagematrix import compat
from imagematrix.model import File, Leaf, RuleDeclaration
from imagematrix.planning.checks import Subject, Suite
from imagematrix.project import Project
from imagematrix.repository import STOCK
from imagematrix.tree import Tree

_LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_PYTHON: Final = ".py"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTask:
    """The checks of one image."""

    subject: Subject
    base: str
    """The name of the image that it is built on."""
    request: Mapping[str, object]
    """What the plugin hears of the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckKit:
    """What the checks of all images of a project need."""

    root: Path
    folder: str
    """Where pytest looks for conftest.py, and no higher: below the root."""
    files: Mapping[str, str]
    """Layer -> its check file, relative to the root; absolute: it is the package's."""
    plugins: tuple[str, ...]
    """Modules with fixtures."""
    rules: Mapping[str, RuleDeclaration]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedKit:
    """A kit that travels."""

    kit: CheckKit
    stock: Mapping[str, str]
    """Layer -> its check file below the package's stock, of layers of the package."""
    own: Mapping[str, bytes]
    """Path -> content of the project's own check files, and of the modules beside them."""


def task(project: Project, subject: Subject, leaf: Leaf) -> CheckTask:
    """Return what is needed for the checks of an image. Decided here, where the catalogue's corrections are known."""
    values = subject.row.values
    request = {
        "name": subject.row.name,
        "layers": subject.row.family.layers,
        "values": dict(values),
        "locked": _locked(leaf),
        "cuda": {name: use and asdict(use) for name, use in compat.cuda_by_framework(values).items()},
        "services": {service.name: service.root for service in project.services(subject.row)},
        "driver": compat.driver_requirement(values),
        "known": {suite.owner: [check.name for check in suite.known] for suite in of_layers(subject)},
    }
    return CheckTask(subject=subject, base=leaf.base_image, request=request)


def of_layers(subject: Subject) -> list[Suite]:
    """Return what pytest must run."""
    return [suite for suite in subject.open if suite.destination is None]


def kit(project: Project) -> CheckKit:
    """Return what the checks of a project's images need, where the project is."""
    common = project.repository.common
    return CheckKit(
        root=project.repository.root,
        folder=common.checks_folder,
        files={layer: common.check_file(layer) for layer in common.checks()},
        plugins=common.plugins(),
        rules=project.matrix.rules,
    )


def packed(kit: CheckKit) -> PackedKit:
    """Return a kit with the contents of its files."""
    tree = Tree(kit.root)
    paths = [f"{kit.folder}/{path}" for path in tree.files(kit.folder) if path.endswith(_PYTHON)]
    return PackedKit(
        kit=kit,
        stock={layer: str(Path(path).relative_to(STOCK)) for layer, path in kit.files.items() if _is_stock(path)},
        own={path: tree.read(path) for path in paths},
    )


def unpacked(packed: PackedKit, folder: Path) -> CheckKit:
    """Write a kit's own files below an empty folder; return the kit as it is there."""
    folder.mkdir()
    tree = Tree(folder)
    for path, content in packed.own.items():
        tree.replace(path, File(path=path, content=content))
    stock = {layer: str(STOCK / path) for layer, path in packed.stock.items()}
    return replace(packed.kit, root=folder, files={**packed.kit.files, **stock})


def _is_stock(path: str) -> bool:
    return Path(path).is_absolute()


def _locked(leaf: Leaf) -> Mapping[str, str]:
    """Return the packages that a leaf's locks name; a layer's lock outdoes those below it."""
    texts = [
        file.content.decode()
        for stage in leaf.dockerfile_stages
        for file in stage.inputs
        if file.path == f"{stage.installs}/requirements.lock"
    ]
    return {name: version for text in texts for name, version in _LOCKED.findall(text)}
