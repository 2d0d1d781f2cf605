"""An image that is built, taken apart: what it is from, and its steps; or one step that is the whole Dockerfile."""

import posixpath
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.errors import InputError, did_you_mean
from imagematrix.model import DockerfileLayer, File
from imagematrix.planning import dockerfile, handwritten, keys
from imagematrix.planning.dockerfile import Instruction
from imagematrix.planning.handwritten import Whole
from imagematrix.planning.importing import contexts
from imagematrix.planning.importing.nouns import BuildCall, FoundTree
from imagematrix.text import names
from imagematrix.text.visible import CONTROL

_WILDCARDS: Final = frozenset("*?[")
_LITERAL: Final = frozenset("\"'`\\")
"""What blanks may count within."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedStep:
    """An instruction of a Dockerfile, or a whole one."""

    line: int
    word: str
    text: str
    """As it is written, with the comments above it."""
    argument: str = ""
    """Of an ARG: its name."""
    value: str | None = None
    """Of an ARG: the value it is built with; None: it has none."""
    is_given: bool = False
    """Of an ARG: a build argument gives the value."""
    is_fixed: bool = False
    """Of an ARG: its value cannot be a row's, but stands in the layer."""
    copied: Mapping[str, tuple[File, ...]] | None = None
    """Of a COPY or ADD: what it copies, by source as written; paths are relative to the context."""
    begins: bool = False
    """Arguments before it do not count for it: a stage begins."""
    whole: DockerfileLayer | None = None
    """The whole Dockerfile that it stands for."""
    given: Mapping[str, str | None] | None = None
    """Of a whole Dockerfile: its arguments, with the values of the build; None: its own default counts."""
    folders: Mapping[str, str] | None = None
    """Of a whole Dockerfile: the named contexts that it copies out of: name -> folder, relative to the matrix file."""

    @property
    def identity(self) -> Hashable:
        """What two images must agree on to have the step in common: not the value of an argument."""
        if self.whole:
            return self.whole
        if self.argument:
            return ("ARG", self.argument, self.begins, self.value if self.is_fixed else None)
        (instruction,) = dockerfile.instructions(body(self.text))
        text = instruction.text
        blanks_count = not _LITERAL.isdisjoint(text)
        words = text if blanks_count else " ".join(text.split())
        return (words, instruction.tail, self.begins, _contents(self.copied))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedImage:
    """An image as its Dockerfile and the call that builds it make it."""

    number: int
    """Its place among all that were found."""
    tree: FoundTree
    call: BuildCall
    image: str
    """What it is from: its base, or an image that is imported too."""
    steps: tuple[ImportedStep, ...]
    differences: tuple[Diagnostic, ...]
    """What is not as it was."""

    @property
    def place(self) -> str:
        """Where it comes from, for messages."""
        return self.tree.shown(self.call.file) + (f":{self.call.line}" if self.call.line else "")


def read(number: int, tree: FoundTree, call: BuildCall) -> ImportedImage:
    """Take an image apart. Raises InputError with everything that keeps it from being imported."""
    if call.context.startswith("..") or call.dockerfile.startswith(".."):
        what = f"its context {call.context!r} or its Dockerfile is outside {tree.path}"
        raise _refusal(tree.shown(call.file), call.line, what, "import the folder that holds both")
    if call.dockerfile not in tree.files:
        near = did_you_mean(call.dockerfile, [path for path in tree.files if "ockerfile" in path])
        raise _refusal(tree.shown(call.file), call.line, f"there is no {call.dockerfile}", near)
    text, shown = tree.text(call.dockerfile), tree.shown(call.dockerfile)
    if "\ufffd" in text:
        raise InputError([Diagnostic(code="encoding", file=shown, message="is not UTF-8", hint="save it as UTF-8")])
    if wrong := [*handwritten.faults(text, target=call.target, given=call.arguments)]:
        raise InputError(replace(each, file=shown) for each in wrong)
    whole = handwritten.read(text, target=call.target, given=call.arguments)
    _refuse_values(tree, call)
    call = contexts.in_context(tree, call, whole)
    context = contexts.files(tree, call)
    root = whole.root(whole.needed[-1])
    _refuse_base(whole, root, shown)
    contexts.refuse_missing(whole, context, shown)
    reasons = [*_reasons(whole, context, call.folders)]
    _refuse_contexts(whole, call, shown)
    steps = (_whole_step(tree, call, whole, reasons, shown),) if reasons else _fixed(_steps(whole, text, context))
    elsewhere = call.file == call.dockerfile and call.context != (posixpath.dirname(call.dockerfile) or ".")
    what = f"its context is taken to be {tree.shown(call.context)}, which has what it copies"
    where = [(0, what)] if elsewhere else []
    notes = [
        _note(shown, *each) for each in (*where, *sorted(reasons)[:1], *_lost(whole, call, is_whole=bool(reasons)))
    ]
    return ImportedImage(
        number=number, tree=tree, call=call, image=_outer(call, root), steps=steps, differences=tuple(notes)
    )


