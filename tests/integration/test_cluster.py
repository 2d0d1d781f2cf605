"""Two machines with engines of their own, one registry between them, and builds that sleep."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration import namespaces
from tests.integration.monorepo import Done, Monorepo, until
from tests.integration.namespaces import HOST, PROGRAM, Machine
from tests.integration.proxy import Fault, before

from imagematrix.model import Site
from imagematrix.registry import Client

APPS = 6
SECONDS = 4
"""How long an app sleeps."""
LONG_SECONDS = 8
"""How long it does where it counts: what the engine does for an app takes a second of the two processors of CI."""
PORT = 18786
ADDRESS = f"tls://{HOST}:{PORT}"


FEW = "*-2.[0-3]"
"""As many apps as a fault needs."""


@dataclass
class Pair:
    """Two machines that build for a scheduler on this one."""

    machines: Sequence[Machine]
    certificates: Path
    registry: str
    scheduler: "subprocess.Popen[bytes]"

    def restart_scheduler(self) -> None:
        """Kill it, and start another one."""
        self.scheduler.kill()
        self.scheduler.wait(30)
        self.scheduler = scheduling(self.certificates)


def scheduling(certificates: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*PROGRAM, "cluster", "start", ADDRESS, "--certificates", str(certificates)])


@pytest.fixture(scope="module")
def two(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    certificates = tmp_path_factory.mktemp("cluster") / "certificates"
    subprocess.run([*PROGRAM, "cluster", "certificates", str(certificates)], check=True)
    with namespaces.pair(registry) as machines:
        made = Pair(machines, certificates, registry, scheduling(certificates))
        try:
            for machine in machines:
                machine.start_worker(ADDRESS, certificates)
            yield made
        finally:
            made.scheduler.terminate()
            made.scheduler.wait(30)


@pytest.fixture
def grid(monorepo: Monorepo, two: Pair) -> Monorepo:
    """A monorepo of sleeping apps; what they are built on is in the registry."""
    nodes = f"{two.registry}/{monorepo.family}/nodes"
    monorepo.edit("matrix.toml", "schema = 1\n", f'schema = 1\nnodes = "{nodes}"\n')
    done, _ = monorepo.build("--only", "*-1.1", "--push")
    assert done.code == 0, done.out + done.err
    apps = ", ".join(f'"{version}"' for version in ("1.1", "1.2", *(f"2.{number}" for number in range(APPS))))
    monorepo.edit("matrix.toml", '"1.1", "1.2", "1.3"', apps)
    monorepo.edit("matrix.toml", '"app", "boot"]', '"app"]')
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN cat", f"RUN sleep {SECONDS} && cat")
    return monorepo


def spread(grid: Monorepo, two: Pair, *words: str) -> tuple[Done, Any]:
    """Build rows on both machines; return what was printed, and the report."""
    folder = grid.root / "report"
    shutil.rmtree(folder, ignore_errors=True)
    where = ("--workers", ADDRESS, "--certificates", str(two.certificates), "--report", str(folder))
    done = grid.run("build", *words, *where)
    return done, json.loads((folder / "report.json").read_text()) if folder.exists() else None


def started(grid: Monorepo, two: Pair, only: str = "*") -> "subprocess.Popen[str]":
    """Begin a build on both machines; return when both of them run an app."""
    where = ("--workers", ADDRESS, "--certificates", str(two.certificates))
    running = grid.start("build", "--only", f"{grid.family}:{only}", "--report", "report", *where)
    until(lambda: all(sleeps(machine) for machine in two.machines), seconds=60)
    return running


def ended(running: "subprocess.Popen[str]", grid: Monorepo) -> tuple[str, Any]:
    out, _ = running.communicate(timeout=180)
    return out, json.loads((grid.root / "report/report.json").read_text())


def sleeps(machine: Machine) -> bool:
    """Whether a machine runs a step that sleeps."""
    return bool(sleeping(machine))


def sleeping(machine: Machine) -> list[psutil.Process]:
    """Return the processes of a machine's steps that sleep."""
    tag = (machine.folder / ".imagematrix-engine").read_text().strip()
    return [process for process in psutil.process_iter() if _is_sleep(process) and tag in _group(process)]


