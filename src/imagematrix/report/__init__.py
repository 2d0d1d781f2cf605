"""What people and machines read: before, during and after a run. The only home of rich.

`document` is a run as data, `console` what commands print, `html`, `markdown` and `junit` the report of a run in other
forms. Rich is imported when something is drawn, not with this package.
"""

from imagematrix.report.console.build import summary
from imagematrix.report.console.live import Board, PlainLog, Progress, listener
from imagematrix.report.console.plan import plan_json, plan_text
from imagematrix.report.document import Document, LeafEntry, NodeEntry
from imagematrix.report.record import ImageFact, Origins, make, with_machines
from imagematrix.text.formatting import label

__all__ = [
    "Board",
    "Document",
    "ImageFact",
    "LeafEntry",
    "NodeEntry",
    "Origins",
    "PlainLog",
    "Progress",
    "label",
    "listener",
    "make",
    "plan_json",
    "plan_text",
    "summary",
    "with_machines",
]
