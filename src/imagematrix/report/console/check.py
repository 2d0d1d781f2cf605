"""What `check` prints: text and JSON, and what CI servers show beside the lines of a change.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from imagematrix import codes
from imagematrix.diagnostics import Diagnostic, Level, Severity
from imagematrix.errors import FlagError, did_you_mean
from imagematrix.planning.keys import key_of
from imagematrix.planning.proof import Proof
from imagematrix.report.outputs import CheckDocument, DiagnosticEntry
from imagematrix.text import documents
from imagematrix.text.formatting import count

_SIMILAR_SHOWN: Final = 2
_VERSION: Final = re.compile(r"\d[\w.+-]*")
"""What differs in the words of one cause: versions, and names that begin with one."""
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
    properties = {"file": path(each.file), "line": str(each.line or ""), "title": codes.shown(each.code)}
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
        identity = (each.file, each.code, each.about or each.message, *each.rows[:1])
        yield key_of({"of": "\0".join(identity), "number": str(seen[identity])})
        seen[identity] += 1


def message(each: Diagnostic, *, more: int = 0) -> str:
    """Return everything that is reported about one thing, for a format that shows its own text."""
    lines = [each.message, each.hint]
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


def proof_text(proof: Proof, *, notes: bool, whole: bool = False) -> str:
    """Write what is wrong for a reader, errors first, the verdict last; notes only on request.

    What is alike is shown with examples, unless `whole`: then each thing and each row.
    """
    if whole:
        shown = [each for each in proof.diagnostics if notes or each.severity.level is not Level.NOTE]
        return "\n".join([*(each.told(whole=True) for each in shown), verdict(proof, notes=notes)])
    lines = [line for group in groups(proof, notes=notes) for line in _paragraph(group)]
    return "\n".join([*lines, verdict(proof, notes=notes)])


def groups(proof: Proof, *, notes: bool) -> Iterable[Sequence[Diagnostic]]:
    """Return what a reader is shown: each error by itself; what differs in place and versions alone, together."""
    found: dict[tuple[object, ...], list[Diagnostic]] = {}
    for number, each in enumerate(proof.diagnostics):
        if each.severity.level is Level.ERROR:
            found[number,] = [each]
        elif notes or each.severity.level is not Level.NOTE:
            found.setdefault((each.severity, each.file, each.code, _VERSION.sub("N", each.message)), []).append(each)
    return found.values()


def _paragraph(group: Sequence[Diagnostic]) -> Iterator[str]:
    first, others = group[0], group[1:]
    yield first.text
    if others:
        yield f"    {count(len(others), 'more', 'more')} like this:"
        yield from (f"        {each.place}: {each.message}" for each in others[:_SIMILAR_SHOWN])
        if rest := others[_SIMILAR_SHOWN:]:
            yield f"        … and {len(rest)} more"


def verdict(proof: Proof, *, notes: bool) -> str:
    """Return the last line: whether all is fine, and how much there is to read."""
    parts = [_outcome(proof)]
    if warnings := len(proof.of(Level.WARNING)):
        parts.append(count(warnings, "warning"))
    if found := len(proof.of(Level.NOTE)):
        parts.append(count(found, "note") + ("" if notes else " (--notes shows them)"))
    return f"{proof.file}: {'; '.join(parts)}"


def _outcome(proof: Proof) -> str:
    errors = count(len(proof.of(Level.ERROR)), "error")
    if not proof.is_read:
        return errors
    rows = count(proof.rows, "row")
    if not proof.good:
        return f"{errors}, {len(proof.refused)} of {rows} cannot be built" if proof.refused else errors
    are = "is" if proof.rows == 1 else "are"
    marked = f", {proof.impossible} marked impossible" if proof.impossible else ""
    return f"{rows} of {count(proof.families, 'family', 'families')} {are} fine{marked}"


def proof_json(proof: Proof) -> str:
    """Write the JSON that `invoke check --json` promises: everything, with or without `--notes`."""
    document = CheckDocument(
        file=proof.file,
        rows=proof.rows if proof.is_read else None,
        impossible=proof.impossible if proof.is_read else None,
        good=proof.good,
        diagnostics=tuple(map(_entry, proof.diagnostics)),
    )
    return documents.write(document).rstrip()


def _entry(each: Diagnostic) -> DiagnosticEntry:
    return DiagnosticEntry(
        severity=each.severity,
        level=each.severity.level,
        code=each.code,
        id=codes.CODES[each.code].id if each.code in codes.CODES else "",
        file=each.file,
        line=each.line,
        about=each.about,
        message=each.message,
        hint=each.hint,
        rows=each.rows,
    )
