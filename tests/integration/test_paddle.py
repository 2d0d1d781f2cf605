"""Paddle's parameter-server demo, really built and really trained: a server and two workers in one container."""

import json
import math
import re
from typing import Any

import pytest
from tests.integration.test_quickstart import imagematrix

from imagematrix.engine import Engine

LAUNCH = "timeout 150 python -m paddle.distributed.launch --server_num=1 --worker_num=2 train.py"
STEPS = range(10, 61, 10)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    done = imagematrix("build", "--only", "demo-wide-and-deep:*-debian12", "--report", str(folder))
    assert done.code == 0, done.out[-5000:] + done.err
    report: Any = json.loads((folder / "report.json").read_text())
    return str(report["leaves"][0]["image"])


@pytest.fixture(scope="module")
def logs(image: str, engine: Engine) -> str:
    """Do what the seed says of debugging an image, and return what all processes said."""
    script = f"{LAUNCH} >&2 || exit $?; tail -n +1 log/*"
    output = engine._client.containers.run(
        image, ["-c", script], entrypoint="bash", environment={"STEPS": str(max(STEPS))}, remove=True
    )
    return output.decode()


@pytest.mark.parametrize("worker", [0, 1])
def test_each_worker_takes_its_steps_and_its_loss_falls(logs: str, worker: int) -> None:
    told = re.findall(rf"^worker {worker} step (\d+) loss (\S+)$", logs, re.MULTILINE)
    assert [int(step) for step, _ in told] == list(STEPS), logs[-3000:]
    losses = [float(loss) for _, loss in told]
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0] - 0.05
    assert f"\nworker {worker} done\n" in logs


def test_the_server_served_both_and_ended(logs: str) -> None:
    server = logs.partition("==> log/serverlog.0 <==")[2].partition("==> ")[0]
    assert "Termination signal" in server, "the launcher ends it when the workers are done"
    assert "Traceback (most recent call last):\n  File" not in server


def test_it_trains_alone_as_the_image_runs_it(image: str, engine: Engine) -> None:
    output = engine._client.containers.run(image, environment={"STEPS": "10"}, remove=True).decode()
    assert re.search(r"^worker 0 step 10 loss 0\.\d+\nworker 0 done$", output, re.MULTILINE)
