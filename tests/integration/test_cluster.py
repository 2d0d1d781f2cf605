"""Two machines with engines of their own, one registry between them, and builds that sleep."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration import namespaces
from tests.integration.monorepo import Done, Monorepo, until
from tests.integration.namespaces import HOST, Machine

from imagematrix.model import Site
from imagematrix.registry import Client

APPS = 6
SECONDS = 4
"""How long an app sleeps."""
LONG_SECONDS = 8
"""How long it does where it counts: what the engine does for an app takes a second of the two processors of CI."""
PORT = 18786
ADDRESS = f"tls://{HOST}:{PORT}"


@dataclass(frozen=True)
class Pair:
    """Two machines that build for a scheduler on this one."""

    machines: Sequence[Machine]
    certificates: Path
    registry: str


@pytest.fixture(scope="module")
def two(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    certificates = tmp_path_factory.mktemp("cluster") / "certificates"
    program = [sys.executable, "-m", "imagematrix"]
    subprocess.run([*program, "cluster", "certificates", str(certificates)], check=True)
    with namespaces.pair(registry) as machines:
        scheduler = subprocess.Popen([*program, "cluster", "start", ADDRESS, "--certificates", str(certificates)])
        try:
            for machine in machines:
                machine.start_worker(ADDRESS, certificates, jobs=1)
            yield Pair(machines=machines, certificates=certificates, registry=registry)
        finally:
            scheduler.terminate()
            scheduler.wait(30)


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


def started(grid: Monorepo, two: Pair) -> "subprocess.Popen[str]":
    """Begin a build on both machines; return when both of them run an app."""
    running = grid.start(
        *("build", "--matrix", "--report", "report", "--workers", ADDRESS, "--certificates", str(two.certificates))
    )
    until(lambda: all(sleeps(machine) for machine in two.machines), seconds=60)
    return running


def ended(running: "subprocess.Popen[str]", grid: Monorepo) -> tuple[str, Any]:
    out, _ = running.communicate(timeout=180)
    return out, json.loads((grid.root / "report/report.json").read_text())


def sleeps(machine: Machine) -> bool:
    """Whether a machine runs a step that sleeps."""
    tag = (machine.folder / ".imagematrix-engine").read_text().strip()
    return any(tag in _group(process) for process in psutil.process_iter() if _is_sleep(process))


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
    done, alone = grid.build("--only", "*-2.*", "--jobs", "1", env=two.machines[0].environment)
    assert done.code == 0, done.out + done.err
    assert makespan(alone) / makespan(report) >= 1.8


def test_a_worker_and_an_engine_are_killed(grid: Monorepo, two: Pair) -> None:
    """What they had is done elsewhere; both machines take jobs again when they are back."""
    first, second = two.machines
    running = started(grid, two)
    first.stop_worker(signal.SIGKILL)
    out, report = ended(running, grid)
    assert running.returncode == 0, out
    all_there(grid, two, report)
    lost = [node for node in report["nodes"] if node["attempts"] > 1]
    assert lost
    assert {node["machine"] for node in lost} == {second.name}
    assert {retry["kind"] for node in lost for retry in node["retries"]} == {"engine"}

    first.log.clear()
    first.start_worker(ADDRESS, two.certificates, jobs=1)
    grid.edit("common/layers/app/Dockerfile.j2", "RUN sleep", "ENV AGAIN=1\nRUN sleep")
    running = started(grid, two)
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
    assert {f"1.0-1.{number}" for number in (1, 2)} <= {*client.tags(rows)}
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
