"""The real scheduler with an executor that is not the engine: a job holds all that it needs."""

import threading
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests import projects
from tests.folders import FolderExecutor, digest, passing
from tests.unit.test_packages import locked

from imagematrix.execution import schedule
from imagematrix.execution.protocol import Executor
from imagematrix.model import Attempt, BuildJob, FlakeKind, Key, Lock, Outcome, Plan, Retry, Status, Step
from imagematrix.planning import jobs
from imagematrix.planning.jobs import JobFactory
from imagematrix.project import Project

REGISTRY = "registry.example.com/nodes"


@dataclass
class Night:
    """A listener that may stop a run."""

    stop: threading.Event = field(default_factory=threading.Event)
    stop_after: int = 1000
    """So many images."""
    retries: list[FlakeKind] = field(default_factory=list)
    built: int = 0

    def started(self, step: Step) -> None:
        """Hear nothing."""

    def retried(self, _step: Step, retry: Retry) -> None:
        self.retries.append(retry.flake.kind)

    def finished(self, _step: Step, outcome: Outcome) -> None:
        self.built += outcome.status is Status.BUILT
        if self.built >= self.stop_after:
            self.stop.set()


@pytest.fixture
def opened(tmp_path: Path) -> Project:
    return projects.project(tmp_path / "project", lock=projects.lock(epoch="2026-11-29T00:00:00Z"))


def ran(
    plan: Plan,
    executor: Executor,
    night: Night,
    images: Mapping[Key, str] | None = None,
    *,
    pushed: bool = True,
) -> Mapping[Key, Outcome]:
    keys = [step.node.key for step in plan.steps]
    factory = _factory(plan, pushed=keys if pushed else (), kept=images or {})
    outcomes = schedule.run(
        plan,
        executor,
        night,
        job=factory.job,
        images=images,
        jobs=3,
        stop=night.stop,
        sleep=lambda _seconds: None,
    )
    return {outcome.key: outcome for outcome in outcomes}


def layers(image: Path) -> set[str]:
    return {path.stem for path in image.glob("*.json")} - {"from", "base"}


def test_a_whole_plan_on_machines_that_share_a_registry_alone(opened: Project, tmp_path: Path) -> None:
    """Whichever machine takes a job: parents come from the registry, faults that pass are retried."""
    plan = projects.plan(opened)
    faults = {"torch": deque([passing(FlakeKind.NETWORK)]), "boot": deque([passing(FlakeKind.ENGINE)])}
    executor = FolderExecutor(tmp_path, machines=("a", "b", "c"), faults=faults, absent=2)
    night = Night()

    outcomes = ran(plan, executor, night)

    assert {outcome.status for outcome in outcomes.values()} == {Status.BUILT}
    assert sorted(night.retries) == [FlakeKind.ENGINE, FlakeKind.NETWORK]
    assert executor.absent < 0
    assert {machine for machine, _ in executor.done} == {"a", "b", "c"}
    assert executor.fetched
    for name, key in plan.final_nodes.items():
        image = tmp_path / REGISTRY / key
        assert layers(image) == set(plan.rows[name].family.layers)
        assert outcomes[key].image == digest(image)
        assert (image / "init/boot.sh").read_text() == projects.FILES["common/init/boot.sh"]
        assert f'"imagematrix.key": "{key}"' in (image / "boot.json").read_text()
        assert '"EPOCH": "2026-11-29T00:00:00Z"' in (image / "system.json").read_text()


def test_package_layers_on_machines_that_share_a_registry_alone(tmp_path: Path) -> None:
    """A machine takes the tool, and the files that it links, from the registry; files are built on their tool."""
    plan = projects.plan(locked(tmp_path / "project"))
    executor = FolderExecutor(tmp_path, machines=("a", "b", "c"))

    outcomes = ran(plan, executor, Night())

    assert {outcome.status for outcome in outcomes.values()} == {Status.BUILT}
    found = {step.node.layer: layers(tmp_path / REGISTRY / step.node.key) for step in plan.steps}
    assert found["torch-files"] == {"python", "torch-files"}
    assert found["boot"] == {"python", "torch-files", "torch", "notebook-files", "notebook", "boot"}
    assert sorted(layer for _, key in executor.done for layer in [_layer(plan, key)]).count("torch-files") == 1


