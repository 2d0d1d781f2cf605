"""What a run leaves behind on the disk."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests import nights, projects

from imagematrix.commands import reporting
from imagematrix.commands.verify.run import VerifyResult
from imagematrix.errors import FlagError
from imagematrix.planning import nightly
from imagematrix.planning.checks import CheckOutcome, CheckResult, Verified
from imagematrix.planning.nightly import NightlyRun
from imagematrix.project import Project

GRID = nights.grid(6)
ALL = {"index.html", "report.json", "junit.xml", "summary.md"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return projects.project(tmp_path)


def build(project: Project, number: int, folder: Path | None = None) -> list[str]:
    """Leave a night behind; return what was said."""
    said: list[str] = []
    reporting.built(project, nights.night(GRID, number), (), folder, say=said.append)
    return said


def verified(row: str) -> VerifyResult:
    check = CheckResult(owner="python", name="pip check", outcome=CheckOutcome.FAILED, why="numpy is missing")
    image = Verified(row=GRID.rows[row], checks=(check,))
    return VerifyResult(started=nights.FIRST, seconds=1.0, images=(image,), interrupted=False)


def test_a_build_is_kept_and_its_folder_is_whole(project: Project, tmp_path: Path) -> None:
    """Without a folder it is kept all the same: the next night is held against it."""
    build(project, 0)
    build(project, 1, tmp_path / "report")

    assert list(project.state.runs()) == ["2026-11-01T010000Z.json", "2026-11-02T010000Z.json"]
    assert {path.name for path in (tmp_path / "report").iterdir()} == ALL
    assert "All images together: +" in (tmp_path / "report/summary.md").read_text(encoding="utf-8")


def test_checks_are_added_to_the_run_they_belong_to(project: Project, tmp_path: Path) -> None:
    """That of the folder, else the last one; neither makes a run of its own."""
    row, other = list(GRID.final_nodes)[:2]
    build(project, 0, tmp_path / "report")
    build(project, 1)

    reporting.verified(project, verified(row), tmp_path / "report", say=print)
    reporting.verified(project, verified(other), None, say=print)

    texts = project.state.runs()
    checked = {
        name: [leaf["name"] for leaf in json.loads(text)["leaves"] if "checks" in leaf] for name, text in texts.items()
    }
    assert checked == {"2026-11-01T010000Z.json": [row], "2026-11-02T010000Z.json": [other]}
    assert "numpy is missing" in (tmp_path / "report/index.html").read_text(encoding="utf-8")


def test_logs_of_what_failed_lie_beside_the_page(project: Project, tmp_path: Path) -> None:
    """And are linked; those of earlier runs go. A log that this checkout does not have is named alone."""
    plan = nights.grid(12)
    key = next(step.node.key for step in plan.steps if step.node.layer == "pytorch")
    made = nights.night(plan, 0, broken=frozenset({key}))
    [failed] = [node for node in made.nodes if node.outcome == "failed"]
    for name in (f"tensorflow-{'b' * 12}.log", "mine.log"):
        (tmp_path / "report/logs").mkdir(parents=True, exist_ok=True)
        (tmp_path / "report/logs" / name).write_text("of an earlier run")
    with project.state.log(f"pytorch-{'a' * 12}.log") as log:
        log.write("the end of it\n")
    here = replace(failed, log=f".imagematrix/logs/pytorch-{'a' * 12}.log")
    nodes = tuple(here if node is failed else node for node in made.nodes)

    reporting.built(project, replace(made, nodes=nodes), (), tmp_path / "report", say=print)

    copied, mine = sorted((tmp_path / "report/logs").iterdir(), reverse=True)
    assert (copied.read_text(), mine.name) == ("the end of it\n", "mine.log")
    assert f'href="logs/{copied.name}"' in (tmp_path / "report/index.html").read_text(encoding="utf-8")
    reporting.built(project, made, (), tmp_path / "other", say=print)
    assert not (tmp_path / "other/logs").exists()


def test_the_last_page_is_written_again(project: Project, tmp_path: Path) -> None:
    """A run that was killed while it wrote is passed over, with a word; screenshots beside the page are shown."""
    build(project, 0)
    project.state.keep_run("2026-11-09T010000Z", '{"started": "2026-')
    (tmp_path / "again/screenshots").mkdir(parents=True)
    (tmp_path / "again/screenshots/lab.png").write_bytes(b"\x89PNG")
    said: list[str] = []

    page = reporting.again(project, tmp_path / "again", say=said.append)

    assert page == tmp_path / "again/index.html"
    assert "lab.png" in page.read_text(encoding="utf-8")
    assert {word.partition(":")[0] for word in said} == {
        ".imagematrix/runs/2026-11-09T010000Z.json is not a report of imagematrix and was skipped"
    }


def test_overdue_nights_are_told_where_they_are_looked_for(project: Project, tmp_path: Path) -> None:
    """In the page of any run, and by `report`."""
    project.state.write_night(nightly.dump(NightlyRun(epoch="e", began=1.0, finished=True, last_good=1000.0)))
    build(project, 0, tmp_path / "report")
    assert "1970-01-01" in (tmp_path / "report/summary.md").read_text(encoding="utf-8")
    said: list[str] = []
    reporting.again(project, tmp_path / "again", say=said.append)
    assert ["1970-01-01" in word for word in said] == [True]


def test_what_cannot_be_reported_on_is_told(project: Project, tmp_path: Path) -> None:
    """Nothing ran, nothing was published, or the folder holds a foreign report: and nothing is written."""
    with pytest.raises(FlagError, match="there is no run to report yet"):
        reporting.again(project, tmp_path / "report", say=print)
    with pytest.raises(FlagError, match="has published an image"):
        reporting.catalogue(project, tmp_path / "report", say=print)
    assert not (tmp_path / "report").exists()

    (tmp_path / "report").mkdir()
    (tmp_path / "report/report.json").write_text("[1]")
    with pytest.raises(FlagError, match="not written by imagematrix"):
        reporting.verified(project, verified(next(iter(GRID.final_nodes))), tmp_path / "report", say=print)
    assert (tmp_path / "report/report.json").read_text() == "[1]"


def test_a_webhook_that_does_not_answer_is_a_word(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is there all the same. Without a folder no report was requested, so nothing is reported."""
    monkeypatch.setenv("IMAGEMATRIX_WEBHOOK", "ftp://chat/s3cret")

    assert build(project, 0) == []
    (word,) = build(project, 1, tmp_path / "report")

    assert word.startswith("warning: the webhook (IMAGEMATRIX_WEBHOOK) did not accept the report")
    assert "s3cret" not in word
    assert {path.name for path in (tmp_path / "report").iterdir()} == ALL
