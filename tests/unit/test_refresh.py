"""What a refresh decides, and what it does on the machines of a cluster."""

import functools
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests import projects
from tests.clusters import REGISTRY, FolderClient, FolderMachine, LocalCluster, until
from tests.folders import passing
from tests.projects import CUDA, PYTORCH

from imagematrix import report
from imagematrix.cluster import Link
from imagematrix.cluster.security import address
from imagematrix.commands.build import spread
from imagematrix.commands.build.decision import BuildOptions
from imagematrix.commands.build.refreshing import Trial, refresh
from imagematrix.commands.build.run import BuildResult
from imagematrix.errors import NoClusterError, NoEngineError
from imagematrix.execution import schedule
from imagematrix.model import Attempt, BuildJob, FlakeKind, Key
from imagematrix.planning.graph import Dag
from imagematrix.planning.reproducible import Difference
from imagematrix.project import Project, Selection, open_project
from imagematrix.registry.store import Store
from imagematrix.registry.vouching import Voucher

EPOCH, LATER = "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"
TORCHES = ("2.3.0", "2.4.1")
LOCK = projects.lock({CUDA: "c"})
DIFFERENT = Difference(path="opt/x", what="content", first="1", second="2")


class _Everything(frozenset[Key]):
    def __contains__(self, _key: object) -> bool:
        return True


EVERYTHING = _Everything()


@dataclass
class Foreseen:
    """Trials of which it is known how they end."""

    have: Collection[Key]
    """The nodes that there are."""
    moved: Collection[str] = ()
    """Layers."""
    failed: Collection[str] = ()
    """Layers that cannot be compared."""
    during: Callable[[], object] = lambda: None
    rounds: list[list[str]] = field(default_factory=list)
    """The layers that were tried together."""

    def there(self, dag: Dag) -> Mapping[Key, str]:
        return {key: "sha256:a" for key in dag.nodes if key in self.have}

    def compare(self, tried: Project, trials: Sequence[Trial]) -> Mapping[Key, Difference | None]:
        assert {trial.new for trial in trials} <= {*projects.dag(tried).nodes}
        self.rounds.append(sorted(trial.node.layer for trial in trials))
        self.during()
        ended = [trial for trial in trials if trial.node.layer not in self.failed]
        return {trial.new: DIFFERENT if trial.node.layer in self.moved else None for trial in ended}


def foreseen(project: Project, moved: Collection[str] = (), failed: Collection[str] = ()) -> Foreseen:
    return Foreseen(have={*projects.dag(project).nodes}, moved=moved, failed=failed)


def refreshed(
    project: Project, trials: Foreseen, *only: str, epoch: str = EPOCH, stop: threading.Event | None = None
) -> Project:
    rows = project.possible(project.rows(Selection(only=only)))
    return refresh(project, rows, epoch, trials, stop or threading.Event())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return projects.project(tmp_path / "project", lock=LOCK)


def lock_of(project: Project) -> str:
    return (project.repository.root / "matrix.lock").read_text()


def changed(before: Project, after: Project) -> set[str]:
    """Return the layers with another key."""
    keys = projects.keys(after)
    return {layer for (row, layer), key in projects.keys(before).items() if keys[row, layer] != key}


def test_where_nothing_has_moved_no_key_moves(project: Project) -> None:
    """Each node is tried once, the lowest first, and the lock is not touched."""
    trials = foreseen(project)
    assert refreshed(project, trials).lock == project.lock
    assert lock_of(project) == LOCK
    assert trials.rounds[0] == ["base", "system"]
    assert sorted({layer for each in trials.rounds for layer in each}) == ["base", "system", "torch"]
    wanted = {node.moving for node in projects.dag(project).nodes.values() if node.moving}
    assert sum(map(len, trials.rounds)) == len(wanted)


def test_a_node_that_has_moved_is_recorded_and_what_stands_on_it_is_not_tried(project: Project) -> None:
    trials = foreseen(project, moved={"base", "system"})
    after = refreshed(project, trials)
    assert trials.rounds == [["base", "system"]]
    assert set(after.lock.moved.values()) == {EPOCH}
    assert len(after.lock.moved) == 2
    assert projects.keys(open_project(str(project.repository.matrix_file))) == projects.keys(after)


