"""What a layer's folder holds: which of its files are templates, and what they are called."""

from collections.abc import Iterable
from typing import Final

from imagematrix.errors import InputError, Problem
from imagematrix.model import File, LayerSource

TEMPLATE_SUFFIX: Final = ".j2"
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
        raise InputError([Problem(file=name, line=0, what=f"is not UTF-8: {error}")]) from None
