"""The layers of an import: names, templates and files; and the values that rows give to them."""

import json
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imagematrix import compat
from imagematrix.matrix.family import TAKEN
from imagematrix.model import DockerfileLayer, File, LayerSource
from imagematrix.planning import dockerfile, handwritten
from imagematrix.planning.importing.images import ImportedStep, body
from imagematrix.planning.importing.linking import LinkedImage
from imagematrix.planning.importing.sharing import Recipe, Segment, segments
from imagematrix.text import names

_LAYERS: Final = "common/layers"
_STRANGE: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDraft:
    """A layer to be written, or a whole Dockerfile to be declared."""

    name: str
    template: str = ""
    files: tuple[File, ...] = ()
    """Relative to the layer's `files/`."""
    whole: DockerfileLayer | None = None

    @property
    def source(self) -> LayerSource:
        """The layer as it is read once it is written."""
        path = f"{_LAYERS}/{self.name}/Dockerfile.j2"
        return LayerSource(name=self.name, template=self.template, template_path=path, files=self.files)

    @property
    def written(self) -> Mapping[str, File]:
        """Its files by their paths in the monorepo."""
        folder = f"{_LAYERS}/{self.name}"
        template = File(path="Dockerfile.j2", content=self.template.encode())
        return {f"{folder}/Dockerfile.j2": template, **{f"{folder}/files/{file.path}": file for file in self.files}}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayeredImage:
    """An image with the layers that it is made of, and the values that they need of its row."""

    image: LinkedImage
    layers: tuple[str, ...]
    values: Mapping[str, str]
    variables: Mapping[str, str]
    """Build argument -> the name of the row's value that it has become."""


def slug(text: str) -> str:
    """Return a text as a name of a family, a base or a layer."""
    return _STRANGE.sub("-", text.lower()).strip("-") or "image"


