"""The add command: a row is decided, resolved and rendered, and written only if all of that succeeds.

matrix.toml comes last. A run that is killed before that leaves the locks and the leaf of a row that does not exist yet;
the same command continues with them.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from imagematrix import compat
from imagematrix.commands.lock import run as locking
from imagematrix.commands.lock.run import Resolver
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.errors import FlagError, InputError
from imagematrix.model import EngineImage, File, Leaf, Row
from imagematrix.planning import addition, cost
from imagematrix.planning.addition import Addition
from imagematrix.planning.cost import Cost
from imagematrix.planning.requirements import LockSession, RequirementStack
from imagematrix.project import Project

_UNDEFINED: Final = re.compile(r"'(\w+)' is undefined")


def run(
    project: Project,
    words: Sequence[str],
    *,
    resolver: Callable[[], Resolver],
    images: Collection[EngineImage] | None,
    dry: bool,
    say: Callable[[str], None],
) -> Cost:
    """Add a row: write its locks, its leaf and its line, all or nothing; or describe what would be written.

    `images` are those of the engine; None: no engine answers. Raises FlagError and InputError for a row that is
    impossible, NoIndexError when it cannot be resolved now.
    """
    repository = project.repository
    text = repository.matrix_source()
    layers, file = repository.common.layers(), repository.matrix_file.name
    decided = addition.decide(words, text, project.matrix, layers=layers, renderer=project.renderer, file=file)
    committed = repository.locks()
    siblings = [row for row in project.matrix.rows if row.family == decided.row.family]
    try:
        new = _locked(project.revised(decided.matrix, committed), decided, committed, resolver=resolver, say=say)
        whole = project.revised(decided.matrix, {**committed, **new})
        leaves = whole.leaves(decided.rows)
        files = whole.files(leaves)
    except InputError as error:
        raise InputError(_explained(problem, decided, siblings) for problem in error.diagnostics) from None
    _refuse_broken(whole, decided.rows)
    made = _cost(whole, leaves, decided, images, locks=len(new), dry=dry)
    if not dry:
        _write(project, decided, new, files, old=text)
    return made


def _locked(
    project: Project,
    decided: Addition,
    committed: Mapping[str, str],
    *,
    resolver: Callable[[], Resolver],
    say: Callable[[str], None],
) -> Mapping[str, str]:
    """Return the locks that the new row needs and that are not there: resolved now."""
    stacks: Mapping[RequirementStack, Sequence[str]] = project.requirement_stacks(decided.rows)
    session = LockSession(stacks, committed, chosen=stacks, upgrade=False)
    if session.requests():
        try:
            locking.settle(session, stacks, resolver=resolver(), say=say)
        except InputError as error:
            doubts = [f"{each}" for each in decided.findings if each.severity is Severity.UNKNOWN]
            near = [f"the nearest existing row: {decided.near}"] if decided.near else []
            raise FlagError("\n".join([str(error), *doubts, "nothing was written", *near])) from None
    return {path: text for path, text in session.locks().items() if path not in committed}


def _refuse_broken(project: Project, rows: Sequence[Row]) -> None:
    """Raise FlagError where what was locked cannot work; what the rows' own values say was judged before."""
    wrong = [
        f"{row.name}: {finding}"
        for row in rows
        for finding in compat.findings(row, project.packages(row))
        if finding.severity.is_error
    ]
    if wrong:
        raise FlagError("\n".join([*wrong, "nothing was written"]))


def _explained(problem: Diagnostic, decided: Addition, siblings: Iterable[Row]) -> Diagnostic:
    """Return a template's problem with what to do, where it lacks a fact that other rows have."""
    name = _UNDEFINED.match(problem.message)
    found = addition.wanted(decided, name[1], siblings) if name else None
    if not found:
        return problem
    return replace(problem, message=f"a template wants this: {found[0]}", hint=found[1], rows=())


def _cost(
    project: Project,
    made: Mapping[str, Leaf],
    decided: Addition,
    images: Collection[EngineImage] | None,
    *,
    locks: int,
    dry: bool,
) -> Cost:
    name = decided.row.name
    leaves, unread = _leaves(project)
    return Cost(
        addition=decided,
        file=project.repository.matrix_file.name,
        nodes=cost.nodes(
            name,
            everything=project.dag(leaves),
            plan=project.plan(project.dag(made), images or ()),
            predicted=project.sizes(decided.row),
        ),
        locks=locks,
        unread=unread,
        has_engine=images is not None,
        dry=dry,
    )


def _leaves(project: Project) -> tuple[Mapping[str, Leaf], tuple[str, ...]]:
    """Return the leaves of all rows that can be rendered, and the names of the others: their faults are not ours."""
    leaves: dict[str, Leaf] = {}
    unread = []
    for row in project.obtainable:
        try:
            leaves[row.name] = project.renderer.leaf(row)
        except InputError:
            unread.append(row.name)
    return leaves, tuple(unread)


def _write(
    project: Project,
    decided: Addition,
    locks: Mapping[str, str],
    leaves: Mapping[str, Sequence[File]],
    *,
    old: str,
) -> None:
    repository = project.repository
    repository.leaves.check(leaves)
    repository.write_locks(locks, prune=False)
    repository.leaves.write_more(leaves)
    repository.replace_matrix(old, decided.text)
