"""The repository's own quickstart grid: really built, and checked by running it."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.monorepo import REPOSITORY, good, imagematrix
from tests.integration.turns import PORTS, ROOM

from imagematrix.engine import Engine, docker_command


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Build the group as a newcomer would; gc then frees build cache that repeats the images."""
    folder = tmp_path_factory.mktemp("report")
    with ROOM:
        good("build", "--matrix", "--group", "quickstart", "--report", str(folder))
        good("gc")
    return json.loads((folder / "report.json").read_text())


def leaves(report: Any, family: str) -> list[str]:
    return [leaf["image"] for leaf in report["leaves"] if leaf["family"] == family]


def test_every_row_is_an_image(report: Any, engine: Engine) -> None:
    assert len(report["leaves"]) >= 8
    assert {leaf["outcome"] for leaf in report["leaves"]} <= {"built", "reused"}
    for leaf in report["leaves"]:
        assert engine.image_id(leaf["image"]) == leaf["digest"]


def test_a_second_build_builds_nothing(report: Any) -> None:
    assert report
    done = imagematrix("build", "--matrix", "--group", "quickstart")
    assert done.code == 0
    assert "up to date" in done.out


def test_every_image_passes_the_checks_of_its_layers_and_they_are_not_repeated(report: Any, tmp_path: Path) -> None:
    checked = verify(report, tmp_path / "first")
    assert {leaf["name"] for leaf in report["leaves"]} == checked.keys()
    for name, checks in checked.items():
        assert {"system", "boot", "notebook"} <= {check["owner"] for check in checks}, name
    again = verify(report, tmp_path / "second")
    assert {check["known"] for checks in again.values() for check in checks} == {True}


def verify(report: Any, folder: Path) -> dict[str, Any]:
    """Verify the group, the build's report beside it; return each row's checks."""
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(report))
    done = imagematrix("verify", "--group", "quickstart", "--report", str(folder))
    assert done.code == 0, done.out[-5000:] + done.err
    made = json.loads((folder / "report.json").read_text())
    assert [leaf["digest"] for leaf in made["leaves"]] == [leaf["digest"] for leaf in report["leaves"]]
    return {leaf["name"]: leaf["checks"] for leaf in made["leaves"]}


@pytest.fixture
def machine(report: Any, engine: Engine) -> Iterator[Any]:
    """Start a machine that one logs in from."""
    image = next(name for name in leaves(report, "python") if "debian12" in name)
    container = engine._client.containers.run(image, ["sleep", "infinity"], detach=True)
    yield container
    container.remove(force=True)


@pytest.fixture
def shell(machine: Any, engine: Engine) -> Iterator[dict[str, str]]:
    """Give the environment of a shell that runs an example as it is: a key, other ports than a person's."""
    inside(machine, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/key")
    with PORTS:
        yield {
            **{name: value for name, value in os.environ.items() if name not in ("TZ", "LANG")},
            **engine.environment,
            "PATH": f"{Path(docker_command(engine)).parent}:{os.environ['PATH']}",
            "SSH_AUTHORIZED_KEYS": inside(machine, "cat", "/root/key.pub"),
            "NAME": "it-run-example",
            "SSH_PORT": "42222",
            "JUPYTER_PORT": "48888",
            "TENSORBOARD_PORT": "46006",
        }


def example(report: Any) -> tuple[Path, str]:
    """Return where an image's run examples lie, and its Python."""
    leaf = next(leaf for leaf in report["leaves"] if leaf["family"] == "python")
    return REPOSITORY / f"images/python/{leaf['tag']}/run-example", leaf["tag"].partition("-")[0]


def test_the_run_example_gives_a_machine_to_log_in_to(
    report: Any, machine: Any, shell: dict[str, str], engine: Engine
) -> None:
    """A key logs in, and its ports are published."""
    folder, python = example(report)
    subprocess.run(["sh", str(folder / "docker-run.sh")], env=shell, check=True, capture_output=True)
    container = engine._client.containers.get("it-run-example")
    try:
        let_in(machine, container, python)
    finally:
        container.remove(force=True)


def test_the_example_for_compose_gives_the_same(
    report: Any, machine: Any, shell: dict[str, str], engine: Engine
) -> None:
    """And what is made in /root outlives the container."""
    folder, python = example(report)
    compose = [
        docker_command(engine),
        "compose",
        "--project-name",
        "it-compose",
        "--file",
        str(folder / "compose.yaml"),
    ]
    subprocess.run([*compose, "up", "--detach"], env=shell, check=True, capture_output=True)
    try:
        network = engine._client.networks.get("it-compose_default")
        network.connect(machine)
        [container] = engine._client.containers.list(filters={"label": "com.docker.compose.project=it-compose"})
        let_in(machine, container, python)
        inside(container, "touch", "/root/mine")
        network.disconnect(machine)
        subprocess.run([*compose, "up", "--detach", "--force-recreate"], env=shell, check=True, capture_output=True)
        [container] = engine._client.containers.list(filters={"label": "com.docker.compose.project=it-compose"})
        assert container.exec_run(["test", "-e", "/root/mine"]).exit_code == 0
    finally:
        subprocess.run([*compose, "down", "--volumes"], env=shell, check=True, capture_output=True)


def let_in(machine: Any, container: Any, python: str) -> None:
    """See that a person gets in: JupyterLab wants its token, and the key logs in to the image's Python."""
    wait_for(lambda: fetch("http://127.0.0.1:48888/jupyter/api/status") == 403)
    ssh = ["ssh", "-i", "/root/key", "-o", "StrictHostKeyChecking=no", f"root@{address(container)}"]
    wait_for(lambda: f"Python {python}." in inside(machine, *ssh, "python --version"))
    assert "CST" in inside(machine, *ssh, "date +%Z")


def test_the_picture_of_the_grid_shows_every_node(report: Any, tmp_path: Path) -> None:
    target = tmp_path / "graph.svg"
    assert imagematrix("graph", "--group", "quickstart", "--out", str(target)).code == 0
    assert target.read_text().count("<title>") == len(report["nodes"])


def inside(container: Any, *command: str) -> str:
    """Run a command in a container; return what it printed, errors included."""
    return str(container.exec_run(list(command)).output.decode(errors="replace"))


def address(container: Any) -> str:
    container.reload()
    [network] = container.attrs["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


def fetch(url: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def wait_for(true: Any, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)
