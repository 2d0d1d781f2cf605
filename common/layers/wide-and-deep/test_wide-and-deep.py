"""The demo of parameter servers: a server and two workers train in one container, as one debugs it."""

import math
import re

import pytest
from testinfra.host import Host

STEPS = range(10, 61, 10)
LAUNCH = f"""\
cd /wide_and_deep && export STEPS={max(STEPS)}
timeout 250 python3 -m paddle.distributed.launch --server_num=1 --worker_num=2 train.py >&2 && tail -n +1 log/*
"""


@pytest.fixture(scope="module")
def logs(host: Host) -> str:
    """Return what all processes said."""
    found = host.run(LAUNCH)
    assert found.succeeded, found.stderr[-3000:]
    return str(found.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("worker", [0, 1])
def test_each_worker_takes_its_steps_and_its_loss_falls(logs: str, worker: int) -> None:
    told = re.findall(rf"^worker {worker} step (\d+) loss (\S+)$", logs, re.MULTILINE)
    assert [int(step) for step, _ in told] == list(STEPS), logs[-3000:]
    losses = [float(loss) for _, loss in told]
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0] - 0.05
    assert f"\nworker {worker} done\n" in logs


@pytest.mark.slow
def test_the_server_served_both_and_ended(logs: str) -> None:
    server = logs.partition("==> log/serverlog.0 <==")[2].partition("==> ")[0]
    assert "Termination signal" in server, "the launcher ends it when the workers are done"
    assert "Traceback (most recent call last):\n  File" not in server


@pytest.mark.slow
def test_it_trains_alone_as_the_image_runs_it(host: Host) -> None:
    found = host.run("cd /wide_and_deep && STEPS=10 python3 train.py")
    assert re.search(r"^worker 0 step 10 loss 0\.\d+\nworker 0 done$", found.stdout, re.MULTILINE), found.stderr[-3000:]
