"""A whole Dockerfile read: its stages, what each is built from, and everything that keeps it from being a layer."""

import graphlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import did_you_mean
from imagematrix.planning import dockerfile
from imagematrix.planning.dockerfile import Instruction
from imagematrix.text import names

_VARIABLE: Final = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?::(?P<how>[-+])(?P<other>[^}]*))?\})")
_WORD: Final = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\S)+""")
_QUOTED: Final = re.compile(r""""((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)""")
_ESCAPED: Final = re.compile(r'\\(["\\$])')
_SPECIAL: Final = re.compile(r'["\\$]')
_AUTOMATIC: Final = frozenset(
    f"{which}{what}"
    for which in ("BUILD", "TARGET")
    for what in ("PLATFORM", "OS", "ARCH", "VARIANT", *(("STAGE",) if which == "TARGET" else ()))
)
"""What BuildKit sets itself (https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope)."""
_FRONTEND: Final = re.compile(r"(?:docker\.io/)?docker/dockerfile(?::1(?:\.\d+)*)?(?:@sha256:[0-9a-f]{64})?")
"""The syntax that the engine's own BuildKit reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenStage:
    """A stage as it is written."""

    number: int
    name: str
    """In lower case; empty: it has none."""
    image: str
    """What its FROM line names: an image or a stage before it, perhaps with variables."""
    flags: tuple[str, ...]
    """Those of its FROM line."""
    line: int
    instructions: tuple[Instruction, ...]
    """Those behind its FROM line."""

    @property
    def origins(self) -> Iterator[tuple[int, str]]:
        """What it copies or mounts out of, each with its line, as it is written."""
        for each in self.instructions:
            if each.word in ("COPY", "ADD", "RUN"):
                yield from ((each.line, name) for flag in each.flags if (name := dockerfile.origin(flag)))


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A Dockerfile: what is before its first stage, and its stages."""

    head: tuple[Instruction, ...]
    stages: tuple[WrittenStage, ...]
    target: str
    """The stage that is built; empty: the last one."""
    given: Mapping[str, str]
    """Build arguments: they count instead of defaults."""

    @cached_property
    def arguments(self) -> Mapping[str, str | None]:
        """The arguments before the first stage, with their values; None: it has none."""
        found: dict[str, str | None] = {}
        for instruction in self.head:
            for word in words(instruction):
                name, sign, default = word.partition("=")
                found[name] = filled(unquoted(default), found) if sign else None
                found |= {name: self.given[name]} if name in self.given else {}
        return found

    @cached_property
    def inner_arguments(self) -> frozenset[str]:
        """The names of the arguments that the stages which are built declare."""
        declared = (word for stage in self.needed for each in stage.instructions for word in words(each))
        return frozenset(word.partition("=")[0] for word in declared)

    @cached_property
    def final(self) -> WrittenStage | None:
        """The stage that is built; None: there is none of that name."""
        if not self.target:
            return self.stages[-1] if self.stages else None
        return next((each for each in self.stages if self.target.lower() in (each.name, str(each.number))), None)

    def image_of(self, stage: WrittenStage) -> str:
        """Return what the FROM line of a stage names, its variables filled in as far as they have values."""
        known = filled(stage.image, self.arguments)
        return stage.image if known is None else known

    def below(self, stage: WrittenStage) -> WrittenStage | None:
        """Return the stage that a stage is built from; None: an image."""
        image = self.image_of(stage).lower()
        return next((each for each in reversed(self.stages[: stage.number]) if each.name == image), None)

    def named(self, name: str) -> WrittenStage | None:
        """Return the stage that `--from` names; None: an image."""
        found = self.stages[int(name)] if name.isdecimal() and int(name) < len(self.stages) else None
        return found or next((each for each in reversed(self.stages) if each.name == name.lower()), None)

    def root(self, stage: WrittenStage) -> str:
        """Return the image that a stage is built from in the end."""
        below = self.below(stage)
        return self.root(below) if below else self.image_of(stage)

    @cached_property
    def needed(self) -> tuple[WrittenStage, ...]:
        """The stages that are built, in order; the last one is the final stage."""
        if self.final is None:
            return ()
        found, todo = {self.final.number}, [self.final]
        while todo:
            new = [each for each in self.read_by(todo.pop()) if each.number not in found]
            found |= {each.number for each in new}
            todo += new
        others = (each for each in self.stages if each.number in found and each != self.final)
        return (*others, self.final)

    def read_by(self, stage: WrittenStage) -> tuple[WrittenStage, ...]:
        """Return the stages that a stage is built from, copies out of or mounts."""
        named = (self.named(name) for _, name in stage.origins)
        return tuple(each for each in (self.below(stage), *named) if each)