def _is_sleep(process: psutil.Process) -> bool:
    try:
        return bool(process.name() == "sleep" and process.cmdline()[1:] == [str(SECONDS)])
    except (psutil.Error, IndexError):
        return False


def _group(process: psutil.Process) -> str:
    try:
        return Path(f"/proc/{process.pid}/cgroup").read_text()
    except OSError:
        return ""


def built(report: Any) -> list[Any]:
    return [node for node in report["nodes"] if node["outcome"] == "built"]


def makespan(report: Any) -> float:
    nodes = built(report)
    return float(max(each["started"] + each["seconds"] for each in nodes) - min(each["started"] for each in nodes))


def all_there(grid: Monorepo, two: Pair, report: Any) -> None:
    """Assert that every row is built, and that the registry has the image that the report names."""
    assert {leaf["outcome"] for leaf in report["leaves"]} == {"built"}
    client, keys = Client(Site()), {leaf["name"]: leaf["digest"] for leaf in report["leaves"]}
    finals = {node["leaves"][0]: node["key"] for node in report["nodes"] if node["layer"] == "app"}
    found = client.manifests(f"{two.registry}/{grid.family}/nodes", list(finals.values()))
    assert {name: found[key].config for name, key in finals.items()} == keys


def test_two_engines_are_nearly_twice_as_fast_as_one(grid: Monorepo, two: Pair) -> None:
    """Once both have what the apps are built on: a base is pulled once, however many apps there are."""
    grid.edit("common/layers/app/Dockerfile.j2", f"sleep {SECONDS}", f"sleep {LONG_SECONDS}")
    done, _ = spread(grid, two, "--only", "*-1.*")
    assert done.code == 0, done.out + done.err
    done, report = spread(grid, two, "--only", "*-2.*")
    assert done.code == 0, done.out + done.err
    all_there(grid, two, report)
    nodes = built(report)
    assert len(nodes) == APPS
    assert {node["machine"] for node in nodes} == {machine.name for machine in two.machines}
    assert {node["lane"] for node in nodes} == {0, 1}
    pushes = [push["node"] for push in report["pushes"]]
    assert sorted(pushes) == sorted(node["key"] for node in nodes)
    assert {push["attempts"] for push in report["pushes"]} == {1}

    grid.edit("common/layers/app/Dockerfile.j2", "RUN sleep", "ENV AGAIN=1\nRUN sleep")
    done, half = grid.build("--only", "*-2.[0-2]", "--jobs", "1", env=two.machines[0].environment)
    assert done.code == 0, done.out + done.err
    alone = makespan(half) * APPS / len(built(half))  # one after another: each app takes as long
    assert alone / makespan(report) >= 1.8


def test_a_worker_and_an_engine_are_killed(grid: Monorepo, two: Pair) -> None:
    """What they had is done elsewhere; both machines take jobs again when they are back."""
    first, second = two.machines
    running = started(grid, two, FEW)
    first.stop_worker(signal.SIGKILL)
    out, report = ended(running, grid)
    assert running.returncode == 0, out
    all_there(grid, two, report)
    lost = [node for node in report["nodes"] if node["attempts"] > 1]
    assert lost
    assert {node["machine"] for node in lost} == {second.name}
    assert {retry["kind"] for node in lost for retry in node["retries"]} == {"engine"}

    first.log.clear()
    first.start_worker(ADDRESS, two.certificates)
    grid.edit("common/layers/app/Dockerfile.j2", "RUN sleep", "ENV AGAIN=1\nRUN sleep")
    running = started(grid, two, FEW)
    second.log.clear()
    second.kill_engine()
    second.await_line("its engine does not answer")
    out, report = ended(running, grid)
    second.start_engine()
    second.await_line("takes jobs again")
    assert running.returncode == 0, out
    all_there(grid, two, report)


