"""What is printed while checks run: a board on a terminal, lines in a log."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from tests import nights

from imagematrix.planning.checks import CheckOutcome, CheckResult, Running, Verified
from imagematrix.report.console import verify as checking
from imagematrix.verify.progress import CheckProgress

FIRST, SECOND, *_ = nights.grid(6).rows.values()
PASSED = CheckResult(owner="system", name="test_ssh", outcome=CheckOutcome.PASSED)
FAILED = replace(PASSED, outcome=CheckOutcome.FAILED)


class Clock:
    """Stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_log_has_a_line_for_each_image_that_is_done(clock: Clock) -> None:
    stream = io.StringIO()
    with checking.CheckLog(stream, 2, clock=clock) as log:
        log.running([Running(row=FIRST)])
        clock.now += 12.3
        log.finished(Verified(row=FIRST, checks=(PASSED,), seconds=12))

    assert stream.getvalue() == f"[  12.3s] passed  {FIRST.name}  (1 passed, 12.0s)\n"


def test_a_log_says_every_half_minute_what_runs(clock: Clock) -> None:
    """However often it is reported; and how long the check has been running by then."""
    stream = io.StringIO()
    hanging = Running(row=FIRST, check="torch: test_workers", done=31, total=52)
    with checking.CheckLog(stream, 3, clock=clock) as log:
        log.finished(Verified(row=SECOND, checks=(FAILED,)))
        stream.truncate(0)
        stream.seek(0)
        for _ in range(140):
            log.running([hanging])
            clock.now += 0.5

    assert stream.getvalue().splitlines() == [
        "[  25.0s] 1 of 3 images (1 failed)  25.0s",
        f"[  25.0s] running {FIRST.name}  31 of 52 checks  torch: test_workers (25.0s)",
        "[  50.0s] 1 of 3 images (1 failed)  50.0s",
        f"[  50.0s] running {FIRST.name}  31 of 52 checks  torch: test_workers (50.0s)",
    ]


def test_a_board_shows_which_check_of_each_image_runs(clock: Clock) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=160, height=20)
    with checking.CheckBoard(console, 3, clock=clock) as board:
        board.running([Running(row=FIRST)])
        clock.now += 3
        for _ in range(2):
            board.running([Running(row=FIRST, check="torch: test_it_trains", done=4, total=9), Running(row=SECOND)])
            clock.now += 2
        first, second, tally = drawn(board)
        board.finished(Verified(row=FIRST, checks=(PASSED,)))
        last = drawn(board)

    assert [words.strip() for words in first.split("  ") if words] == [
        *(FIRST.name, "7.0s", "4 of 9 checks", "torch: test_it_trains (4.0s)"),
    ]
    assert second.split() == [SECOND.name, "4.0s", "starting"]
    assert tally.strip() == "0 of 3 images  7.0s"
    assert [line.split()[0] for line in last] == [SECOND.name, "1"]
    assert "passed" in last[-1]


def drawn(board: checking.CheckBoard) -> list[str]:
    console = Console(file=io.StringIO(), width=160, height=20)
    with console.capture() as capture:
        console.print(board.draw())
    return capture.get().splitlines()


def test_how_far_an_image_is_follows_what_pytest_writes(tmp_path: Path) -> None:
    """Also while a line is half-written."""
    results = tmp_path / "results.jsonl"
    progress = CheckProgress(FIRST, results)
    assert progress.now() == Running(row=FIRST)

    with results.open("a") as stream:
        for line in ({"total": 2}, {"check": "system: a"}, {"outcome": "passed"}, {"check": "system: b"}):
            stream.write(json.dumps(line) + "\n")
        stream.write('{"outco')
    assert progress.now() == Running(row=FIRST, check="system: b", done=1, total=2)

    with results.open("a") as stream:
        stream.write('me": "failed"}\n')
    progress.turn_to("destination art")
    assert progress.now() == Running(row=FIRST, check="destination art", done=2, total=2)
