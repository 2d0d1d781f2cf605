"""What was found of the things that a build needs, for a reader and for programs."""

from collections.abc import Collection, Iterator

from imagematrix.planning.reproducible import Comparison
from imagematrix.report.outputs import DoctorDocument, Prerequisite, PrerequisiteState
from imagematrix.text import documents
from imagematrix.text.formatting import count


def good(prerequisites: Collection[Prerequisite]) -> bool:
    """Whether nothing would stop a build."""
    return all(prerequisite.state is not PrerequisiteState.BAD for prerequisite in prerequisites)


def health_text(prerequisites: Collection[Prerequisite]) -> str:
    """Write a line for each thing, and below it what to do."""
    width = max((len(prerequisite.what) for prerequisite in prerequisites), default=0)
    return "\n".join(line for prerequisite in prerequisites for line in _lines(prerequisite, width))


def health_json(prerequisites: Collection[Prerequisite]) -> str:
    """Write the same for programs."""
    return documents.write(DoctorDocument(good=good(prerequisites), prerequisites=tuple(prerequisites))).rstrip()


def comparison_text(compared: Comparison) -> str:
    """Write whether two installations are the same, else what they differ in first."""
    found = compared.difference
    if not found:
        return f"{compared.node}: both installations are the same ({count(compared.paths, 'path')})"
    return (
        f"{compared.node}: two installations differ\n"
        f"    first difference: {found.path}: {found.what} {found.first or 'none'} and {found.second or 'none'}"
    )


def _lines(prerequisite: Prerequisite, width: int) -> Iterator[str]:
    indent = " " * (len(PrerequisiteState.WEAK.value) + 2)
    first, *others = [*prerequisite.said.splitlines(), *prerequisite.remedy.splitlines()]
    yield f"{prerequisite.state.value:<{len(PrerequisiteState.WEAK.value)}}  {prerequisite.what:<{width}}  {first}"
    yield from (f"{indent}{'':<{width}}  {line.strip()}" for line in others)
