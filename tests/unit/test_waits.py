"""Steps that wait for a cache that another build uses: noticed, shown, and not counted as building."""

import io
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from rich.console import Console
from tests.fakes import FakeExecutor, Recorder, job_of, plan_of

from imagematrix import report
from imagematrix.engine.locks import Locks, locked
from imagematrix.execution import schedule
from imagematrix.model import Attempt, BuildJob, Key, Outcome, Status
from imagematrix.planning.forecast import Forecast
from imagematrix.report.document import write

A, B, C = Key("a"), Key("b"), Key("c")
APT = (
    "[python 2/3] RUN --mount=type=cache,id=apt,target=/var/cache/apt,sharing=locked "
    "--mount=type=cache,sharing=locked,target=/lists --mount=type=secret,id=ca apt-get update"
)
PIP = "[torch 2/3] RUN --mount=type=cache,id=pip,target=/root/.cache/pip pip install torch"
PRIVATE = "[horovod 2/3] RUN --mount=type=cache,id=apt,target=/c,sharing=private make"


@dataclass
class Told:
    now: float = 0.0
    waits: list[tuple[Key, str]] = field(default_factory=list)

    def __call__(self, key: Key, cache: str) -> None:
        self.waits.append((key, cache))

    def locks(self) -> Locks:
        return Locks(self, clock=lambda: self.now)


def test_which_caches_a_step_uses_alone() -> None:
    assert [*locked(APT)] == ["apt", "/lists"]
    assert [*locked(PIP), *locked(PRIVATE), *locked("exporting to image")] == []


def test_a_step_waits_until_it_says_something() -> None:
    """From its start, while another one uses the cache; the wait and what follows are reported."""
    told = Told()
    locks = told.locks()
    locks.began(A, "1", APT)
    told.now = 10.0
    locks.began(B, "2", APT)
    told.now = 40.0
    locks.ended(A, "1")
    assert told.waits == [(B, "/lists"), (B, "")]
    told.now = 45.0
    locks.spoke(B, "2")
    told.now = 60.0
    locks.ended(B, "2")
    assert (locks.left(A), locks.left(B), locks.left(B)) == (0.0, 30.0, 0.0)


def test_of_two_that_wait_the_one_that_speaks_has_it() -> None:
    """Which of them BuildKit lets in is not known before."""
    told = Told()
    locks = told.locks()
    for build in (A, B, C):
        locks.began(build, "1", APT)
    told.now = 5.0
    locks.ended(A, "1")
    assert told.waits == [(B, "/lists"), (C, "/lists")]
    told.now = 6.0
    locks.spoke(C, "1")
    told.now = 20.0
    locks.ended(C, "1")
    assert told.waits[2:] == [(C, ""), (B, "")]
    assert (locks.left(B), locks.left(C)) == (20.0, 6.0)


def test_who_does_not_wait() -> None:
    """Steps without locked caches, and those of one build; a build that ended leaves no lock behind."""
    told = Told()
    locks = told.locks()
    locks.began(A, "1", PIP)
    locks.began(B, "1", PIP)
    locks.began(A, "2", PRIVATE)
    locks.began(B, "2", PRIVATE)
    locks.began(A, "3", APT)
    locks.began(A, "3", APT)
    locks.began(A, "4", APT)
    locks.left(A)
    locks.began(B, "3", APT)
    assert told.waits == []


class Waiter(FakeExecutor):
    def _attempt(self, job: BuildJob) -> Attempt:
        made = super()._attempt(job)
        return Attempt(ok=made.ok, flake=made.flake, why=made.why, waited=30.0)


def test_waits_are_not_what_a_build_took() -> None:
    """So no estimate learns them; with retries all waits count."""
    ticks = iter(range(0, 10_000, 100))
    lock = threading.Lock()

    def clock() -> float:
        with lock:
            return float(next(ticks))

    plan = plan_of({"a": None})
    (outcome,) = schedule.run(
        plan,
        Waiter(flaky={"a": 1}),
        Recorder(),
        job=job_of(plan),
        jobs=1,
        stop=threading.Event(),
        sleep=lambda _: None,
        clock=clock,
    )
    assert (outcome.status, outcome.attempts, outcome.waited) == (Status.BUILT, 2, 60.0)
    assert outcome.seconds == 2 * (100.0 - 30.0)


def test_time_passes_for_who_asks() -> None:
    """From the coordinating thread, while builds run."""
    threads = set[int]()
    plan = plan_of({"a": None})
    schedule.run(
        plan,
        FakeExecutor(seconds=0.3),
        Recorder(),
        job=job_of(plan),
        jobs=1,
        stop=threading.Event(),
        tick=lambda: threads.add(threading.get_ident()),
    )
    assert threads == {threading.get_ident()}


def test_a_log_is_never_silent_for_long() -> None:
    """A long wait is reported, and every 30 s what runs and what waits."""
    plan = plan_of({"python": None, "tf": None})
    python, tf = plan.steps
    stream, now = io.StringIO(), [0.0]
    log = report.PlainLog(
        stream,
        plan,
        Forecast(plan.steps, dict.fromkeys((Key("python"), Key("tf")), 60.0), jobs=2),
        clock=lambda: now[0],
    )
    with log:
        log.started(python)
        log.started(tf)
        log.waiting(Key("tf"), "apt")
        for second in range(1, 66):
            now[0] = float(second)
            log.tick()
            if second == 40:
                log.waiting(Key("tf"), "")
        log.finished(tf, Outcome(key=Key("tf"), status=Status.BUILT, seconds=25.0, waited=40.0, attempts=1))
    lines = stream.getvalue().splitlines()
    moments = [0.0, *(float(line[1:].partition("s]")[0]) for line in lines if line.startswith("["))]
    assert all(later - earlier <= 30.0 for earlier, later in pairwise(moments))
    assert sum("wait    tf" in line and "(for the cache apt)" in line for line in lines) == 1
    first, *_, last = (line for line in lines if "builds (" in line)
    assert "waits (32.0s)" in first
    assert "waits" not in last
    assert any(line.endswith("(25.0s, waited 40.0s)") for line in lines)


def test_a_board_shows_waits_apart() -> None:
    plan = plan_of({"python": None})
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=30)
    board = report.Board(console, plan, Forecast(plan.steps, {Key("python"): 60.0}, jobs=1))
    screen = Console(file=io.StringIO(), width=100, color_system=None)
    board.started(plan.steps[0])
    board.output(Key("python"), "Reading package lists...")
    board.waiting(Key("python"), "apt")
    board.tick()
    screen.print(board.draw())
    board.waiting(Key("python"), "")
    screen.print(board.draw())
    assert isinstance(screen.file, io.StringIO)
    waits, tally, builds, after = screen.file.getvalue().splitlines()
    assert "waits for the cache apt" in waits
    assert "1 waiting" in tally
    assert "Reading package lists" in builds
    assert "waiting" not in after


@pytest.mark.parametrize("waited", [0.0, 12.5])
def test_a_report_counts_them_apart(waited: float) -> None:
    plan = plan_of({"python": None}, rows={"python:1": "python"})
    outcome = Outcome(
        key=Key("python"), status=Status.BUILT, seconds=3.0, waited=waited, attempts=1, started=1.0, slot=0
    )
    made = report.make(plan, [outcome], {}, started=datetime(2026, 11, 29, tzinfo=UTC), seconds=20.0)
    (node,) = json.loads(write(made))["nodes"]
    assert (node["seconds"], node.get("waited", 0.0)) == (3.0, waited)
