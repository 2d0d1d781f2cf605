"""What a cluster is made of: addresses, certificates, jobs as bytes, where a try may run, who is avoided."""

import datetime as dt
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests import projects
from tests.clusters import FolderMachine, LocalCluster, coordinator

from imagematrix.cli import program
from imagematrix.cluster import Link, certificates, packing, security, service, status
from imagematrix.cluster.machines import Machines
from imagematrix.cluster.messages import MachineFacts, MachineHealth, RemoteJob
from imagematrix.cluster.security import address
from imagematrix.commands.doctor import machines as doctor
from imagematrix.commands.gc.machines import cleaner
from imagematrix.commands.gc.run import GcOptions, engine_cleanup
from imagematrix.errors import FlagError, InputError, NoClusterError
from imagematrix.model import BuildJob, DockerfileBuild, File, FlakeKind, Key, ParentImage, Stored
from imagematrix.planning.garbage import CleanupPlan, CleanupResult, GarbageKind, Thing
from imagematrix.planning.keys import Sha256
from imagematrix.planning.placement import Placement, Whereabouts, place, shared
from imagematrix.report.outputs import PrerequisiteState


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("tls://build.example.com:9000", "tls://build.example.com:9000"),
        ("tls://build.example.com", "tls://build.example.com:8786"),
        ("tcp://127.0.0.1", "tcp://127.0.0.1:8786"),
        ("tcp://localhost:1", "tcp://localhost:1"),
        ("tls://[::1]:1", "tls://[::1]:1"),
    ],
)
def test_addresses(text: str, means: str) -> None:
    assert str(address(text)) == means


@pytest.mark.parametrize(
    "text", ["", "build:1", "http://build:1", "tls://", "tls://build:x", "tls://build:70000", "tcp://10.0.0.1:8786"]
)
def test_addresses_that_are_refused(text: str) -> None:
    """Text that is not an address, and plain TCP that others can reach."""
    with pytest.raises(FlagError, match=re.escape(text) if text else "''"):
        address(text)


def test_certificates(tmp_path: Path) -> None:
    """The key is its owner's; a folder in use is refused, an authority's key is not there."""
    folder = tmp_path / "new" / "cluster"
    until = certificates.make(folder)
    assert until - dt.datetime.now(dt.UTC) > dt.timedelta(days=360)
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "ca.pem": 0o644,
        "certificate.pem": 0o644,
        "key.pem": 0o600,
    }
    assert security.security(address("tls://build"), str(folder)) is not None
    assert security.security(address("tcp://localhost"), "") is None
    with pytest.raises(FlagError, match="already has"):
        certificates.make(folder)


