"""The repository's own quickstart grid, really built, and what its images promise, really run."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.monorepo import REPOSITORY, Done

from imagematrix.engine import Engine, docker_command

IMPORTS = {
    "tensorflow": "import tensorflow as m; assert float(m.reduce_sum(m.ones([2, 2]))) == 4",
    "paddle": "import paddle as m; assert float(m.ones([2, 2]).sum()) == 4",
    "python": "import jupyterlab as m; import tensorboard",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Build the group as a newcomer would."""
    folder = tmp_path_factory.mktemp("report")
    done = imagematrix("build", "--matrix", "--group", "quickstart", "--report", str(folder))
    assert done.code == 0, done.out[-5000:] + done.err
    return json.loads((folder / "report.json").read_text())


def imagematrix(*words: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "imagematrix", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


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
    assert "every key exists on the engine" in done.out


@pytest.mark.parametrize("family", IMPORTS)
def test_frameworks_import_at_their_exact_version(report: Any, engine: Engine, family: str) -> None:
    for image in leaves(report, family):
        code = f"{IMPORTS[family]}; print(m.__version__)"
        version = run(engine, image, "python", "-c", code).strip().splitlines()[-1]
        if family != "python":
            assert image.startswith(f"{family}:{version}-")


def test_a_command_runs_as_a_job_and_its_exit_code_is_the_containers(report: Any, engine: Engine) -> None:
    image = leaves(report, "python")[0]
    container = engine._client.containers.run(image, ["python", "-c", "raise SystemExit(7)"], detach=True)
    try:
        assert container.wait()["StatusCode"] == 7
    finally:
        container.remove(force=True)


@pytest.fixture(scope="module")
def machine(report: Any, engine: Engine) -> Iterator[Any]:
    """Start one image as people use it: a machine to log in to."""
    image = next(name for name in leaves(report, "python") if "debian12" in name)
    container = engine._client.containers.run(
        image, detach=True, environment={"ROOT_PASSWORD": "correct horse", "JUPYTER_TOKEN": "sesame"}
    )
    yield container
    container.remove(force=True)


def test_it_speaks_chinese_and_keeps_beijing_time(machine: Any) -> None:
    assert inside(machine, "date", "+%Z").strip() == "CST"
    assert inside(machine, "sh", "-c", "locale | head -1").strip() == "LANG=zh_CN.UTF-8"
    assert "没有那个文件" in inside(machine, "ls", "/nosuch")


def test_ssh_greets_and_python_is_on_the_path_of_a_login_shell(machine: Any) -> None:
    wait_for(lambda: "SSH-2.0" in inside(machine, "bash", "-c", "exec 3<>/dev/tcp/localhost/22; head -1 <&3"))
    assert inside(machine, "bash", "-lc", "command -v python").strip() == "/opt/python/bin/python"


@pytest.mark.parametrize("url", ["http://{}:8888/jupyter/api/status?token=sesame", "http://{}:6006/monitor/"])
def test_jupyter_and_tensorboard_answer_under_their_paths(machine: Any, url: str) -> None:
    wait_for(lambda: fetch(url.format(address(machine))) == 200)


def test_the_run_example_gives_a_machine_to_log_in_to(report: Any, machine: Any, engine: Engine) -> None:
    """The script as it is, from a shell that sets nothing else: a key logs in, and its ports are published."""
    leaf = next(leaf for leaf in report["leaves"] if leaf["family"] == "python")
    inside(machine, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/key")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("TZ", "LANG")},
        **engine.environment,
        "PATH": f"{Path(docker_command(engine)).parent}:{os.environ['PATH']}",
        "SSH_AUTHORIZED_KEYS": inside(machine, "cat", "/root/key.pub"),
        "NAME": "it-run-example",
        "SSH_PORT": "42222",
        "JUPYTER_PORT": "48888",
        "TENSORBOARD_PORT": "46006",
    }
    script = REPOSITORY / f"images/python/{leaf['tag']}/run-example/docker-run.sh"
    subprocess.run(["sh", str(script)], env=environment, check=True, capture_output=True)
    container = engine._client.containers.get("it-run-example")
    try:
        wait_for(lambda: fetch("http://127.0.0.1:48888/jupyter/api/status") == 403)  # it wants its token
        ssh = ["ssh", "-i", "/root/key", "-o", "StrictHostKeyChecking=no", f"root@{address(container)}"]
        python = leaf["tag"].partition("-")[0]
        wait_for(lambda: f"Python {python}." in inside(machine, *ssh, "python --version"))
        assert "CST" in inside(machine, *ssh, "date +%Z")
    finally:
        container.remove(force=True)


def test_stopping_it_takes_less_than_five_seconds_and_ends_well(report: Any, engine: Engine) -> None:
    image = next(name for name in leaves(report, "python") if "debian12" in name)
    container = engine._client.containers.run(image, detach=True)
    try:
        wait_for(lambda: "SSH-2.0" in inside(container, "bash", "-c", "exec 3<>/dev/tcp/localhost/22; head -1 <&3"))
        begun = time.monotonic()
        container.stop(timeout=10)
        assert time.monotonic() - begun < 5
        assert container.wait()["StatusCode"] == 0
    finally:
        container.remove(force=True)


def test_no_image_holds_what_belongs_to_the_site(report: Any, engine: Engine) -> None:
    """Secrets, caches and configuration of this machine's clients stay outside."""
    places = "/etc/pip.conf /etc/uv /etc/apt/apt.conf.d/99-site /wheelhouse /root/.cache/uv /root/.cache/pip"
    for image in leaves(report, "python"):
        assert not run(engine, image, "sh", "-c", f"ls -d {places} 2>/dev/null || true")


def test_the_picture_of_the_grid_shows_every_node(report: Any, tmp_path: Path) -> None:
    target = tmp_path / "graph.svg"
    assert imagematrix("graph", "--group", "quickstart", "--out", str(target)).code == 0
    assert target.read_text().count("<title>") == len(report["nodes"])


def run(engine: Engine, image: str, *command: str) -> str:
    return str(engine._client.containers.run(image, list(command), remove=True, network_mode="none").decode())


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
        with opener.open(url, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def wait_for(true: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)
