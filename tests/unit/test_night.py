"""A night: what is done, what is gone on with, and by which commands."""

import pytest

from imagematrix.planning import night
from imagematrix.planning.night import Ended, Night, Options, Part

TONIGHT = Night(epoch="2026-11-22T02:00:00Z", began=1000.0)
OPTIONS = Options(file="m.toml", report="out", keep="3", images=True)
GOOD, BAD = Ended(code=0, seconds=1.5), Ended(code=1, seconds=2.0)


def test_parts_come_in_order_and_a_failure_stops_none() -> None:
    assert night.todo(TONIGHT, OPTIONS) == tuple(Part)
    assert not TONIGHT.after(Part.BUILD, BAD).after(Part.GC, GOOD).good
    assert TONIGHT.after(Part.BUILD, GOOD).good


def test_a_run_that_goes_on_leaves_out_what_is_done() -> None:
    """What failed has another try; bases do not: they would void what was built since."""
    tonight = TONIGHT.after(Part.BASES, BAD).after(Part.BUILD, BAD).after(Part.VERIFY, GOOD).after(Part.GC, GOOD)
    assert night.todo(tonight, OPTIONS) == (Part.BUILD, Part.PUSH, Part.REPORT, Part.GC)


def test_only_a_night_that_was_cut_off_lately_is_gone_on_with() -> None:
    half = TONIGHT.after(Part.BASES, GOOD)
    assert night.begun(night.dump(half), now=1000.0 + night.LONGEST) == half
    assert night.begun(night.dump(half), now=1001.0 + night.LONGEST) is None
    done = Night(epoch=half.epoch, began=half.began, ended=half.ended, finished=True)
    assert night.begun(night.dump(done), now=1001.0) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"epoch": 1}', '{"epoch": "", "began": 1, "parts": {"tea": 1}}'])
def test_a_record_that_is_none_begins_a_new_night(text: str) -> None:
    assert night.begun(text, now=0.0) is None


def test_each_part_is_the_command_that_does_it_alone() -> None:
    options = Options(file="m.toml", report="out", keep="3")
    assert {part.value: " ".join(night.command(part, options)) for part in Part} == {
        "bases": "lock --bases --upgrade --file m.toml",
        "build": "build --matrix --report out --file m.toml",
        "verify": "verify --matrix --report out --file m.toml",
        "push": "push --matrix --report out --file m.toml",
        "report": "report --report out --file m.toml",
        "gc": "gc --keep 3 --file m.toml",
    }
    chosen = Options(file="m.toml", report="out", keep="3", rows=("--group", "small"), site="lab", jobs="2")
    assert " ".join(night.command(Part.BUILD, chosen)) == (
        "build --group small --jobs 2 --site lab --report out --file m.toml"
    )
    assert Part.PUSH not in night.todo(TONIGHT, chosen)
    shared = Options(file="m.toml", report="out", keep="3", nodes=True)
    assert "--push" in night.command(Part.BUILD, shared)
    assert "--registry" in night.command(Part.GC, shared)
