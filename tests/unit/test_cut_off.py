"""An image whose checks did not finish is not checked, neither failed nor passed: where that is reported."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests import nights, projects
from tests.projects import PLAIN

from imagematrix import scratch
from imagematrix.commands.verify.run import _lost
from imagematrix.model import Destination, Key, Row
from imagematrix.planning import checks
from imagematrix.planning.checks import ENGINE_STOPPED, CheckOutcome, CheckResult, Subject, Suite, Verified
from imagematrix.report import document, html, junit, markdown, overview, runs
from imagematrix.report.console import verify as console

PASSED = CheckResult(owner="system", name="test_ssh", outcome=CheckOutcome.PASSED)
FAILED = CheckResult(owner="system", name="test_gpu", outcome=CheckOutcome.FAILED, why="it is broken")
RULE = CheckResult(owner="destination art", name="no-new-setuid", outcome=CheckOutcome.PASSED)
FULL = "cannot write .imagematrix/verify/x: No space left on device"


@pytest.fixture
def row(tmp_path: Path) -> Row:
    return projects.dag(projects.project(tmp_path), PLAIN).rows[PLAIN]


def test_all_forms_of_the_report_say_so(row: Row) -> None:
    """It is not good, nothing failed, and a CI system reads an error that is not the image's."""
    images = [Verified(row=row, checks=(PASSED,), interruption=ENGINE_STOPPED)]
    text = document.write(document.with_checks(document.begun(nights.FIRST, 1), images))
    made = overview.make(runs.read(text), ())

    assert json.loads(text)["leaves"][0]["verification"] == "not checked"
    assert (made.good, made.broken_checks) == (False, ())
    assert ENGINE_STOPPED in markdown.summary(made)
    assert '<span class="pill skipped">not checked</span>' in html.page(made, {})
    [suite] = ET.fromstring(junit.text(made.run))  # noqa: S314  # our own
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")


def test_verify_says_so(row: Row) -> None:
    told = console.text([Verified(row=row, checks=(PASSED,), interruption=ENGINE_STOPPED)], seconds=1)

    assert f"not checked: 1 image: {ENGINE_STOPPED}: {PLAIN}" in told
    assert told.endswith("1 image: 1 not checked; 1 check ran in 1.0s\n")


@pytest.mark.parametrize(
    ("cut_off", "others", "lost"),
    [
        ([ENGINE_STOPPED], (PASSED,), True),
        ([checks.ENGINE_RESTARTED, FULL], (PASSED,), True),
        ([FULL], (PASSED,), False),
        ([ENGINE_STOPPED], (FAILED,), False),
        ([ENGINE_STOPPED], (), False),
        ([], (PASSED,), False),
    ],
)
def test_the_engine_is_to_blame_where_nothing_else_is(
    row: Row, cut_off: list[str], others: tuple[CheckResult, ...], *, lost: bool
) -> None:
    """Exit code 3 is for that; an image that failed, or has no check, is exit code 1."""
    images = [Verified(row=row, checks=others), *(Verified(row=row, checks=(), interruption=why) for why in cut_off)]

    assert bool(_lost(images)) == lost


def test_rules_that_were_not_judged_are_not_settled() -> None:
    """Also when some of them were settled before; those that were judged are, although the checks were interrupted."""
    suite = Suite(
        owner="destination art", fingerprint=Key("f"), known=(RULE,), destination=Destination(name="art", rules={})
    )
    row = nights.grid(3).rows[next(iter(nights.grid(3).final_nodes))]
    subject = Subject(row=row, key=Key("k"), image="sha256:1", suites=(suite,))

    [before] = checks.settle(subject, (), ended=False)
    [even_so] = checks.settle(subject, (), ended=True)
    [judged] = checks.settle(subject, (RULE,), ended=False)

    assert (before.whole, even_so.whole, judged.whole) == (False, False, True)


def test_a_run_that_left_something_is_taken_for_dead(tmp_path: Path) -> None:
    killed: list[str] = []
    with scratch.living(tmp_path, clean=lambda: False) as first:
        pass
    with scratch.living(tmp_path, killed=killed.append) as second:
        pass
    with scratch.living(tmp_path, killed=killed.append):
        pass

    assert killed == [first.name]
    assert not second.exists()
