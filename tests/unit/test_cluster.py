"""Many machines: the real scheduler, executor and Dask, with machines that are folders."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
from tests import projects
from tests.clusters import REGISTRY, FolderMachine, LocalCluster, coordinator, until
from tests.fakes import of_platform, plan_of
from tests.folders import digest, passing

from imagematrix.cluster import Cluster
from imagematrix.errors import NoClusterError
from imagematrix.execution import schedule
from imagematrix.model import (
    Attempt,
    BuildJob,
    FlakeKind,
    Key,
    Lock,
    Outcome,
    Plan,
    PushStatus,
    Retry,
    Status,
    Step,
)
from imagematrix.planning import jobs, placement
from imagematrix.planning.jobs import JobFactory


class MemoryLog:
    """A log in memory."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.text = ""

    def write(self, text: str, /) -> None:
        self.text += text


@dataclass
class Night:
    """A run's listener, logs and stop."""

    stop: threading.Event = field(default_factory=threading.Event)
    retries: list[Retry] = field(default_factory=list)
    logs: dict[str, MemoryLog] = field(default_factory=dict)

    def started(self, step: Step) -> None:
        """Hear nothing."""

    def retried(self, _step: Step, retry: Retry) -> None:
        self.retries.append(retry)

    def finished(self, _step: Step, outcome: Outcome) -> None:
        """Hear nothing."""

    @contextmanager
    def log(self, name: str) -> Iterator[MemoryLog]:
        self.logs[name] = MemoryLog(name)
        yield self.logs[name]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return projects.plan(projects.project(tmp_path / "project"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    made = LocalCluster(tmp_path / "dask")
    yield made
    made.close()


@pytest.fixture
def machines(cluster: LocalCluster, tmp_path: Path) -> Mapping[str, FolderMachine]:
    """Two machines that share a registry alone."""
    return {name: cluster.add(FolderMachine(tmp_path / "machines", name)) for name in ("a", "b")}


def ran(
    plan: Plan,
    executor: Cluster,
    night: Night,
    *,
    jobs: int = 8,
    sleep: Callable[[float], object] = lambda _seconds: None,
) -> Mapping[Key, Outcome]:
    outcomes = schedule.run(
        plan,
        executor,
        night,
        job=factory(plan).job,
        jobs=jobs,
        limits=executor.limits(),
        stop=night.stop,
        settle=executor.settle,
        sleep=sleep,
    )
    return {outcome.key: outcome for outcome in outcomes}


def factory(plan: Plan) -> JobFactory:
    return jobs.factory(
        plan,
        lock=Lock(epoch="2026-11-29T00:00:00Z"),
        repository=REGISTRY,
        pushed=(),
        kept=(),
        revision="abc",
        seconds=60.0,
    )


def test_a_whole_plan(plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine], tmp_path: Path) -> None:
    """Each node is built once and pushed once, whatever machine did it; the outcome says which."""
    night = Night()
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)
        pushes = executor.pushes()
        assert {push.status for push in pushes.rest()} == {PushStatus.PUSHED}

    assert {outcome.status for outcome in outcomes.values()} == {Status.BUILT}
    done = [key for machine in machines.values() for key in machine.done]
    assert sorted(done) == sorted(outcomes)
    assert sorted(push.key for push in pushes.nodes()) == sorted(outcomes)
    assert all((tmp_path / "machines" / REGISTRY / key).is_dir() for key in outcomes)
    for key, outcome in outcomes.items():
        assert key in machines[outcome.machine].done
        assert night.logs[outcome.log].text.endswith(f" on {outcome.machine}\n")
    assert {outcome.slot for outcome in outcomes.values()} <= {0, 1, 2, 3}


def test_a_child_is_built_where_its_parent_is(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    """What only one node is built on is never pulled."""
    night = Night()
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)

    shared = placement.shared(plan)
    assert shared
    alone = [step.node for step in plan.steps if step.node.parent and step.node.parent not in shared]
    assert alone
    assert all(outcomes[node.key].machine == outcomes[node.parent].machine for node in alone if node.parent)
    assert {key for machine in machines.values() for key in machine.pulled} <= shared


