"""A night: what is done, what is gone on with, and by which commands."""

import pytest

from imagematrix.planning import nightly
from imagematrix.planning.nightly import NightlyOptions, NightlyRun, NightlyStage, StageResult

TONIGHT = NightlyRun(epoch="2026-11-22T02:00:00Z", began=1000.0)
OPTIONS = NightlyOptions(file="m.toml", report="out", keep="3", images=True)
GOOD, BAD = StageResult(code=0, seconds=1.5), StageResult(code=1, seconds=2.0)


def test_parts_come_in_order_and_a_failure_stops_none() -> None:
    assert nightly.todo(TONIGHT, OPTIONS) == tuple(NightlyStage)
    assert not TONIGHT.after(NightlyStage.BUILD, BAD).after(NightlyStage.GC, GOOD).good
    assert TONIGHT.after(NightlyStage.BUILD, GOOD).good


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
    assert {part.value: " ".join(nightly.command(part, options)) for part in NightlyStage} == {
        "bases": "lock --bases --upgrade --file m.toml",
        "build": "build --matrix --report out --file m.toml",
        "verify": "verify --matrix --report out --file m.toml",
        "push": "push --matrix --report out --file m.toml",
        "report": "report --report out --file m.toml",
        "gc": "gc --keep 3 --file m.toml",
    }
    chosen = NightlyOptions(file="m.toml", report="out", keep="3", rows=("--group", "small"), site="lab", jobs="2")
    assert " ".join(nightly.command(NightlyStage.BUILD, chosen)) == (
        "build --group small --jobs 2 --site lab --report out --file m.toml"
    )
    assert NightlyStage.PUSH not in nightly.todo(TONIGHT, chosen)
    shared = NightlyOptions(file="m.toml", report="out", keep="3", nodes=True)
    assert "--push" in nightly.command(NightlyStage.BUILD, shared)
    assert "--registry" in nightly.command(NightlyStage.GC, shared)
