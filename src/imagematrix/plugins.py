"""What plugins import: the types of all that they add (docs/plugins.md)."""

from imagematrix.compat.finding import broken, impossible, note, unknown
from imagematrix.diagnostics import Diagnostic
from imagematrix.execution.protocol import Executor
from imagematrix.model import Attempt, BuildJob, ChatReply, Notifier
from imagematrix.planning.checks import CheckResult
from imagematrix.report.document import Document, LeafEntry, NodeEntry
from imagematrix.report.outputs import MessageDocument

__all__ = [
    "Attempt",
    "BuildJob",
    "ChatReply",
    "CheckResult",
    "Diagnostic",
    "Document",
    "Executor",
    "LeafEntry",
    "MessageDocument",
    "NodeEntry",
    "Notifier",
    "broken",
    "impossible",
    "note",
    "unknown",
]
