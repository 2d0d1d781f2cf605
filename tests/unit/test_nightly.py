"""A nightly run: what is done, what is resumed, and by which commands."""

import pytest

from imagematrix.planning import nightly
from imagematrix.planning.nightly import NightlyHealth, NightlyOptions, NightlyRun, NightlyStage, StageResult

TONIGHT = NightlyRun(epoch="2026-11-22T02:00:00Z", began=1000.0)
OPTIONS = NightlyOptions(file="m.toml", report="out", keep="3", images=True)
GOOD, BAD = StageResult(code=0, seconds=1.5), StageResult(code=1, seconds=2.0)


def test_parts_come_in_order_and_a_failure_stops_none() -> None:
    assert nightly.todo(TONIGHT, OPTIONS) == tuple(NightlyStage)
    assert not TONIGHT.after(NightlyStage.BUILD, BAD).after(NightlyStage.GC, GOOD).good
    assert TONIGHT.after(NightlyStage.BUILD, GOOD).good


def test_the_exit_code_is_that_of_what_failed() -> None:
    """Where the stages agree: an engine or a cluster that went away fails several."""
    lost = StageResult(code=3, seconds=1.0)
    night = TONIGHT.after(NightlyStage.BUILD, lost).after(NightlyStage.VERIFY, lost).after(NightlyStage.GC, GOOD)
    assert (TONIGHT.code, night.code, night.after(NightlyStage.PUSH, BAD).code) == (0, 3, 1)


def test_a_run_that_goes_on_leaves_out_what_is_done() -> None:
    """What failed has another try; bases do not: they would void what was built since."""
    tonight = (
        TONIGHT.after(NightlyStage.BASES, BAD)
        .after(NightlyStage.BUILD, BAD)
        .after(NightlyStage.VERIFY, GOOD)
        .after(NightlyStage.GC, GOOD)
    )
    assert nightly.todo(tonight, OPTIONS) == (
        NightlyStage.BUILD,
        NightlyStage.PUSH,
        NightlyStage.REPORT,
        NightlyStage.GC,
    )


def test_only_a_night_that_was_cut_off_lately_is_gone_on_with() -> None:
    half = TONIGHT.after(NightlyStage.BASES, GOOD)
    assert nightly.begun(nightly.dump(half), now=1000.0 + 19 * 3600) == half
    assert nightly.begun(nightly.dump(half), now=1000.0 + 24 * 3600) is None  # the next night is another one
    assert nightly.begun(nightly.dump(half), now=1000.0 + nightly.LONGEST) == half
    assert nightly.begun(nightly.dump(half), now=1001.0 + nightly.LONGEST) is None
    done = NightlyRun(epoch=half.epoch, began=half.began, ended=half.ended, finished=True)
    assert nightly.begun(nightly.dump(done), now=1001.0) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"epoch": 1}', '{"epoch": "", "began": 1, "parts": {"tea": 1}}'])
def test_a_record_that_is_none_begins_a_new_night(text: str) -> None:
    assert nightly.begun(text, now=0.0) is None


def test_each_part_is_the_command_that_does_it_alone() -> None:
    options = NightlyOptions(file="m.toml", report="out", keep="3")
    assert {part.value: " ".join(nightly.command(part, TONIGHT, options)) for part in NightlyStage} == {
        "bases": "lock --bases --upgrade --file m.toml",
        "build": "build --matrix --refresh=2026-11-22T02:00:00Z --report out --file m.toml",
        "verify": "verify --matrix --report out --file m.toml",
        "push": "push --matrix --report out --file m.toml",
        "report": "report --report out --file m.toml",
        "gc": "gc --keep 3 --file m.toml",
    }
    chosen = NightlyOptions(file="m.toml", report="out", keep="3", rows=("--group", "small"), site="lab", jobs="2")
    assert " ".join(nightly.command(NightlyStage.BUILD, TONIGHT, chosen)) == (
        "build --group small --refresh=2026-11-22T02:00:00Z --jobs 2 --site lab --report out --file m.toml"
    )
    assert NightlyStage.PUSH not in nightly.todo(TONIGHT, chosen)
    shared = NightlyOptions(file="m.toml", report="out", keep="3", nodes=True)
    assert "--push" in nightly.command(NightlyStage.BUILD, TONIGHT, shared)
    assert "--registry" in nightly.command(NightlyStage.GC, TONIGHT, shared)


HOUR = 3600.0


def ended(stage: StageResult, *, now: float, before: str = "") -> str:
    """Return the record of a run that began at `now`, took an hour, and had a stage that ended so."""
    run = nightly.new(before, epoch="e", now=now).after(NightlyStage.BUILD, stage)
    return nightly.dump(run.done(now=now + HOUR))


def test_the_last_good_night_is_remembered() -> None:
    """Through failed runs and one under way, until another one is good."""
    good = ended(GOOD, now=0.0)
    assert nightly.health(good, now=24 * HOUR) == NightlyHealth(last_good=HOUR, age=23 * HOUR)
    bad = ended(BAD, now=24 * HOUR, before=good)
    under_way = nightly.dump(nightly.new(bad, epoch="e", now=48 * HOUR))
    for text in (bad, under_way):
        assert nightly.health(text, now=49 * HOUR) == NightlyHealth(last_good=HOUR, age=48 * HOUR)
    again = ended(GOOD, now=48 * HOUR, before=under_way)
    assert nightly.health(again, now=50 * HOUR) == NightlyHealth(last_good=49 * HOUR, age=HOUR)


@pytest.mark.parametrize(("hours", "overdue"), [(0, False), (37, False), (37.1, True), (1000, True)])
def test_when_a_good_night_is_overdue(hours: float, overdue: bool) -> None:
    """36 hours after the last one ended; the clock of a run that ended in the future is not believed."""
    health = nightly.health(ended(GOOD, now=0.0), now=hours * HOUR)
    assert health
    assert health.is_overdue is overdue
    assert health.age >= 0


def test_nights_that_never_were_good_are_overdue() -> None:
    """Counted from the first one, however often it was tried since; without any there is nothing to expect."""
    text = ""
    for night in range(3):
        text = ended(BAD, now=night * 24 * HOUR, before=text)
    assert nightly.health(text, now=50 * HOUR) == NightlyHealth(last_good=None, age=50 * HOUR)
    assert nightly.health("", now=50 * HOUR) is None
    assert nightly.health("{", now=50 * HOUR) is None


def test_a_record_from_before_knows_its_own_night() -> None:
    """It has no field for the last good one."""
    parts = '{"build": {"code": 0, "seconds": 60.0}}'
    old = f'{{"epoch": "e", "began": 1000.0, "finished": true, "parts": {parts}}}'
    assert nightly.health(old, now=2000.0) == NightlyHealth(last_good=1060.0, age=940.0)
    failed = nightly.health(old.replace('"code": 0', '"code": 1'), now=2000.0)
    assert failed == NightlyHealth(last_good=None, age=1000.0)
