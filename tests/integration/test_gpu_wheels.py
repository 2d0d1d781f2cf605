"""A framework for GPUs whose wheels bring CUDA: the smallest row of the group, really built and verified."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.monorepo import good, imagematrix
from tests.integration.turns import ROOM

from imagematrix.engine import Engine
from imagematrix.model import CacheRecord, node_ref

BIG = 100_000_000
"""Bytes of a record of BuildKit that is worth removing."""
IMAGE = "tensorflow-wheels:2.18.1-python3.11-debian12-wheels"


@pytest.fixture
def begun() -> Iterator[float]:
    """Give the time from which on the disk is this test's."""
    with ROOM:
        yield time.time()


def test_it_is_verified_and_asks_for_the_driver_of_its_own_cuda(
    tmp_path: Path, engine: Engine, copy: Path, begun: float
) -> None:
    """Its base has no CUDA: what the loader finds, and what the host must have, is of the wheels."""
    where = ("--only", IMAGE, "--report", str(tmp_path))
    for command in (("build", *where), ("gc",), ("verify", *where)):
        good(*command, root=copy)
    [leaf] = json.loads((tmp_path / "report.json").read_text())["leaves"]
    passed = {check["name"] for check in leaf["checks"] if check["outcome"] == "passed"}
    assert {"test_its_build_fits_the_rows_cuda", "test_what_it_loads_on_a_gpu_is_found"} <= passed
    assert "NVIDIA_REQUIRE_CUDA=driver>=525.60.13" in engine.config(leaf["image"])["Env"]
    remove(IMAGE, engine)
    _free(engine, since=begun)


def remove(image: str, engine: Engine) -> None:
    """Remove a verified image and the nodes that no other row stands on: others need their room."""
    engine.untag(image)
    for node in imagematrix("plan", "--json").json()["nodes"][::-1]:
        if node["leaves"] == [image]:
            engine.untag(node_ref(node["key"]))


def _free(engine: Engine, *, since: float) -> None:
    """Give back their disk at once: what the build cache has of this row, and what uv unpacked for it."""
    youngest_first = sorted(engine.build_cache(), key=lambda each: -each.created)
    made = [each for each in youngest_first if each.bytes > BIG and (each.created > since or is_of_uv(each))]
    engine.prune_cache([each.id for each in made if not each.in_use])


def is_of_uv(record: CacheRecord) -> bool:
    """Whether it is what uv downloaded and unpacked: as big as what was installed from it."""
    return record.description.startswith("cached mount /root/.cache/uv ")