def _refusal(file: str, line: int, what: str, hint: str) -> InputError:
    return InputError([Diagnostic(code="import", file=file, line=line, message=what, hint=hint)])


def _note(file: str, line: int, what: str) -> Diagnostic:
    return Diagnostic(code="import_difference", severity=Severity.NOTE, file=file, line=line, message=what)


def _refuse_values(tree: FoundTree, call: BuildCall) -> None:
    """Raise InputError for a build argument that a row cannot have."""
    for name, value in call.arguments.items():
        if CONTROL.search(value):
            what, hint = f"the build argument {name} has several lines", "write them to a file that is copied"
            raise _refusal(tree.shown(call.file), call.line, what, hint)


def _refuse_base(whole: Whole, root: str, shown: str) -> None:
    """Raise InputError for an image that nothing can be built from."""
    first = next(each for each in whole.stages if whole.image_of(each) == root)
    if "$" in root:
        what, hint = f"{root!r} names an argument without a value", "give it a default, or a build argument"
        raise _refusal(shown, first.line, what, hint)
    if not names.is_image(root):
        raise _refusal(shown, first.line, f"no registry accepts the name {root!r}", names.IMAGE_RULE)


def _outer(call: BuildCall, image: str) -> str:
    """Return what a named context puts in the place of an image; `target:NAME` is another target of bake."""
    return call.contexts.get(image, image).removeprefix("docker-image://")


def _reasons(whole: Whole, context: Mapping[str, File], folders: Collection[str]) -> Iterator[tuple[int, str]]:
    """Yield why a Dockerfile is not taken apart, each with its line."""
    for before, stage in zip(whole.needed, whole.needed[1:], strict=False):
        if whole.below(stage) != before:
            yield stage.line, "is imported as a whole: it has stages that are not built from one another"
    for stage in whole.needed:
        for line, name in stage.origins:
            if whole.named(name):
                yield line, "is imported as a whole: it copies out of another stage"
            elif name in folders:
                yield line, f"is imported as a whole: it copies out of the named context {name}"
        for each in stage.instructions:
            if each.word == "RUN" and any(dockerfile.is_bind(dockerfile.mount(flag)) for flag in each.flags):
                yield each.line, "is imported as a whole: a step mounts its context"
            for path in contexts.copied(each):
                yield from ((each.line, f"is imported as a whole: {why}") for why in _unshelved(path, context))


def _unshelved(path: str, context: Mapping[str, File]) -> Iterator[str]:
    """Yield why what is at a path cannot be a file of a layer."""
    if path == "." or _WILDCARDS & set(path) or "$" in path:
        yield f"{path!r} may name many files"
    else:
        names = [name for name in context if handwritten.is_match(name, path)]
        if any(name.endswith(".j2") or name == "README.md" for name in names):
            yield f"{path!r} would be a template or a section of a README in a layer"


def _whole_step(
    tree: FoundTree, call: BuildCall, whole: Whole, reasons: Sequence[tuple[int, str]], shown: str
) -> ImportedStep:
    if tree.within is None:
        line, why = reasons[0]
        raise _refusal(shown, line, why, "and its folder is outside the repository: copy it there first")
    layer = DockerfileLayer(
        file=posixpath.normpath(f"{tree.within}/{call.dockerfile}"),
        context=posixpath.normpath(f"{tree.within}/{call.context}"),
        target=call.target,
    )
    used = {name for stage in whole.needed for _, name in stage.origins}
    folders = {name: posixpath.normpath(f"{tree.within}/{path}") for name, path in call.folders.items() if name in used}
    given = {
        name: call.arguments.get(name)
        for name in sorted({*whole.arguments, *whole.inner_arguments})
        if name in whole.inner_arguments or not _is_base(whole, name)
    }
    return ImportedStep(line=1, word="FROM", text="", whole=layer, given=given, folders=folders, begins=True)


def _is_base(whole: Whole, argument: str) -> bool:
    """Whether an argument is all of what names the image that the first stage is from: the base of the row."""
    return whole.needed[0].image in (f"${argument}", f"${{{argument}}}")


