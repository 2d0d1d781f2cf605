"""The demo of collective training: two processes train together in one container, on CPUs, as one debugs it."""

import math
import re

import pytest
from testinfra.host import Host

from imagematrix.testing import Image

STEPS = 10
LAUNCH = f"""\
cd $(mktemp -d) && export STEPS={STEPS} BATCH_SIZE=2
timeout 200 python -m paddle.distributed.launch --nproc_per_node=2 --backend=gloo /resnet/train_fleet.py >&2
code=$?; tail -n +1 log/workerlog.*; exit $code
"""


@pytest.fixture(scope="module")
def logs(host: Host) -> str:
    """Return what both processes said."""
    found = host.run(LAUNCH)
    assert found.succeeded, (found.stdout + found.stderr)[-3000:]
    return str(found.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("worker", [0, 1])
def test_each_process_takes_its_steps(logs: str, worker: int) -> None:
    told = re.findall(rf"^worker {worker} step (\d+) loss (\S+)$", logs, re.MULTILINE)
    assert [int(step) for step, _ in told] == [STEPS], logs[-3000:]
    assert math.isfinite(float(told[0][1]))


def test_the_image_runs_one_process_for_each_gpu(image: Image) -> None:
    assert image.config["WorkingDir"] == "/resnet"
    assert image.config["Cmd"] == ["python", "-m", "paddle.distributed.launch", "train_fleet.py"]