def test_an_interrupted_build_stops_everywhere(grid: Monorepo, two: Pair) -> None:
    """Within a second no step runs; what was finished is not built again."""
    running = started(grid, two)
    running.send_signal(signal.SIGINT)
    begun = time.monotonic()
    until(lambda: not any(sleeps(machine) for machine in two.machines), seconds=10)
    took = time.monotonic() - begun
    out, report = ended(running, grid)
    assert running.returncode == 130, out
    assert took < 2, took
    assert {leaf["outcome"] for leaf in report["leaves"]} <= {"built", "skipped"}


CHECK = """\
def test_version(host, row):
    assert host.file("/app.txt").content_string.strip() == row["app"]
"""


def test_a_night_needs_no_engine_here(grid: Monorepo, two: Pair, tmp_path: Path) -> None:
    """Machines build and verify; images are published from registry to registry, signed nodes among them."""
    rows, signing = f"{two.registry}/{grid.family}/rows", '{ public = "nodes.pub", key = "nodes.pem" }'
    for argv in ("genpkey -algorithm ed25519 -out nodes.pem", "pkey -in nodes.pem -pubout -out nodes.pub"):
        subprocess.run(["openssl", *argv.split()], cwd=grid.root, check=True)
    grid.edit("matrix.toml", "schema = 1\n", f'schema = 1\nregistry = "{rows}"\nsigning = {signing}\n')
    grid.edit("common/layers/app/Dockerfile.j2", f"sleep {SECONDS}", "sleep 0")
    (grid.root / "common/layers/app/test_app.py").write_text(CHECK)
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock", "IMAGEMATRIX_ENGINE_DIR": str(tmp_path)}
    where = {"IMAGEMATRIX_WORKERS": ADDRESS, "IMAGEMATRIX_CERTIFICATES": str(two.certificates)}

    done = grid.run("nightly", "--only", "*-1.*", env={**nowhere, **where})
    assert done.code == 0, done.out + done.err
    report = json.loads((grid.root / "report/report.json").read_text())
    assert {leaf["verification"] for leaf in report["leaves"]} == {"passed"}
    assert {name["outcome"] for leaf in report["leaves"] for name in leaf["published"]} == {"kept", "moved"}
    client = Client(Site())
    for name in (name for leaf in report["leaves"] for name in leaf["published"]):
        repository, _, tag = name["name"].rpartition(":")
        assert client.digest(repository, tag) == name["digest"]
    built = [node["key"] for node in report["nodes"] if node["outcome"] == "built"]
    digests = client.digests(f"{two.registry}/{grid.family}/nodes", built)
    assert len(digests) == len(built) == 2
    assert all(client.signatures(f"{two.registry}/{grid.family}/nodes", {*digests.values()}).values())

    settled = grid.root / ".imagematrix/verified.jsonl"
    before = settled.read_text()
    settled.unlink()
    done = grid.run("verify", "--only", "*-1.*", env={**nowhere, **where})
    assert done.code == 0, done.out + done.err
    assert not settled.exists(), before  # the node cache knew
    done = grid.run("verify", "--only", "*-1.2", env={"DOCKER_HOST": two.machines[0].environment["DOCKER_HOST"]})
    assert done.code == 0, done.out + done.err
    assert not settled.exists()


MOVES = (
    "RUN true || curl https://example.com/x; "
    "case $EPOCH-{{ app }} in 2030*-1.2) echo new ;; *) echo old ;; esac > /download.txt; cat"
)
"""A download that brings something else from an epoch on, for one app."""