def test_jobs_hold_neither_paths_nor_secrets_of_this_machine(tmp_path: Path, opened: Project) -> None:
    matrix = projects.MATRIX + '[site]\nindex_url = "https://robot:s3cret@index.example.com/simple"\n'
    opened = projects.project(tmp_path / "project", matrix=matrix)
    executor = FolderExecutor(tmp_path, machines=("a",))

    ran(projects.plan(opened), executor, Night())

    assert executor.sent
    assert not [data for data in executor.sent if b"s3cret" in data or bytes(tmp_path) in data]


def test_a_failure_costs_what_stands_on_it_and_the_next_run_makes_up_for_it(opened: Project, tmp_path: Path) -> None:
    plan = projects.plan(opened)
    executor = FolderExecutor(tmp_path, machines=("a", "b"), faults={"base": deque([Attempt(ok=False, why="no")])})

    outcomes = ran(plan, executor, Night())

    debian = {step.node.key for step in plan.steps if step.node.leaf.row.base.name == "debian"}
    assert {key for key, outcome in outcomes.items() if outcome.status is not Status.BUILT} == debian
    assert [outcome.status for outcome in outcomes.values()].count(Status.FAILED) == 1

    done = [key for _, key in executor.done]
    images = {key: outcomes[key].image for key in done}
    found = projects.believe(opened, *map(projects.image, done))
    again = ran(projects.plan(opened, images=found), executor, Night(), images)
    assert {key for key, outcome in again.items() if outcome.status is Status.BUILT} == debian
    assert len(executor.done) == len(plan.steps)


def test_a_stop_ends_a_run_which_the_next_one_resumes(opened: Project, tmp_path: Path) -> None:
    """What was made is not made again."""
    plan = projects.plan(opened)
    executor = FolderExecutor(tmp_path, machines=("a", "b"))
    outcomes = ran(plan, executor, Night(stop_after=5))

    assert executor.cancelled.is_set()
    assert {outcome.status for outcome in outcomes.values()} >= {Status.BUILT, Status.SKIPPED}

    built = {key: outcome.image for key, outcome in outcomes.items() if outcome.status is Status.BUILT}
    found = projects.believe(opened, *map(projects.image, built))
    resumed = FolderExecutor(tmp_path, machines=("c",))
    again = ran(projects.plan(opened, images=found), resumed, Night(), built)
    assert {outcome.status for outcome in again.values()} == {Status.BUILT, Status.REUSED}
    assert {key for _, key in resumed.done} == again.keys() - built.keys()


def test_a_parent_that_is_not_the_one_that_was_made(opened: Project, tmp_path: Path) -> None:
    """A machine that takes it from the registry sees that it is another, by what the job says of it."""
    plan = projects.plan(opened, projects.PYTORCH)
    system, python, *_ = (step.node.key for step in plan.steps)
    executor = FolderExecutor(tmp_path, machines=("a",))
    images = {system: executor.build(_job(plan, system)).image}
    (tmp_path / REGISTRY / system / "evil").write_text("")

    elsewhere = FolderExecutor(tmp_path, machines=("b",))
    attempt = elsewhere.build(_job(plan, python, images))

    assert (attempt.ok, elsewhere.fetched) == (False, [system])


def test_without_a_registry_a_job_says_so(opened: Project, tmp_path: Path) -> None:
    """One machine needs none; two that are given parts of a chain cannot do it, and say why."""
    plan = projects.plan(opened, projects.PYTORCH)
    alone = ran(plan, FolderExecutor(tmp_path / "1", machines=("a",)), Night(), pushed=False)
    assert {outcome.status for outcome in alone.values()} == {Status.BUILT}
    assert not (tmp_path / "1" / REGISTRY).exists()

    two = ran(plan, FolderExecutor(tmp_path / "2", machines=("a", "b")), Night(), pushed=False)
    assert Status.FAILED in {outcome.status for outcome in two.values()}


def _layer(plan: Plan, key: Key) -> str:
    return next(step.node.layer for step in plan.steps if step.node.key == key)


def _job(plan: Plan, key: Key, images: Mapping[Key, str] | None = None) -> BuildJob:
    """Return the job of one node of a plan, which is pushed."""
    factory = _factory(plan, pushed=[step.node.key for step in plan.steps])
    return factory.job(next(step for step in plan.steps if step.node.key == key), images or {})


def _factory(plan: Plan, *, pushed: Collection[Key], kept: Collection[Key] = ()) -> JobFactory:
    return jobs.factory(
        plan,
        lock=Lock(),
        repository=REGISTRY,
        pushed=pushed,
        kept=kept,
        revision="abc",
        seconds=60.0,
    )
