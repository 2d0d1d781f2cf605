"""A real engine, and small monorepos to build on it."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.integration.monorepo import LAYERS, MATRIX, REPOSITORY, Monorepo, SecureRegistry

from imagematrix.engine import Engine, connect, node_ref
from imagematrix.model import BASE_LAYER
from imagematrix.workspace import Workspace


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine that builds would use. No engine is a failure, never a skip."""
    found = connect()
    yield found
    found._client.close()


@pytest.fixture(scope="session")
def registry() -> str:
    """The address of a real registry, which stays for the next run."""
    argv = [str(REPOSITORY / "scripts/registry"), "start"]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.fixture(scope="session")
def secure_registry() -> SecureRegistry:
    """One that nobody vouches for, and that wants a login; it stays for the next run."""
    script = str(REPOSITORY / "scripts/registry")
    done = subprocess.run([script, "start", "--secure"], check=True, stdout=subprocess.PIPE, text=True)
    folder = Path(os.environ.get("IMAGEMATRIX_REGISTRY_DIR", "/var/lib/imagematrix/registry"))
    return SecureRegistry(address=done.stdout.strip(), login=(folder / "secure/login").read_text().strip())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium; its sandbox cannot be had in most containers, and it meets only our pages."""
    program = subprocess.run([REPOSITORY / "scripts/browser"], check=True, stdout=subprocess.PIPE, text=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program.stdout.strip(),
            # Without 3D, TensorBoard draws its curves as SVG, which a test can ask for.
            args=["--no-sandbox", "--no-proxy-server", "--disable-3d-apis"],
        )
        yield browser
        browser.close()


@pytest.fixture
def monorepo(tmp_path: Path, engine: Engine) -> Iterator[Monorepo]:
    salt = uuid.uuid4().hex[:12]
    made = Monorepo(root=tmp_path, family=f"it{salt}", engine=engine)
    (tmp_path / "matrix.toml").write_text(MATRIX.format(family=made.family))
    for layer, template in LAYERS.items():
        folder = tmp_path / "common/layers" / layer
        folder.mkdir(parents=True)
        (folder / "Dockerfile.j2").write_text(template.format(salt=salt))
    (tmp_path / "common/layers/app/files").mkdir()
    (tmp_path / "common/layers/app/files/version.txt.j2").write_text("{{ app }}\n")
    (tmp_path / "common/init").mkdir()
    (tmp_path / "common/init/hello.sh").write_text("#!/bin/sh\necho hello\n")
    # The repository's own script: the base is the very node that the quickstart grid has.
    shutil.copytree(REPOSITORY / "common/bootstrap", tmp_path / "common/bootstrap")
    yield made
    _remove_images(made)


def _remove_images(monorepo: Monorepo) -> None:
    """Remove what the test left on the engine; what it built on another engine went with that."""
    records = Workspace(monorepo.root / "matrix.toml").history()
    nodes = [node_ref(record.key) for record in reversed(records) if record.layer != BASE_LAYER]
    there = {name for image in monorepo.engine.images() for name in image.names}
    leaves = [name for name in there if monorepo.family in name]
    for name in (*leaves, *(name for name in nodes if name in there)):
        monorepo.client.images.remove(name, force=True)
