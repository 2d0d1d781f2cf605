"""What is reported about checks: on the terminal, in report.json and as JUnit XML."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests import projects
from tests.projects import PLAIN, PYTORCH

from imagematrix.model import Row, Status
from imagematrix.planning.checks import CheckOutcome, CheckResult, Verified
from imagematrix.report import document, junit, runs
from imagematrix.report.console import verify as console
from imagematrix.text.documents import DamagedError

STARTED = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
PASSED = CheckResult(owner="system", name="test_ssh", outcome=CheckOutcome.PASSED, seconds=0.5)
SKIPPED = CheckResult(owner="torch", name="test_gpu", outcome=CheckOutcome.SKIPPED, why="no GPU here")
FAILED = CheckResult(
    owner="torch",
    name="test_cuda",
    outcome=CheckOutcome.FAILED,
    seconds=2,
    why="AssertionError: assert '11.8' == '12.1'",
    tail=("libcudart", "not \x1b[31mfound"),
)


@pytest.fixture
def row(tmp_path: Path) -> Row:
    return projects.dag(projects.project(tmp_path), PYTORCH).rows[PYTORCH]


@pytest.fixture
def plain(tmp_path: Path) -> Row:
    return projects.dag(projects.project(tmp_path), PLAIN).rows[PLAIN]


def test_a_line_for_each_image_then_what_failed_and_why_then_what_is_missing(row: Row, plain: Row) -> None:
    images = [
        Verified(row=plain, checks=(), built=False),
        Verified(row=row, checks=(PASSED, SKIPPED, FAILED), seconds=3),
    ]

    assert console.text(images, seconds=3.21).splitlines() == [
        "plain:3.11-debian               missing   not built",
        "pytorch:2.3.0-python3.10-cuda   failed    1 passed, 1 failed, 1 skipped",
        "",
        "failed: pytorch:2.3.0-python3.10-cuda  torch: test_cuda",
        "  AssertionError: assert '11.8' == '12.1'",
        "  | libcudart",
        "  | not \x1b[31mfound",
        "  repeat:  invoke verify --only 'pytorch:2.3.0-python3.10-cuda'",
        "",
        "missing: 1 image not built: plain:3.11-debian",
        "  build:   invoke build --only 'plain:3.11-debian'",
        "",
        "2 images: 1 failed, 1 missing; 3 checks ran in 3.2s",
    ]


def test_when_nothing_changed_that_is_all_there_is_to_say(row: Row) -> None:
    known = CheckResult(owner="system", name="test_ssh", outcome=CheckOutcome.PASSED, known=True)

    told = console.text([Verified(row=row, checks=(known,))], seconds=0.1)

    assert told == "1 image is verified: nothing has changed since the checks passed\n"


def test_a_builds_report_keeps_all_it_says_and_gets_the_checks(row: Row, plain: Row) -> None:
    built = document.LeafEntry(name=PYTORCH, image="pytorch:1", outcome=Status.BUILT)
    build = replace(document.begun(STARTED, 7), leaves=(built,))
    images = [Verified(row=row, checks=(PASSED, FAILED)), Verified(row=plain, checks=(PASSED,))]

    made = json.loads(document.write(document.with_checks(document.read(document.write(build)), images)))

    assert (made["started"], made["seconds"]) == ("2026-11-22T03:04:05Z", 7)
    first, second = made["leaves"]
    assert (first["outcome"], [check["outcome"] for check in first["checks"]]) == ("built", ["passed", "failed"])
    assert first["checks"][1]["tail"] == ["libcudart", "not \x1b[31mfound"]
    assert (second["name"], second["checks"][0]["name"]) == (PLAIN, "test_ssh")


def test_without_a_builds_report_there_is_one_of_the_checks_alone(row: Row) -> None:
    made = json.loads(
        document.write(document.with_checks(document.begun(STARTED, 1), [Verified(row=row, checks=(PASSED,))]))
    )

    assert (made["started"], made["seconds"], made["nodes"]) == ("2026-11-22T03:04:05Z", 1, [])
    assert made["leaves"][0]["checks"][0]["owner"] == "system"


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"schema": 2, "started": "2026-11-22T03:04:05Z", "seconds": 1, "nodes": [], "leaves": []}'],
)
def test_another_programs_report_is_refused_and_one_of_a_later_version(text: str) -> None:
    with pytest.raises(DamagedError):
        document.read(text)


def test_a_build_says_nothing_of_checks_and_names(row: Row) -> None:
    leaf = document.LeafEntry(name=row.name, image=row.image, outcome=Status.BUILT)
    [written] = json.loads(document.write(replace(document.begun(STARTED, 1), leaves=(leaf,))))["leaves"]
    assert written.keys().isdisjoint({"is_built", "verification", "cut_off", "checks", "published"})


def test_junit_has_a_suite_for_each_image_and_a_case_for_each_check(row: Row, plain: Row) -> None:
    images = [Verified(row=row, checks=(PASSED, SKIPPED, FAILED)), Verified(row=plain, checks=(), built=False)]

    run = runs.read(document.write(document.with_checks(document.begun(STARTED, 1), images)))

    first, second = ET.fromstring(junit.text(run))  # noqa: S314  # our own

    assert (first.get("name"), first.get("tests"), first.get("failures"), first.get("skipped")) == (
        *(PYTORCH, "3"),
        *("1", "1"),
    )
    failure = first.find("testcase[@name='test_cuda']/failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == (FAILED.why, "libcudart\nnot [31mfound")
    assert (second.get("failures"), second[0].get("name")) == ("1", "the image exists")
