"""A framework for GPUs whose wheels bring CUDA: the smallest row of the group, really built and verified."""

import json
from pathlib import Path

from tests.integration.test_quickstart import imagematrix

from imagematrix.engine import Engine

IMAGE = "tensorflow-wheels:2.18.1-python3.11-debian12-wheels"


def test_it_is_verified_and_asks_for_the_driver_of_its_own_cuda(tmp_path: Path, engine: Engine) -> None:
    """Its base has no CUDA: what the loader finds, and what the host must have, is of the wheels."""
    where = ("--only", IMAGE, "--report", str(tmp_path))
    for command in (("build", *where), ("gc",), ("verify", *where)):
        done = imagematrix(*command)
        assert done.code == 0, done.out[-5000:] + done.err
    [leaf] = json.loads((tmp_path / "report.json").read_text())["leaves"]
    passed = {check["name"] for check in leaf["checks"] if check["outcome"] == "passed"}
    assert {"test_its_build_fits_the_rows_cuda", "test_what_it_loads_on_a_gpu_is_found"} <= passed
    assert "NVIDIA_REQUIRE_CUDA=driver>=525.60.13" in engine.config(leaf["image"])["Env"]
