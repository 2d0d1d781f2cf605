"""Whether a leaf builds what its Dockerfile built: the same instructions on the same files with the same arguments."""

import difflib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.model import DockerfileLayer, File, Leaf, Stage
from imagematrix.planning import dockerfile, handwritten, keys
from imagematrix.planning.dockerfile import Instruction
from imagematrix.planning.importing.drafting import ImportedRow
from imagematrix.planning.importing.images import body

_ADDED: Final = frozenset({"LC_ALL", "LANGUAGE", "EPOCH"})
"""Arguments that the renderer gives to each stage."""
_SHOWN: Final = 100
"""Characters of an instruction in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Action:
    """An instruction, by what it does."""

    what: str
    arguments: frozenset[tuple[str, str]] = frozenset()
    """Of a RUN: those that it sees."""
    copied: frozenset[tuple[str, str, bool]] = frozenset()
    """Of a COPY: where each file lands below its destination, its content, whether it may be executed."""


def differences(row: ImportedRow, leaf: Leaf, wholes: Mapping[str, DockerfileLayer]) -> Iterator[Diagnostic]:
    """Yield how a leaf differs from what was imported; each at its line of the Dockerfile.

    `wholes` are the layers that are whole Dockerfiles: these are not taken apart here either.
    """
    wanted = [*_wanted(row)]
    made = [action for stage in leaf.stages for action in _made(stage, wholes.get(stage.layer))]
    own = row.image.own
    file = own.tree.shown(own.call.dockerfile)
    matcher = difflib.SequenceMatcher(None, [action for _, action in wanted], made, autojunk=False)
    for kind, start, end, at, to in matcher.get_opcodes():
        if kind == "equal":
            continue
        line = wanted[min(start, len(wanted) - 1)][0] if wanted else 0
        before = "; ".join(_shown(action) for _, action in wanted[start:end]) or "nothing"
        after = "; ".join(map(_shown, made[at:to])) or "nothing"
        what = f"{row.name} has {after} instead of {before}"
        if before == after:
            what = f"{row.name} has other arguments or files for {before}"
        yield Diagnostic(code="import_difference", severity=Severity.NOTE, file=file, line=line, message=what)


def _shown(action: _Action) -> str:
    return action.what if len(action.what) <= _SHOWN else f"{action.what[:_SHOWN]}…"


def _wanted(row: ImportedRow) -> Iterator[tuple[int, _Action]]:
    """Yield what the Dockerfile does, each with its line."""
    scope: dict[str, str] = {}
    for step in row.image.steps:
        scope = {} if step.begins else scope
        if step.whole:
            yield step.line, _Action(what=f"FROM {step.whole.file}")
        elif step.argument:
            scope[step.argument] = handwritten.unquoted(step.value or "") if step.is_fixed else step.value or ""
        else:
            (instruction,) = dockerfile.instructions(body(step.text))
            yield step.line, _action(instruction, scope, step.copied or {})


def _made(stage: Stage, whole: DockerfileLayer | None) -> Iterator[_Action]:
    """Yield what the stage of a leaf does, without what the renderer adds."""
    scope: dict[str, str] = {}
    if whole:
        yield _Action(what=f"FROM {whole.file}")
        return
    for each in dockerfile.instructions(stage.text):
        if each.word == "ARG":
            pairs = (word.partition("=") for word in handwritten.words(each))
            scope |= {name: handwritten.unquoted(value) for name, _, value in pairs if name not in _ADDED}
        elif each.word != "FROM" and "imagematrix.row=" not in each.text:
            yield _action(each, scope, _files(stage, each))


def _action(each: Instruction, scope: Mapping[str, str], copied: Mapping[str, tuple[File, ...]]) -> _Action:
    if copied:
        flags = " ".join(f"--{flag}" for flag in sorted(each.flags))
        landed = frozenset(
            (_landing(source, file.path), keys.sha256_of_file(file), file.executable)
            for source, files in copied.items()
            for file in files
        )
        return _Action(what=f"{each.word} {flags} … {each.arguments[-1]} {each.documents}".strip(), copied=landed)
    text = " ".join(each.text.split()) + (f"\n{each.documents}" if each.documents else "")
    return _Action(what=text, arguments=frozenset(scope.items()) if each.word == "RUN" else frozenset())


def _landing(source: str, path: str) -> str:
    """Return where a file lands below the destination: by its name, or by its path in the folder that is copied."""
    return posixpath.basename(path) if path == source else path.removeprefix(f"{source}/")


def _files(stage: Stage, each: Instruction) -> Mapping[str, tuple[File, ...]]:
    """Return what an instruction of a leaf copies out of the leaf."""
    sources = [path for _, path in dockerfile.sources(each.text)] if each.word in ("COPY", "ADD") else []
    return {path: tuple(file for file in stage.inputs if dockerfile.is_within(file.path, path)) for path in sources}
