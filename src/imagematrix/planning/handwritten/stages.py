"""The stages of a Dockerfile as a leaf has them: renamed, on the layer's parent, sources below the layer's name."""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.planning import dockerfile
from imagematrix.planning.dockerfile import Instruction
from imagematrix.planning.handwritten.reading import Whole, WrittenStage, unquoted, words

_BARE: Final = re.compile(r"[a-z0-9._-]+")
"""The name of an image that may be taken for that of a stage."""
_SPECIAL: Final = re.compile(r'(["\\$])')


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeStage:
    """A stage of a leaf."""

    name: str
    head: str
    """Its FROM line."""
    text: str
    """Its instructions."""
    pulls: str
    """The image that it is from, where that is not the layer's parent and no stage; else empty."""
    sources: tuple[tuple[int, str], ...]
    """What it reads of the context: the line of the Dockerfile, and a pattern relative to the context."""


def stages(whole: Whole, *, layer: str, parent: str) -> tuple[WholeStage, ...]:
    """Return the stages of a Dockerfile without faults, as a leaf has them, the layer's own last.

    `parent` is what the layer is built on: it takes the place of the image that the last stage is from.
    """
    names = {stage.number: f"{layer}-{stage.name or stage.number}" for stage in whole.needed}
    names[whole.needed[-1].number] = layer
    return tuple(_Writer(whole, names, layer, parent).stage(stage) for stage in whole.needed)


def sources(whole: Whole) -> tuple[str, ...]:
    """Return the patterns of what the stages read of the context; `.`: it may be all of it."""
    read = (path for stage in whole.needed for _, path in _sources(stage))
    return tuple(dict.fromkeys(read))


def _sources(stage: WrittenStage) -> Iterator[tuple[int, str]]:
    for each in stage.instructions:
        yield from ((each.line, _within(path)) for path in _copied(each))
        yield from ((each.line, _within(_source(mount))) for mount in _bound(each).values())


class _Writer:
    """Writes the stages of one Dockerfile."""

    def __init__(self, whole: Whole, names: Mapping[int, str], layer: str, parent: str) -> None:
        self._whole = whole
        self._names = names
        self._layer = layer
        self._parent = parent

    def stage(self, stage: WrittenStage) -> WholeStage:
        """Write a stage."""
        image, name = self._image(stage), self._names[stage.number]
        is_own = image == self._parent
        flags = "".join(f"--{flag} " for flag in stage.flags) if not is_own else ""
        return WholeStage(
            name=name,
            head=f"FROM {flags}{image} AS {name}",
            text="\n".join(map(self._instruction, stage.instructions)),
            pulls="" if is_own or self._whole.below(stage) or image == "scratch" else image,
            sources=tuple(_sources(stage)),
        )

    def _image(self, stage: WrittenStage) -> str:
        whole = self._whole
        if below := whole.below(stage):
            return self._names[below.number]
        image = whole.image_of(stage)
        return self._parent if image == whole.root(whole.needed[-1]) else _tagged(image)

    def _instruction(self, instruction: Instruction) -> str:
        match instruction.word:
            case "ARG":
                return " ".join(["ARG", *map(self._argument, words(instruction))])
            case "COPY" | "ADD" if _copied(instruction):
                return self._copy(instruction)
            case "COPY" | "ADD" | "RUN":
                return self._with_flags(instruction)
            case _:
                return instruction.raw

    def _argument(self, word: str) -> str:
        """Give an argument the value that it has before the first stage: in a leaf other stages are before it."""
        value = self._whole.arguments.get(word)
        return word if value is None else f'{word}="{_SPECIAL.sub(_escaped, value)}"'

    def _copy(self, instruction: Instruction) -> str:
        """Write a COPY whose sources are below the layer's name in the leaf."""
        *paths, destination = instruction.arguments
        found = _copied(instruction)
        placed = [self._placed(path) if path in found else path for path in paths]
        flags = [f"--{flag}" for flag in instruction.flags]
        arguments = [json.dumps([*placed, destination])] if instruction.is_list else [*placed, destination]
        text = " ".join([instruction.word, *flags, *arguments])
        return f"{text}\n{instruction.tail}" if instruction.tail else text

    def _with_flags(self, instruction: Instruction) -> str:
        """Write an instruction with the stages that its flags name renamed, and its mounts below the layer's name."""
        text, bound = instruction.raw, _bound(instruction)
        for flag in instruction.flags:
            new = flag
            if flag in bound:
                options = (each for each in flag.split(",") if each.partition("=")[0] not in ("source", "src"))
                new = f"{','.join(options)},source={self._placed(_source(bound[flag]))}"
            elif name := dockerfile.origin(flag):
                stage = self._whole.named(name)
                image = self._names[stage.number] if stage else _tagged(name)
                new = re.sub(rf"\bfrom={re.escape(name)}(?=,|$)", f"from={image}", flag)
            text = text.replace(f"--{flag}", f"--{new}", 1)
        return text

    def _placed(self, path: str) -> str:
        """Return where a path of the context is in the leaf."""
        if "$" in path:
            return f"{self._layer}/{unquoted(path).lstrip('/')}"
        within = _normal(path)
        return f"{self._layer}/{within}" if within != "." else f"{self._layer}/"


def _copied(instruction: Instruction) -> tuple[str, ...]:
    """Return what a COPY or ADD takes out of the context, as it is written."""
    if instruction.word not in ("COPY", "ADD") or any(flag.startswith("from=") for flag in instruction.flags):
        return ()
    return tuple(path for path in instruction.arguments[:-1] if not dockerfile.is_elsewhere(path))


def _bound(instruction: Instruction) -> Mapping[str, Mapping[str, str]]:
    """Return the mounts of a RUN that show the context: flag -> options."""
    if instruction.word != "RUN":
        return {}
    mounts = {flag: dockerfile.mount(flag) for flag in instruction.flags}
    return {flag: each for flag, each in mounts.items() if dockerfile.is_bind(each)}


def _source(mount: Mapping[str, str]) -> str:
    return mount.get("source", mount.get("src", "."))


def _within(path: str) -> str:
    """Return the pattern of what a source may name: with a variable in it, everything."""
    return "." if "$" in path else _normal(path)


def _normal(path: str) -> str:
    """Return a path relative to the context: BuildKit takes what leads out of it as its root."""
    return posixpath.normpath(f"/{unquoted(path)}").lstrip("/") or "."


def _tagged(image: str) -> str:
    """Return an image by a name that is not taken for that of a stage of the leaf."""
    return f"{image}:latest" if _BARE.fullmatch(image) and image != "scratch" else image


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[1]}"
