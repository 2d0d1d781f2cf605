"""Running a plan: order, failures, retries, interrupts; on an executor that is a few fields."""

import itertools
import random
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import FakeExecutor, Recorder, job_of, of_platform, plan_of
from tests.virtual import World, lower_bound, nature

from imagematrix.execution import schedule
from imagematrix.execution.protocol import Executor, Listener
from imagematrix.model import Attempt, BuildJob, Flake, FlakeKind, Key, Outcome, Plan, Status, Step
from imagematrix.planning.ready_queue import ReadyQueue

CHAIN_AND_FORK: dict[str, str | None] = {
    "base": None,
    "system": "base",
    "python": "system",
    "torch": "python",
    "paddle": "python",
    "notebook": "torch",
}


@st.composite
def forests(draw: st.DrawFn) -> dict[str, str | None]:
    """Up to 25 nodes, each on an earlier one or on nothing."""
    count = draw(st.integers(min_value=1, max_value=25))
    parents = [draw(st.none() | st.integers(0, index - 1)) if index else None for index in range(count)]
    return {f"n{index}": None if parent is None else f"n{parent}" for index, parent in enumerate(parents)}


def run(plan: Plan, executor: Executor, listener: Listener | None = None, **options: object) -> dict[str, Outcome]:
    """Run without waiting for real time; return the outcomes by node."""
    settled = {"job": job_of(plan), "jobs": 4, "stop": threading.Event(), "sleep": lambda _seconds: None} | options
    outcomes = schedule.run(plan, executor, listener or Recorder(), **settled)  # type: ignore[arg-type]
    assert [outcome.key for outcome in outcomes] == [step.node.key for step in plan.steps]
    return {outcome.key: outcome for outcome in outcomes}