def unused(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: the name itself, or with a number."""
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return next(each for each in (name, *numbered) if each not in taken)


def layered(
    images: Sequence[LinkedImage], families: Sequence[str], *, taken: Collection[str]
) -> tuple[list[LayerDraft], list[LayeredImage]]:
    """Return the layers, and each image with its own; `families` are those of the images, `taken` names of layers."""
    by_identity: dict[object, int] = {}
    recipe_of = [by_identity.setdefault(_identity(image.steps), len(by_identity)) for image in images]
    recipes: list[Recipe] = [images[recipe_of.index(number)].steps for number in range(len(by_identity))]
    writer = _Writer(images, recipe_of)
    drafts: list[LayerDraft] = []
    chains: dict[int, list[str]] = {number: [] for number in range(len(recipes))}
    for found in segments(recipes):
        name = _name(found, recipes, recipe_of, families, there=taken, new=[each.name for each in drafts])
        drafts.append(writer.layer(name, recipes[found.members[0]], found))
        for member in found.members:
            chains[member].append(name)
    made = [
        LayeredImage(
            image=image,
            layers=tuple(chains[number]),
            values=writer.values[at],
            variables=writer.variables[at],
        )
        for at, (image, number) in enumerate(zip(images, recipe_of, strict=True))
    ]
    return drafts, made


def _identity(steps: Recipe) -> tuple[object, ...]:
    return tuple(step.identity for step in steps)


def _name(
    found: Segment,
    recipes: Sequence[Recipe],
    recipe_of: Sequence[int],
    families: Sequence[str],
    *,
    there: Collection[str],
    new: Collection[str],
) -> str:
    """Return a name: that of the family that ends with the layer, or is alone with it; else `shared`."""
    ending = [member for member in found.members if len(recipes[member]) == found.end]
    owner = next(iter(ending or (found.members if len(found.members) == 1 else ())), None)
    family = families[recipe_of.index(owner)] if owner is not None else "shared"
    name = slug(family)
    name = name if names.is_stage(name) else f"image-{name}"
    is_taken = name in there or name in TAKEN
    return unused(f"{name}-imported" if is_taken else name, {*there, *new})


class _Writer:
    """Writes layers, and notes which values each image's row must give to them."""

    def __init__(self, images: Sequence[LinkedImage], recipe_of: Sequence[int]) -> None:
        self._images = images
        self._recipe_of = recipe_of
        self.values: list[dict[str, str]] = [{} for _ in images]
        self.variables: list[dict[str, str]] = [{} for _ in images]
        self._taken: list[set[str]] = [set() for _ in images]
        """Names that a whole Dockerfile of the image would take for its own arguments."""
        for at, image in enumerate(images):
            for step in image.steps:
                self._give(at, step.given or {})

    def layer(self, name: str, steps: Recipe, found: Segment) -> LayerDraft:
        """Write the layer that is a segment of a recipe."""
        users = [at for at, number in enumerate(self._recipe_of) if number in found.members]
        if whole := steps[found.start].whole:
            return LayerDraft(name=name, whole=whole)
        lines = [self._argument(step, at, users, name) for at, step in self._in_scope(steps, found.start)]
        files: dict[str, File] = {}
        for at in range(found.start, found.end):
            step = steps[at]
            comments = handwritten.plain(step.text) if step.argument else ""
            lines.append(comments + self._argument(step, at, users, name) if step.argument else _step(step, name))
            files |= {file.path: file for copied in (step.copied or {}).values() for file in copied}
        return LayerDraft(name=name, template="\n".join(lines) + "\n", files=tuple(files.values()))

    def _in_scope(self, steps: Recipe, start: int) -> Iterator[tuple[int, ImportedStep]]:
        """Yield the arguments of the layer below that count for the first step, which a new stage does not know."""
        found: dict[str, tuple[int, ImportedStep]] = {}
        for at, step in enumerate(steps[: start + 1]):
            found = {} if step.begins else found
            if step.argument and at < start:
                found[step.argument] = (at, step)
        yield from found.values()

    def _argument(self, step: ImportedStep, at: int, users: Iterable[int], layer: str) -> str:
        """Write an ARG: with the row's value, if it is one of the build or differs between images."""
        theirs = {user: self._images[user].steps[at] for user in users}
        values = {each.value or "" for each in theirs.values()}
        if step.is_fixed and "$" in (step.value or ""):
            return handwritten.plain(f"ARG {step.argument}={step.value}")
        if step.is_fixed or not (len(values) > 1 or any(each.is_given and each.value for each in theirs.values())):
            return _literal(step)
        name = self._variable(step.argument, theirs, layer)
        for user, each in theirs.items():
            self.values[user][name] = each.value or ""
            self.variables[user][step.argument] = name
        is_plain = all(handwritten.quoted(value) == f'"{value}"' for value in values)
        quoted = name if is_plain else handwritten.escaped(name)
        return f'ARG {handwritten.plain(step.argument)}="{{{{ {quoted} }}}}"'

    def _variable(self, argument: str, theirs: Mapping[int, ImportedStep], layer: str) -> str:
        """Return the name of the row's value: no rule reads it, and no other argument of these images has it."""
        name = free(argument)
        given = {user: each.value or "" for user, each in theirs.items()}
        is_other = any(
            self.values[user].get(name, value) != value or (name in self._taken[user] and name not in self.values[user])
            for user, value in given.items()
        )
        return f"{_STRANGE.sub('_', layer)}_{name}" if is_other else name

    def _give(self, user: int, given: Mapping[str, str | None]) -> None:
        """Note the values of a whole Dockerfile, whose arguments have the names of the row's values."""
        found = {argument: handwritten.variable(argument) for argument in given}
        self._taken[user] |= {*found.values()} - {""}
        for argument, name in found.items():
            value = given[argument]
            if name and value is not None:
                self.variables[user][argument] = name
                self.values[user][name] = value


def free(argument: str) -> str:
    """Return the name of the row's value for an argument: rules judge some names, and templates take others."""
    name = handwritten.variable(argument)
    is_free = name and name not in compat.read() and name not in _RESERVED
    return name if is_free else f"arg_{_STRANGE.sub('_', argument.lower())}"


_RESERVED: Final = frozenset({"base", "os", "reason", "allow", "impossible", "gpus"})
"""Keys of a row, and the fact that follows from its base."""


def _literal(step: ImportedStep) -> str:
    if step.value is None:
        return handwritten.plain(f"ARG {step.argument}")
    return handwritten.plain(f"ARG {step.argument}={handwritten.quoted(step.value)}")


def _step(step: ImportedStep, layer: str) -> str:
    """Write a step; what it copies is in the layer's folder of the leaf."""
    if not step.copied:
        return handwritten.plain(step.text)
    written = body(step.text)
    comments = step.text.removesuffix(written)
    (instruction,) = dockerfile.instructions(written)
    *paths, destination = instruction.arguments
    placed = [path if dockerfile.is_elsewhere(path) else f"{layer}/{_normal(path)}" for path in paths]
    flags = [f"--{flag}" for flag in instruction.flags]
    arguments = [json.dumps([*placed, destination])] if instruction.is_list else [*placed, destination]
    text = " ".join([instruction.word, *flags, *arguments])
    return handwritten.plain(comments + text + (f"\n{instruction.tail}" if instruction.tail else ""))


def _normal(path: str) -> str:
    return posixpath.normpath(f"/{path}").lstrip("/")
