"""A framework that is compiled for its image: the Horovod row, really built, and two of its processes that add."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.monorepo import REPOSITORY

from imagematrix.engine import Engine

IMAGE = "horovod:0.28.1-tensorflow2.12.0-python3.11-debian12"

ADD = """\
import horovod.tensorflow as hvd, tensorflow as tf
hvd.init()
total = hvd.allreduce(tf.constant([hvd.rank() + 1.0]), op=hvd.Sum)
print(f"rank {hvd.rank()} of {hvd.size()}: {float(total[0])}")
"""


@pytest.fixture(scope="module")
def built() -> None:
    """Build the row as its users do."""
    command = [sys.executable, "-m", "imagematrix", "build", "--only", IMAGE]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr


@pytest.mark.usefixtures("built")
def test_two_processes_reduce_a_tensor(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "add.py").write_text(ADD)
    command = ["horovodrun", "-np", "2", "--gloo", "python", "/work/add.py"]
    volumes = [f"{tmp_path}:/work:ro"]
    # Gloo's processes meet at the address of their host's name, which a container without a network does not have.
    said = engine._client.containers.run(IMAGE, command, remove=True, volumes=volumes).decode()
    assert sorted(line.partition(":")[2] for line in said.splitlines()) == ["rank 0 of 2: 3.0", "rank 1 of 2: 3.0"]


@pytest.mark.usefixtures("built")
def test_what_compiled_it_is_gone(engine: Engine) -> None:
    command = ["sh", "-c", "command -v g++ make cmake || echo none"]
    assert engine._client.containers.run(IMAGE, command, remove=True, network_mode="none").decode() == "none\n"
