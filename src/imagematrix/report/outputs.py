"""The documents that other programs read: what commands print with `--json`, and what the webhook gets (docs/json.md).

report.json, the document of a run, is in `document`. Each has a schema number of its own: it grows when a field goes
or changes its meaning, not when one is added.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from imagematrix.diagnostics import Level, Severity
from imagematrix.model import Key, Verdict
from imagematrix.planning.pipeline.jobs import PipelineJob

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RowEntry:
    """A row, and whether its image exists."""

    family: str
    tag: str
    axes: Mapping[str, str]
    platform: str
    """Docker's."""
    groups: tuple[str, ...]
    image: str
    directory: str
    """Of its leaf, relative to the project's root."""
    key: Key
    """That of its last node; empty: it is impossible."""
    state: str
    reason: str
    nearest: str
    """The nearest row that can be built, of one that is impossible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsDocument:
    """What `list --json` prints."""

    schema: int = SCHEMA
    rows: tuple[RowEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """A node, and what a build would do with it."""

    key: Key
    layer: str
    parent: Key | None
    packages: Key | None
    """The files of the package layer that it links."""
    chained: str
    """Why it is not a package layer, but installs its packages on the layers below; empty: nothing to explain."""
    verdict: Verdict
    reason: str
    leaves: tuple[str, ...]
    download: int | None
    """Bytes of Python packages; null: it installs none from a lock, or a size is not known."""
    installed: int | None
    """Likewise, estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummary:
    """A plan in numbers: nodes, those to build and to reuse, leaves, and those that wait for a build."""

    nodes: int
    build: int
    reuse: int
    leaves: int
    waiting: int
    download: int
    """Bytes, as far as they are known, of the nodes to build."""
    installed: int
    stored: int
    """Bytes of the Python packages of all nodes, compressed, as far as they are known: each package layer once."""
    seconds: int
    """Of the whole, estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDocument:
    """What `plan --json` prints."""

    schema: int = SCHEMA
    nodes: tuple[PlannedNode, ...]
    summary: PlanSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticEntry:
    """A diagnostic, with its level among the three that CI systems know."""

    severity: Severity
    level: Level
    code: str
    id: str
    """The code as `invoke explain` takes it; empty: it is a plugin's."""
    file: str
    line: int
    """From 1; 0: the whole file."""
    about: str
    message: str
    hint: str
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckDocument:
    """What `check --json` prints: everything, with or without `--notes`."""

    schema: int = SCHEMA
    file: str
    rows: int | None
    """Those that are not declared impossible; null: the matrix could not be read."""
    impossible: int | None
    good: bool
    diagnostics: tuple[DiagnosticEntry, ...]


class PrerequisiteState(StrEnum):
    """How a thing is."""

    GOOD = "ok"
    WEAK = "warning"
    """Builds go on without it."""
    BAD = "wrong"
    """It would stop a build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prerequisite:
    """What was found of one thing, and what to do."""

    what: str
    state: PrerequisiteState
    said: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorDocument:
    """What `doctor --json` prints."""

    schema: int = SCHEMA
    good: bool
    prerequisites: tuple[Prerequisite, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsDocument:
    """What `export jobs` prints: the jobs of a pipeline, those that others wait for first."""

    schema: int = SCHEMA
    jobs: tuple[PipelineJob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDocument:
    """What there is to say of a run: what a webhook gets that is not one of a known chat, and what notifiers read."""

    schema: int = SCHEMA
    text: str
    """The result in one line."""
    good: bool
    started: str
    images: Mapping[str, int]
    """Outcome -> how many."""
    checks: Mapping[str, int]
    broken: tuple[str, ...]
    """Labels of the nodes and the checks that failed by themselves."""
    project: str = ""
    branch: str = ""
    commit: str = ""
    link: str = ""
    """Where the report, or the job that made it, can be read."""
