"""A framework that is compiled for its image: the Horovod row, really built, and what its layers' checks say."""

from pathlib import Path

from tests.integration.monorepo import good
from tests.integration.test_gpu_wheels import remove

from imagematrix.engine import Engine

IMAGE = "horovod:0.28.1-tensorflow2.12.0-python3.11-debian12"


def test_it_is_compiled_and_two_processes_reduce_a_tensor(tmp_path: Path, copy: Path, engine: Engine) -> None:
    for command in ("build", "verify"):
        good(command, "--only", IMAGE, "--report", str(tmp_path), root=copy)
    remove(IMAGE, engine)