def read(text: str, *, target: str = "", given: Mapping[str, str] | None = None) -> Whole:
    """Read a Dockerfile, perhaps with build arguments. What is wrong with it, `faults` says."""
    head: list[Instruction] = []
    stages: list[tuple[Instruction, list[Instruction]]] = []
    for instruction in dockerfile.instructions(text):
        if instruction.word == "FROM":
            stages.append((instruction, []))
        else:
            (stages[-1][1] if stages else head).append(instruction)
    made = (_stage(number, *each) for number, each in enumerate(stages))
    return Whole(head=tuple(head), stages=tuple(made), target=target, given=given or {})


def _stage(number: int, begin: Instruction, instructions: list[Instruction]) -> WrittenStage:
    arguments = begin.arguments
    return WrittenStage(
        number=number,
        name=arguments[2].lower() if _is_named(arguments) else "",
        image=unquoted(arguments[0]) if arguments else "",
        flags=tuple(begin.flags),
        line=begin.line,
        instructions=tuple(instructions),
    )


def _is_named(arguments: list[str]) -> bool:
    return len(arguments) == len("iAn") and arguments[1].upper() == "AS"


def words(argument: Instruction) -> list[str]:
    """Return what an ARG declares: `NAME` or `NAME=value`."""
    return _WORD.findall(argument.text)[1:] if argument.word == "ARG" else []


def unquoted(word: str) -> str:
    """Return a word without its quotes and backslashes; what variables it names stays."""
    return _QUOTED.sub(_bare, word)


def quoted(text: str) -> str:
    """Return a text as a word that stands for just that: what `unquoted` reads back."""
    return f'"{_SPECIAL.sub(_backslashed, text)}"'


