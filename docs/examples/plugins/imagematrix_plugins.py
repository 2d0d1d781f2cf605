"""What this monorepo adds to imagematrix: `build`, `verify`, `push`, `report` and `nightly` load this file."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Semaphore
from typing import Final

from imagematrix.plugins import Attempt, BuildJob, ChatReply, Document, Executor, MessageDocument, Notifier


def rows_csv(run: Document) -> str:
    """Write one line for each image: a report format."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("row", "outcome", "bytes"))
    lines.writerows((leaf.name, leaf.outcome or "", leaf.bytes or "") for leaf in run.leaves)
    return text.getvalue()


def pager_event(message: MessageDocument) -> Mapping[str, object]:
    """Make the document that our pager takes: a notifier, for IMAGEMATRIX_WEBHOOK=pager+https://…."""
    return {"severity": "info" if message.good else "error", "summary": message.text, "source": message.project}


def pager_reply(answer: str) -> ChatReply:
    """Judge the body of an answer with a status below 300."""
    return (
        ChatReply() if "accepted" in answer else ChatReply(why=f"the pager says {answer!r}", passing="busy" in answer)
    )


@dataclass
class OneBigNode:
    """Do one job of the layers that need much memory at a time: an executor, for `build --executor one-big-node`."""

    engine: Executor
    layers: frozenset[str] = frozenset({"torch", "tensorflow"})
    free: Semaphore = field(default_factory=Semaphore)

    def build(self, job: BuildJob) -> Attempt:
        """Do a job on the engine, when it may begin."""
        if job.layer not in self.layers:
            return self.engine.build(job)
        with self.free:
            return self.engine.build(job)

    def answers(self) -> bool:
        """Whether the engine answers."""
        return self.engine.answers()

    def cancel(self) -> None:
        """End what runs, and what waits."""
        self.engine.cancel()


REPORT_FORMATS: Final = {"rows.csv": rows_csv}
NOTIFIERS: Final = {"pager": Notifier(body=pager_event, reply=pager_reply)}
EXECUTORS: Final = {"one-big-node": OneBigNode}
