"""The lock command: what `requirements` asks is resolved, some questions at once, and the locks are written."""

import textwrap
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final, Protocol

from imagematrix.errors import InputError, NoIndexError, Problem
from imagematrix.planning import requirements, sizes
from imagematrix.planning.requirements import Chain, Failure, Ledger, Locked, Question
from imagematrix.project import Project, Selection
from imagematrix.resolver import Answer
from imagematrix.text.words import quantity, some

JOBS: Final = 4
"""How many questions are resolved at once: mostly they wait for the index."""
_ROWS_SHOWN: Final = 12


class Resolver(Protocol):
    """Who answers; raises NoIndexError when nobody can be asked."""

    def resolve(self, question: Question) -> Answer: ...

    def measure(self, question: Question, locked: Locked) -> Answer: ...

    def cancel(self) -> None: ...


def run(
    project: Project, selection: Selection, *, resolver: Resolver, upgrade: bool, say: Callable[[str], None]
) -> str:
    """Lock the selected rows; return what came of it, in a line.

    Raises InputError with every row that is impossible, or every question that has no solution: nothing is
    written then.
    """
    chosen = project.chains(project.possible(project.rows(selection)))
    rows = project.chains(project.possible(project.matrix.rows))
    committed = project.workspace.locks()
    ledger = Ledger(rows, committed, chosen=chosen, upgrade=upgrade)
    asked = settle(ledger, rows, resolver=resolver, say=say)
    locks = ledger.locks()
    touched = project.workspace.write_locks(locks)
    for path in touched:
        say(path)
    for line in _predictions(rows, locks, touched) if touched else ():
        say(line)
    remedy = ": run `invoke render` and commit both" if touched else ""
    return f"{len(locks)} locks, {asked - len(ledger.kept)} resolved, {len(touched)} files changed{remedy}"


def settle(
    ledger: Ledger, rows: Mapping[Chain, Sequence[str]], *, resolver: Resolver, say: Callable[[str], None]
) -> int:
    """Have all that a ledger asks answered, and the sizes told; return how many questions that were.

    Raises InputError with every question that has no solution.
    """
    asked = 0
    while questions := ledger.questions():
        asked += len(questions)
        _ask(questions, ledger, resolver, rows=rows, say=say)
    for failure in ledger.kept:
        say(f"kept as committed: {_problem(failure, rows)}")
    if ledger.failures:
        raise InputError(_problem(failure, rows) for failure in ledger.failures)
    _measure(ledger, resolver, say=say)
    return asked


def _ask(
    questions: Sequence[Question],
    ledger: Ledger,
    resolver: Resolver,
    *,
    rows: Mapping[Chain, Sequence[str]],
    say: Callable[[str], None],
) -> None:
    """Have a round of questions answered; the ledger is told by this thread alone."""
    started = time.monotonic()
    with ThreadPoolExecutor(JOBS) as pool:
        futures = {pool.submit(resolver.resolve, question): question for question in questions}
        try:
            for future in as_completed(futures):
                question, answer = futures[future], future.result()
                if answer.text:
                    ledger.answer(question, answer.text)
                else:
                    ledger.fail(question, answer.why)
                say(f"{_outcome(question, answer)}  {_askers(question, rows)}  {time.monotonic() - started:.1f} s")
        except BaseException:
            resolver.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _measure(ledger: Ledger, resolver: Resolver, *, say: Callable[[str], None]) -> None:
    """Have the sizes told that locks lack. They only predict: without an answer they stay unknown."""
    with ThreadPoolExecutor(JOBS) as pool:
        asked = [
            (question, pool.submit(resolver.measure, question, locked)) for question, locked in ledger.unmeasured()
        ]
        try:
            for question, future in asked:
                answer = future.result()
                if answer.text:
                    ledger.measure(question, answer.text)
                else:
                    say(f"size unknown: {question.path}: {answer.why.splitlines()[0]}")
        except NoIndexError:
            pool.shutdown(cancel_futures=True)
            say("sizes unknown: the package index does not answer")
        except BaseException:
            resolver.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _predictions(
    rows: Mapping[Chain, Sequence[str]], locks: Mapping[str, str], touched: Collection[str]
) -> Iterable[str]:
    """Say how big the rows are whose locks changed, the biggest first; those that are alike in one line."""
    chains = [(requirements.follow(chain, locks)[0], names) for chain, names in rows.items()]
    moved = [
        (sizes.total(requirements.added(found).values()), names)
        for found, names in chains
        if any(locked.path in touched for locked in found)
    ]
    moved.sort(key=lambda each: (-each[0].installed, min(each[1])))
    for size, names in moved[:_ROWS_SHOWN]:
        yield f"{some(sorted(names), 1)}: Python packages {quantity(size)}"
    if len(moved) > _ROWS_SHOWN:
        yield f"and {len(moved) - _ROWS_SHOWN} more, none of them bigger"


def _outcome(question: Question, answer: Answer) -> str:
    what = f"{question.asker.layer} for Python {question.python}"
    if not answer.text:
        return f"no solution: {what}"
    if requirements.is_anew(answer.text):
        below = ", ".join(locked.layer for locked in question.constraints)
        return f"resolved: {what}, anew: the locks of {below} leave no solution, so less is shared"
    return f"resolved: {what}"


def _askers(question: Question, rows: Mapping[Chain, Sequence[str]]) -> str:
    return some(_rows(question, rows), 1)


def _rows(question: Question, rows: Mapping[Chain, Sequence[str]]) -> list[str]:
    """Return the names of the rows that ask a question, sorted."""
    depth = len(question.layers)
    asking: Collection[Chain] = [
        chain
        for chain in rows
        if (chain.python, chain.platform, chain.layers[:depth]) == (question.python, question.platform, question.layers)
    ]
    return sorted(name for chain in asking for name in rows[chain])


def _problem(failure: Failure, rows: Mapping[Chain, Sequence[str]]) -> Problem:
    question = failure.question
    what = (
        f"{_askers(question, rows)}: requirements of layer {question.asker.layer}"
        f" have no solution for Python {question.python}"
    )
    return Problem(file=question.asker.file, line=0, what=what, hint=textwrap.indent(failure.why, "    ").lstrip())
