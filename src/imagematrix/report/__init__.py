"""What people and machines are told: before, during and after a run. The only home of rich.

`words` names things, `live` follows a run, `record` is the run as data, `page` the run for a reader,
`preview` a plan that was not run yet. Rich is imported when something is drawn, not with this package.
"""

from imagematrix.report.live import Board, PlainLog, Progress, listener
from imagematrix.report.page import summary
from imagematrix.report.preview import plan_json, plan_text
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
