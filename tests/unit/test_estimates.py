"""What builds are thought to take, and how long is left of a run."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import projects
from tests.fakes import plan_of
from tests.projects import PLAIN

from imagematrix.model import Key, Plan, Size
from imagematrix.planning import estimates, forecast
from imagematrix.planning.forecast import Forecast
from imagematrix.planning.plan import Record

ROW = "pytorch:2.4.1-cuda124"
OTHER = "pytorch:2.4.1-cpu"
PLAN = plan_of({"system": None, "torch": "system"}, rows={ROW: "torch"})


def record(layer: str, row: str, seconds: float, *, key: str = "k", parent: str = "") -> Record:
    return Record(key=Key(key), layer=layer, inputs={"parent": parent}, rows=(row,), seconds=seconds)


def test_what_the_same_rows_took_counts_before_what_others_took() -> None:
    """The median of the latest five: one slow night does not count, an old machine neither."""
    old = [record("torch", ROW, 1000.0)] * 9
    mine = [record("torch", ROW, seconds) for seconds in (50.0, 60.0, 900.0, 55.0, 65.0)]
    found = estimates.seconds(PLAN.steps, history=[*old, *mine, record("torch", OTHER, 7.0)])
    assert found[Key("torch")] == 60.0


def test_a_new_row_takes_what_its_layer_takes() -> None:
    """Of other rows, where none of its own is on record."""
    assert estimates.seconds(PLAN.steps, history=[record("torch", OTHER, 7.0)])[Key("torch")] == 7.0


def test_what_was_never_built_takes_what_its_lock_says_else_what_is_typical(tmp_path: Path) -> None:
    """More for a bigger lock; a stage that installs from the network takes longer than one that copies."""
    small = estimates.seconds(PLAN.steps, sizes={Key("torch"): Size(download=201_000_000, installed=796_000_000)})
    big = estimates.seconds(PLAN.steps, sizes={Key("torch"): Size(download=2_883_000_000, installed=5_201_000_000)})
    assert small[Key("torch")] == pytest.approx(16.1, abs=0.1)  # as measured
    assert big[Key("torch")] > 60
    never = projects.project(tmp_path)
    steps = projects.plan(never, PLAIN).steps
    seconds = {step.node.layer: estimates.seconds(steps)[step.node.key] for step in steps}
    assert seconds["boot"] < seconds["system"] < seconds["base"]


def test_bytes_are_what_an_image_added_to_its_parent() -> None:
    """Nothing, where a layer adds nothing; by its lock, where no image of it is there."""
    history = [record("system", ROW, 1.0, key="s"), record("torch", ROW, 1.0, key="t", parent="s")]
    size = {Key("torch"): Size(download=2_000, installed=5_000)}
    images = {Key("s"): 100, Key("t"): 100}
    assert estimates.added_bytes(PLAN.steps, history=history, sizes=size, images=images)[Key("torch")] == 0
    assert estimates.added_bytes(PLAN.steps, history=history, sizes=size, images={})[Key("torch")] == 7_000
    assert estimates.added_bytes(PLAN.steps, history=(), sizes={}, images={})[Key("system")] > 100_000_000


def test_the_rest_of_a_run_is_foreseen() -> None:
    """As it will be run: what is built already takes no more time, what runs only the rest of its own."""
    plan = plan_of({"a": None, "b": "a", "c": "a", "d": "c"})
    seconds = {Key("a"): 10.0, Key("b"): 30.0, Key("c"): 10.0, Key("d"): 5.0}
    assert forecast.whole(plan.steps, seconds, jobs=1) == 55.0
    assert forecast.whole(plan.steps, seconds, jobs=2) == 40.0

    rest = Forecast(plan.steps, seconds, jobs=2)
    rest.started(Key("a"), 100.0)
    assert rest.left(104.0) == 36.0
    assert rest.left(150.0) == 30.0  # it is late: thought to end at once
    rest.finished(Key("a"))
    rest.started(Key("b"), 150.0)
    rest.started(Key("c"), 150.0)
    assert rest.left(150.0) == 30.0
    for key in "bcd":
        rest.finished(Key(key))
    assert rest.left(160.0) == 0.0


@settings(deadline=None, max_examples=60)
@given(data=st.data(), jobs=st.integers(1, 5))
def test_a_forecast_is_between_what_no_run_can_beat_and_what_any_reaches(data: st.DataObject, jobs: int) -> None:
    """The critical path and the work shared by all jobs; and twice that, as of any list schedule."""
    count = data.draw(st.integers(1, 20))
    parents = {
        f"n{at}": data.draw(st.sampled_from([None, *(f"n{below}" for below in range(at))])) for at in range(count)
    }
    plan = plan_of(parents)
    seconds = {Key(name): float(data.draw(st.integers(1, 100))) for name in parents}
    bound = max(critical(plan, seconds), sum(seconds.values()) / jobs)
    assert bound - 1e-6 <= forecast.whole(plan.steps, seconds, jobs=jobs) <= 2 * bound


def critical(plan: Plan, seconds: dict[Key, float]) -> float:
    ends: dict[Key | None, float] = {None: 0.0}
    for step in plan.steps:
        ends[step.node.key] = ends[step.node.parent] + seconds[step.node.key]
    return max(ends.values())
