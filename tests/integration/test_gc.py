"""Cleaning up on a real engine: what nothing needs goes, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.integration.monorepo import Monorepo

from imagematrix.engine import Engine, buildx, buildx_command
from imagematrix.model import Key, Site, node_ref
from imagematrix.registry import Client
from imagematrix.state import State


def names(monorepo: Monorepo) -> set[str]:
    return {name for image in monorepo.engine.images() for name in image.names}


def logs(monorepo: Monorepo) -> set[str]:
    return {path.name for path in (monorepo.root / ".imagematrix/logs").iterdir()}


def test_what_nothing_needs_goes_and_nothing_else(monorepo: Monorepo, registry: str) -> None:
    """One test of many parts, because making things to clean up takes two builds. They are in a registry too."""
    repository = f"{registry}/{monorepo.family}/nodes"
    monorepo.edit("matrix.toml", "schema = 1\n", f'schema = 1\nnodes = "{repository}"\n')
    _, before = monorepo.build("--push")
    monorepo.edit("matrix.toml", '"1.3"', '"1.4"')
    _, after = monorepo.build("--push")
    now = {node["key"] for node in after["nodes"]}
    idle = [Key(node["key"]) for node in before["nodes"] if node["key"] not in now]
    goes = {*map(node_ref, idle), f"{monorepo.family}:1.0-1.3"}
    assert len(goes) == 3
    assert goes <= names(monorepo)

    _a_night_keeps_it(monorepo, goes, before)
    _others_keep_it(monorepo, goes)
    tags = {*Client(Site()).tags(repository)}
    assert tags == now | {*idle}
    _it_goes(monorepo, goes, idle)
    assert {*Client(Site()).tags(repository)} == now


def _a_night_keeps_it(monorepo: Monorepo, goes: set[str], report: Any) -> None:
    folder = monorepo.root / ".imagematrix/runs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    now = datetime.now(UTC)
    (folder / "1.json").write_text(json.dumps({**report, "started": (now - timedelta(days=1)).isoformat()}))
    removed = monorepo.run("gc", "--keep", "1").out
    # Other tests' downloads on this engine may have outgrown what this small project installs.
    assert not any(name in removed for name in goes)
    assert goes <= names(monorepo)
    # A later night takes its place.
    (folder / "2.json").write_text(json.dumps({"started": now.isoformat(), "nodes": [], "leaves": []}))
    assert "would remove 2 images" in monorepo.run("gc", "--keep", "1", "--dry-run").out
    assert goes <= names(monorepo)


def _others_keep_it(monorepo: Monorepo, goes: set[str]) -> None:
    """What a container uses stays. So does an image built on a node (it has its labels), a node of another project."""
    client, leaf = monorepo.client, f"{monorepo.family}:1.0-1.3"
    made = client.containers.create(leaf)
    try:
        told = monorepo.run("gc", "--keep", "0", "--dry-run").out
        assert f"container {made.name} uses it" in told
        strange = monorepo.family.ljust(64, "0")
        made.commit(f"foreign-{monorepo.family}", "1")
        made.commit("imagematrix/node", strange, changes=[f"LABEL imagematrix.key={strange}"])
    finally:
        made.remove()
    told = monorepo.run("gc", "--keep", "0", "--dry-run").out
    assert leaf in told
    assert not any(name in told for name in _others(monorepo))
    assert strange in monorepo.run("gc", "--keep", "0", "--all", "--dry-run").out
    assert goes <= names(monorepo)


def _others(monorepo: Monorepo) -> set[str]:
    return {f"foreign-{monorepo.family}:1", node_ref(Key(monorepo.family.ljust(64, "0")))}


def _it_goes(monorepo: Monorepo, goes: set[str], idle: list[Key]) -> None:
    """When no build holds the project; the dry run has told it."""
    before, logs_before = names(monorepo), logs(monorepo)
    told = monorepo.run("gc", "--keep", "0", "--registry", "--dry-run")
    assert names(monorepo) >= goes
    # Their build cache goes too, with that of other tests of the same steps.
    counted = r"would remove 2 images, (\d+ pieces? of build cache, )?2 tags in the registry, 2 logs: about"
    assert re.search(counted, told.out), told.out
    assert re.search(r"^\s*\d+ B +image +\S.* not needed by the matrix$", told.out, re.MULTILINE)

    with State(monorepo.root).sole_builder(waiting=lambda: None):
        process = monorepo.start("gc", "--keep", "0", "--registry")
        assert process.stdout
        assert "waiting until it ends" in process.stdout.readline()
        assert goes <= names(monorepo)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out

    # The same things, each with the same size and reason.
    assert out.splitlines()[:-1] == told.out.splitlines()[:-1]
    # Others on this engine come and go meanwhile: only what is this project's is compared.
    ours = {name for name in before if monorepo.family in name or name.startswith("imagematrix/base:")}
    assert not goes & names(monorepo)
    assert ours - goes <= names(monorepo)
    assert {row["state"] for row in monorepo.run("list", "--json").json()["rows"]} == {"built"}
    assert {name.rpartition("-")[2] for name in logs_before - logs(monorepo)} == {f"{key[:12]}.log" for key in idle}
    assert not {record.key for record in State(monorepo.root).history()} & {*idle}
    for name in _others(monorepo):
        monorepo.client.images.remove(name)


def test_build_cache_goes_piece_by_piece(engine: Engine, tmp_path: Path) -> None:
    """Only what is named, also while an image has the same bytes; others' cache on the same engine stays."""
    salt = uuid.uuid4().hex

    def ours() -> dict[str, str]:
        return {one.description[-1]: one.id for one in engine.build_cache() if salt in one.description}

    for name in "ab":
        (tmp_path / f"{salt}-{name}").write_text(salt)
    steps = "".join(f"COPY {salt}-{name} /{name}\n" for name in "ab")
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\n{steps}")
    argv = [buildx_command(engine), "build", "--tag", f"test-{salt}", str(tmp_path)]
    subprocess.run(argv, env={**os.environ, **buildx.ENVIRONMENT, **engine.environment}, check=True)
    try:
        assert ours().keys() == {"a", "b"}
        engine.prune_cache([ours()["b"]])
        assert ours().keys() == {"a"}
    finally:
        engine.untag(f"test-{salt}")
