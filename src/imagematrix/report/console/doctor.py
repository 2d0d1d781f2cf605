"""What was found of the things that a build needs, for a reader and for programs."""

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum


class State(StrEnum):
    """How a thing is."""

    GOOD = "ok"
    WEAK = "warning"
    """Builds go on without it."""
    BAD = "wrong"
    """It would stop a build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of one thing, and what to do."""

    what: str
    state: State
    said: str
    remedy: str = ""


def good(findings: Collection[Finding]) -> bool:
    """Whether nothing would stop a build."""
    return all(finding.state is not State.BAD for finding in findings)


def health_text(findings: Collection[Finding]) -> str:
    """Write a line for each thing, and below it what to do."""
    width = max((len(finding.what) for finding in findings), default=0)
    return "\n".join(line for finding in findings for line in _lines(finding, width))


def health_json(findings: Collection[Finding]) -> str:
    """Write the same for programs."""
    return json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False)


def _lines(finding: Finding, width: int) -> Iterator[str]:
    indent = " " * (len(State.WEAK.value) + 2)
    first, *others = [*finding.said.splitlines(), *finding.remedy.splitlines()]
    yield f"{finding.state.value:<{len(State.WEAK.value)}}  {finding.what:<{width}}  {first}"
    yield from (f"{indent}{'':<{width}}  {line.strip()}" for line in others)