def _refuse_contexts(whole: Whole, call: BuildCall, shown: str) -> None:
    """Raise InputError for a named context that is an image: only the first FROM may be replaced."""
    found = [
        Diagnostic(
            code="import",
            file=shown,
            line=line,
            message=f"the named context {name!r} is {call.contexts[name]}",
            hint="name that image in the Dockerfile instead",
        )
        for stage in whole.needed
        for line, name in [*stage.origins, *([(stage.line, whole.image_of(stage))] if stage != whole.needed[0] else [])]
        if name in call.contexts and name not in call.folders
    ]
    if found:
        raise InputError(found)


def _lost(whole: Whole, call: BuildCall, *, is_whole: bool) -> Iterator[tuple[int, str]]:
    """Yield what an imported image lacks, each with its line."""
    first = whole.needed[0]
    if first.flags:
        yield first.line, f"--{first.flags[0]} is left out: rows are for the `platforms` of the matrix"
    names = {*whole.arguments, *whole.inner_arguments}
    for name in call.arguments:
        if name not in names and f"{{{name}}}" not in call.pattern:
            yield 0, f"the build argument {name} is left out: the Dockerfile has no such ARG"
        elif is_whole and name in names and not handwritten.variable(name) and not _is_base(whole, name):
            yield 0, f"the build argument {name} is left out, and its default counts: no value of a row has this name"


def _steps(whole: Whole, text: str, context: Mapping[str, File]) -> Iterator[ImportedStep]:
    """Yield the steps of a Dockerfile whose stages are built from one another."""
    lines = text.split("\n")
    for stage in whole.needed:
        begins = True
        for each in stage.instructions:
            comments = _comments(lines, each.line)
            if each.word == "ARG":
                for word in handwritten.words(each):
                    step = _argument(whole, each, word)
                    if step is None:
                        continue
                    yield replace(step, text=comments, begins=begins)
                    begins, comments = False, ""
                continue
            copied = {path: _files(path, context) for path in contexts.copied(each)}
            yield ImportedStep(
                line=each.line, word=each.word, text=comments + _tagged(each), copied=copied or None, begins=begins
            )
            begins = False


def _comments(lines: Sequence[str], line: int) -> str:
    """Return the comments right above a line."""
    start = line - 1
    while start and lines[start - 1].lstrip().startswith("#") and not _is_directive(lines, start - 1):
        start -= 1
    return "".join(f"{each}\n" for each in lines[start : line - 1])


def _is_directive(lines: Sequence[str], index: int) -> bool:
    return any(number == index + 1 for number, _, _ in dockerfile.directives("\n".join(lines[: index + 1])))


def body(text: str) -> str:
    """Return the text of a step without the comments above it."""
    lines = text.split("\n")
    start = next((at for at, line in enumerate(lines) if not line.lstrip().startswith("#")), 0)
    return "\n".join(lines[start:])


def _argument(whole: Whole, each: Instruction, word: str) -> ImportedStep | None:
    """Return the step of an argument; None for one that names the base, which the row says."""
    name, sign, default = word.partition("=")
    if _is_base(whole, name):
        return None
    given = whole.given.get(name)
    value = given if given is not None else handwritten.unquoted(default) if sign else whole.arguments.get(name)
    is_fixed = given is None and sign == "=" and "$" in default
    return ImportedStep(
        line=each.line,
        word="ARG",
        text="",
        argument=name,
        value=default if is_fixed else value,
        is_given=given is not None,
        is_fixed=is_fixed,
    )


def _fixed(steps: Iterator[ImportedStep]) -> tuple[ImportedStep, ...]:
    """Return steps in which an argument that has two values within one image stands in the layer."""
    found = tuple(steps)
    values: dict[str, set[str | None]] = {}
    for step in found:
        if step.argument:
            values.setdefault(step.argument, set()).add(step.value)
    return tuple(
        replace(step, is_fixed=True) if step.argument and len(values[step.argument]) > 1 else step for step in found
    )


def _files(path: str, context: Mapping[str, File]) -> tuple[File, ...]:
    return tuple(context[name] for name in context if handwritten.is_match(name, path))


def _tagged(each: Instruction) -> str:
    """Return an instruction in which images that it copies out of are named with a tag, as a layer must."""
    text = each.raw
    for flag in each.flags:
        name = dockerfile.origin(flag)
        if name and not dockerfile.WHOLE_IMAGE.search(name):
            text = text.replace(f"from={name}", f"from={name}:latest", 1)
    return text


def _contents(copied: Mapping[str, tuple[File, ...]] | None) -> Hashable:
    if copied is None:
        return None
    return tuple(
        (source, file.path, keys.sha256_of_file(file), file.executable)
        for source, files in copied.items()
        for file in files
    )
