"""`compat/*.toml` of a project: corrections of the catalogue, and broken rows that are allowed.

A file corrects the data file of its name, entry by entry and in the same words: `compat/torch.toml` corrects
`data/torch.json`. `compat/allow.toml` holds `[[allow]]`. Each entry names its source. If one file is wrong, none of
them is used.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final

from imagematrix.compat import catalogue, shapes
from imagematrix.compat.catalogue import Allowance, Corrections, Document
from imagematrix.compat.shapes import FieldShape
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.errors import InputError, did_you_mean
from imagematrix.text import toml_text, versions
from imagematrix.text.locate import KeyPath, locate
from imagematrix.text.shape import Mistakes, Table

_ALLOW: Final = "allow"
_REASON: Final = "reason"
_SOURCE: Final = "source"
_SOURCE_HINT: Final = 'say where it is known from: source = "https://…"'
_REASON_HINT: Final = 'say why such rows are built although they are broken: reason = "…"'

_IDENTITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "bounds": ("package", "versions", "bound"),
    "known": ("package", "versions", "with"),
}
"""List of a data file -> the fields that tell its entries apart; in others the first field does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """An entry of an overlay, and the list or table of the data file that it belongs to."""

    at: KeyPath
    part: str
    facts: Mapping[str, Any]


def parse(files: Mapping[str, str]) -> Corrections:
    """Return what files (path -> text) correct; raise InputError with every problem of each."""
    diagnostics: list[Diagnostic] = []
    found: list[Corrections] = []
    for path, text in files.items():
        try:
            found.append(_parsed(PurePosixPath(path).stem, text, file=path))
        except InputError as error:
            diagnostics += error.diagnostics
    if diagnostics:
        raise InputError(diagnostics)
    return Corrections(
        documents={name: document for each in found for name, document in each.documents.items()},
        allowances=tuple(allowance for each in found for allowance in each.allowances),
        idle=tuple(entry for each in found for entry in each.idle),
    )


def _parsed(name: str, text: str, *, file: str) -> Corrections:
    known = (*catalogue.names(), _ALLOW)
    if name not in known:
        what = "the catalogue has no file of this name to correct"
        raise InputError([Diagnostic(code="correction", file=file, message=what, hint=did_you_mean(name, known))])
    mistakes = Mistakes("correction")
    table = Table(toml_text.read(text, file=file), (), mistakes)
    if name == _ALLOW:
        allowances = _allowances(table, text, mistakes, file=file)
        mistakes.raise_any(text, file=file)
        return Corrections(allowances=allowances)
    entries = [*_entries(table, catalogue.packaged(name), mistakes)]
    mistakes.raise_any(text, file=file)
    return _applied(name, entries, text, file=file)


def _entries(table: Table, document: Document, mistakes: Mistakes) -> Iterator[_Entry]:
    """Yield the entries of an overlay; what is wrong with them is noted."""
    parts = {part: facts for part, facts in document.items() if part != "_meta" and not isinstance(facts, str)}
    shape = shapes.learn([parts])
    table.allow(*parts)
    for part in table:
        if isinstance(known := parts.get(part), list):
            yield from _listed(part, table.tables(part), known, shape.fields[part], mistakes)
        elif part in parts:
            yield from _mapped(part, table.table(part), parts[part], shape.fields[part], mistakes)


def _listed(
    part: str, tables: Sequence[Table], known: Sequence[Mapping[str, Any]], shape: FieldShape, mistakes: Mistakes
) -> Iterator[_Entry]:
    """Yield the entries of a list of tables, as `[[releases]]`."""
    names = _identifying(part, known)
    there = {_identity(each, names): each for each in known}
    seen: set[Hashable] = set()
    for table in tables:
        facts = _values(table)
        identity = _identity(facts, names)
        if identity in seen:
            mistakes.add(table.at, "this entry is given twice", "keep one of them")
        seen.add(identity)
        yield _entry(table.at, part, facts, shape.of_elements, mistakes, known=there.get(identity, {}))


def _mapped(
    part: str, table: Table, known: Mapping[str, Any], shape: FieldShape, mistakes: Mistakes
) -> Iterator[_Entry]:
    """Yield the entries of a table of tables, `[toolkits."12.4.1"]`, or a table of plain facts as one, `[glibc]`."""
    if not shape.of_elements.is_table:
        yield _entry(table.at, part, _values(table), shape, mistakes, known=known)
        return
    for key in table:
        each = table.table(key)
        entry = _entry(each.at, part, _values(each), shape.of_elements, mistakes, known=known.get(key, {}))
        shapes.check_key(key, shape, each.at, mistakes)
        yield replace(entry, facts={key: entry.facts})


