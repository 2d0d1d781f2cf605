"""What a layer's folder holds: which of its files are templates, and what they are called."""

from collections.abc import Iterable
from typing import Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError
from imagematrix.model import File, LayerSource, Row, Sources

TEMPLATE_SUFFIX: Final = ".j2"
COMPANIONS: Final = "leaf"
"""The folder of what stands beside a Dockerfile: of the monorepo, of a layer, of the package."""
_SECTION: Final = "README.md"
"""What a layer has to say in the README of each leaf that has it: a file of this name, or a template of it."""
SECTION_TEMPLATE: Final = f"/files/{_SECTION}{TEMPLATE_SUFFIX}"


def templates_of(layer: LayerSource) -> Iterable[tuple[str, str]]:
    """Yield the templates of a layer, name and text. Raises InputError for one that is not UTF-8."""
    yield layer.template_path, layer.template
    for file in layer.files:
        if is_template(file):
            name = name_of(layer, file)
            yield name, decoded(name, file.content)


def companions_of(layer: LayerSource) -> dict[str, File]:
    """Return what a layer puts beside the Dockerfiles of its rows, by its path in the repository."""
    return {f"{folder_of(layer)}/{COMPANIONS}/{file.path}": file for file in layer.leaf}


def companions(sources: Sources) -> dict[str, File]:
    """Return what the monorepo puts beside every Dockerfile, by its path in the repository."""
    return {f"common/{COMPANIONS}/{file.path}": file for file in sources.leaf}


def companion_templates(sources: Sources) -> Iterable[tuple[str, str]]:
    """Yield the templates among all companions, name and text. Raises InputError for one that is not UTF-8."""
    for files in (companions(sources), *map(companions_of, sources.layers.values())):
        yield from ((name, decoded(name, file.content)) for name, file in files.items() if is_template(file))


def with_parents(row: Row) -> Iterable[tuple[str, str]]:
    """Yield each layer of a row with what is below it."""
    layers = row.family.layers
    return zip(layers, ("${BASE_IMAGE}", *layers), strict=False)


def template_names(layer: LayerSource) -> Iterable[str]:
    """Yield the names of the templates of a layer."""
    return (name for name, _ in templates_of(layer))


def name_of(layer: LayerSource, file: File) -> str:
    """Return the path of a layer's file in the repository, which is also the name of a template."""
    return f"{folder_of(layer)}/files/{file.path}"


def folder_of(layer: LayerSource) -> str:
    """Return the folder of a layer in the repository."""
    return layer.template_path.rpartition("/")[0]


def is_template(file: File) -> bool:
    """Whether a layer's file is rendered."""
    return file.path.endswith(TEMPLATE_SUFFIX)


def is_section(file: File) -> bool:
    """Whether a layer's file is its section of the README of leaves."""
    return file.path.removesuffix(TEMPLATE_SUFFIX) == _SECTION


def decoded(name: str, content: bytes) -> str:
    """Return the text of a file. Raises InputError where it is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputError([Diagnostic(code="encoding", file=name, message=f"is not UTF-8: {error}")]) from None
