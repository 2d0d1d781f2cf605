"""What plugins add, by kind: frozen tables of functions, which `extensions` finds and checks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from imagematrix.diagnostics import Diagnostic

VersionRule = Callable[..., Iterable[Diagnostic]]
"""Judges the versions of a row. Its parameters name the values that it reads; its name is the code of its findings."""
NamingRule = Callable[[str], str]
"""Judges the part of a repository's name behind the host; returns what the registry has against it, or nothing."""
ReportFormat = Callable[..., str]
"""Turns a run (`plugins.Document`) into the text of one more file of the report."""
ExecutorWrapper = Callable[..., Any]
"""Gets the executor of the engine, and returns the executor that does the jobs instead (`plugins.Executor`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply:
    """What a chat answered to a message with status 200."""

    why: str = ""
    """Why it did not take the message; empty: it did."""
    passing: bool = False
    """The same message may be taken later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifier:
    """How to tell a kind of chat: a JSON document is posted to its address, and the body of the answer is judged."""

    body: Callable[[Any], object]
    """Makes the document from a `plugins.MessageDocument`."""
    reply: Callable[[str], ChatReply] = lambda _: ChatReply()
    """Reads the body of an answer with a status below 300. Without it each such answer is a success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """Everything that plugins add."""

    version_rules: Mapping[str, VersionRule] = field(default_factory=dict)
    """Name -> rule."""
    naming_rules: Mapping[str, NamingRule] = field(default_factory=dict)
    """Host of a registry -> rule."""
    report_formats: Mapping[str, ReportFormat] = field(default_factory=dict)
    """Name of the file in the report's directory -> format."""
    notifiers: Mapping[str, Notifier] = field(default_factory=dict)
    """Name, as in `NAME+https://…` -> notifier."""
    executors: Mapping[str, ExecutorWrapper] = field(default_factory=dict)
    """Name, as `build --executor` takes it -> executor."""
