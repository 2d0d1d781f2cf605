"""Imports images: reads the folders, drafts, renders the draft in memory, compares, and writes last."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from imagematrix import matrix
from imagematrix.commands import request
from imagematrix.diagnostics import Diagnostic
from imagematrix.disk import disk_words, telling
from imagematrix.engine import buildx_command
from imagematrix.errors import DiskError, FlagError, InputError, NoEngineError, UserError
from imagematrix.model import File, Matrix
from imagematrix.planning import importing
from imagematrix.planning.importing import ExistingMatrix, FoundTree, ImportDraft, ImportResult
from imagematrix.planning.render import Renderer
from imagematrix.project import Project
from imagematrix.repository import Repository, nearest_matrix
from imagematrix.repository.shelf import Shelf, is_dropping
from imagematrix.shell import Shell
from imagematrix.tree import Tree

_DRAFT: Final = "imported.toml"
"""The matrix file of a draft that cannot be added to the matrix there is."""
_NEVER: Final = (".git", ".imagematrix")


def run(words: Sequence[str], *, file: str, dry: bool) -> ImportResult:
    """Import folders.

    Raises FlagError for one that does not exist, InputError for a matrix that cannot be read, DiskError for a file
    that cannot be.
    """
    _refuse_missing(words)
    matrix_file = Path(file or nearest_matrix()).absolute()
    repository = Repository(matrix_file)
    trees = [_tree(Path(word), word, repository) for word in words]
    if not matrix_file.exists():
        return _begun(repository, trees, dry=dry)
    opened = nullcontext(request.opened(str(matrix_file))) if dry else request.opened_to_write(str(matrix_file))
    with opened as project:
        return _added(project, trees, dry=dry)


def refuse_incomplete(done: ImportResult) -> None:
    """Raise FlagError where nothing was imported, UserError where something was not."""
    text = "not imported:\n" + "\n".join(each.text for each in done.draft.problems)
    if not done.draft.rows:
        raise FlagError(text)
    if done.draft.problems:
        raise UserError(text)


def _refuse_missing(words: Sequence[str]) -> None:
    wrong = [f"import: {word} is not a folder" for word in words if not Path(word).is_dir()]
    if wrong:
        raise FlagError("\n".join(wrong))


class _Files(Mapping[str, File]):
    """The files below a folder; each is read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(Tree(folder))
        with _reading():
            self._paths = dict.fromkeys(self._shelf.tree.survey("", skip=_is_left)[0])
        self._read = cache(self._shelf.file)

    def __getitem__(self, path: str) -> File:
        if path not in self._paths:
            raise KeyError(path)
        with _reading():
            return self._read(path, path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


@contextmanager
def _reading() -> Iterator[None]:
    """Turn what the disk refuses into an error without a traceback."""
    try:
        yield
    except OSError as error:
        raise DiskError(f"import: cannot read {error.filename}: {disk_words(error)}") from None


def _is_left(name: str) -> bool:
    return name in _NEVER or is_dropping(name)


def _tree(folder: Path, word: str, repository: Repository) -> FoundTree:
    """Read a folder; what bake says of its files is asked now."""
    real, files = folder.resolve(), _Files(folder)
    is_inside = real.is_relative_to(repository.git_root)
    asked = {path: _bake(folder / path) for path in files if path.rpartition("/")[2] in importing.BAKE_FILES}
    return FoundTree(
        path=os.path.normpath(word),
        within=os.path.relpath(real, repository.root.resolve()) if is_inside else None,
        files=files,
        bake={path: said for path, (said, _) in asked.items() if said},
        unread={path: why for path, (_, why) in asked.items() if why},
    )


def _bake(path: Path) -> tuple[str, str]:
    """Return what bake says of a file, as JSON; or why it says nothing."""
    try:
        program = buildx_command()
    except NoEngineError as error:
        return "", str(error)
    words = (program, "bake", "--progress", "quiet", "--file", path.name, "--print")
    code, said = Shell().capture(["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(path.parent), *words])
    return (said, "") if code == 0 else ("", said.strip())


def _begun(repository: Repository, trees: Sequence[FoundTree], *, dry: bool) -> ImportResult:
    """Begin a matrix with what is imported."""
    return _alone(repository, trees, ExistingMatrix(layers=frozenset(repository.common.layers())), dry=dry)


def _added(project: Project, trees: Sequence[FoundTree], *, dry: bool) -> ImportResult:
    """Add what is imported to a matrix; beside it, where its text does not let itself be continued."""
    repository, declared = project.repository, project.matrix
    there = ExistingMatrix(
        families=frozenset(declared.families),
        rows=frozenset(row.name for row in declared.rows),
        bases={name: base.image for name, base in declared.bases.items() if base.image},
        layers=frozenset({*repository.common.layers(), *declared.dockerfiles}),
        registries=declared.registries,
        sources=declared.sources,
    )
    old = repository.matrix_source()

    def text(draft: ImportDraft) -> str:
        ending = "\r\n" if "\r\n" in old else "\n"
        return old + ("" if old.endswith("\n") else ending) + ending + draft.sections.replace("\n", ending)

    first = importing.plan(trees, there)
    if first.rows and (why := _why_not(project, first, text(first))):
        beside = Repository(repository.root / _unused(repository))
        return replace(_alone(beside, trees, replace(there, bases={}, sources={}), dry=dry), why_beside=why)
    draft, differences = _rendered(repository, trees, there, text, project)
    if draft.rows and not dry:
        _write(repository, draft)
        repository.replace_matrix(old, text(draft))
    return _result(repository, draft, differences, text=draft.sections, is_added=True, dry=dry)


def _alone(repository: Repository, trees: Sequence[FoundTree], there: ExistingMatrix, *, dry: bool) -> ImportResult:
    """Write what is imported with a matrix file of its own."""

    def text(draft: ImportDraft) -> str:
        return draft.head + draft.sections

    draft, differences = _rendered(repository, trees, there, text, None)
    if draft.rows and not dry:
        _write(repository, draft)
        name = repository.matrix_file.name
        with telling():
            Tree(repository.root).replace(name, File(path=name, content=text(draft).encode()))
    return _result(repository, draft, differences, text=text(draft), is_added=False, dry=dry)


def _why_not(project: Project, draft: ImportDraft, text: str) -> str:
    """Return why a matrix cannot be continued by a draft; empty: it can, and keeps all its rows."""
    try:
        parsed = _parsed(project.repository, text, project, draft)
    except InputError as error:
        return error.diagnostics[0].text.partition("\n")[0]
    rows = {row.name: row for row in parsed.rows}
    changed = [row.name for row in project.matrix.rows if rows.get(row.name) != row]
    return f"{changed[0]} would become another row" if changed else ""


def _unused(repository: Repository) -> str:
    names = (_DRAFT, *(f"imported-{number}.toml" for number in range(2, 1000)))
    return next(name for name in names if not (repository.root / name).exists())


def _result(
    repository: Repository,
    draft: ImportDraft,
    differences: tuple[Diagnostic, ...],
    *,
    text: str,
    is_added: bool,
    dry: bool,
) -> ImportResult:
    return ImportResult(
        draft=draft,
        matrix=repository.matrix_file.name,
        text=text,
        is_added=is_added,
        why_beside="",
        differences=(*draft.differences, *differences),
        dry=dry,
    )


def _parsed(repository: Repository, text: str, project: Project | None, draft: ImportDraft) -> Matrix:
    """Return the matrix that a text declares, with the layers of a draft."""
    new = {layer.name: True for layer in draft.layers if not layer.whole}
    return matrix.parse(
        text,
        layers={**repository.common.layers(), **new},
        rules=project.matrix.rules if project else None,
        naming=project.matrix.naming if project else {},
        file=repository.matrix_file.name,
    )


def _rendered(
    repository: Repository,
    trees: Sequence[FoundTree],
    there: ExistingMatrix,
    text: Callable[[ImportDraft], str],
    project: Project | None,
) -> tuple[ImportDraft, tuple[Diagnostic, ...]]:
    """Return a draft whose rows can all be rendered, and how their leaves differ from what was."""
    refused: dict[int, Sequence[Diagnostic]] = {}
    while True:
        draft = importing.plan(trees, there, without=refused)
        if not draft.rows:
            return draft, ()
        try:
            parsed = _parsed(repository, text(draft), project, draft)
        except InputError as error:
            raise FlagError(f"import: the draft is not a valid matrix, and nothing was written:\n{error}") from None
        differences, new = _compared(repository, draft, parsed, text(draft))
        if not new:
            return draft, differences
        refused |= new


def _compared(
    repository: Repository, draft: ImportDraft, parsed: Matrix, text: str
) -> tuple[tuple[Diagnostic, ...], Mapping[int, Sequence[Diagnostic]]]:
    """Render a draft in memory; return all that differs, and which images cannot be rendered, with the reasons."""
    if refused := _unreadable(repository, draft, parsed, text):
        return (), refused
    sources = repository.sources(parsed, text=text)
    layers = {layer.name: layer.source for layer in draft.layers if not layer.whole}
    wholes = {layer.name: layer.whole for layer in draft.layers if layer.whole}
    renderer = Renderer(replace(sources, layers={**sources.layers, **layers}), locks={})
    rows = {row.name: row for row in parsed.rows}
    found: list[Diagnostic] = []
    for row in draft.rows:
        try:
            found += importing.differences(row, renderer.leaf(rows[row.name]), wholes)
        except InputError as error:
            refused[row.image.own.number] = _from_here(repository, error)
    return tuple(found), refused


def _from_here(repository: Repository, error: InputError) -> Sequence[Diagnostic]:
    """Return what is wrong with the paths as all others are: from the current folder."""
    return [replace(each, file=repository.from_here(each.file)) for each in error.diagnostics]


def _unreadable(
    repository: Repository, draft: ImportDraft, parsed: Matrix, text: str
) -> dict[int, Sequence[Diagnostic]]:
    """Return which images are whole Dockerfiles whose folders cannot be copied into leaves, with the reasons."""
    refused: dict[int, Sequence[Diagnostic]] = {}
    for row in draft.rows:
        wholes = {step.whole for step in row.image.steps if step.whole}
        its = {name: each for name, each in parsed.dockerfiles.items() if each in wholes}
        used = {name for step in row.image.steps for name in step.folders or ()}
        folders = {name: path for name, path in parsed.sources.items() if name in used}
        try:
            repository.sources(replace(parsed, dockerfiles=its, sources=folders), text=text)
        except InputError as error:
            refused[row.image.own.number] = _from_here(repository, error)
    return refused


def _write(repository: Repository, draft: ImportDraft) -> None:
    """Write the layers. Raises FlagError for a file that exists."""
    tree = Tree(repository.root)
    there = [path for path in draft.files if tree.is_file(path)]
    if there:
        raise FlagError("\n".join(f"import: {path} exists: move it away first" for path in there))
    with telling():
        for path, file in draft.files.items():
            tree.replace(path, replace(file, path=path))