def test_what_several_nodes_are_built_on_is_pushed_before_they_begin(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    night, shared = Night(), placement.shared(plan)
    too_early = []

    def watch(job: BuildJob) -> float:
        parent = getattr(getattr(job.work, "source", None), "key", None)
        pushed = [key for machine in machines.values() for key in machine.pushed]
        if parent in shared and parent not in pushed:
            too_early.append(job.layer)
        return 0.0

    for machine in machines.values():
        machine.seconds = watch
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)

    assert {outcome.status for outcome in outcomes.values()} == {Status.BUILT}
    assert too_early == []


def test_a_machine_dies_with_an_unpushed_parent(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    """What was pushed stays; the parent that only that machine had is made again on the other one."""
    night, victim = Night(), machines["a"]

    def dies(job: BuildJob) -> float:
        parent = getattr(getattr(job.work, "source", None), "key", None)
        if parent in victim.done and parent not in placement.shared(plan):
            stands.append(job.key)
            return 30.0
        return 0.0

    stands: list[Key] = []
    victim.seconds = dies

    def kill() -> None:
        heard = set[tuple[Key, str]]()

        def stands_there() -> bool:
            heard.update(executor.begun())
            return bool(stands) and (stands[0], "a") in heard

        until(stands_there)
        cluster.kill("a")

    victim.pushes = placement.shared(plan)
    killer = threading.Thread(target=kill)
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        killer.start()
        outcomes = ran(plan, executor, night, jobs=at_once)
        assert [*executor.pushes().rest()]
    killer.join()

    assert {outcome.status for outcome in outcomes.values()} == {Status.BUILT}
    again = {*victim.done} & {*machines["b"].done}
    assert again
    assert again.isdisjoint(placement.shared(plan))
    assert {retry.flake.kind for retry in night.retries} == {FlakeKind.ENGINE}


def test_what_waits_while_a_machine_dies_is_not_tried_again(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    """Nothing of it was tried."""
    night, begun, dead = Night(), {name: set[Key]() for name in machines}, threading.Event()
    victims, heard = list[str](), set[Key]()

    def stands(job: BuildJob, name: str) -> float:
        if job.layer == "torch" and not dead.is_set():
            begun[name].add(job.key)
            dead.wait(30)
        return 0.0

    for name, machine in machines.items():
        machine.seconds = partial(stands, name=name)

    def full() -> list[str]:
        """Return the machines with two builds that stand, as the coordinator knows, while others wait."""
        heard.update(key for key, _ in executor.begun())
        return [
            name for name, keys in begun.items() if len(keys) == 2 and keys <= heard and executor._dispatcher.waiting()
        ]

    def kill() -> None:
        until(lambda: bool(full()))
        victims.extend(full()[:1])
        cluster.kill(victims[0])
        dead.set()

    with coordinator(cluster, plan, night.log) as (executor, at_once):
        threading.Thread(target=kill).start()
        outcomes = ran(plan, executor, night, jobs=at_once)

    assert {outcome.status for outcome in outcomes.values()} == {Status.BUILT}
    assert {key for key, outcome in outcomes.items() if outcome.attempts > 1} == begun[victims[0]]


def test_a_machine_that_fails_for_its_own_reasons_is_avoided(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    """The next try is made elsewhere."""
    night = Night()
    machines["a"].attempt = lambda _job: passing(FlakeKind.ENGINE)
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)

    assert {(outcome.status, outcome.machine, outcome.why) for outcome in outcomes.values()} == {
        (Status.BUILT, "b", "")
    }
    assert max(outcome.attempts for outcome in outcomes.values()) == 2


def test_what_waits_for_a_machine_that_is_set_aside_goes_elsewhere(
    cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    """Not only when the first failure is tried again: until then it would fail one job after the other."""
    plan, night = plan_of(dict.fromkeys(f"node-{number}" for number in range(16))), Night()
    machines["a"].attempt = lambda _job: passing(FlakeKind.ENGINE)
    machines["b"].seconds = lambda _job: 0.2
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once, sleep=night.stop.wait)
        faults = {machine.name: machine.faults for machine in executor.used()}

    assert {outcome.status for outcome in outcomes.values()} == {Status.BUILT}
    assert faults["a"] <= 3  # one more may have been sent when the second one failed


def test_a_machine_that_does_not_reach_the_registry_is_no_black_hole(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    night = Night()
    machines["a"].is_registry_away = True
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)

    assert {(outcome.status, outcome.machine, outcome.why) for outcome in outcomes.values()} == {
        (Status.BUILT, "b", "")
    }


def test_a_machine_of_another_version_refuses(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine], tmp_path: Path
) -> None:
    """It gets no jobs; where it is the only one, the message says what to install."""
    old = cluster.add(FolderMachine(tmp_path / "machines", "old"), version="0.0.1")
    night = Night()
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        ran(plan, executor, night, jobs=at_once)
    assert old.done == []

    for name in machines:
        cluster.kill(name)
    with pytest.raises(NoClusterError, match=r"old: it has imagematrix 0\.0\.1"), coordinator(cluster, plan, night.log):
        pass


def test_a_stop_ends_all_builds_within_a_second(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    night = Night()
    for machine in machines.values():
        machine.seconds = lambda _job: 60.0
    stopped = []

    def stop() -> None:
        until(lambda: any(machine.begun.is_set() for machine in machines.values()))
        stopped.append(time.monotonic())
        night.stop.set()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)
        ended = time.monotonic()
    stopper.join()

    assert {outcome.status for outcome in outcomes.values()} == {Status.INTERRUPTED, Status.SKIPPED}
    assert ended - stopped[0] < 1.5
    assert any(machine.stopped.is_set() for machine in machines.values())


def test_builds_of_a_coordinator_that_went_away_are_stopped(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    night = Night()
    for machine in machines.values():
        machine.seconds = lambda _job: 60.0
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        threading.Thread(target=lambda: ran(plan, executor, night, jobs=at_once), daemon=True).start()
        until(lambda: any(machine.begun.is_set() for machine in machines.values()))
        executor._link._client.close(timeout=1)  # type: ignore[union-attr]
        begun = time.monotonic()
        until(lambda: any(machine.stopped.is_set() for machine in machines.values()))
        night.stop.set()
    assert time.monotonic() - begun < 2


def test_a_cluster_has_one_coordinator(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    assert machines
    night = Night()
    with (
        coordinator(cluster, plan, night.log),
        pytest.raises(NoClusterError, match="already builds for a test"),
        coordinator(cluster, plan, night.log),
    ):
        pass
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        assert {outcome.status for outcome in ran(plan, executor, night, jobs=at_once).values()} == {Status.BUILT}


def test_a_scheduler_is_restarted(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine], tmp_path: Path
) -> None:
    """The coordinator connects again, and goes on with the machines that join again."""
    night = Night()
    built = threading.Event()

    def slow(_job: BuildJob) -> float:
        if sum(len(machine.done) for machine in machines.values()) >= 3:
            built.set()
        return 0.05

    for machine in machines.values():
        machine.seconds = slow

    def restart() -> None:
        assert built.wait(30)
        cluster.restart_scheduler()
        for name in machines:
            cluster.add(FolderMachine(tmp_path / "machines", f"{name}2"))

    restarter = threading.Thread(target=restart)
    restarter.start()
    with coordinator(cluster, plan, night.log) as (executor, _):
        outcomes = schedule.run(
            plan, executor, night, job=factory(plan).job, jobs=4, stop=night.stop, retries=4, settle=executor.settle
        )
    restarter.join()
    assert {(outcome.status, outcome.why) for outcome in outcomes} == {(Status.BUILT, "")}
    assert all((tmp_path / "machines" / REGISTRY / key).is_dir() for key in plan.final_nodes.values())


def test_a_job_for_a_machine_that_has_just_left(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    """The scheduler sends it back, and another machine does it within the same try."""
    night = Night()
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        cluster.forget("a")
        outcomes = ran(plan, executor, night, jobs=at_once)

    assert {(outcome.status, outcome.attempts, outcome.machine) for outcome in outcomes.values()} == {
        (Status.BUILT, 1, "b")
    }
    assert machines["a"].done == []


ARM = "linux/arm64"


def for_two_platforms(plan: Plan) -> Plan:
    """Let everything on one of the two bases be for arm64."""
    arm, steps = set[Key](), list[Step]()
    for step in plan.steps:
        if step.node.parent in arm or (not step.node.parent and steps and not arm):
            arm.add(step.node.key)
        steps.append(of_platform(step, ARM) if step.node.key in arm else step)
    return replace(plan, steps=tuple(steps))


@pytest.mark.parametrize("comes_back", [False, True])
def test_the_only_machine_of_a_platform_leaves(
    plan: Plan, cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, comes_back: bool
) -> None:
    """Its nodes wait as long as a lost engine is waited for, and then give up together; the others go on meanwhile."""
    plan, night, ended = for_two_platforms(plan), Night(), dict[Key, float]()
    monkeypatch.setattr("imagematrix.cluster.machines.ENGINE_SECONDS", 30.0 if comes_back else 3.0)
    monkeypatch.setattr(night, "finished", lambda step, _: ended.setdefault(step.node.key, time.monotonic()))
    folder = tmp_path / "machines"
    cluster.add(FolderMachine(folder, "amd"))
    arm = cluster.add(FolderMachine(folder, "arm"), platform=ARM)
    arm.seconds = lambda _job: 0.0 if len(arm.done) < 2 else 60.0

    def leave() -> None:
        until(lambda: len(arm.done) >= 2)
        cluster.kill("arm")
        if comes_back:
            time.sleep(1)
            cluster.add(FolderMachine(folder, "arm"), platform=ARM)

    threading.Thread(target=leave).start()
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)

    of_arm = {step.node.key for step in plan.steps if step.node.platform == ARM}
    assert {outcomes[key].status for key in outcomes.keys() - of_arm} == {Status.BUILT}
    if comes_back:
        assert {outcomes[key].status for key in of_arm} == {Status.BUILT}
        return
    failed = {key: outcomes[key].why for key in of_arm if outcomes[key].status is Status.FAILED}
    assert set(failed.values()) == {f"no machine takes jobs for {ARM}"}
    assert {outcomes[key].status for key in of_arm - failed.keys()} == {Status.BUILT, Status.SKIPPED}
    assert max(ended[key] for key in failed) - min(ended[key] for key in failed) < 1


def test_the_connection_to_the_scheduler_breaks(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    """What machines were told to stop for it is done again by the same ones."""
    night = Night()
    for machine in machines.values():
        machine.seconds = lambda _job: 0.1

    def cut() -> None:
        until(lambda: sum(len(machine.done) for machine in machines.values()) >= 3)
        client = executor._link._client
        client.loop.add_callback(client.scheduler_comm.comm.abort)  # type: ignore[union-attr]

    cutter = threading.Thread(target=cut)
    cutter.start()
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)
    cutter.join()

    assert {(outcome.status, outcome.why) for outcome in outcomes.values()} == {(Status.BUILT, "")}
    assert night.retries


def test_what_waits_for_a_machine_whose_engine_goes_away_begins_elsewhere(
    plan: Plan, cluster: LocalCluster, tmp_path: Path
) -> None:
    """A machine that takes no jobs gets none, and finishes those that it has."""
    folder = tmp_path / "machines"
    first, second = (cluster.add(FolderMachine(folder, name), slots=1) for name in ("first", "second"))
    first.seconds = second.seconds = lambda _job: 0.2
    night, gone, before = Night(), threading.Event(), list[str]()

    def leave() -> None:
        until(second.begun.is_set)
        until(lambda: executor._dispatcher.waiting() > 0)
        before.extend(second.done)
        cluster.away("second", "its engine does not answer")
        gone.set()

    threading.Thread(target=leave).start()
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)

    assert gone.is_set()
    assert {outcome.status for outcome in outcomes.values()} == {Status.BUILT}
    assert len(second.done) <= len(before) + 1  # what it had begun
    assert {outcome.machine for outcome in outcomes.values()} <= {"first", "second"}
    assert sorted({*first.done, *second.done}) == sorted(outcomes)


def test_an_engine_that_answers_nothing_more(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    """Its builds never end: they are made on the other machine as soon as its own says so."""
    night, victim = Night(), machines["a"]
    victim.seconds = lambda _job: 60.0

    def leave() -> None:
        until(victim.begun.is_set)
        until(lambda: bool(executor.begun()))
        cluster.away("a", "its engine does not answer")

    with coordinator(cluster, plan, night.log) as (executor, at_once):
        threading.Thread(target=leave).start()
        begun = time.monotonic()
        outcomes = ran(plan, executor, night, jobs=at_once)
        took = time.monotonic() - begun

    assert {(outcome.status, outcome.machine) for outcome in outcomes.values()} == {(Status.BUILT, "b")}
    assert took < 45
    assert any("a: its engine does not answer" in retry.why for retry in night.retries)


def test_a_push_that_fails_after_the_next_build_began(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine], tmp_path: Path
) -> None:
    """All rows are there; the push is reported, and the next run makes up for it."""
    night, shared = Night(), placement.shared(plan)
    alone = {step.node.parent for step in plan.steps if step.node.parent} - shared
    lost = next(step.node.key for step in plan.steps if step.node.key in alone)
    for machine in machines.values():
        machine.refused = {lost}
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)
        pushes = {push.key: push.status for push in executor.pushes().rest()}
        assert {push.key for push in executor.pushes().nodes() if push.status is PushStatus.FAILED} == {lost}

    assert pushes[lost] is PushStatus.FAILED
    assert {(outcome.status, outcome.attempts) for outcome in outcomes.values()} == {(Status.BUILT, 1)}
    registry = tmp_path / "machines" / REGISTRY
    assert {key for key in outcomes if not (registry / key).is_dir()} == {lost}


