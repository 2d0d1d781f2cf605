"""The part of the lock command that is about apt: what it installs today, kept in locks/apt."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from imagematrix.apt import AptResult
from imagematrix.execution import parallel
from imagematrix.model import Row
from imagematrix.planning import apt_locks, lock
from imagematrix.planning.apt_locks import AptBase, AptQuestion
from imagematrix.project import Project
from imagematrix.text.formatting import count

JOBS: Final = 3
"""How many bases are asked about at once: half of the time is the processor's."""


class PackageSource(Protocol):
    """Who answers."""

    def ask(self, question: AptQuestion) -> AptResult: ...

    def cancel(self) -> None: ...


def run(
    project: Project,
    rows: Sequence[Row],
    *,
    source: Callable[[Mapping[str, str]], PackageSource],
    upgrade: bool,
    say: Callable[[str], None],
) -> None:
    """Lock what the selected rows install with apt and have no lock of, with `upgrade` all of it.

    `source` makes the source of answers, given the digests of bases. An image is asked about once something was built
    on it here: before, it would have to be pulled, and some registries do not answer.

    What apt cannot install, or a mirror that does not answer, is reported without an error: the committed locks stay,
    and a stage without one follows the epoch. All locks are written at the end, or none. Raises InputError for rows
    whose templates cannot be rendered.
    """
    stacks, asked = project.apt_stacks(project.obtainable), project.apt_stacks(rows)
    committed = project.repository.apt_locks()
    digests = lock.parse(project.repository.lock_text()).bases  # as they are locked by now
    here = _bases_here(project)
    questions = [each for each in apt_locks.questions(asked, committed, upgrade=upgrade) if each.base in here]
    results = _ask(questions, source(digests)) if questions else {}
    for line in _silences(results):
        say(line)
    answers = {base: result.answers for base, result in results.items()}
    for line in apt_locks.refusals(answers):
        say(line)
    locks = apt_locks.locks(stacks, committed, answers, asked=asked, upgrade=upgrade)
    touched = project.repository.write_apt_locks(locks)
    for path in touched:
        say(project.repository.from_here(path))
    if touched:
        say(f"{count(len(touched), 'apt lock')} changed")


def _bases_here(project: Project) -> Collection[AptBase]:
    """Return the bases that are made here, and the images that something was built on."""
    bases = {row.name: apt_locks.base_of(row) for row in project.obtainable}
    built = {name for record in project.state.history() for name in record.rows}
    return {base for name, base in bases.items() if base.suite or name in built}


def _ask(questions: Sequence[AptQuestion], source: PackageSource) -> Mapping[AptBase, AptResult]:
    with parallel.pool(JOBS, name="apt") as pool:
        try:
            return dict(zip([question.base for question in questions], pool.map(source.ask, questions), strict=True))
        except BaseException:
            source.cancel()
            raise


def _silences(results: Mapping[AptBase, AptResult]) -> list[str]:
    return [f"apt locks of {base.name} are unchanged: {result.why}" for base, result in results.items() if result.why]