def test_certificates_that_are_refused(tmp_path: Path) -> None:
    to, folder = address("tls://build"), tmp_path / "cluster"
    with pytest.raises(FlagError, match="--certificates DIR"):
        security.security(to, "")
    with pytest.raises(FlagError, match=r"no ca\.pem"):
        security.security(to, str(folder))
    certificates.make(folder, now=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    with pytest.raises(NoClusterError, match="expired on 2020-12-31"):
        security.security(to, str(folder))
    (folder / "key.pem").chmod(0o644)
    with pytest.raises(FlagError, match="chmod 600"):
        security.security(to, str(folder))
    (folder / "key.pem").chmod(0o600)
    (folder / "certificate.pem").write_text("no certificate")
    with pytest.raises(FlagError, match="not a certificate"):
        security.security(to, str(folder))


def job(*files: File) -> BuildJob:
    work = DockerfileBuild(
        dockerfile="FROM scratch\n",
        target="torch",
        files=files,
        source=ParentImage(key=Key("p"), image="sha256:1", stage="python", repository=""),
        arguments={},
        labels={},
    )
    return BuildJob(key=Key("k"), layer="torch", work=work, platform="linux/amd64", names=(), push_to="", seconds=60.0)


def remote(of: BuildJob) -> RemoteJob:
    return RemoteJob(job=of, repository="r/nodes", compression="gzip", parents=(), is_shared=False)


def stored(path: Path, *, size: int | None = None) -> File:
    digest = Sha256()
    digest.add(path.read_bytes())
    found = Stored(path=str(path), sha256=digest.text(), bytes=size or path.stat().st_size)
    return File(path=f"torch/{path.name}", stored=found)


def test_big_files_travel_with_their_content(tmp_path: Path) -> None:
    """A machine has no path of another one; what is too big, or changed, is refused with its name."""
    path = tmp_path / "wheel"
    path.write_bytes(b"x" * 100)
    sent = packing.unpack(packing.pack(remote(job(stored(path), File(path="torch/small", content=b"y")))))
    assert isinstance(sent, RemoteJob)
    assert isinstance(sent.job.work, DockerfileBuild)
    assert sent.job.work.files == (File(path="torch/wheel", content=b"x" * 100), File(path="torch/small", content=b"y"))

    with pytest.raises(InputError) as refused:
        packing.pack(remote(job(stored(path, size=packing.MOST_BYTES), stored(path))))
    assert {(found.code, found.file) for found in refused.value.diagnostics} == {
        ("too_big_for_machines", "torch/wheel")
    }
    changed = stored(path)
    path.write_bytes(b"z" * 100)
    with pytest.raises(InputError):
        packing.pack(remote(job(changed)))


def test_a_job_names_its_parent_as_this_engine_does() -> None:
    there = packing.with_images(job(), {Key("p"): "sha256:2"})
    assert [parent.image for parent in packing.parents(there)] == ["sha256:2"]


def parent(key: str, machine: str, *, pushed: bool = False, shared: bool = False) -> Whereabouts:
    return Whereabouts(key=Key(key), machine=machine, is_pushed=pushed, is_shared=shared)


@pytest.mark.parametrize(
    ("parents", "shunned", "placed"),
    [
        ([], "", "abc"),
        ([], "a", "bc"),
        ([], "abc", "abc"),
        ([parent("p", "a")], "", "a"),
        ([parent("p", "a", pushed=True)], "", "a"),
        ([parent("p", "a", pushed=True)], "a", "bc"),
        ([parent("p", "a", pushed=True, shared=True)], "", "abc"),
        ([parent("p", "", pushed=True)], "", "abc"),
        ([parent("p", "gone", pushed=True)], "", "abc"),
        ([parent("p", "a"), parent("q", "b", pushed=True, shared=True)], "", "a"),
    ],
)
def test_where_a_try_may_run(parents: list[Whereabouts], shunned: str, placed: str) -> None:
    assert place(parents, machines="abc", shunned=shunned) == Placement(machines=tuple(placed))


@pytest.mark.parametrize(
    ("parents", "shunned", "lost"),
    [
        ([parent("p", "gone")], "", "p"),
        ([parent("p", "a")], "a", "p"),
        ([parent("p", "a"), parent("q", "b")], "", "q"),
        ([parent("p", "a"), parent("q", "gone")], "", "q"),
    ],
)
def test_parents_that_must_be_made_again(parents: list[Whereabouts], shunned: str, lost: str) -> None:
    """Their only machine is gone or avoided; or two parents are on two machines."""
    assert place(parents, machines="abc", shunned=shunned) == Placement(machines=(), lost=tuple(map(Key, lost)))


def test_what_is_pushed_at_once(tmp_path: Path) -> None:
    plan = projects.plan(projects.project(tmp_path / "project"))
    children: dict[Key | None, list[Key]] = {}
    for step in plan.steps:
        children.setdefault(step.node.parent, []).append(step.node.key)
    assert shared(plan) == {key for key, found in children.items() if key and len(found) > 1}


def facts(name: str, **others: object) -> MachineFacts:
    known = {"version": "1", "platform": "linux/amd64", "slots": 2, **others}
    return MachineFacts(name=name, **known)  # type: ignore[arg-type]


def test_machines_that_are_avoided() -> None:
    """One failure: by that node. Two failures of its engine: by all, as long as there is another machine."""
    machines = Machines(version="1", platforms={"linux/amd64"}, changed=lambda: None)
    for each in (facts("a"), facts("b"), facts("old", version="0"), facts("arm", platform="linux/arm64")):
        machines.joined(each)
    assert machines.usable() == {"a", "b"}
    assert machines.slots() == 4
    assert {machines.slot(name, number) for name in "ab" for number in range(2)} == {0, 1, 2, 3}

    machines.failed(Key("k"), "a", FlakeKind.SERVER)
    assert machines.shunned(Key("k")) == set()
    machines.failed(Key("k"), "a", FlakeKind.ENGINE)
    assert (machines.shunned(Key("k")), machines.shunned(Key("other")), aside(machines)) == ({"a"}, set(), [])
    machines.failed(Key("other"), "a", FlakeKind.ENGINE)
    assert aside(machines) == ["a"]
    assert machines.usable() == {"b"}
    machines.left("b")
    assert machines.usable() == {"a"}


def test_machines_for_several_platforms() -> None:
    """One that emulates a platform builds for it only as long as no machine is of it; nobody builds for a third."""
    machines = Machines(version="1", platforms={"linux/amd64", "linux/arm64/v8"}, changed=lambda: None)
    for each in (facts("a"), facts("both", emulates=("linux/arm64",)), facts("power", platform="linux/ppc64le")):
        machines.joined(each)
    usable = {name: machines.usable(name) for name in ("linux/amd64", "linux/386", "linux/arm64/v8", "linux/s390x")}
    assert usable == {
        "linux/amd64": {"a", "both"},
        "linux/386": {"a", "both"},
        "linux/arm64/v8": {"both"},
        "linux/s390x": set(),
    }
    machines.joined(facts("arm", platform="linux/arm64"))
    assert machines.usable("linux/arm64/v8") == {"arm"}
    machines.left("arm")
    assert machines.usable("linux/arm64/v8") == {"both"}


def test_machines_that_are_asked_for_anew_never_seem_gone() -> None:
    """A try on the last one listed would be given up."""
    seen: list[frozenset[str]] = []
    machines = Machines(version="1", platforms={"linux/amd64"}, changed=lambda: seen.append(machines.usable()))
    for _ in range(2):
        machines.reset([facts("a"), facts("b")])
    assert seen == [{"a", "b"}, {"a", "b"}]
    assert [machines.slot("b", 1), machines.slot("a", 1)] == [3, 1]


def aside(machines: Machines) -> list[str]:
    return [machine.name for machine in machines.used() if machine.is_set_aside]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    made = LocalCluster(tmp_path / "dask")
    yield made
    made.close()


def test_a_cluster_without_a_machine_for_the_run(cluster: LocalCluster, tmp_path: Path) -> None:
    """The message names each machine and why it cannot build."""
    plan = projects.plan(projects.project(tmp_path / "project"))

    def opened() -> str:
        with pytest.raises(NoClusterError) as refused, coordinator(cluster, plan, lambda _name: None):
            pass
        return str(refused.value)

    assert "no machine has joined" in opened()
    cluster.add(FolderMachine(tmp_path, "arm"), platform="linux/arm64")
    cluster.add(FolderMachine(tmp_path, "old"), version="0.0.1")
    cluster.add(FolderMachine(tmp_path, "ill"))
    cluster.away("ill", "its engine does not answer")
    lines = {name: line for line in opened().splitlines()[1:] for name in ("arm", "old", "ill") if f"{name}:" in line}
    assert "linux/arm64" in lines["arm"]
    assert "0.0.1" in lines["old"]
    assert "engine does not answer" in lines["ill"]

    said = status.text(cluster.address, "")
    assert "3 machines, 4 worker slots" in said
    assert said.count("takes no jobs") == 1


def test_what_doctor_says_of_a_cluster(cluster: LocalCluster, tmp_path: Path) -> None:
    project = projects.project(tmp_path / "project")

    def asked() -> tuple[PrerequisiteState, str]:
        found = doctor.cluster(project, cluster.address, "")
        return found.state, f"{found.said} {found.remedy}"

    state, said = asked()
    assert state is PrerequisiteState.BAD
    assert "imagematrix worker" in said
    well = MachineHealth(name="good", engine="Docker 26.1", free=10**12)
    good = cluster.add(FolderMachine(tmp_path, "good", answer=well))
    state, said = asked()
    assert state is PrerequisiteState.GOOD
    assert said.startswith("1 machine, 2 worker slots\ngood: Docker 26.1, ")
    good.answer = replace(well, free=10**10)
    assert asked()[0] is PrerequisiteState.WEAK
    good.answer = replace(well, free=10**9)
    assert asked()[0] is PrerequisiteState.BAD
    good.answer = replace(well, faults=("registry.example.com refuses the login",))
    state, said = asked()
    assert state is PrerequisiteState.BAD
    assert "good: registry.example.com refuses the login" in said
    good.answer = well
    cluster.add(FolderMachine(tmp_path, "old"), version="0.0.1")
    cluster.add(FolderMachine(tmp_path, "dumb"))
    state, said = asked()
    assert state is PrerequisiteState.WEAK
    assert said.startswith("1 machine, 2 worker slots\n")
    assert "\nold: it has imagematrix 0.0.1" in said
    assert "\ndumb: it does not answer" in said


def test_a_scheduler_that_goes_away_again_at_once(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise RuntimeError("ConnectionPool is closed")

    monkeypatch.setattr("distributed.Client.register_plugin", gone)
    with pytest.raises(NoClusterError, match="ConnectionPool is closed"):
        Link(address(cluster.address), "", who="").connect()


def test_machines_are_cleaned_up(cluster: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who does not answer is named; while a cluster builds, nothing is removed from it."""
    project = projects.project(tmp_path / "project")
    found = CleanupPlan(garbage=(Thing(kind=GarbageKind.IMAGE, name="imagematrix/node:a", reason="not needed"),))
    cluster.add(FolderMachine(tmp_path, "clean", answer=CleanupResult(found=found, freed=7, dry=False)))
    cluster.add(FolderMachine(tmp_path, "ill"))
    asked = engine_cleanup(project, GcOptions(), (), project.dag({}))
    assert cleaner(project, cluster.address, "")(asked) == {"clean": CleanupResult(found=found, freed=7, dry=False)}
    assert "ill is not cleaned up: its engine does not answer" in capsys.readouterr().err

    plan = projects.plan(project)
    with coordinator(cluster, plan, lambda _name: None):
        with pytest.raises(NoClusterError, match="already builds"):
            cleaner(project, cluster.address, "")(asked)
        assert cleaner(project, cluster.address, "")(replace(asked, dry=True)).keys() == {"clean"}


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagematrix.cluster.link._CONNECT_SECONDS", 0.5)
    with pytest.raises(NoClusterError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"):
        Link(address("tcp://127.0.0.1:9"), "", who="").connect()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["cluster"], 2, "`start [ADDRESS]`"),
        (["cluster", "strat"], 2, "did you mean 'start'?"),
        (["cluster", "start", "tcp://10.0.0.1:8786"], 2, "without TLS"),
        (["cluster", "start", "tls://10.0.0.1:8786"], 2, "--certificates DIR"),
        (["worker"], 2, "name the scheduler"),
        (["worker", "tls://build.example.com"], 2, "--certificates DIR"),
        (["worker", "tcp://localhost:9"], 3, "no Docker Engine answers"),
        (["build", "--matrix", "--workers", "tls://build.example.com"], 2, 'set nodes = "host/path"'),
        (["push", "--matrix", "--workers", "tls://build.example.com"], 2, 'set nodes = "host/path"'),
        (["build", "--matrix", "--push", "--workers", "tls://build.example.com"], 2, 'set nodes = "host/path"'),
    ],
)
def test_commands_that_are_refused(
    words: list[str],
    code: int,
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One paragraph, before anything is started or written."""
    projects.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setattr(sys, "argv", ["imagematrix", *words])
    with pytest.raises(SystemExit) as end:
        program.run(["imagematrix", *words])
    assert end.value.code == code
    assert part in capsys.readouterr().err


def test_a_port_that_another_program_has() -> None:
    """One paragraph, also where Dask wraps what the system said."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        to = address(f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(NoClusterError, match=rf"^cannot listen on {to}: Address already in use\n    `imagematrix"):
            service.schedule(to, "", say=pytest.fail)


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--workers", "build.example.com"], 2, "not a valid address"),
        (["--workers", "tcp://127.0.0.1:9"], 3, "does not answer"),
    ],
)
def test_builds_that_are_refused(
    words: list[str],
    code: int,
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    head = 'schema = 1\nnodes = "127.0.0.1:9/nodes"\n'
    projects.write(tmp_path, matrix=projects.MATRIX.replace("schema = 1\n", head))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    with pytest.raises(SystemExit) as end:
        program.run(["imagematrix", "build", "--matrix", *words])
    assert end.value.code == code
    assert part in capsys.readouterr().err