def _entry(
    at: KeyPath, part: str, facts: Mapping[str, Any], shape: FieldShape, mistakes: Mistakes, *, known: Mapping[str, Any]
) -> _Entry:
    source = facts.get(_SOURCE, "")
    if not isinstance(source, str) or not source.strip():
        mistakes.add(at, f"{_SOURCE!r} is missing", _SOURCE_HINT)
    if _SOURCE not in shape.fields:
        facts = {key: value for key, value in facts.items() if key != _SOURCE}
    shapes.check(facts, shape, at, mistakes, known=known)
    return _Entry(at=at, part=part, facts=facts)


def _values(table: Table) -> Mapping[str, Any]:
    return {key: table.raw(key) for key in table}


def _identifying(part: str, known: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return _IDENTITIES.get(part) or tuple(known[0])[:1]


def _identity(facts: Mapping[str, Any], names: tuple[str, ...]) -> Hashable:
    """Return what distinguishes an entry from the others, in any spelling."""
    return tuple(versions.normal(str(facts.get(name, ""))) for name in names)


def _applied(name: str, entries: Sequence[_Entry], text: str, *, file: str) -> Corrections:
    """Return a data file with some entries, and the places of those that change nothing."""
    document, idle = catalogue.packaged(name), list[KeyPath]()
    for entry in entries:
        before, document = document, _with(document, entry)
        if document == before:
            idle.append(entry.at)
    places = locate(text) if idle else {}
    return Corrections(
        documents={name: document},
        idle=tuple(
            Diagnostic(
                severity=Severity.UNKNOWN,
                code="unused_correction",
                file=file,
                line=places[at][0],
                message="this entry changes nothing",
                hint="the catalogue now says the same: remove it",
            )
            for at in idle
        ),
    )


def _with(document: Document, entry: _Entry) -> Document:
    """Return a data file with an entry; what is ordered by version stays so."""
    part = document[entry.part]
    made = _in_table(part, entry.facts) if isinstance(part, Mapping) else _in_list(part, entry)
    return {**document, entry.part: made}


def _in_table(table: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
    merged = _merged(table, facts)
    return {key: merged[key] for key in versions.ordered(merged, str)}


def _in_list(entries: Sequence[Mapping[str, Any]], entry: _Entry) -> Sequence[Mapping[str, Any]]:
    names = _identifying(entry.part, entries)
    identity = _identity(entry.facts, names)
    at = next((at for at, each in enumerate(entries) if _identity(each, names) == identity), None)
    if at is None:
        return versions.ordered([*entries, entry.facts], lambda each: str(each[names[0]]))
    spelled = {name: entries[at][name] for name in names}
    return [*entries[:at], {**_merged(entries[at], entry.facts), **spelled}, *entries[at + 1 :]]


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a table with the values of another: tables are merged, all else is replaced."""
    return {
        **one,
        **{
            key: _merged(one[key], value) if isinstance(value, Mapping) and isinstance(one.get(key), Mapping) else value
            for key, value in other.items()
        },
    }


def _allowances(table: Table, text: str, mistakes: Mistakes, *, file: str) -> tuple[Allowance, ...]:
    """Return the `[[allow]]` of a file: conditions on values of a row, a reason and a source."""
    table.allow(_ALLOW)
    places, found = locate(text), list[Allowance]()
    for each in table.tables(_ALLOW):
        for key, hint in ((_REASON, _REASON_HINT), (_SOURCE, _SOURCE_HINT)):
            if not each.text(key).strip():
                mistakes.add(each.at, f"{key!r} is missing", hint)
        conditions = {key: each.text(key) for key in each if key not in (_REASON, _SOURCE)}
        if not conditions:
            mistakes.add(each.at, "this allow covers every row", 'name the rows by values: torch = "<2.3"')
        for key, condition in conditions.items():
            if versions.COMPARISON.match(condition) and versions.comparison(condition) is None:
                each.wrong(key, f"{condition!r} is not a valid condition", 'write it like "<2.5" or ">=2.3,<2.5"')
        line = places[each.at][0]
        found.append(Allowance(conditions=conditions, reason=each.text(_REASON), file=file, line=line))
    return tuple(found)
