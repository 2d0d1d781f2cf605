"""What a report says of machines: who built and pushed when, who was set aside, how far from the bound the run was."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.fakes import plan_of

from imagematrix import report
from imagematrix.model import Key, Outcome, Pushed, PushStatus, Status, UsedMachine
from imagematrix.report import bound, overview, plots, runs
from imagematrix.report.document import Document, write

MACHINES = (
    UsedMachine(name="a", slots=1),
    UsedMachine(name="b", slots=1, labels=("gpu",), faults=2, is_set_aside=True),
)


@pytest.fixture
def run() -> Document:
    """Two apps on a base: 10 s on one machine, then 20 s on each, of which 5 s are a pull on the other."""

    def built(key: str, *, started: float, seconds: float, slot: int, pulled: float = 0.0) -> Outcome:
        return Outcome(
            key=Key(key),
            status=Status.BUILT,
            started=started,
            seconds=seconds,
            pulled=pulled,
            attempts=1,
            slot=slot,
            machine="ab"[slot],
        )

    made = report.make(
        plan_of({"base": None, "x": "base", "y": "base"}),
        (
            built("base", started=0, seconds=10, slot=0),
            built("x", started=10, seconds=20, slot=0),
            built("y", started=10, seconds=25, slot=1, pulled=5),
        ),
        {},
        pushes=(
            Pushed(
                key=Key("base"), name="r:base", status=PushStatus.PUSHED, seconds=3, attempts=1, machine="a", ended=13
            ),
            Pushed(key=Key("x"), name="r:x", status=PushStatus.PUSHED),
        ),
        started=datetime(2026, 11, 30, tzinfo=UTC),
        seconds=36,
    )
    return report.with_machines(made, MACHINES)


def test_how_far_a_run_was_from_the_shortest_possible(run: Document) -> None:
    """The longest chain takes 30 s, all builds 25 s of two worker slots: 35 s were 1.17 times as long as needed."""
    assert bound.ratio(run) == pytest.approx(35 / 30)
    assert "1.17 x the shortest possible on 2 machines" in report.summary(run, color=False)
    one = replace(run, machines=run.machines[:1])
    assert bound.ratio(one) == pytest.approx(35 / 50)
    assert bound.ratio(replace(run, machines=())) is None
    assert bound.ratio(replace(run, nodes=())) is None


def test_a_machine_that_was_set_aside_is_named(run: Document) -> None:
    assert "b was set aside: it failed 2 times" in report.summary(run, color=False)
    assert "set aside" not in report.summary(replace(run, machines=run.machines[:1]), color=False)


def test_the_timeline_shows_pulls_and_pushes(run: Document) -> None:
    """A pull within its build, pushes below the worker slots."""
    past = runs.read(write(run))
    timeline = plots.timeline(overview.make(past, ()))
    traces = {trace["name"]: trace for trace in timeline["data"]}
    assert (traces["pull"]["base"], traces["pull"]["x"], traces["pull"]["y"]) == ([10], [5], [1])
    assert (traces["push"]["base"], traces["push"]["x"], traces["push"]["y"]) == ([10], [3], [2])
    assert timeline["layout"]["yaxis"]["ticktext"] == ["a", "b", "a pushes"]