def _backslashed(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _bare(found: re.Match[str]) -> str:
    inner, plain, escaped = found.groups()
    return _ESCAPED.sub(r"\1", inner) if inner is not None else plain if plain is not None else escaped


def filled(text: str, values: Mapping[str, str | None]) -> str | None:
    """Return a text with its variables filled in; None: one has no value. What BuildKit sets stays."""
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        name, how = found["plain"] or found["name"], found["how"]
        if name in _AUTOMATIC and name not in values:
            return found[0]
        known = values.get(name)
        if how == "+":
            return str(found["other"]) if known else ""
        if how == "-":
            return known or str(found["other"])
        missing = missing or known is None
        return known or ""

    result = _VARIABLE.sub(value, text)
    return None if missing else result


def faults(text: str, *, target: str = "", given: Mapping[str, str] | None = None) -> Iterator[Diagnostic]:
    """Yield everything that keeps a Dockerfile from being a layer, by its lines."""
    whole = read(text, target=target, given=given)
    yield from _directives(text)
    malformed = [*_instructions(text, whole)]
    yield from malformed
    if not whole.stages:
        yield Diagnostic(line=1, code="dockerfile_from", message="has no FROM", hint="expected FROM IMAGE")
    elif not malformed:
        yield from _targets(whole)
        yield from _images(whole)
        yield from _cycles(whole)


def _directives(text: str) -> Iterator[Diagnostic]:
    for line, name, value in dockerfile.directives(text):
        if name == "escape" and value != "\\":
            what, hint = "another escape character than the backslash is not supported", "escape with a backslash"
            yield Diagnostic(line=line, code="dockerfile_directive", message=what, hint=hint)
        if name == "syntax" and not _FRONTEND.fullmatch(value):
            what = f"is written for the frontend {value}, and leaves are read by the engine's own"
            hint = "write it for docker/dockerfile:1"
            yield Diagnostic(line=line, code="dockerfile_directive", message=what, hint=hint)


def _instructions(text: str, whole: Whole) -> Iterator[Diagnostic]:
    first = whole.stages[0].line if whole.stages else 0
    for each in dockerfile.instructions(text):
        found = [*dockerfile.malformations(each, within="Dockerfile")]
        yield from found
        if found:
            continue
        if each.word == "ONBUILD":
            what, hint = "ONBUILD would run in the layers above, unseen by their keys", "write it where it is needed"
            yield Diagnostic(line=each.line, code="dockerfile_onbuild", message=what, hint=hint)
        if each.word == "FROM" and len(each.arguments) != 1 and not _is_named(each.arguments):
            what, hint = f"{each.text!r} is not a valid FROM", "expected FROM IMAGE or FROM IMAGE AS NAME"
            yield Diagnostic(line=each.line, code="dockerfile_from", message=what, hint=hint)
        for name in (word.partition("=")[0] for word in words(each)):
            if not names.is_variable(name):
                what, hint = f"{name!r} is not a valid name of an argument", "expected letters, digits and _"
                yield Diagnostic(line=each.line, code="dockerfile_arguments", message=what, hint=hint)
        if first and each.line < first and each.word != "ARG":
            what, hint = f"{each.word} before the first FROM", "only ARG may be there"
            yield Diagnostic(line=each.line, code="dockerfile_from", message=what, hint=hint)
        if any(flag.partition("=")[0] == "parents" for flag in each.flags) and each.word == "COPY":
            what, hint = "COPY --parents is not supported in a layer", "copy each folder to its place"
            yield Diagnostic(line=each.line, code="dockerfile_parents", message=what, hint=hint)


def _targets(whole: Whole) -> Iterator[Diagnostic]:
    known: set[str] = set()
    for stage in whole.stages:
        if stage.name in known:
            what = f"two stages are named {stage.name!r}"
            yield Diagnostic(line=stage.line, code="dockerfile_stage", message=what, hint="rename one of them")
        known |= {stage.name} - {""}
    if whole.final is None:
        what = f"there is no stage {whole.target!r} to build"
        yield Diagnostic(line=1, code="dockerfile_stage", message=what, hint=did_you_mean(whole.target, known))


def _images(whole: Whole) -> Iterator[Diagnostic]:
    for stage in whole.needed:
        own = whole.below(stage) is None and not (whole.final and whole.root(whole.final) == whole.image_of(stage))
        if own and filled(stage.image, whole.arguments) is None:
            what = f"{stage.image!r} names an argument without a value"
            hint = "give it a default before the first FROM, or each row a value of that name in lower case"
            yield Diagnostic(line=stage.line, code="dockerfile_argument", message=what, hint=hint)


def _cycles(whole: Whole) -> Iterator[Diagnostic]:
    graph = {stage.number: {each.number for each in whole.read_by(stage)} for stage in whole.stages}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle = [whole.stages[number] for number in error.args[1]]
        line = min(stage.line for stage in circle)
        shown = " -> ".join(stage.name or str(stage.number) for stage in circle)
        what, hint = f"these stages are built from one another: {shown}", "copy out of a stage before this one"
        yield Diagnostic(line=line, code="dockerfile_cycle", message=what, hint=hint)
    for stage in whole.needed:
        for line, name in stage.origins:
            if name.isdecimal() and whole.named(name) is None:
                what = f"there is no stage {name} to copy out of"
                hint = f"stages are numbered from 0 to {len(whole.stages) - 1}"
                yield Diagnostic(line=line, code="dockerfile_origin", message=what, hint=hint)
