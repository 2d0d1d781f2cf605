"""An image none of whose layers has a check is unchecked, never verified: who says so, and that its tags stay."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests import nights, projects
from tests.projects import PLAIN, PYTORCH

from imagematrix.commands.push import run as publishing
from imagematrix.model import Destination, Row
from imagematrix.planning import checks, publication
from imagematrix.planning.checks import CheckOutcome, CheckResult, ImageOutcome, Settled, Verified
from imagematrix.project import Project, Selection
from imagematrix.report import catalogue, document, html, junit, markdown, overview, runs
from imagematrix.report.console import list as rows
from imagematrix.report.console import verify as console
from imagematrix.report.document import write
from imagematrix.row_state import states
from imagematrix.verify import judge

PASSED = CheckResult(owner="system", name="test_ssh", outcome=CheckOutcome.PASSED)
SKIPPED = CheckResult(owner="system", name="test_gpu", outcome=CheckOutcome.SKIPPED, why="no GPU")
RULE = CheckResult(owner="destination art", name="no-new-setuid", outcome=CheckOutcome.PASSED)
CHECK_FILE = {"common/layers/torch/test_torch.py": "def test_cuda(): ..."}
GRID = nights.grid(6)


@pytest.fixture
def opened(tmp_path: Path) -> Project:
    """Only the layer torch has checks."""
    return projects.project(tmp_path, files={**projects.FILES, **CHECK_FILE})


@pytest.fixture
def row(opened: Project) -> Row:
    return projects.dag(opened, PLAIN).rows[PLAIN]


@pytest.mark.parametrize(
    ("checks", "outcome"),
    [
        ((), "unchecked"),
        ((RULE,), "unchecked"),
        ((SKIPPED,), "unchecked"),
        ((SKIPPED, PASSED), "passed"),
        ((replace(RULE, outcome=CheckOutcome.FAILED),), "failed"),
    ],
)
def test_what_no_layers_check_has_proven_is_unchecked(row: Row, checks: tuple[CheckResult, ...], outcome: str) -> None:
    image = Verified(row=row, checks=checks)

    assert (image.outcome, image.good) == (outcome, outcome == "passed")


def test_verify_says_so_however_often_it_is_asked(row: Row) -> None:
    told = console.text([Verified(row=row, checks=())], seconds=1)

    assert f"{PLAIN}   unchecked" in told
    assert "common/layers/boot/test_boot.py" in told
    assert told.endswith("1 image: 1 unchecked; 0 checks ran in 1.0s\n")


def test_all_forms_of_the_report_say_so(row: Row) -> None:
    text = document.write(document.with_checks(document.begun(nights.FIRST, 1), [Verified(row=row, checks=(RULE,))]))
    made = overview.make(runs.read(text), ())

    assert json.loads(text)["leaves"][0]["verification"] == "unchecked"
    assert not made.good
    assert "unchecked" in markdown.summary(made)
    assert '<span class="pill skipped">unchecked</span>' in html.page(made, {})
    [suite] = ET.fromstring(junit.text(made.run))  # noqa: S314  # our own
    assert suite.get("failures") == "1"


def test_reports_from_before_say_what_they_know() -> None:
    """They had no word for it."""
    names = [*GRID.final_nodes]
    document = json.loads(write(nights.night(GRID, 0)))
    document["leaves"][0] |= {"is_built": True, "checks": []}
    document["leaves"][1] |= {"is_built": False, "checks": []}

    run = runs.read(json.dumps(document))

    assert [run.by_name[name].verification for name in names[:3]] == [ImageOutcome.PASSED, ImageOutcome.MISSING, None]


def test_list_says_so_of_images_that_are_there(opened: Project) -> None:
    selected = opened.rows(Selection(only=(PLAIN, PYTORCH)))

    missing = states(opened, selected, ())
    built = states(opened, selected, projects.build(opened))

    assert [state.reason for state in missing] == ["", ""]
    assert {state.row.name: state.reason[:9] for state in built} == {PLAIN: "unchecked", PYTORCH: ""}
    assert "unchecked" in rows.rows_text(built)
    assert "unchecked" in rows.rows_json(built)


def test_the_page_for_users_says_so() -> None:
    row = next(iter(GRID.rows.values()))
    row = replace(row, family=replace(row.family, layers=("system", "boot")))
    past = [runs.read(nights.with_published(text)) for text in nights.nights(GRID, 1)]
    mark = '<span class="pill skipped">unchecked</span>'

    [checked] = catalogue.make([row], past, {"boot"})
    [unchecked] = catalogue.make([row], past, ())

    assert mark not in html.catalogue([checked], nights.FIRST)
    assert mark in html.catalogue([unchecked], nights.FIRST)


def test_moving_tags_wait_for_a_check(opened: Project) -> None:
    """Also when all rules of a destination are settled, and when all checks were skipped."""
    dag = projects.dag(opened, PLAIN, PYTORCH)

    why = publishing.unverified(opened, dag)
    assert why(dag.rows[PLAIN], ["sha256:1"]) == publication.UNCHECKED
    assert why(dag.rows[PYTORCH], ["sha256:1"]) == publication.UNVERIFIED


@pytest.mark.parametrize(("check", "why"), [(PASSED, ""), (SKIPPED, publication.UNCHECKED)])
def test_a_check_that_was_skipped_verifies_nothing(opened: Project, check: CheckResult, why: str) -> None:
    dag = projects.dag(opened, PYTORCH)
    subject = judge.Judge(opened).subject(dag.rows[PYTORCH], dag.final_nodes[PYTORCH], "sha256:1")
    settled = [
        Settled(
            key=subject.key,
            image=subject.image,
            owner=suite.owner,
            fingerprint=suite.fingerprint,
            checks=(check,),
            whole=True,
        )
        for suite in subject.suites
    ]
    for one in settled:
        opened.state.remember_settled(one)

    told = publishing.unverified(opened, dag)
    row = dag.rows[PYTORCH]
    assert told(row, ["sha256:0", "sha256:1"]) == why  # in a registry it may be known by two digests
    assert told(row, ["sha256:2"]) == publication.UNVERIFIED


def test_a_destinations_rules_alone_verify_nothing(opened: Project) -> None:
    dag = projects.dag(opened, PLAIN)
    subject = checks.decide(
        dag.rows[PLAIN],
        dag.final_nodes[PLAIN],
        "sha256:1",
        texts=checks.Texts(files={}, plugin="", rules={"no-new-setuid": ""}, auditor=""),
        destinations=[Destination(name="art", rules={"no-new-setuid": {}})],
        known=checks.Known(),
    )
    again = replace(subject, suites=tuple(replace(one, known=(RULE,), whole=True) for one in subject.suites))

    assert (again.open, again.verified) == ((), False)