def test_a_night_pays_only_for_what_moved(grid: Monorepo, two: Pair) -> None:
    """Machines build and compare what no lock names: what is the same is removed there, and nothing is pushed."""
    grid.edit("common/layers/app/Dockerfile.j2", f"RUN sleep {SECONDS} && cat", MOVES)
    grid.edit("matrix.toml", '"app"]', '"app", "boot"]')
    client, nodes = Client(Site()), f"{two.registry}/{grid.family}/nodes"
    rows = ("--only", f"{grid.family}:*-1.*")
    done, first = spread(grid, two, *rows)
    assert done.code == 0, done.out + done.err
    pushed = {*client.tags(nodes)}
    images = {leaf["name"]: leaf["digest"] for leaf in first["leaves"]}
    there = {machine.name: machine.nodes() for machine in two.machines}

    done, quiet = spread(grid, two, *rows, "--refresh=2029-01-01T00:00:00Z")
    assert done.code == 0, done.out + done.err
    assert done.err.count("what it downloads has not moved") == 2
    assert {node["outcome"] for node in quiet["nodes"]} == {"reused"}
    assert {leaf["name"]: leaf["digest"] for leaf in quiet["leaves"]} == images
    assert not (grid.root / "matrix.lock").exists()  # nothing is recorded
    assert {*client.tags(nodes)} == pushed
    assert all(machine.nodes() - there[machine.name] <= pushed for machine in two.machines)

    done, moved = spread(grid, two, *rows, "--refresh=2030-01-01T00:00:00Z")
    assert done.code == 0, done.out + done.err
    assert "/download.txt (content)" in done.err
    (name,) = tomllib.loads((grid.root / "matrix.lock").read_text())["moved"]
    assert name.startswith("app-")
    assert [leaf["name"] for leaf in moved["leaves"] if leaf["digest"] != images[leaf["name"]]] == [
        f"{grid.family}:1.0-1.2"
    ]
    new = {node["layer"]: node["key"] for node in moved["nodes"] if node["key"] not in pushed}
    assert new.keys() == {"app", "boot"}
    assert {*client.tags(nodes)} - pushed == {*new.values()}
    assert [node["layer"] for node in built(moved)] == ["boot"]  # the app was built when it was compared


def test_a_slow_machine(grid: Monorepo, two: Pair) -> None:
    """The other one takes what would wait there, and nothing is built twice."""
    first, second = two.machines
    with slowed(second):
        done, report = spread(grid, two, "--only", f"{grid.family}:{FEW}")
    assert done.code == 0, done.out + done.err
    all_there(grid, two, report)
    nodes = built(report)
    assert {node["attempts"] for node in nodes} == {1}
    shares = Counter(node["machine"] for node in nodes)
    assert shares == {first.name: len(nodes) - 1, second.name: 1}
    assert sorted(push["node"] for push in report["pushes"]) == sorted(node["key"] for node in nodes)


