"""Exports: a project and rows in, the file of a CI system out."""

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.commands import request
from imagematrix.errors import FlagError, did_you_mean
from imagematrix.model import MATRIX, Key, Verdict
from imagematrix.planning import pipeline
from imagematrix.planning.pipeline import bake, formats
from imagematrix.planning.pipeline.formats import FORMATS, ExportContext
from imagematrix.project import Project, Selection
from imagematrix.report.outputs import JobsDocument
from imagematrix.text import documents

_BAKE: Final = "bake"
_JOBS: Final = "jobs"
KINDS: Final = (*FORMATS, _BAKE, _JOBS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A file that is made from the DAG."""

    path: str
    """Where it goes unless the user says otherwise, relative to the root of the git repository; `-`: it is printed."""
    text: str
    again: str
    """The command that writes it again."""


def make(project: Project, kind: str, selection: Selection, *, command: str, only_missing: bool) -> Export:
    """Make the file of a format for some rows. Raises FlagError for a format that does not exist, or cannot be used."""
    if kind not in KINDS:
        raise FlagError(f"{kind!r} is not a format of exports\n    {did_you_mean(kind, KINDS)}")
    repository = project.repository
    file = repository.in_repository(repository.matrix_file.name)
    flags = _flags(selection, file)
    again = f"{command} export {kind} {flags}"
    dag = project.dag(project.leaves(request.possible_rows(project, selection)))
    if kind == _BAKE:
        if only_missing:
            raise FlagError("--missing: BuildKit knows what exists; use it with another format")
        text = bake.text(dag, head=formats.head(again), folder=repository.in_repository("."))
        return Export(path="docker-bake.json", text=text, again=again)
    if not project.matrix.nodes:
        raise FlagError(
            "the jobs of a pipeline share nodes through a registry, and the matrix names none\n"
            '    add to the top of the matrix: nodes = "registry.example.com/team/nodes"'
        )
    made = pipeline.make(dag, limit=formats.MOST_JOBS)
    if only_missing:
        made = pipeline.missing(made, _missing(project, selection, pipeline.references(dag)))
    if kind == _JOBS:
        return Export(path="-", text=documents.write(JobsDocument(jobs=made.jobs)), again=again)
    chosen = FORMATS[kind]
    setup = chosen.setup if chosen.setup and (repository.git_root / chosen.setup).is_file() else ""
    context = ExportContext(
        command=command,
        file="" if file == MATRIX else file,
        flags=flags,
        again=again,
        setup=setup,
        platform=project.matrix.platforms[0],
    )
    return Export(path=chosen.path, text=chosen.write(made, context), again=again)


def on_disk(project: Project, path: str) -> str:
    """Return the text of an export that was written before; empty: there is none."""
    file = project.repository.git_root / path
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise FlagError(f"--out {path}: {error.strerror}") from None


def write(project: Project, path: str, made: Export) -> None:
    """Write an export. Raises FlagError where somebody else's file is in its place."""
    text = on_disk(project, path)
    if text and formats.MARK not in "".join(text.splitlines()[:3]):
        raise FlagError(
            f"{path}: it exists, and imagematrix did not write it\n    remove it, or name another file with --out"
        )
    project.state.write(project.repository.git_root / path, made.text)


def _flags(selection: Selection, file: str) -> str:
    """Return the flags that select the same rows, run at the root of the repository."""
    flags = [
        *(f"--only {shlex.quote(name)}" for name in selection.only),
        *(f"--group {name}" for name in selection.groups),
        *(f"--platform {name}" for name in selection.platforms),
    ]
    where = [] if file == MATRIX else [f"--file {shlex.quote(file)}"]
    return " ".join([*(flags or ["--matrix"]), *where])


def _missing(project: Project, selection: Selection, names: Mapping[str, Key]) -> Collection[str]:
    """Return the names of the nodes that a build would make now."""
    to_build = {step.node.key for step in request.plan(project, selection).steps if step.verdict is Verdict.BUILD}
    return {name for name, key in names.items() if key in to_build}
