"""A framework for GPUs whose wheels bring CUDA: the smallest row of the group, really built and verified."""

import json
import time
from pathlib import Path

from tests.integration.test_quickstart import imagematrix

from imagematrix.engine import Engine
from imagematrix.model import node_ref

BIG = 100_000_000
"""Bytes of a record of BuildKit that is worth removing."""
IMAGE = "tensorflow-wheels:2.18.1-python3.11-debian12-wheels"


def test_it_is_verified_and_asks_for_the_driver_of_its_own_cuda(tmp_path: Path, engine: Engine) -> None:
    """Its base has no CUDA: what the loader finds, and what the host must have, is of the wheels."""
    begun = time.time()
    where = ("--only", IMAGE, "--report", str(tmp_path))
    for command in (("build", *where), ("gc",), ("verify", *where)):
        done = imagematrix(*command)
        assert done.code == 0, done.out[-5000:] + done.err
    [leaf] = json.loads((tmp_path / "report.json").read_text())["leaves"]
    passed = {check["name"] for check in leaf["checks"] if check["outcome"] == "passed"}
    assert {"test_its_build_fits_the_rows_cuda", "test_what_it_loads_on_a_gpu_is_found"} <= passed
    assert "NVIDIA_REQUIRE_CUDA=driver>=525.60.13" in engine.config(leaf["image"])["Env"]
    _remove(tmp_path, engine, since=begun)


def _remove(report: Path, engine: Engine, *, since: float) -> None:
    """Give back 20 GB, which the images of other tests need: what only this row has, and its build cache."""
    nodes = json.loads((report / "report.json").read_text())["nodes"]
    engine.untag(IMAGE)
    for node in nodes[::-1]:
        if node["leaves"] == [IMAGE]:
            engine.untag(node_ref(node["key"]))
    records = [each for each in engine.build_cache() if each.created > since and each.bytes > BIG and not each.in_use]
    engine.prune_cache([each.id for each in sorted(records, key=lambda each: each.created, reverse=True)])
