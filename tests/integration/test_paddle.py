"""Paddle's demos: the checks of the layers, and the examples for its operator played as the operator would."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests import manifests
from tests.integration.monorepo import REPOSITORY, imagematrix
from tests.integration.test_quickstart import address

from imagematrix.engine import Engine, docker_command

IMAGE = "demo-wide-and-deep:*-debian12"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    done = imagematrix("build", "--only", IMAGE, "--report", str(folder))
    assert done.code == 0, done.out[-5000:] + done.err
    report: Any = json.loads((folder / "report.json").read_text())
    return str(report["leaves"][0]["image"])


def test_a_server_and_two_workers_train(image: str) -> None:
    done = imagematrix("verify", "--only", IMAGE)
    assert done.code == 0, image + done.out[-5000:] + done.err


def test_the_run_example_trains_and_ends_with_its_exit_code(image: str, engine: Engine) -> None:
    [script] = REPOSITORY.glob("images/demo-wide-and-deep/*-debian12/run-example/docker-run.sh")
    path = f"{Path(docker_command(engine)).parent}:{os.environ['PATH']}"
    for steps, code in (("10", 0), ("none", 1)):
        environment = {**os.environ, **engine.environment, "PATH": path, "OPTIONS": f"--env STEPS={steps}"}
        done = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, image + done.stdout + done.stderr
        assert ("worker 0 done" in done.stdout) == (code == 0)


# --- the examples for Paddle's operator, played without a cluster: one container is one pod --------------

PORT = 2379
SUM = """\
import paddle
from paddle.distributed import all_reduce, fleet
fleet.init(is_collective=True)
total = paddle.to_tensor([1.0])
all_reduce(total)
print("sum", int(total), flush=True)
"""


@pytest.fixture
def pods(image: str, engine: Engine) -> Iterator[list[Any]]:
    """Start three pods that wait."""
    with ExitStack() as until:
        made = []
        for _ in range(3):
            container = engine._client.containers.run(image, ["infinity"], entrypoint="sleep", detach=True)
            until.callback(container.remove, force=True)
            made.append(container)
        yield made


def job(family: str) -> Any:
    [path] = REPOSITORY.glob(f"images/{family}/*{'-debian12' if 'deep' in family else ''}/run-example/*-paddlejob.yaml")
    return manifests.documents(path.read_text())["PaddleJob"]["spec"]


def settings(spec: Any, servers: list[str], workers: list[str]) -> dict[str, str]:
    """Return the config map that the operator makes of where its pods are."""
    made = {
        "TRAINER_PORTS_NUM": "20",
        "PADDLE_PORT": str(PORT),
        "PADDLE_TRAINER_ENDPOINTS": ",".join(f"{ip}:{PORT}" for ip in workers),
        "PADDLE_TRAINERS": ",".join(workers),
        "PADDLE_TRAINERS_NUM": str(spec["worker"]["replicas"]),
    }
    if servers:
        made["PADDLE_PSERVERS_IP_PORT_LIST"] = ",".join(f"{ip}:{PORT}" for ip in servers)
    if servers and spec.get("withGloo"):
        made["PADDLE_WITH_GLOO"] = str(spec["withGloo"])
        made["PADDLE_GLOO_RENDEZVOUS"] = "3"
        made["PADDLE_GLOO_HTTP_ENDPOINT"] = f"{servers[0]}:{PORT + 18}"
    return made


def environment(part: str, index: int, ip: str, config: Mapping[str, str]) -> dict[str, str]:
    """Return what the operator gives one pod, its config map included."""
    role = {"ps": "PSERVER", "worker": "TRAINER"}[part]
    own = {"POD_IP": ip, "PADDLE_TRAINER_ID": str(index), "TRAINING_ROLE": role, "PADDLE_TRAINING_ROLE": role}
    return {**config, **own}


def test_a_job_of_the_operator_trains_with_a_server(pods: list[Any]) -> None:
    spec = job("demo-wide-and-deep")
    server, *workers = pods
    assert (spec["ps"]["replicas"], spec["worker"]["replicas"]) == (1, len(workers))
    config = settings(spec, [address(server)], [address(pod) for pod in workers])
    command = "STEPS=20 timeout 250 python3 train.py > /tmp/log 2>&1"
    server.exec_run(["sh", "-c", command], environment=environment("ps", 0, address(server), config), detach=True)

    def train(index: int) -> Any:
        worker = workers[index]
        given = environment("worker", index, address(worker), config)
        return worker.exec_run(["sh", "-c", f"{command}; code=$?; cat /tmp/log; exit $code"], environment=given)

    with ThreadPoolExecutor() as threads:
        ended = list(threads.map(train, range(len(workers))))
    for index, (code, output) in enumerate(ended):
        assert (code, f"worker {index} done" in output.decode()) == (0, True), output.decode()[-3000:]


def test_a_job_of_the_operator_trains_collectively(pods: list[Any]) -> None:
    """Each pod alone would give 1."""
    spec = job("demo-resnet")
    workers = pods[: spec["worker"]["replicas"]]
    config = settings(spec, [], [address(pod) for pod in workers])

    def train(index: int) -> Any:
        worker = workers[index]
        given = environment("worker", index, address(worker), config)
        launch = "timeout 250 python -m paddle.distributed.launch --backend=gloo --nproc_per_node=1 /tmp/sum.py"
        script = (
            f"cat > /tmp/sum.py <<'END'\n{SUM}END\n{launch} > /tmp/log 2>&1; code=$?; cat /tmp/log log/*; exit $code"
        )
        return worker.exec_run(["sh", "-c", script], environment=given)

    with ThreadPoolExecutor() as threads:
        ended = list(threads.map(train, range(len(workers))))
    for code, output in ended:
        assert (code, "sum 2" in output.decode()) == (0, True), output.decode()[-3000:]
