"""The stages of a Dockerfile as a leaf has them: renamed, on the layer's parent, sources below the layer's name."""

import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.model import SOURCES
from imagematrix.planning import dockerfile
from imagematrix.planning.dockerfile import Instruction
from imagematrix.planning.handwritten.reading import Whole, WrittenStage, quoted, unquoted, words
from imagematrix.text.names import SCRATCH

_BARE: Final = re.compile(r"[a-z0-9._-]+")
"""The name of an image that may be taken for that of a stage."""


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
    """What it reads of the leaf: the line of the Dockerfile, and a pattern relative to the leaf."""


def stages(whole: Whole, *, layer: str, parent: str, folders: Collection[str] = ()) -> tuple[WholeStage, ...]:
    """Return the stages of a Dockerfile without faults, as a leaf has them, the layer's own last.

    `parent` is what the layer is built on: it takes the place of the image that the last stage is from. `folders` are
    the source folders, which `--from` may name as named contexts.
    """
    names = {stage.number: f"{layer}-{stage.name or stage.number}" for stage in whole.needed}
    names[whole.needed[-1].number] = layer
    return tuple(_Writer(whole, names, layer, parent, folders).stage(stage) for stage in whole.needed)


def sources(whole: Whole) -> tuple[str, ...]:
    """Return the patterns of what the stages read of the context; `.`: it may be all of it."""
    read = (path for stage in whole.needed for _, path in _sources(stage))
    return tuple(dict.fromkeys(read))


def _sources(stage: WrittenStage) -> Iterator[tuple[int, str]]:
    for each in stage.instructions:
        yield from ((each.line, _within(path)) for origin, path in _read(each) if not origin)


class _Writer:
    """Writes the stages of one Dockerfile."""

    def __init__(
        self, whole: Whole, names: Mapping[int, str], layer: str, parent: str, folders: Collection[str]
    ) -> None:
        self._whole = whole
        self._names = names
        self._layer = layer
        self._parent = parent
        self._folders = folders

    def stage(self, stage: WrittenStage) -> WholeStage:
        """Write a stage."""
        image, name = self._image(stage), self._names[stage.number]
        is_own = image == self._parent
        flags = "".join(f"--{flag} " for flag in stage.flags) if not is_own else ""
        return WholeStage(
            name=name,
            head=f"FROM {flags}{image} AS {name}",
            text="\n".join(map(self._instruction, stage.instructions)),
            pulls="" if is_own or self._whole.below(stage) or image == SCRATCH else image,
            sources=tuple(self._reads(stage)),
        )

    def _reads(self, stage: WrittenStage) -> Iterator[tuple[int, str]]:
        for each in stage.instructions:
            for origin, path in _read(each):
                if root := self._root(origin):
                    yield each.line, posixpath.normpath(f"{root}/{_within(path)}")

    def _root(self, origin: str) -> str:
        """Return the folder of the leaf that holds what `--from` names; empty: it is a stage or an image."""
        if not origin:
            return self._layer
        return f"{SOURCES}/{origin}" if origin in self._folders and not self._whole.named(origin) else ""

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
            case "COPY" | "ADD" if root := self._root(_from(instruction)):
                return self._copy(instruction, root)
            case "COPY" | "ADD" | "RUN":
                return self._with_flags(instruction)
            case _:
                return instruction.raw

    def _argument(self, word: str) -> str:
        """Give an argument the value that it has before the first stage: in a leaf other stages are before it."""
        value = self._whole.arguments.get(word)
        return word if value is None else f"{word}={quoted(value)}"

    def _copy(self, instruction: Instruction, root: str) -> str:
        """Write a COPY whose sources are in a folder of the leaf."""
        *paths, destination = instruction.arguments
        placed = [path if dockerfile.is_elsewhere(path) else _placed(root, path) for path in paths]
        if placed == paths:
            return instruction.raw
        flags = [f"--{flag}" for flag in instruction.flags if not flag.startswith("from=")]
        arguments = [json.dumps([*placed, destination])] if instruction.is_list else [*placed, destination]
        text = " ".join([instruction.word, *flags, *arguments])
        return f"{text}\n{instruction.tail}" if instruction.tail else text

    def _with_flags(self, instruction: Instruction) -> str:
        """Write an instruction with the stages that its flags name renamed, and its mounts out of the leaf."""
        text = instruction.raw
        for flag in instruction.flags:
            text = text.replace(f"--{flag}", f"--{self._flag(flag)}", 1)
        return text

    def _flag(self, flag: str) -> str:
        mount, name = dockerfile.mount(flag), dockerfile.origin(flag)
        if _is_bind(mount) and (root := self._root(name)):
            options = {**mount, "source": _placed(root, _source(mount))}
            kept = (f"{key}={value}" if value else key for key, value in options.items() if key not in ("src", "from"))
            return f"mount={','.join(kept)}"
        if not name:
            return flag
        stage = self._whole.named(name)
        image = self._names[stage.number] if stage else _tagged(name)
        return re.sub(rf"\bfrom={re.escape(name)}(?=,|$)", f"from={image}", flag)


def _placed(root: str, path: str) -> str:
    """Return where a path of a context is in the leaf."""
    if "$" in path:
        return f"{root}/{unquoted(path).lstrip('/')}"
    within = _normal(path)
    return f"{root}/{within}" if within != "." else f"{root}/"


def _from(instruction: Instruction) -> str:
    """Return what a COPY copies out of, if not the context."""
    return next((flag.removeprefix("from=") for flag in instruction.flags if flag.startswith("from=")), "")


def _read(instruction: Instruction) -> Iterator[tuple[str, str]]:
    """Yield what an instruction copies or mounts, each with what it is out of; empty: the context."""
    if instruction.word in ("COPY", "ADD"):
        own = (path for path in instruction.arguments[:-1] if not dockerfile.is_elsewhere(path))
        yield from ((_from(instruction), path) for path in own)
    if instruction.word == "RUN":
        mounts = map(dockerfile.mount, instruction.flags)
        yield from ((mount.get("from", ""), _source(mount)) for mount in mounts if _is_bind(mount))


def _is_bind(mount: Mapping[str, str]) -> bool:
    """Whether a mount shows files: one without a type does."""
    return bool(mount) and mount.get("type", "bind") == "bind"


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
    return f"{image}:latest" if _BARE.fullmatch(image) and image != SCRATCH else image
