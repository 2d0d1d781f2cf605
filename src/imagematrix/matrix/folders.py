"""What a matrix declares of folders elsewhere in the monorepo: what stages copy from, and whole Dockerfiles."""

from collections.abc import Mapping
from typing import Final

from imagematrix.matrix.family import LAYER_RULE, TAKEN
from imagematrix.model import DockerfileLayer
from imagematrix.text import names
from imagematrix.text.shape import Table

DOCKERFILE_KEYS: Final = ("file", "context", "target")


def sources(table: Table) -> dict[str, str]:
    """Return the source folders: name -> path."""
    for name in table:
        if not names.is_component(name):
            table.wrong(name, f"{name!r} is not a valid name for a source folder", f"expected {names.COMPONENT_RULE}")
    return {name: _path(table, name, what="a folder") for name in table}


def dockerfiles(table: Table, *, layers: Mapping[str, bool]) -> dict[str, DockerfileLayer]:
    """Return the whole Dockerfiles by the layers that they are; `layers` are the folders of common/layers."""
    for name in table:
        if name in TAKEN or not names.is_stage(name):
            table.wrong(name, f"{name!r} is not a valid name for a layer", LAYER_RULE)
        elif layers.get(name):
            table.wrong(name, f"a layer {name!r} exists already", "name this one otherwise: `invoke layers` lists all")
    return {name: _dockerfile(table.table(name)) for name in table}


def _dockerfile(table: Table) -> DockerfileLayer:
    table.allow(*DOCKERFILE_KEYS)
    table.require("file", 'name it relative to this file: file = "services/app/Dockerfile"')
    file = _path(table, "file", what="a file")
    context = _path(table, "context", what="a folder") if "context" in table else file.rpartition("/")[0] or "."
    return DockerfileLayer(file=file, context=context, target=table.text("target"))


def _path(table: Table, key: str, *, what: str) -> str:
    path = table.text(key)
    if key in table and (not path or path.startswith("/")):
        table.wrong(key, f"{path!r} is not {what} of the monorepo", "expected a path relative to this file")
    return path
