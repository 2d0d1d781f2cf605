"""What people and machines read: before, during and after a run. The only home of rich.

`record` is a run as data, `console` what commands print, `html`, `markdown` and `junit` the report of a run in other
forms. Rich is imported when something is drawn, not with this package.
"""

from imagematrix.report.console.build import summary
from imagematrix.report.console.live import Board, PlainLog, Progress, listener
from imagematrix.report.console.plan import plan_json, plan_text
from imagematrix.report.record import ImageFact, LeafReport, NodeReport, Origins, RunReport, make, to_json
from imagematrix.text.words import label

__all__ = [
    "Board",
    "ImageFact",
    "LeafReport",
    "NodeReport",
    "Origins",
    "PlainLog",
    "Progress",
    "RunReport",
    "label",
    "listener",
    "make",
    "plan_json",
    "plan_text",
    "summary",
    "to_json",
]
