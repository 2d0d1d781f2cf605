"""What `check` finds, as CI servers show it beside the lines of a change: GitHub's workflow commands, GitLab's report.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from imagematrix.compat import Level, Severity
from imagematrix.errors import FlagError, did_you_mean
from imagematrix.planning.keys import key_of
from imagematrix.report.proof import Diagnostic, Proof, groups, proof_json, proof_text, verdict

_GITHUB: Final[Mapping[Level, str]] = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}
_GITLAB: Final[Mapping[Severity, str]] = {
    Severity.ERROR: "blocker",
    Severity.IMPOSSIBLE: "critical",
    Severity.BROKEN: "major",
    Severity.UNKNOWN: "minor",
    Severity.NOTE: "info",
}


def github(proof: Proof, path: Callable[[str], str], *, notes: bool) -> str:
    """Write a workflow command for each error and each group of warnings: GitHub shows but the first ten of each."""
    commands = [_command(group[0], path, more=len(group) - 1) for group in groups(proof, notes=notes)]
    return "\n".join([*commands, verdict(proof, notes=notes)])


def _command(each: Diagnostic, path: Callable[[str], str], *, more: int) -> str:
    properties = {"file": path(each.file), "line": str(each.line or ""), "title": each.code}
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{_GITHUB[each.severity.level]} {given}::{_data(message(each, more=more))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def gitlab(proof: Proof, path: Callable[[str], str], *, notes: bool) -> str:
    """Write a Code Quality report. Fingerprints hold no line: what only moves is not new."""
    told = [each for each in proof.diagnostics if notes or each.severity.level is not Level.NOTE]
    issues = [
        {
            "description": message(each).replace("\n", "; "),
            "check_name": each.code,
            "fingerprint": fingerprint,
            "severity": _GITLAB[each.severity],
            "location": {"path": path(each.file), "lines": {"begin": each.line or 1}},
        }
        for each, fingerprint in zip(told, _fingerprints(told), strict=True)
    ]
    return json.dumps(issues, indent=2, ensure_ascii=False)


def _fingerprints(diagnostics: list[Diagnostic]) -> Iterator[str]:
    """Yield a hash of each: of what it is about, not of its words, and of how many of the kind came before it."""
    seen: Counter[tuple[str, ...]] = Counter()
    for each in diagnostics:
        identity = (each.file, each.code, each.about or each.what, *each.rows[:1])
        yield key_of({"of": "\0".join(identity), "number": str(seen[identity])})
        seen[identity] += 1


def message(each: Diagnostic, *, more: int = 0) -> str:
    """Return all that is said of one thing, for a place that shows a text of its own."""
    lines = [each.what, each.remedy]
    lines += [f"{each.rows[0]} and {len(each.rows) - 1} more rows" if len(each.rows) > 1 else "".join(each.rows)]
    lines += [f"{more} more like this" if more else ""]
    return "\n".join(filter(None, lines))


Writer = Callable[..., str]
"""Proof, how a path of the project is named by CI, and `notes` in; text out."""

WRITERS: Final[Mapping[str, Writer]] = {
    "text": lambda proof, _, notes: proof_text(proof, notes=notes),
    "json": lambda proof, _, notes: proof_json(proof),  # noqa: ARG005 - JSON has everything
    "github": github,
    "gitlab": gitlab,
}


def writer(name: str) -> Writer:
    """Return how a format is written. Raises FlagError for one that does not exist."""
    if name not in WRITERS:
        raise FlagError(f"--format {name}: unknown format\n    {did_you_mean(name, WRITERS)}")
    return WRITERS[name]