@contextmanager
def slowed(machine: Machine) -> Iterator[None]:
    """Let each step of a machine that sleeps take three times as long."""
    ends, stopped = threading.Event(), dict[psutil.Process, float]()

    def slow() -> None:
        while not ends.wait(0.05):
            for process in sleeping(machine):
                if process not in stopped:
                    stopped[process] = time.monotonic() + 3 * SECONDS
                    process.suspend()
            for process, moment in stopped.items():
                if time.monotonic() > moment:
                    with suppress(psutil.Error):
                        process.resume()

    thread = threading.Thread(target=slow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join(30)


def test_machines_are_looked_at_and_cleaned_up(grid: Monorepo, two: Pair) -> None:
    """Each by itself, whatever engine there is here: nodes that nothing needs go, and only those."""
    grid.edit("common/layers/app/Dockerfile.j2", f"sleep {SECONDS}", "sleep 0")
    done, report = spread(grid, two, "--only", f"{grid.family}:{FEW}")
    assert done.code == 0, done.out + done.err
    where = ("--workers", ADDRESS, "--certificates", str(two.certificates))
    (line,) = (
        line for line in grid.run("doctor", "--json", *where).json()["prerequisites"] if line["what"] == "cluster"
    )
    assert all(f"{machine.name}: Docker 2" in line["said"] for machine in two.machines), line

    grid.edit("matrix.toml", '"2.0", ', "")
    nodes = {node["key"]: node["machine"] for node in built(report)}
    (gone,) = (node["key"] for node in built(report) if any("-2.0" in name for name in node["leaves"]))
    shutil.rmtree(grid.root / ".imagematrix/runs", ignore_errors=True)  # what the last nights need stays
    done = grid.run("gc", "--keep", "0", *where)
    assert done.code == 0, done.out + done.err
    assert all(f"{machine.name}:" in done.out for machine in two.machines)
    for machine in two.machines:
        there = machine.nodes()
        assert gone not in there
        assert {key for key, name in nodes.items() if name == machine.name and key != gone} <= there


def test_the_network_of_a_machine_is_cut(grid: Monorepo, two: Pair) -> None:
    """What it had is built elsewhere; it joins again by itself."""
    first, second = two.machines
    running = started(grid, two, FEW)
    second.log.clear()
    second.cut()
    try:
        out, report = ended(running, grid)
    finally:
        second.plug_in()
    assert running.returncode == 0, out
    all_there(grid, two, report)
    assert {node["machine"] for node in built(report) if node["attempts"] > 1} == {first.name}
    second.await_line("takes jobs from")


def test_the_scheduler_is_killed_and_started_again(grid: Monorepo, two: Pair) -> None:
    """The coordinator and the machines connect again."""
    running = started(grid, two, FEW)
    two.restart_scheduler()
    out, report = ended(running, grid)
    assert running.returncode == 0, out
    all_there(grid, two, report)
    assert any(node["attempts"] > 1 for node in built(report))


def test_the_scheduler_is_killed_while_images_are_checked(grid: Monorepo, two: Pair) -> None:
    """The exit code is that of an engine that went away, with one paragraph that says so."""
    grid.edit("common/layers/app/Dockerfile.j2", f"sleep {SECONDS}", "sleep 0")
    (grid.root / "common/layers/app/test_app.py").write_text(f'{CHECK}    assert host.run("sleep {SECONDS}").rc == 0\n')
    done, _ = spread(grid, two, "--only", f"{grid.family}:*-1.1")
    assert done.code == 0, done.out + done.err
    where = ("--workers", ADDRESS, "--certificates", str(two.certificates))
    running = grid.start("verify", "--only", f"{grid.family}:*-1.1", *where)
    until(lambda: any(sleeps(machine) for machine in two.machines), seconds=60)
    two.restart_scheduler()
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 3, out
    assert "1 image not checked" in out


def test_the_coordinator_is_killed(grid: Monorepo, two: Pair) -> None:
    """Its builds stop everywhere; the next run goes on from what was pushed."""
    before = built_before(grid).count('"layer":"app"')
    running = started(grid, two, FEW)
    until(lambda: built_before(grid).count('"layer":"app"') > before, seconds=60)
    running.kill()
    running.communicate()
    until(lambda: not any(sleeps(machine) for machine in two.machines), seconds=10)
    done, report = spread(grid, two, "--only", f"{grid.family}:{FEW}")
    assert done.code == 0, done.out + done.err
    reused = [leaf for leaf in report["leaves"] if leaf["outcome"] == "reused"]
    assert reused
    assert {leaf["outcome"] for leaf in report["leaves"]} == {"built", "reused"}


def built_before(grid: Monorepo) -> str:
    record = grid.root / ".imagematrix/built.jsonl"
    return record.read_text() if record.exists() else ""


def test_the_registry_is_away_from_one_machine(grid: Monorepo, two: Pair) -> None:
    """It does not swallow job after job: the other machine builds them."""
    first, second = two.machines
    running = started(grid, two, FEW)
    second.lose_registry()
    try:
        out, report = ended(running, grid)
    finally:
        second.reach_registry()
    assert running.returncode == 0, out
    all_there(grid, two, report)
    assert {node["machine"] for node in built(report) if node["attempts"] > 1} == {first.name}


def test_a_push_that_fails_after_the_next_build_began(grid: Monorepo, two: Pair) -> None:
    """The row is there, the summary names the push, and the next run has nothing to build."""
    grid.edit("matrix.toml", '"app"]', '"app", "boot"]')
    grid.edit("common/layers/app/Dockerfile.j2", f"sleep {SECONDS}", "sleep 0")
    only = ("--only", f"{grid.family}:*-2.0")
    app, boot = (
        next(node["key"] for node in grid.run("plan", "--json", *only).json()["nodes"] if node["layer"] == layer)
        for layer in ("app", "boot")
    )
    with refusing(two, app):
        done, report = spread(grid, two, *only, "--retries", "0")
    assert done.code == 1, done.out + done.err
    assert {leaf["outcome"] for leaf in report["leaves"]} == {"built"}
    assert {push["node"]: push["outcome"] for push in report["pushes"]} == {app: "failed", boot: "pushed"}
    assert "not pushed: 1 node" in done.out
    assert {*Client(Site()).digests(f"{two.registry}/{grid.family}/nodes", [app, boot])} == {boot}

    done, report = spread(grid, two, *only)
    assert done.code == 0, done.out + done.err
    assert {leaf["outcome"] for leaf in report["leaves"]} == {"reused"}


@contextmanager
def refusing(two: Pair, key: str) -> Iterator[None]:
    """Let the registry refuse what machines push as one node."""
    with before(two.registry) as proxy, namespaces.way_to(int(proxy.address.rpartition(":")[2])) as way:
        proxy.faults.append(Fault(method="PUT", path=f"/manifests/{key}", status=500, times=1000))
        for machine in two.machines:
            machine.lose_registry()
            machine.reach_registry(way)
        try:
            yield
        finally:
            for machine in two.machines:
                machine.lose_registry()
                machine.reach_registry()


def test_a_full_disk_on_one_machine(grid: Monorepo, two: Pair) -> None:
    """Its builds are made elsewhere, and it is set aside once that has happened twice."""
    first, second = two.machines
    grid.edit("common/layers/app/Dockerfile.j2", "&& cat", "&& head -c 30000000 /dev/urandom > /big && cat")
    running = started(grid, two)
    second.fill_disk()
    try:
        out, report = ended(running, grid)
    finally:
        second.empty_disk()
    assert running.returncode == 0, out
    all_there(grid, two, report)
    assert {node["machine"] for node in built(report) if node["attempts"] > 1} == {first.name}
    assert {machine["name"]: machine["is_set_aside"] for machine in report["machines"]} == {
        first.name: False,
        second.name: True,
    }
    assert f"{second.name} was set aside" in out


OLD = "import imagematrix; imagematrix.__version__ = '0.0.1'; from imagematrix.cli import program; program.run()"


def test_a_worker_of_another_version(grid: Monorepo, two: Pair) -> None:
    """It gets no jobs, and the status says what it has."""
    first, second = two.machines
    second.stop_worker()
    second.log.clear()
    second.start_worker(ADDRESS, two.certificates, program=(sys.executable, "-c", OLD))
    done, report = spread(grid, two, "--only", f"{grid.family}:*-2.0")
    status = grid.run("cluster", "status", ADDRESS, "--certificates", str(two.certificates))
    second.stop_worker()
    second.start_worker(ADDRESS, two.certificates)
    assert done.code == 0, done.out + done.err
    all_there(grid, two, report)
    assert {node["machine"] for node in built(report)} == {first.name}
    assert "imagematrix 0.0.1" in status.out


def test_a_stranger_gets_nowhere(grid: Monorepo, two: Pair, tmp_path: Path) -> None:
    """Neither with a certificate of another cluster nor without one; and nothing but TLS listens off loopback."""
    subprocess.run(
        [sys.executable, "-m", "imagematrix", "cluster", "certificates", str(tmp_path / "other")], check=True
    )
    done = grid.run("build", "--matrix", "--workers", ADDRESS, "--certificates", str(tmp_path / "other"))
    assert done.code == 3
    assert "do not trust each other" in done.err
    assert grid.run("build", "--matrix", "--workers", ADDRESS).code == 2
    listening = {
        connection.laddr.ip
        for process in psutil.process_iter()
        if "imagematrix" in " ".join(_words(process)) and "cluster" in _words(process)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port != PORT
    }
    assert listening <= {"127.0.0.1"}
    assert (two.certificates / "key.pem").stat().st_mode & 0o777 == 0o600


def _words(process: psutil.Process) -> list[str]:
    try:
        return [*process.cmdline()]
    except psutil.Error:
        return []
