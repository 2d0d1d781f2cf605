"""docs/json.md is true: each document that leaves imagematrix has the fields and the values that it names."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import pytest

from imagematrix.planning.checks import CheckResult
from imagematrix.planning.pipeline import PipelineJob
from imagematrix.report import document, outputs
from imagematrix.text import documents

REFERENCE: Final = (Path(__file__).parents[2] / "docs/json.md").read_text(encoding="utf-8")
TABLES: Final[Mapping[str, type[Any]]] = {
    "`{schema, rows}`": outputs.RowEntry,
    "`{schema, nodes, summary}`": outputs.PlannedNode,
    "`summary` counts:": outputs.PlanSummary,
    "`{schema, file, rows, impossible, good, diagnostics}`": outputs.DiagnosticEntry,
    "`{schema, good, prerequisites}`": outputs.Prerequisite,
    "`{schema, jobs}`": PipelineJob,
    "## The webhook's message": outputs.MessageDocument,
    "## report.json": document.Document,
    "`nodes`, parents first:": document.NodeEntry,
    "`leaves`, one for each row:": document.LeafEntry,
    "`checks` of a leaf:": CheckResult,
    "`published` of a leaf:": document.NameEntry,
    "`pushes`, one for each node": document.PushEntry,
    "`machines`, one for each machine": document.MachineEntry,
    "`retries` of a node": document.RetryEntry,
}
"""What stands above a table, and what it describes."""
WHOLE: Final = (
    outputs.RowsDocument,
    outputs.PlanDocument,
    outputs.CheckDocument,
    outputs.DoctorDocument,
    outputs.JobsDocument,
)
"""Documents whose fields are named in a sentence."""


def rows(above: str) -> Iterator[tuple[str, str]]:
    """Yield the rows of the first table below some words."""
    _, found, below = REFERENCE.partition(above)
    assert found, above
    table = below.partition("| --- | --- |\n")[2].partition("\n\n")[0]
    for line in table.splitlines():
        names, meaning = line.strip("| ").split(" | ")
        yield names, meaning


def values(kind: object) -> frozenset[str]:
    """Return the values of the enumeration that a field's type is, or may be."""
    kinds = [kind, *get_args(kind)]
    return frozenset(value for each in kinds if isinstance(each, type) and issubclass(each, StrEnum) for value in each)


@pytest.mark.parametrize("above", TABLES)
def test_fields_and_values(above: str) -> None:
    """All that the document has, and nothing else; each value that a field may have."""
    kind = TABLES[above]
    named = {name: meaning for names, meaning in rows(above) for name in re.findall(r"`(\w+)`", names)}
    assert sorted(named) == sorted(field.name for field in fields(kind))
    missing = {
        (name, value)
        for name, hint in get_type_hints(kind).items()
        for value in values(hint) - {"interrupted"}  # of nodes: written as failed
        if f"`{value}`" not in named[name] and "as of" not in named[name]
    }
    assert missing == set()


@pytest.mark.parametrize("kind", WHOLE)
def test_documents_with_one_list(kind: type[Any]) -> None:
    assert f"`{{{', '.join(field.name for field in fields(kind))}}}`" in REFERENCE


def test_each_begins_with_its_schema() -> None:
    """Also where there is nothing to say."""
    text = documents.write(outputs.RowsDocument(rows=()))
    assert list(json.loads(text).items()) == [("schema", 1), ("rows", [])]
    assert all(fields(kind)[0].name == "schema" for kind in (*WHOLE, outputs.MessageDocument, document.Document))


def test_bytes_that_are_not_utf8() -> None:
    """Logs and names may hold them: they are replaced, in values and in keys."""
    message = outputs.MessageDocument(
        text="caf\udce9", good=True, started="", images={"\udce9": 1}, checks={}, broken=("é",)
    )
    written = json.loads(documents.write(message))
    assert (written["text"], written["images"], written["broken"]) == ("caf?", {"?": 1}, ["é"])
