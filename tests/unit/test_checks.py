"""Which checks must run, which need not, and what is remembered of those that ran."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tests import projects
from tests.projects import MATRIX, PLAIN, PYTORCH

from imagematrix.model import Destination
from imagematrix.planning import checks
from imagematrix.planning.checks import CheckOutcome, CheckResult, Settled, Subject, Texts
from imagematrix.project import Project
from imagematrix.text.documents import DamagedError

FILES = {"system": "def test_ssh(): ...", "torch": "def test_cuda(): ..."}


@pytest.fixture
def opened(tmp_path: Path) -> Project:
    return projects.project(tmp_path)


def decide(
    opened: Project,
    name: str = PYTORCH,
    *,
    files: Mapping[str, str] = FILES,
    plugin: str = "plugin",
    destinations: Sequence[Destination] = (),
    history: Sequence[Settled] = (),
    image: str = "sha256:1",
) -> Subject:
    dag = projects.dag(opened, name)
    return checks.decide(
        dag.rows[name],
        dag.final_nodes[name],
        image,
        texts=Texts(files=files, plugin=plugin, rules={"no-new-setuid": "text", "max-size": "text"}, auditor="auditor"),
        destinations=destinations,
        known=checks.Known(history),
    )


def check(owner: str, name: str, outcome: CheckOutcome = CheckOutcome.PASSED) -> CheckResult:
    return CheckResult(
        owner=owner, name=name, outcome=outcome, seconds=1.5, why="why" * (outcome is CheckOutcome.SKIPPED)
    )


def ran(subject: Subject, *found: CheckResult, ended: bool = True) -> list[Settled]:
    """Return what a later run remembers: it was written as lines and is read from them."""
    lines = [checks.line(settled) for settled in checks.settle(subject, found, ended=ended)]
    return [checks.settled(line) for line in lines]


def test_an_image_passes_the_checks_of_all_its_layers_and_of_no_other(opened: Project) -> None:
    assert [suite.owner for suite in decide(opened).open] == ["system", "torch"]
    assert [suite.owner for suite in decide(opened, PLAIN).open] == ["system"]


def test_what_passed_is_not_repeated(opened: Project) -> None:
    history = ran(decide(opened), check("system", "test_ssh"), check("torch", "test_cuda", CheckOutcome.SKIPPED))

    again = decide(opened, history=history)

    assert again.open == ()
    told = [(one.name, one.outcome, one.why, one.known) for one in checks.joined(again, ())]
    assert told == [("test_ssh", "passed", "", True), ("test_cuda", "skipped", "why", True)]


@pytest.mark.parametrize(
    ("system", "torch", "is_verified"),
    [
        (CheckOutcome.PASSED, CheckOutcome.PASSED, True),
        (CheckOutcome.PASSED, CheckOutcome.SKIPPED, True),
        (CheckOutcome.PASSED, CheckOutcome.FAILED, False),
        (CheckOutcome.SKIPPED, CheckOutcome.SKIPPED, False),
    ],
)
def test_an_image_is_verified(opened: Project, system: CheckOutcome, torch: CheckOutcome, is_verified: bool) -> None:
    """Once all is settled, and something has passed: one check that is open keeps its tags where they are."""
    history = ran(decide(opened), check("system", "test_ssh", system), check("torch", "test_cuda", torch))
    assert decide(opened, history=history).verified is is_verified


def test_what_passed_on_another_image_of_the_same_key_proves_nothing(opened: Project) -> None:
    history = ran(decide(opened), check("system", "test_ssh"), check("torch", "test_cuda"))

    replaced = decide(opened, history=history, image="sha256:2")

    assert [suite.owner for suite in replaced.open] == ["system", "torch"]
    assert not replaced.verified


def test_what_was_settled_before_images_were_recorded_settles_nothing(opened: Project) -> None:
    history = ran(decide(opened), check("system", "test_ssh"), check("torch", "test_cuda"))
    lines = [json.loads(checks.line(settled)) for settled in history]
    old = [checks.settled(json.dumps({name: line[name] for name in line if name != "image"})) for line in lines]

    assert [suite.owner for suite in decide(opened, history=old).open] == ["system", "torch"]


def test_what_failed_is_repeated_and_nothing_else(opened: Project) -> None:
    failed = check("system", "test_tools", CheckOutcome.FAILED)
    history = ran(decide(opened), check("system", "test_ssh"), failed, check("torch", "test_cuda"))

    [suite] = decide(opened, history=history).open

    assert (suite.owner, [one.name for one in suite.known]) == ("system", ["test_ssh"])


def test_a_repeated_check_that_passes_settles_its_suite(opened: Project) -> None:
    failed = check("system", "test_tools", CheckOutcome.FAILED)
    first = ran(decide(opened), check("system", "test_ssh"), failed, check("torch", "test_cuda"))

    second = ran(decide(opened, history=first), check("system", "test_tools"))

    again = decide(opened, history=[*first, *second])
    assert again.open == ()
    assert [one.name for one in checks.joined(again, ())] == ["test_ssh", "test_tools", "test_cuda"]


def test_a_run_that_was_cut_off_settles_what_passed_but_no_suite(opened: Project) -> None:
    """Nobody knows which checks would have followed."""
    history = ran(decide(opened), check("system", "test_ssh"), check("torch", "test_cuda"), ended=False)

    told = [(suite.owner, [one.name for one in suite.known]) for suite in decide(opened, history=history).open]
    assert told == [("system", ["test_ssh"]), ("torch", ["test_cuda"])]


def test_a_suite_that_did_not_run_is_not_settled(opened: Project) -> None:
    """Pytest broke down, or was stopped: no check failed, and none passed."""
    history = ran(decide(opened), check("system", "test_ssh"))

    assert [suite.owner for suite in decide(opened, history=history).open] == ["torch"]


@pytest.mark.parametrize(
    "change",
    [
        {"files": {**FILES, "system": "def test_ssh(): assert 0"}},
        {"plugin": "another plugin"},
    ],
)
def test_checks_run_again_when_they_change(opened: Project, change: Mapping[str, Mapping[str, str] | str]) -> None:
    history = ran(decide(opened), check("system", "test_ssh"), check("torch", "test_cuda"))

    assert "system" in [suite.owner for suite in decide(opened, history=history, **change).open]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('image = "nvidia/cuda:12.1.0', 'image = "nvidia/cuda:12.1.1'),  # another image
        ('os = "ubuntu22.04"', 'os = "ubuntu22.04"\ncuda = "12.1"'),  # the same image, but a check may read it
    ],
)
def test_checks_run_again_when_the_image_or_its_row_changes(opened: Project, old: str, new: str) -> None:
    history = ran(decide(opened), check("system", "test_ssh"), check("torch", "test_cuda"))

    changed = projects.project(opened.repository.root, matrix=MATRIX.replace(old, new))

    assert [suite.owner for suite in decide(changed, history=history).open] == ["system", "torch"]


def test_a_destinations_rules_are_a_suite_of_their_own_until_they_change(opened: Project) -> None:
    destination = Destination(name="art", rules={"no-new-setuid": {}})
    [rules] = [suite for suite in decide(opened, destinations=[destination]).open if suite.destination]
    assert (rules.owner, rules.destination) == ("destination art", destination)
    history = ran(decide(opened, destinations=[destination]), check("destination art", "no-new-setuid"))

    again = decide(opened, destinations=[destination], history=history)
    changed = decide(opened, destinations=[Destination(name="art", rules={"max-size": {"limit": 1}})], history=history)

    assert [suite.owner for suite in again.open] == ["system", "torch"]
    assert "destination art" in [suite.owner for suite in changed.open]


@pytest.mark.parametrize("line", ["", '{"key": "0', '{"key": "0"}', "[]"])
def test_a_half_written_line_is_damaged(line: str) -> None:
    with pytest.raises(DamagedError):
        checks.settled(line)
