"""The reports of a pipeline's jobs, joined: times, worker slots, what became of nodes and rows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests import projects

from imagematrix.commands import reporting
from imagematrix.errors import FlagError
from imagematrix.model import Key, Status
from imagematrix.report import document, merging
from imagematrix.report.document import Document, LeafEntry, NodeEntry

BEGIN = datetime(2026, 11, 30, 1, tzinfo=UTC)


def node(key: str, outcome: Status, *, started: float | None = None, lane: int | None = None) -> NodeEntry:
    """Return an entry of a node that two rows need."""
    return NodeEntry(
        key=Key(key),
        layer=key,
        parent=None,
        label=key,
        outcome=outcome,
        seconds=5.0,
        log="",
        attempts=1,
        started=started,
        lane=lane,
        why="broken" if outcome is Status.FAILED else "",
        leaves=("a:1", "a:2"),
    )


def leaf(name: str, outcome: Status) -> LeafEntry:
    """Return an entry of a row."""
    return LeafEntry(name=name, image=name, outcome=outcome)


def run(minute: int, nodes: tuple[NodeEntry, ...], *leaves: LeafEntry) -> Document:
    """Return the report of a job that took a minute."""
    return Document(started=BEGIN + timedelta(minutes=minute), seconds=60.0, nodes=nodes, leaves=leaves)


FIRST = run(0, (node("system", Status.BUILT, started=1.0, lane=1),))
SECOND = run(
    2, (node("system", Status.REUSED), node("torch", Status.BUILT, started=3.0, lane=0)), leaf("a:1", Status.BUILT)
)


def test_times_and_slots_are_those_of_the_whole() -> None:
    """The second job began two minutes later; its slots come after the two of the first."""
    whole = merging.merge([SECOND, FIRST])

    assert (whole.started, whole.seconds) == (BEGIN, 180.0)
    assert [(each.key, each.started, each.lane) for each in whole.nodes] == [("system", 1.0, 1), ("torch", 123.0, 2)]


def test_the_job_that_built_a_node_counts() -> None:
    """Jobs that found it there do not, whichever comes first."""
    for parts in ([FIRST, SECOND], [replace(SECOND, started=BEGIN - timedelta(hours=1)), FIRST]):
        assert [each.outcome for each in merging.merge(parts).nodes] == [Status.BUILT, Status.BUILT]


def test_rows_that_a_failure_blocked_are_failed() -> None:
    """Their own jobs never ran, so no part names them."""
    broken = run(0, (node("system", Status.FAILED, started=1.0, lane=0),))

    whole = merging.merge([broken, run(1, (), leaf("a:2", Status.BUILT))])

    assert {each.name: each.outcome for each in whole.leaves} == {"a:1": Status.FAILED, "a:2": Status.BUILT}
    blocked = whole.leaves[-1]
    assert blocked.blame is not None
    assert (blocked.blame.node, blocked.why) == ("system", "broken")


def test_reports_in_folders_are_joined(tmp_path: Path) -> None:
    """Also when the whole was written among them before."""
    opened = projects.project(tmp_path / "project")
    for name, part in {"job-1": FIRST, "job-2": SECOND}.items():
        (tmp_path / "report" / name).mkdir(parents=True)
        (tmp_path / "report" / name / "report.json").write_text(document.write(part))
    for _ in range(2):
        reporting.merged(opened, tmp_path / "report", tmp_path / "report/whole", say=print)

    whole = document.read((tmp_path / "report/whole/report.json").read_text())
    assert whole.checkout.project == "project"
    assert replace(whole, checkout=FIRST.checkout) == merging.merge([FIRST, SECOND])


def test_logs_of_the_jobs_lie_beside_the_page_of_all(tmp_path: Path) -> None:
    """They are in the folders of the jobs; a link there is not followed."""
    opened = projects.project(tmp_path / "project")
    log = f".imagematrix/logs/app-{'a' * 12}.log"
    part = run(0, (replace(node("app", Status.FAILED), log=log),))
    (tmp_path / "report/job/logs").mkdir(parents=True)
    (tmp_path / "report/job/report.json").write_text(document.write(part))
    (tmp_path / "report/job/logs" / Path(log).name).write_text("the end of it")

    reporting.merged(opened, tmp_path / "report", tmp_path / "whole", say=print)
    assert (tmp_path / "whole/logs" / Path(log).name).read_text() == "the end of it"

    (tmp_path / "report/job/logs" / Path(log).name).unlink()
    (tmp_path / "report/job/logs" / Path(log).name).symlink_to("/etc/hostname")
    reporting.merged(opened, tmp_path / "report", tmp_path / "other", say=print)
    assert not (tmp_path / "other/logs").exists()


def test_no_report_at_all(tmp_path: Path) -> None:
    """A folder without any, one that does not exist, one that holds something else."""
    opened = projects.project(tmp_path / "project")
    (tmp_path / "strange/job").mkdir(parents=True)
    (tmp_path / "strange/job/report.json").write_text("[]")

    for folder in ("project", "nowhere", "strange"):
        with pytest.raises(FlagError):
            reporting.merged(opened, tmp_path / folder, tmp_path / "whole", say=print)
    assert not (tmp_path / "whole").exists()