def test_what_cannot_be_compared_counts_as_moved(project: Project) -> None:
    """The build tries it again, and reports it."""
    assert changed(project, refreshed(project, foreseen(project, failed={"torch"}))) == {"torch", "boot"}


def test_what_is_nowhere_is_not_tried(project: Project) -> None:
    """The build downloads it today."""
    trials = foreseen(project, moved={"torch"})
    trials.have = {key for key, node in projects.dag(project).nodes.items() if node.layer != "torch"}
    assert refreshed(project, trials).lock == project.lock
    assert "torch" not in {layer for each in trials.rounds for layer in each}


def test_only_what_selected_rows_need_is_tried(project: Project) -> None:
    """The record of other rows stays."""
    first = refreshed(project, foreseen(project, moved={"torch"}))
    trials = foreseen(first, moved={"system"})
    after = refreshed(first, trials, "plain:*", epoch=LATER)
    assert trials.rounds == [["base"], ["system"]]
    moved = {name: epoch for name, epoch in first.lock.moved.items() if name in after.lock.moved}
    assert set(moved.values()) == {EPOCH}  # `torch` on the pulled base
    assert sorted(after.lock.moved.values()) == [*sorted(moved.values()), LATER]


def test_a_resumed_run_does_not_try_again_what_it_has_moved(project: Project) -> None:
    after = refreshed(project, foreseen(project, moved={"torch"}))
    trials = foreseen(after, moved={"torch"})
    assert refreshed(after, trials).lock == after.lock
    assert {layer for each in trials.rounds for layer in each} == {"base", "system"}


def test_a_stop_leaves_the_lock_as_it_was(project: Project) -> None:
    """Also where something had moved before."""
    stop = threading.Event()
    trials = foreseen(project, moved={"base"})
    trials.during = lambda: stop.set() if len(trials.rounds) == 2 else None
    assert refreshed(project, trials, stop=stop).lock == project.lock
    assert len(trials.rounds) == 2
    assert lock_of(project) == LOCK


def test_an_engine_that_goes_away_leaves_the_lock_as_it_was(project: Project) -> None:
    trials = foreseen(project, moved={"base"})

    def leave() -> None:
        if len(trials.rounds) == 2:
            raise NoEngineError("it went away")

    trials.during = leave
    with pytest.raises(NoEngineError):
        refreshed(project, trials)
    assert lock_of(project) == LOCK


# On the machines of a cluster.


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    made = LocalCluster(tmp_path / "dask")
    yield made
    made.close()


@dataclass
class Nights:
    """A project that is built on two machines."""

    root: Path
    cluster: LocalCluster
    machines: Mapping[str, FolderMachine]

    @property
    def project(self) -> Project:
        return open_project(str(self.root / "project/matrix.toml"))

    @property
    def registry(self) -> set[str]:
        """The keys that the registry has."""
        return {folder.name for folder in (self.root / "machines" / REGISTRY).iterdir()}

    def run(self, refresh: str = "") -> BuildResult:
        project, client = self.project, FolderClient(self.root / "machines")
        for machine in self.machines.values():
            machine.done.clear()
            machine.removed.clear()
            machine.pulled.clear()
            machine.pushed.clear()
        return spread.run(
            project,
            project.possible(project.rows(Selection())),
            BuildOptions(jobs=4, retries=2, refresh=refresh),
            link=Link(address(self.cluster.address), "", who="a test"),
            store=Store(Voucher(repository=REGISTRY, bonds=project.state.bonds(), client=client), say=pytest.fail),
            listen=functools.partial(report.listener, sys.stdout),
            waiting=lambda: None,
        )

    def download(self, what: Callable[[BuildJob], str]) -> None:
        for machine in self.machines.values():
            machine.downloads = what

    def did(self, what: Callable[[FolderMachine], Sequence[Key]]) -> list[Key]:
        """Return what both machines did since the last run began."""
        return sorted(key for machine in self.machines.values() for key in what(machine))


