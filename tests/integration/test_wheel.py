"""What another team has: the wheel alone, in a virtual environment and a folder of its own; and then the next wheel."""

import json
import os
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.conftest import remove_images
from tests.integration.monorepo import REPOSITORY, Done, Monorepo, copy_repository

from imagematrix.engine import Engine

OLD, NEW = "1.0.0", "1.1.0"
OF_WHEEL = ("LICENSE", "README.md", "common/init", "pyproject.toml", "scripts/engine", "scripts/lib", "src")
"""What a wheel is built from."""
CHANGED = ("boot", "tools")
"""The layers of the package that the newer version has another line of."""
HELLO = """
[families.shop-hello]
layers = ["system", "hello"]
tag = "{hello}"
axes = { base = ["debian12"], hello = ["1.0"] }
"""


@dataclass(frozen=True)
class Program:
    """The installed program, called in some folder."""

    path: Path

    def __call__(self, root: Path, *words: str) -> Done:
        environment = {name: value for name, value in os.environ.items() if name != "IMAGEMATRIX_PROGRAM"}
        done = subprocess.run(
            [str(self.path), *words], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def good(self, root: Path, *words: str) -> Done:
        """Run a command that must succeed."""
        done = self(root, *words)
        assert done.code == 0, f"{words}: {done.out}{done.err}"
        return done

    def keys(self, root: Path) -> Mapping[str, str]:
        return {row["image"]: row["key"] for row in self(root, "list", "--json").json()["rows"]}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Build this version, and a newer one that renders something else: none was released yet."""
    sources = tmp_path_factory.mktemp("newer")
    for name in OF_WHEEL:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, sources / name)
    for layer in CHANGED:
        with (sources / "src/imagematrix/stock/common/layers" / layer / "Dockerfile.j2").open("a") as template:
            template.write("ENV NEWER=1\n")
    return {OLD: built(REPOSITORY, OLD, tmp_path_factory), NEW: built(sources, NEW, tmp_path_factory)}


def built(sources: Path, version: str, folders: pytest.TempPathFactory) -> Path:
    """Build a wheel that says it is of a version, as if a tag named it."""
    folder = folders.mktemp("wheel")
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    environment = {**os.environ, "SETUPTOOLS_SCM_PRETEND_VERSION": version}
    subprocess.run(argv, check=True, cwd=sources, env=environment, capture_output=True)
    [path] = folder.glob("*.whl")
    return path


def installed(wheel: Path, folder: Path, extras: str) -> Program:
    """Install a wheel beside nothing else."""
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python")]
    subprocess.run([*install, f"{wheel}{extras}"], check=True)
    return Program(folder / "bin/imagematrix")


@pytest.fixture(scope="module")
def old(wheels: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Program:
    return installed(wheels[OLD], tmp_path_factory.mktemp("old") / "venv", "[lock,report,verify]")


@pytest.fixture(scope="module")
def new(wheels: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Program:
    return installed(wheels[NEW], tmp_path_factory.mktemp("new") / "venv", "")


@pytest.fixture
def example(tmp_path: Path, engine: Engine) -> Iterator[Path]:
    """Give the monorepo of docs/plugins.md: with a layer, a check, a service and a rule of its own."""
    root, family = tmp_path / "example", f"it{uuid.uuid4().hex[:8]}"
    shutil.copytree(REPOSITORY / "docs/examples/plugins", root)
    matrix = root / "matrix.toml"
    matrix.write_text(matrix.read_text().replace("families.example", f"families.{family}"))
    # The repository's own lock: the base is the very node that the quickstart grid has.
    shutil.copytree(REPOSITORY / "locks/apt/bookworm", root / "locks/apt/bookworm")
    yield root
    remove_images(Monorepo(root=root, family=family, engine=engine))


def test_the_wheel_is_small_and_has_what_a_checkout_keeps_at_its_top(wheels: Mapping[str, Path]) -> None:
    assert wheels[OLD].stat().st_size < 2 * 2**20
    with zipfile.ZipFile(wheels[OLD]) as archive:
        names = {name.removeprefix("imagematrix/") for name in archive.namelist()}
    assert {"stock/common/init/boot/boot.sh", "scripts/engine", "scripts/lib/apt.sh"} <= names
    assert not [name for name in names if name.endswith(".pyc")]


def test_a_plain_installation_is_small(new: Program) -> None:
    """It has neither uv nor cryptography, and does all but to lock, verify and report."""
    paths = [path for path in new.path.parents[1].rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in paths) < 40 * 2**20
    assert not {"uv", "cryptography", "pytest"} & {path.parent.name for path in paths}


def test_each_folder_begins_for_itself(old: Program, tmp_path: Path) -> None:
    """The wheel and the checkout make the same of it: modes of files too are part of keys."""
    root = tmp_path / "shop"
    root.mkdir()
    begun = old.good(root, "init")
    assert "next: imagematrix build --matrix verify --matrix" in begun.out
    assert "imagematrix render" not in begun.out
    old.good(root, "check")
    old.good(root, "render", "--check")
    assert f'imagematrix = "{OLD}"' in (root / "matrix.lock").read_text()
    here = [sys.executable, "-m", "imagematrix", "list", "--json", "--file", str(root / "matrix.toml")]
    done = subprocess.run(here, check=True, capture_output=True, text=True)
    keys = old.keys(root)
    assert keys == {row["image"]: row["key"] for row in json.loads(done.stdout)["rows"]}

    assert old(root, "init", "--yes").code == 2
    (root / "more").mkdir()
    old.good(root, "init", "--folder", "more", "--yes")
    old.good(root, "render", "--check")
    old.good(root, "render", "--check", "--file", "more/matrix.toml")
    assert old.keys(root) == keys

    layer = root / "common/layers/hello/Dockerfile.j2"
    layer.parent.mkdir(parents=True)
    layer.write_text("ENV HELLO={{ hello }}\n")
    with (root / "matrix.toml").open("a") as matrix:
        matrix.write(HELLO)
    old.good(root, "lock")
    old.good(root, "render")
    old.good(root, "add", "shop-hello", "base=debian12", "hello=1.1")
    old.good(root, "render", "--check")
    assert "ENV HELLO=1.1" in (root / "images/shop-hello/1.1/Dockerfile").read_text()
    assert keys.items() < old.keys(root).items()


def test_what_a_monorepo_adds_is_built_and_verified_and_survives_an_upgrade(
    old: Program, new: Program, example: Path
) -> None:
    old.good(example, "layers", "--copy", "tools")
    old.good(example, "lock")
    old.good(example, "build", "--matrix", "verify", "--matrix", "--report", "report")
    [leaf] = json.loads((example / "report/report.json").read_text())["leaves"]
    passed = {(check["owner"], check["name"]) for check in leaf["checks"] if check["outcome"] == "passed"}
    assert {
        ("motd", "test_users_are_welcomed"),
        ("destination lean", "no-compilers"),
        ("boot", "test_every_service_runs_and_the_health_check_says_so"),
    } <= passed

    planned = new.good(example, "plan")
    assert f"imagematrix {NEW} renders this stage differently" in planned.out
    assert f"imagematrix {OLD} rendered the leaves, and this is {NEW}: 1 of 1 image changes" in planned.err
    rendered = new.good(example, "render")
    assert f"and this is {NEW}" in rendered.err
    assert f'imagematrix = "{NEW}"' in (example / "matrix.lock").read_text()
    assert f"copied from {OLD}; changed since" in new.good(example, "layers").out
    new.good(example, "layers", "--merge", "tools")
    assert (example / "common/layers/tools/Dockerfile.j2").read_text().endswith("ENV NEWER=1\n")
    new.good(example, "check")


def test_this_repository_uses_nothing_that_the_wheel_does_not_give(old: Program, tmp_path: Path) -> None:
    """Its leaves are what the wheel renders of what a monorepo has in git."""
    copy_repository(tmp_path)
    old.good(tmp_path, "check")
    assert "leaves are up to date" in old.good(tmp_path, "render", "--check").out
