"""Resolves what rows require, several requests at once, and writes the locks."""

import textwrap
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Protocol

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError, NoIndexError
from imagematrix.execution import parallel
from imagematrix.model import Row
from imagematrix.planning import requirements, sizes
from imagematrix.planning.requirements import Failure, Locked, LockSession, RequirementStack, ResolveRequest
from imagematrix.project import Project
from imagematrix.resolver import ResolveResult
from imagematrix.text.formatting import abbreviate, quantity

JOBS: Final = 4
"""How many requests are resolved at once: mostly they wait for the index."""
_ROWS_SHOWN: Final = 12


class Resolver(Protocol):
    """The source of digests; raises NoIndexError when there is none."""

    def resolve(self, request: ResolveRequest) -> ResolveResult: ...

    def measure(self, request: ResolveRequest, locked: Locked) -> ResolveResult: ...

    def cancel(self) -> None: ...


def run(
    project: Project, selected: Sequence[Row], *, resolver: Resolver, upgrade: bool, say: Callable[[str], None]
) -> str:
    """Lock the selected rows; return what came of it, in a line.

    Raises InputError with every row that is impossible, or every request that has no solution: nothing is
    written then.
    """
    chosen = project.requirement_stacks(selected)
    rows = project.requirement_stacks(project.possible(project.matrix.rows))
    committed = project.repository.locks()
    session = LockSession(rows, committed, chosen=chosen, upgrade=upgrade)
    asked = settle(session, rows, resolver=resolver, say=say)
    locks = session.locks()
    touched = project.repository.write_locks(locks, prune=session.is_complete)
    for path in touched:
        say(project.repository.from_here(path))
    for line in _predictions(rows, locks, touched) if touched else ():
        say(line)
    return f"{len(locks)} locks, {asked - len(session.kept)} resolved, {len(touched)} files changed"


def settle(
    session: LockSession,
    rows: Mapping[RequirementStack, Sequence[str]],
    *,
    resolver: Resolver,
    say: Callable[[str], None],
) -> int:
    """Resolve all open requests of a session and look up the sizes; return how many requests there were.

    Raises InputError with every request that has no solution.
    """
    asked = 0
    while requests := session.requests():
        asked += len(requests)
        _ask(requests, session, resolver, rows=rows, say=say)
    for kept in (_diagnostic(failure, rows) for failure in session.kept):
        say(f"kept as committed: {kept.place}: {kept.message}\n    {kept.hint}")
    if session.failures:
        raise InputError(_diagnostic(failure, rows) for failure in session.failures)
    _measure(session, resolver, say=say)
    return asked


def _ask(
    requests: Sequence[ResolveRequest],
    session: LockSession,
    resolver: Resolver,
    *,
    rows: Mapping[RequirementStack, Sequence[str]],
    say: Callable[[str], None],
) -> None:
    """Resolve a round of requests; only this thread changes the session."""
    started = time.monotonic()
    with parallel.pool(JOBS, name="resolve") as pool:
        futures = {pool.submit(resolver.resolve, request): request for request in requests}
        try:
            for future in parallel.as_completed(futures):
                request, answer = futures[future], future.result()
                if answer.text:
                    session.answer(request, answer.text)
                else:
                    session.fail(request, answer.why)
                say(f"{_outcome(request, answer)}  {_askers(request, rows)}  {time.monotonic() - started:.1f} s")
        except BaseException:
            resolver.cancel()
            raise


def _measure(session: LockSession, resolver: Resolver, *, say: Callable[[str], None]) -> None:
    """Look up the sizes that locks lack. They only predict: without an answer they stay unknown."""
    with parallel.pool(JOBS, name="measure") as pool:
        asked = [(request, pool.submit(resolver.measure, request, locked)) for request, locked in session.unmeasured()]
        try:
            for request, future in asked:
                answer = future.result()
                if answer.text:
                    session.measure(request, answer.text)
                else:
                    say(f"size unknown: {request.path}: {answer.why.splitlines()[0]}")
        except NoIndexError:
            say("sizes unknown: the package index does not answer")
        except BaseException:
            resolver.cancel()
            raise


def _predictions(
    rows: Mapping[RequirementStack, Sequence[str]], locks: Mapping[str, str], touched: Collection[str]
) -> Iterable[str]:
    """Say how big the rows are whose locks changed, the biggest first; those that are alike in one line."""
    stacks = [(requirements.follow(stack, locks)[0], names) for stack, names in rows.items()]
    moved = [
        (sizes.total(requirements.added(found).values()), names)
        for found, names in stacks
        if any(locked.path in touched for locked in found)
    ]
    moved.sort(key=lambda each: (-each[0].installed, min(each[1])))
    for size, names in moved[:_ROWS_SHOWN]:
        yield f"{abbreviate(sorted(names), 1)}: Python packages {quantity(size)}"
    if len(moved) > _ROWS_SHOWN:
        yield f"and {len(moved) - _ROWS_SHOWN} more, none of them bigger"


def _outcome(request: ResolveRequest, answer: ResolveResult) -> str:
    what = f"{request.asker.layer} for Python {request.python}"
    if not answer.text:
        return f"no solution: {what}"
    if requirements.is_anew(answer.text):
        below = ", ".join(locked.layer for locked in request.constraints)
        return f"resolved: {what} without the locks of {below}, which leave no solution, so less is shared"
    return f"resolved: {what}"


def _askers(request: ResolveRequest, rows: Mapping[RequirementStack, Sequence[str]]) -> str:
    return abbreviate(_rows(request, rows), 1)


def _rows(request: ResolveRequest, rows: Mapping[RequirementStack, Sequence[str]]) -> list[str]:
    """Return the names of the rows that a request is for, sorted."""
    depth = len(request.layers)
    asking: Collection[RequirementStack] = [
        stack
        for stack in rows
        if (stack.python, stack.platform, stack.layers[:depth]) == (request.python, request.platform, request.layers)
    ]
    return sorted(name for stack in asking for name in rows[stack])


def _diagnostic(failure: Failure, rows: Mapping[RequirementStack, Sequence[str]]) -> Diagnostic:
    request = failure.request
    what = (
        f"{_askers(request, rows)}: requirements of layer {request.asker.layer}"
        f" have no solution for Python {request.python}"
    )
    return Diagnostic(
        code="unsolvable", file=request.asker.file, message=what, hint=textwrap.indent(failure.why, "    ").lstrip()
    )
