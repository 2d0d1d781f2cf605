"""A real engine, and small monorepos to build on it."""

import functools
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, sync_playwright
from tests.integration.monorepo import (
    LAYERS,
    MATRIX,
    REPOSITORY,
    Monorepo,
    SecureRegistry,
    copy_repository,
    good,
    imagematrix,
)
from xdist.scheduler import LoadScopeScheduling

from imagematrix.engine import Engine, connect
from imagematrix.model import BASE_LAYER, node_ref
from imagematrix.state import State

LANES: Final = (
    ("browser", "proxies", "sessions", "users", "quickstart", "paddle", "destinations"),
    *(("gpu_wheels",), ("horovod",), ("cluster",), ("build",), ("own_engine",), ("wheel",)),
    ("verify",),
)
"""Files whose tests run one after the other in this order, the longest lane first; any other file is a lane too.

The first lane is of those that build in the repository itself, where builds take turns. `verify` needs images that it
has built by then.
"""
FILES: Final = [name for lane in LANES for name in lane]


class Lanes(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Gives each process the next lane. Lanes share the engine, and wait for each other where they must."""

    def _split_scope(self, nodeid: str) -> str:
        name = _file(nodeid)
        return next((lane[0] for lane in LANES if name in lane), name)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    config.option.loadscopereorder = False  # it would begin with the lanes of most tests
    return Lanes(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the long lanes first."""
    items.sort(key=lambda item: FILES.index(name) if (name := _file(item.nodeid)) in FILES else len(FILES))


def _file(nodeid: str) -> str:
    return Path(nodeid.partition("::")[0]).stem.removeprefix("test_")


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine that builds would use. No engine is a failure, never a skip."""
    found = connect()
    yield found
    found._client.close()


@pytest.fixture(scope="session", autouse=True)
def ledger() -> None:
    """Use the user's own record: the engine is the user's too, and the base is on it from one run to the next."""


@pytest.fixture(scope="session")
def registry() -> str:
    """The address of a real registry, which stays for the next run."""
    argv = [str(REPOSITORY / "scripts/registry"), "start"]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.fixture(scope="session")
def secure_registry() -> SecureRegistry:
    """One with an untrusted certificate that needs a login; it stays for the next run."""
    script = str(REPOSITORY / "scripts/registry")
    done = subprocess.run([script, "start", "--secure"], check=True, stdout=subprocess.PIPE, text=True)
    folder = Path(os.environ.get("IMAGEMATRIX_REGISTRY_DIR", "/var/lib/imagematrix/registry"))
    return SecureRegistry(address=done.stdout.strip(), login=(folder / "secure/login").read_text().strip())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium; its sandbox is unavailable in most containers, and it opens only our pages."""
    program = subprocess.run([REPOSITORY / "scripts/browser"], check=True, stdout=subprocess.PIPE, text=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program.stdout.strip(),
            # Without 3D, TensorBoard draws its curves as SVG, which a test can ask for.
            args=["--no-sandbox", "--no-proxy-server", "--disable-3d-apis"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session", autouse=True)
def _base(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make the base of all images, in whichever process comes first; made twice, it would be two images."""
    root = tmp_path_factory.mktemp("base")
    with FileLock(tmp_path_factory.getbasetemp().parent / "base.lock"):
        made = _write(root, engine)
        done, _ = made.build("--only", "*-1.1")
    assert done.code == 0, done.out + done.err
    remove_images(made)


@pytest.fixture
def monorepo(tmp_path: Path, engine: Engine) -> Iterator[Monorepo]:
    made = _write(tmp_path, engine)
    yield made
    remove_images(made)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository once more, where a build waits for no other; what their images share is built before, once."""
    good("build", "--only", "python:3.11-debian12")
    root = tmp_path / "copy"
    copy_repository(root)
    return root


def _write(root: Path, engine: Engine) -> Monorepo:
    salt = uuid.uuid4().hex[:12]
    made = Monorepo(root=root, family=f"it{salt}", engine=engine)
    (root / "matrix.toml").write_text(MATRIX.format(family=made.family))
    for layer, template in LAYERS.items():
        folder = root / "common/layers" / layer
        folder.mkdir(parents=True)
        (folder / "Dockerfile.j2").write_text(template.format(salt=salt))
    (root / "common/layers/app/files").mkdir()
    (root / "common/layers/app/files/version.txt.j2").write_text("{{ app }}\n")
    (root / "common/init").mkdir()
    (root / "common/init/hello.sh").write_text("#!/bin/sh\necho hello\n")
    # The repository's own lock: the base is the very node that the quickstart grid has.
    shutil.copytree(REPOSITORY / "locks/apt/bookworm", root / "locks/apt/bookworm")
    return made


@functools.cache
def shared_keys() -> frozenset[str]:
    """Return the keys of the repository's own nodes: tests beside this one may build on any of them."""
    return frozenset(node["key"] for node in imagematrix("plan", "--json").json()["nodes"])


def remove_images(monorepo: Monorepo) -> None:
    """Remove what the test left on the engine; what it built on another engine went with that."""
    records = State(monorepo.root).history()
    own = [record for record in reversed(records) if record.layer != BASE_LAYER and record.key not in shared_keys()]
    nodes = dict.fromkeys(node_ref(record.key) for record in own)
    there = {name for image in monorepo.engine.images() for name in image.names}
    leaves = [name for name in there if monorepo.family in name]
    for name in (*leaves, *(name for name in nodes if name in there)):
        monorepo.client.images.remove(name, force=True)