def statuses(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {key: outcome.status.value for key, outcome in outcomes.items()}


def descendants(parents: dict[str, str | None], roots: set[str]) -> set[str]:
    """Walk the definition, not the implementation: a node is lost when its parent failed or is lost."""
    lost: set[str] = set()
    for name, parent in parents.items():
        if parent in roots or parent in lost:
            lost.add(name)
    return lost


@settings(deadline=None, max_examples=60)
@given(parents=forests(), jobs=st.integers(1, 5), data=st.data())
def test_each_node_has_one_outcome_and_a_failure_skips_exactly_its_descendants(
    parents: dict[str, str | None], jobs: int, data: st.DataObject
) -> None:
    """Whatever the DAG and whatever fails: the rest is built, parents first, never more than `jobs` at once."""
    fails = data.draw(st.sets(st.sampled_from(sorted(parents)), max_size=4))
    reused = data.draw(st.sets(st.sampled_from(sorted(name for name in parents if parents[name] is None)), max_size=2))
    executor = FakeExecutor(fails=fails, there=reused)
    listener = Recorder()

    outcomes = run(plan_of(parents, reused=reused), executor, listener, jobs=jobs)

    failing = fails - reused
    lost = descendants(parents, failing)
    expected = {
        name: "reused" if name in reused else "skipped" if name in lost else "failed" if name in failing else "built"
        for name in parents
    }
    assert statuses(outcomes) == expected
    assert set(executor.images) == {name for name, status in expected.items() if status == "built"}
    assert executor.orphans == []
    assert executor.most_running <= jobs
    assert sorted(name for what, name in listener.events if what == "finished") == sorted(parents)
    assert listener.threads == {threading.get_ident()}


def test_jobs_builds_run_at_once() -> None:
    """What is ready is started, up to the cap."""
    executor = FakeExecutor(seconds=0.02)

    run(plan_of(dict.fromkeys("abcdefgh")), executor, jobs=3)

    assert executor.most_running == 3


def test_the_builds_of_one_platform_leave_room_for_those_of_another() -> None:
    """However long their chains are: their machines are not the same."""
    plan = plan_of(dict.fromkeys(["arm 1", "arm 2", "arm 3", "amd 1"]))
    steps = [of_platform(step, step.node.key.partition(" ")[0]) for step in plan.steps]
    other = threading.Event()

    class Waiting(FakeExecutor):
        """What is for one platform ends when something for the other has begun."""

        def build(self, job: BuildJob) -> Attempt:
            if job.key == "amd 1":
                other.set()
            return super().build(job) if other.wait(5) else Attempt(ok=False, why="the other one never began")

    seconds = {step.node.key: 1.0 + step.node.key.startswith("arm") for step in steps}
    plan = replace(plan, steps=tuple(steps))
    outcomes = run(plan, Waiting(), jobs=2, limits={"arm": 1, "amd": 1}, seconds=seconds)
    assert {outcome.why for outcome in outcomes.values()} == {""}


def test_no_jobs_is_an_error() -> None:
    """Nothing could ever start."""
    with pytest.raises(ValueError, match="at least 1"):
        run(plan_of({"a": None}), FakeExecutor(), jobs=0)


def test_a_skipped_node_names_what_failed() -> None:
    """The node to blame is the one that failed, not the skipped parent in between."""
    outcomes = run(plan_of(CHAIN_AND_FORK), FakeExecutor(fails={"python"}))

    notebook = outcomes["notebook"]
    assert (notebook.why, notebook.caused_by) == ("python failed", "python")
    python = outcomes["python"]
    assert (python.why, python.tail, python.log) == (
        "no such package: python",
        ("line 1", "E: line 2"),
        "logs/python.log",
    )


def test_longest_remaining_path_starts_first() -> None:
    """A short node with a long chain on it goes before a longer one that nothing waits for."""
    plan = plan_of({"lone": None, "root": None, "next": "root", "last": "next", "twin": None})
    seconds = {"lone": 4.0, "twin": 4.0, "root": 1.0, "next": 2.0, "last": 3.0}
    executor = FakeExecutor()

    run(plan, executor, jobs=1, seconds=seconds)

    assert executor.images == ["root", "next", "lone", "twin", "last"]


def test_the_queue_gives_each_step_once_and_breaks_ties_by_plan_order() -> None:
    """The same events give the same order."""
    plan = plan_of({"b": None, "a": None, "c": "a", "d": "c", "e": "a"})
    queue = ReadyQueue(plan.steps, {step.node.key: 1.0 for step in plan.steps})

    assert name(queue.take()) == "a"
    assert name(queue.take()) == "b"
    assert queue.take() is None
    queue.done(Key("a"))
    assert name(queue.take()) == "c"
    assert [name(step) for step in queue.failed(Key("c"))] == ["d"]
    assert [name(step) for step in queue.drain()] == ["e"]
    queue.done(Key("b"))
    assert queue.take() is None


def name(step: Step | None) -> str:
    assert step is not None
    return step.node.key


def test_transient_failures_are_retried_with_growing_waits() -> None:
    """A flaky mirror causes a retry; its attempts are counted."""
    executor, listener = FakeExecutor(flaky={"a": 3}), Recorder()

    outcomes = run(plan_of({"a": None}), executor, listener, retries=3)

    assert (outcomes["a"].status, outcomes["a"].attempts) == (Status.BUILT, 4)
    assert [what for what, _ in listener.events] == [
        "started",
        "retried 1: 503 from the mirror",
        "retried 2: 503 from the mirror",
        "retried 3: 503 from the mirror",
        "finished",
    ]
    assert [low <= wait <= low + 2 for low, wait in zip((2, 4, 8), listener.waits, strict=True)] == [True] * 3


def test_every_retry_is_in_the_outcome() -> None:
    """Why, whose fault it was, and how long was waited: also of a node that was built in the end."""
    executor, listener = FakeExecutor(flaky={"a": 2}), Recorder()

    outcomes = run(plan_of({"a": None, "b": None}), executor, listener)

    assert [(retry.number, retry.why, retry.flake) for retry in outcomes["a"].retries] == [
        (1, "503 from the mirror", executor.flake),
        (2, "503 from the mirror", executor.flake),
    ]
    assert [retry.wait_seconds for retry in outcomes["a"].retries] == listener.waits
    assert outcomes["b"].retries == ()


@pytest.mark.parametrize(("asked", "low"), [(0.5, 2), (90, 90), (86_400, 600)])
def test_a_source_that_says_how_long_is_left_alone_for_so_long(asked: float, low: float) -> None:
    """Never shorter than by ourselves, never longer than ten minutes."""
    listener = Recorder()
    flake = Flake(kind=FlakeKind.LIMIT, source="registry.example.com", retry_after=asked)

    run(plan_of({"a": None}), FakeExecutor(flaky={"a": 1}, flake=flake), listener)

    assert [low <= wait <= low + 2 for wait in listener.waits] == [True]


class Unsettled(FakeExecutor):
    """Its images can be lost until somebody has waited for them."""

    def build(self, job: BuildJob) -> Attempt:
        return replace(super().build(job), is_settled=False)


def test_what_settles_needs_no_worker_slot() -> None:
    """One waits for the other, with one worker slot for both; what is built on it waits for it too."""
    executor, both = Unsettled(), threading.Barrier(2, timeout=30)

    def settle(job: BuildJob, attempt: Attempt) -> Attempt:
        if job.key != "c":
            both.wait()
        return attempt

    outcomes = run(plan_of({"a": None, "b": None, "c": "a"}), executor, jobs=1, settle=settle)

    assert statuses(outcomes) == {"a": "built", "b": "built", "c": "built"}
    assert executor.most_running == 1
    assert executor.images[-1] == "c"


def test_what_is_lost_while_it_settles_is_built_again() -> None:
    executor, lost = Unsettled(), {"a"}

    def settle(job: BuildJob, attempt: Attempt) -> Attempt:
        if job.key in lost:
            lost.remove(job.key)
            return Attempt(ok=False, flake=Flake(kind=FlakeKind.ENGINE), why="its machine went away")
        if job.key == "b":
            raise OSError("no route to host")
        return attempt

    outcomes = run(plan_of({"a": None, "b": None, "c": "a"}), executor, settle=settle)

    assert statuses(outcomes) == {"a": "built", "b": "failed", "c": "built"}
    assert executor.tries == {"a": 2, "b": 1, "c": 1}
    assert [retry.why for retry in outcomes["a"].retries] == ["its machine went away"]


def test_an_engine_that_is_gone_is_waited_for() -> None:
    """However long it takes to come back, it is one try; other flakes do not ask for it."""
    gone = Flake(kind=FlakeKind.ENGINE)
    executor, waits = FakeExecutor(flaky={"a": 1}, flake=gone, absent=40), list[float]()

    outcomes = run(plan_of({"a": None}), executor, retries=1, sleep=waits.append)

    assert (outcomes["a"].status, outcomes["a"].attempts) == (Status.BUILT, 2)
    assert waits[1:] == [1.0] * 40

    elsewhere = FakeExecutor(flaky={"a": 1}, absent=40)
    run(plan_of({"a": None}), elsewhere, retries=1)
    assert elsewhere.absent == 40


def test_an_engine_that_does_not_come_back_fails_what_needs_it() -> None:
    """After three minutes; the tries that are left find out that it is gone."""
    executor = FakeExecutor(flaky={"a": 9}, flake=Flake(kind=FlakeKind.ENGINE), absent=10**6)

    outcomes = run(plan_of({"a": None, "b": "a"}), executor, retries=1)

    assert statuses(outcomes) == {"a": "failed", "b": "skipped"}
    assert executor.tries["a"] == 2


@settings(deadline=None, max_examples=30)
@given(parents=forests(), jobs=st.integers(1, 4), data=st.data())
def test_no_two_nodes_have_a_lane_at_once(parents: dict[str, str | None], jobs: int, data: st.DataObject) -> None:
    """A timeline can be drawn of the outcomes; what was not begun has no place in it."""
    reading = iter(range(1_000_000))
    fails = data.draw(st.sets(st.sampled_from(sorted(parents)), max_size=3))

    outcomes = run(plan_of(parents), FakeExecutor(fails=fails), jobs=jobs, clock=lambda: float(next(reading)))

    begun = [outcome for outcome in outcomes.values() if outcome.attempts]
    assert all((outcome.started is None) == (outcome.slot is None) for outcome in outcomes.values())
    assert {outcome.key for outcome in begun} == {key for key, found in outcomes.items() if found.slot is not None}
    assert {outcome.slot for outcome in begun} <= set(range(jobs))
    ends = {outcome.key: (outcome.started or 0.0) + outcome.seconds for outcome in begun}
    for slot in range(jobs):
        ones = sorted((one for one in begun if one.slot == slot), key=lambda one: one.started or 0.0)
        assert all(ends[one.key] <= (next_.started or 0.0) for one, next_ in itertools.pairwise(ones))


def test_retries_end() -> None:
    """A mirror that stays away fails the node."""
    executor = FakeExecutor(flaky={"a": 9})

    outcomes = run(plan_of({"a": None, "b": "a"}), executor, retries=2)

    assert statuses(outcomes) == {"a": "failed", "b": "skipped"}
    assert (executor.tries["a"], outcomes["a"].attempts, outcomes["a"].why) == (3, 3, "503 from the mirror")


def test_real_failures_are_not_retried() -> None:
    """A package that does not exist will not exist in two seconds either."""
    executor = FakeExecutor(fails={"a"})

    run(plan_of({"a": None}), executor, retries=5)

    assert executor.tries["a"] == 1


@pytest.mark.parametrize("error", [RuntimeError("engine gone"), SystemExit(3)])
def test_an_executor_that_raises_fails_the_node_only(error: BaseException) -> None:
    """A worker's exception becomes an outcome with its text and its traceback, never a lost node."""
    executor = FakeExecutor(raises={"a": error})

    outcomes = run(plan_of({"a": None, "b": None}), executor)

    assert statuses(outcomes) == {"a": "failed", "b": "built"}
    assert outcomes["a"].why == f"{type(error).__name__}: {error}"
    assert any("_attempt" in line for line in outcomes["a"].tail)


def test_fail_fast_starts_nothing_after_a_failure() -> None:
    """What has not begun is skipped, and says that it is not to blame on its own parents."""
    executor = FakeExecutor(fails={"a"})
    plan = plan_of({"a": None, "on-a": "a", "b": None, "on-b": "b"})

    outcomes = run(plan, executor, jobs=1, fail_fast=True)

    assert executor.tries == {"a": 1}
    assert outcomes["on-a"].caused_by == "a"
    assert (outcomes["b"].caused_by, outcomes["b"].why) == (None, "not started after a failed (--fail-fast)")


def test_fail_fast_lets_what_runs_end() -> None:
    """A build in flight keeps its result; what would be built on it does not start."""
    both_run = threading.Barrier(2)

    class Meeting(FakeExecutor):
        def _attempt(self, job: BuildJob) -> Attempt:
            both_run.wait(10)
            if job.key == "b":
                failed.wait(10)
            return super()._attempt(job)

    class Watch(Recorder):
        def finished(self, step: Step, outcome: Outcome) -> None:
            super().finished(step, outcome)
            if outcome.status is Status.FAILED:
                failed.set()

    failed = threading.Event()
    outcomes = run(plan_of({"a": None, "b": None, "on-b": "b"}), Meeting(fails={"a"}), Watch(), jobs=2, fail_fast=True)

    assert statuses(outcomes) == {"a": "failed", "b": "built", "on-b": "skipped"}


def test_what_is_refused_while_others_run_is_asked_again_when_they_ended() -> None:
    """Nothing starts beside them; alone it has room, and the run is complete."""

    def refuses(_step: Step, running: Collection[Key]) -> str:
        return "no room" if running else ""

    executor = FakeExecutor(seconds=0.01)
    outcomes = run(plan_of(CHAIN_AND_FORK | {"other": None}), executor, jobs=3, refuses=refuses)

    assert set(statuses(outcomes).values()) == {"built"}
    assert executor.most_running == 1


def test_what_is_refused_alone_ends_the_starting() -> None:
    """The rest is skipped for that reason and no node is blamed; what was built stays."""
    executor = FakeExecutor()

    def refuses(_step: Step, _running: Collection[Key]) -> str:
        return "disk guard: full" if executor.images else ""

    outcomes = run(plan_of({"a": None, "b": "a", "c": "b", "d": None}), executor, jobs=1, refuses=refuses)

    assert statuses(outcomes) == {"a": "built", "b": "skipped", "c": "skipped", "d": "skipped"}
    assert {(outcomes[key].why, outcomes[key].caused_by) for key in "bcd"} == {("disk guard: full", None)}


def test_seconds_and_start_are_of_the_run_clock() -> None:
    """Seconds add up the attempts and leave out the waits between them."""
    now = [100.0]

    class Slow(FakeExecutor):
        def _attempt(self, job: BuildJob) -> Attempt:
            now[0] += 5
            return super()._attempt(job)

    def wait(seconds: float) -> None:
        now[0] += seconds

    outcomes = run(plan_of({"a": None, "b": "a"}), Slow(flaky={"a": 1}), jobs=1, clock=lambda: now[0], sleep=wait)

    assert (outcomes["a"].started, outcomes["a"].seconds) == (0.0, 10.0)
    assert (outcomes["b"].started or 0.0) >= 12.0


def interrupted_run(executor: FakeExecutor, interrupt: Callable[[threading.Event], None]) -> dict[str, Outcome]:
    """Run quick -> slow (endless) -> late beside queued, and interrupt while slow is building."""
    stop = threading.Event()

    def wait_for_slow() -> None:
        assert executor.reached.wait(10)
        interrupt(stop)

    watcher = threading.Thread(target=wait_for_slow)
    watcher.start()
    plan = plan_of({"quick": None, "slow": "quick", "late": "slow", "queued": None})
    try:
        return run(plan, executor, jobs=1, stop=stop, sleep=None)
    finally:
        watcher.join()


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C raise: a runner that was started in the background of a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send_ctrl_c(_stop: threading.Event) -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("interrupt", [threading.Event.set, send_ctrl_c])
def test_an_interrupt_cancels_what_runs_and_keeps_what_is_done(interrupt: Callable[[threading.Event], None]) -> None:
    """SIGTERM sets `stop`, Ctrl-C raises: both give a full set of outcomes, and soon."""
    executor = FakeExecutor(endless={"slow"})

    outcomes = interrupted_run(executor, interrupt)

    assert statuses(outcomes) == {"quick": "built", "slow": "interrupted", "late": "skipped", "queued": "skipped"}
    assert outcomes["late"].why == "interrupted before it started"
    assert outcomes["slow"].why == "interrupted"
    assert executor.cancels == 1


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_gives_up_waiting_for_a_build_that_does_not_end() -> None:
    """The executor ignores the first cancel; the outcomes are complete all the same."""

    class Stubborn(FakeExecutor):
        def cancel(self) -> None:
            self.cancels += 1
            if self.cancels == 1:
                threading.Thread(target=send_ctrl_c, args=(threading.Event(),)).start()

    executor = Stubborn(endless={"slow"})
    outcomes = interrupted_run(executor, send_ctrl_c)
    executor.cancelled.set()

    assert statuses(outcomes) == {"quick": "built", "slow": "interrupted", "late": "skipped", "queued": "skipped"}
    assert executor.cancels == 2


def test_a_stop_ends_the_wait_before_a_retry() -> None:
    """A node that waits out a flaky mirror does not hold up Ctrl-C, and is not tried again."""
    waits: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return super().wait(timeout)

    class StopOnRetry(Recorder):
        def retried(self, *_: object) -> None:
            stop.set()

    executor, stop = FakeExecutor(flaky={"a": 9}), Stop()
    outcomes = run(plan_of({"a": None}), executor, StopOnRetry(), retries=9, stop=stop, sleep=None)

    assert (outcomes["a"].status, outcomes["a"].attempts) == (Status.INTERRUPTED, 1)
    assert executor.tries["a"] == 1
    assert len(waits) == 1


def test_a_listener_that_raises_leaves_no_build_running() -> None:
    """Its error comes out, after everything was cancelled."""
    executor = FakeExecutor(endless={"slow"})

    class Broken(Recorder):
        def finished(self, step: Step, outcome: Outcome) -> None:
            raise OSError(f"no space left on device: {step.node.key} {outcome.status}")

    with pytest.raises(OSError, match="no space"):
        run(plan_of({"a": None, "slow": None}), executor, Broken(), jobs=2)
    assert (executor.cancels, executor.running) == (1, 0)


def test_a_night_of_many_nodes_is_near_the_shortest_possible() -> None:
    """In virtual time, with real failures, flakes, and estimates that are wrong by a third: within 5 %."""
    chance = random.Random(7)
    parents: dict[str, str | None] = {}
    for base in range(6):
        parents |= {f"base{base}": None, f"python{base}": f"base{base}"}
        for framework in range(40):
            name = f"{base}-{framework}"
            parents |= {f"f{name}": f"python{base}", f"n{name}": f"f{name}", f"b{name}": f"n{name}"}
    plan, jobs = plan_of(parents), 8
    seconds = {step.node.key: chance.lognormvariate(3, 0.5) for step in plan.steps}
    guessed = {key: value * chance.uniform(0.67, 1.5) for key, value in seconds.items()}
    given = nature(plan, seconds, failing=0.03, flaky=0.05, seed=8)
    world = World(plan, given, jobs=jobs)

    outcomes = run(plan, world, jobs=jobs, seconds=guessed, clock=world.clock, sleep=world.sleep)

    assert world.clock() <= 1.05 * lower_bound(plan, world.spent, jobs=jobs)
    lost = descendants(parents, set(given.failing))
    assert {key for key, one in outcomes.items() if one.status is Status.SKIPPED} == lost
    assert {key for key, one in outcomes.items() if one.status is Status.FAILED} == given.failing - lost
    assert {key for key, one in outcomes.items() if one.retries} == given.flaky.keys() - lost


def test_what_is_pulled_is_reused() -> None:
    """It runs like a build, before what is built on it; what cannot be pulled skips that."""
    plan = plan_of({"base": None, "python": "base", "torch": "python"}, reused=["base"], pulled=["python"])
    executor = FakeExecutor(there=["base"])
    assert statuses(run(plan, executor)) == {"base": "reused", "python": "reused", "torch": "built"}
    assert executor.images == ["python", "torch"]

    failed = run(plan, FakeExecutor(there=["base"], fails=["python"]))
    assert statuses(failed) == {"base": "reused", "python": "failed", "torch": "skipped"}


def test_what_has_the_longest_chain_on_it_goes_first() -> None:
    """Of a node with several children the longest counts: the shortest would let the last chain begin last."""
    plan = plan_of({"a": None, "a1": "a", "a2": "a", "b": None, "b1": "b"})
    seconds = {Key("a"): 1.0, Key("a1"): 1.0, Key("a2"): 10.0, Key("b"): 1.0, Key("b1"): 5.0}

    first = ReadyQueue(plan.steps, seconds).take()

    assert first
    assert first.node.key == "a"


class Unanswering:
    """An executor that fails for the engine's reasons, and cannot be asked whether it is back."""

    def build(self, _job: BuildJob) -> Attempt:
        return Attempt(ok=False, flake=Flake(kind=FlakeKind.ENGINE), why="the engine went away")

    def answers(self) -> bool:
        raise RuntimeError("ConnectionPool is closed")

    def cancel(self) -> None:
        """Cancel nothing."""


def test_an_executor_that_raises_when_it_is_asked_fails_its_node_alone() -> None:
    """Each step has an outcome: a run must not wait for a thread that died."""
    found = run(plan_of({"base": None, "app": "base"}), Unanswering())
    assert statuses(found) == {"base": "failed", "app": "skipped"}
    assert "ConnectionPool is closed" in found["base"].why