def test_what_another_machine_pushed_meanwhile_is_used(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine], tmp_path: Path
) -> None:
    """No key has two images in use: what is built on the node is built on the one that the registry has."""
    night, registry = Night(), tmp_path / "machines" / REGISTRY
    parents = {step.node.parent for step in plan.steps if step.node.parent}
    chosen = next(step.node.key for step in plan.steps if step.node.key in parents)

    def pushed_meanwhile(job: BuildJob) -> Attempt | None:
        if job.key == chosen and not (registry / chosen).exists():
            (registry / chosen).mkdir(parents=True)
            (registry / chosen / "other.txt").write_text("made elsewhere")
        return None

    for machine in machines.values():
        machine.attempt = pushed_meanwhile
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)

    assert {outcome.status for outcome in outcomes.values()} == {Status.BUILT}
    assert outcomes[chosen].image == digest(registry / chosen)
    children = [step.node.key for step in plan.steps if step.node.parent == chosen]
    assert children
    assert all((registry / child / "other.txt").exists() for child in children)


def test_what_is_not_signed_is_built_again_and_replaced(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine], tmp_path: Path
) -> None:
    """It may be what a machine pushed before the run was killed, or somebody else's."""
    assert machines
    night, final = Night(), next(iter(plan.final_nodes.values()))
    forged = tmp_path / "machines" / REGISTRY / final
    forged.mkdir(parents=True)
    (forged / "TARGET.json").write_text("{}")
    before = digest(forged)
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        executor._plan = replace(
            executor._plan, is_signed=True, doubt=lambda _key, found: "not signed" if found == before else ""
        )
        outcomes = ran(plan, executor, night, jobs=at_once)

    assert {outcome.status for outcome in outcomes.values()} == {Status.BUILT}
    assert [retry.why for retry in outcomes[final].retries] == ["not signed"]
    assert digest(forged) == outcomes[final].image != before


def test_a_failure_of_a_build_is_no_fault_of_its_machine(
    plan: Plan, cluster: LocalCluster, machines: Mapping[str, FolderMachine]
) -> None:
    night = Night()
    for machine in machines.values():
        machine.attempt = lambda job: Attempt(ok=False, why="no such package") if job.layer == "torch" else None
    with coordinator(cluster, plan, night.log) as (executor, at_once):
        outcomes = ran(plan, executor, night, jobs=at_once)
        assert {machine.faults for machine in executor.used()} == {0}
    failed = [outcome for outcome in outcomes.values() if outcome.status is Status.FAILED]
    assert failed
    assert {(outcome.attempts, outcome.why) for outcome in failed} == {(1, "no such package")}