@pytest.fixture
def nights(tmp_path: Path, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """A project, all of it built on two machines. What is tried again is not waited for."""
    monkeypatch.setattr(schedule, "run", functools.partial(schedule.run, sleep=lambda _seconds: None))
    matrix = projects.MATRIX.replace("schema = 1\n", f'schema = 1\nnodes = "{REGISTRY}"\n', 1)
    projects.write(tmp_path / "project", matrix=matrix, lock=LOCK)
    machines = {name: cluster.add(FolderMachine(tmp_path / "machines", name)) for name in ("a", "b")}
    made = Nights(tmp_path, cluster, machines)
    assert made.run().good
    return made


def outcomes(result: BuildResult) -> set[str]:
    return {node.outcome for node in result.report.nodes}


def test_a_quiet_night_pushes_nothing(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Each node is built once more, by a machine that has what it is compared with, and removed there."""
    before, tried = nights.registry, {node.moving for node in projects.dag(nights.project).nodes.values()} - {""}
    result = nights.run(EPOCH)
    assert result.good
    assert outcomes(result) == {"reused"}
    assert nights.project.lock.moved == {}
    assert nights.registry == before
    built = nights.did(lambda machine: machine.done)
    assert built == nights.did(lambda machine: machine.removed)
    assert len(built) == len(tried)
    assert before.isdisjoint(built)
    assert nights.did(lambda machine: machine.pulled) == []
    assert not any((nights.root / "machines" / name / key).exists() for name in nights.machines for key in built)
    assert capsys.readouterr().err.count("what it downloads has not moved") == len(tried)


def test_a_node_that_did_not_move_is_what_was_built_last(nights: Nights) -> None:
    """What changes later is compared with that, not with its trial at another epoch."""
    nights.run(EPOCH)
    template = nights.root / "project/common/layers/torch/Dockerfile.j2"
    template.write_text(template.read_text() + "ENV MORE=1\n")
    steps = projects.plan(nights.project).steps
    assert {step.reason for step in steps if step.node.layer == "torch"} == {
        "its Dockerfile stage changed: (nothing) -> ENV MORE=1"
    }


def test_a_download_that_moved_pays_for_itself_and_what_stands_on_it(
    nights: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the trial built is the node: it is neither built nor pushed again."""
    keys, before = projects.keys(nights.project), nights.registry
    parent = keys[PYTORCH, "python"]

    def download(job: BuildJob) -> str:
        source = getattr(job.work, "source", None)
        return "another" if job.layer == "torch" and getattr(source, "key", "") == parent else ""

    nights.download(download)
    result = nights.run(EPOCH)
    assert result.good
    after = projects.keys(nights.project)
    changed = {place for place, key in keys.items() if after[place] != key}
    assert changed == {(f"pytorch:{torch}-python3.10-cuda", layer) for torch in TORCHES for layer in ("torch", "boot")}
    assert len(nights.project.lock.moved) == len(TORCHES)
    new = sorted(after[place] for place in changed)
    assert nights.did(lambda machine: machine.pushed) == new
    assert sorted(nights.registry - before) == new
    built = {*nights.did(lambda machine: machine.done)} - {*nights.did(lambda machine: machine.removed)}
    assert sorted(built) == new
    assert {(node.layer, node.outcome) for node in result.report.nodes if node.key in new} == {
        ("torch", "reused"),
        ("boot", "built"),
    }
    assert capsys.readouterr().err.count("/torch.downloads (content)") == len(TORCHES)
    assert outcomes(nights.run(EPOCH)) == {"reused"}


def test_a_machine_that_dies_while_it_compares_loses_nothing(nights: Nights) -> None:
    """The node is tried on the other one."""
    comparing = threading.Event()
    victim = nights.machines["a"]

    def stand() -> None:
        comparing.set()
        victim.stopped.wait(30)
        raise NoEngineError("killed")

    def kill() -> None:
        assert comparing.wait(30)
        nights.cluster.kill("a")

    victim.compares = stand
    killer = threading.Thread(target=kill)
    killer.start()
    result = nights.run(EPOCH)
    killer.join()
    assert result.good
    assert nights.project.lock.moved == {}
    assert outcomes(result) == {"reused"}


def test_what_differs_and_cannot_be_pushed_is_built_elsewhere(nights: Nights) -> None:
    """It is in the registry before the next level is looked at."""
    before = nights.registry
    nights.download(lambda job: "another" if job.layer == "system" else "")
    nights.machines["a"].refused = EVERYTHING
    result = nights.run(EPOCH)
    assert result.good
    systems = {key for (_, layer), key in projects.keys(nights.project).items() if layer == "system"}
    assert len(systems) == len(nights.project.lock.moved) == 2
    assert systems <= nights.registry - before
    assert nights.machines["a"].pushed == []


def test_a_trial_takes_no_names(nights: Nights) -> None:
    """Those of its rows and of its base stay with the images that they stand for."""
    names = list[str]()

    def download(job: BuildJob) -> str:
        names.extend(job.names)
        return ""

    nights.download(download)
    assert nights.run(EPOCH).good
    assert names == []


def test_a_comparison_that_fails_is_made_elsewhere(nights: Nights) -> None:
    def fail() -> None:
        raise NoEngineError("no answer")

    nights.machines["a"].compares = fail
    assert nights.run(EPOCH).good
    assert nights.project.lock.moved == {}
    assert nights.machines["a"].removed == []


def test_a_download_that_fails_everywhere_is_tried_again_by_the_build(nights: Nights) -> None:
    """As on one machine: it counts as moved, so that the build reports it."""
    for machine in nights.machines.values():
        machine.attempt = lambda job: Attempt(ok=False, why="404") if job.layer == "base" else None
    result = nights.run(EPOCH)
    assert not result.good
    assert {node.layer for node in result.report.nodes if node.outcome == "failed"} == {"base"}
    assert len(nights.project.lock.moved) == 1


def test_a_stop_leaves_the_lock_as_it_was_and_the_next_run_goes_on(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the same epoch: what was found to have moved is in the registry, and is not built again."""
    stop = threading.Event()
    nights.download(lambda job: "another" if job.layer == "base" else "")

    def seconds(job: BuildJob) -> float:
        if job.layer != "torch":
            return 0.0
        stop.set()
        return 30.0

    for machine in nights.machines.values():
        machine.seconds = seconds

    class Stoppable:
        def __enter__(self) -> threading.Event:
            return stop

        def __exit__(self, *_: object) -> None:
            pass

    before, lock = nights.registry, lock_of(nights.project)
    with monkeypatch.context() as patch:
        patch.setattr(spread, "stoppable", Stoppable)
        result = nights.run(EPOCH)
    assert result.interrupted
    assert lock_of(nights.project) == lock
    new = nights.registry - before
    assert new
    for machine in nights.machines.values():
        machine.seconds = lambda _job: 0.0
    assert nights.run(EPOCH).good
    assert set(nights.project.lock.moved.values()) == {EPOCH}
    assert new <= {*projects.keys(nights.project).values()}
    assert new.isdisjoint(nights.did(lambda machine: machine.done))


def test_a_cluster_that_goes_away_leaves_the_lock_as_it_was(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all nodes would count as moved."""
    for waits in ("execution.worker", "cluster.machines"):
        monkeypatch.setattr(f"imagematrix.{waits}.ENGINE_SECONDS", 1.0)
    before = lock_of(nights.project)
    for machine in nights.machines.values():
        machine.attempt = lambda _job: passing(FlakeKind.ENGINE)

    def leave() -> None:
        until(lambda: any(machine.begun.is_set() for machine in nights.machines.values()))
        for name in nights.machines:
            nights.cluster.away(name, "its engine does not answer")

    for machine in nights.machines.values():
        machine.begun.clear()
    threading.Thread(target=leave).start()
    with pytest.raises(NoClusterError, match="takes jobs any more"):
        nights.run(EPOCH)
    assert lock_of(nights.project) == before
