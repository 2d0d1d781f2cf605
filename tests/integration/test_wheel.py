"""What another team has: the wheel alone, in a virtual environment and a folder of its own."""

import json
import os
import subprocess
import sys
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.monorepo import REPOSITORY, Done


@dataclass(frozen=True)
class Program:
    """The installed program, and the folder that it is called in."""

    path: Path
    root: Path

    def __call__(self, *words: str) -> Done:
        environment = {name: value for name, value in os.environ.items() if name != "IMAGEMATRIX_PROGRAM"}
        done = subprocess.run(
            [str(self.path), *words], cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def keys(self) -> dict[str, str]:
        return {row["image"]: row["key"] for row in self("list", "--json").json()["rows"]}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(argv, check=True, cwd=REPOSITORY, capture_output=True)
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture
def program(wheel: Path, tmp_path: Path) -> Program:
    """Install the wheel beside nothing else, and begin in an empty folder."""
    environment, root = tmp_path / "venv", tmp_path / f"it{uuid.uuid4().hex[:8]}"
    root.mkdir()
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(environment / "bin/python")]
    subprocess.run([*install, f"{wheel}[report,verify]"], check=True)
    return Program(environment / "bin/imagematrix", root)


def test_the_wheel_is_small_and_has_what_a_checkout_keeps_at_its_top(wheel: Path) -> None:
    assert wheel.stat().st_size < 2 * 2**20
    with zipfile.ZipFile(wheel) as archive:
        names = {name.removeprefix("imagematrix/") for name in archive.namelist()}
    assert {"stock/common/init/boot/boot.sh", "scripts/engine", "scripts/lib/apt.sh"} <= names
    assert not [name for name in names if name.endswith(".pyc")]


def test_each_folder_begins_for_itself(program: Program) -> None:
    """The wheel and the checkout make the same of it: modes of files too are part of keys."""
    root = program.root
    begun = program("init")
    assert begun.code == 0, begun.out + begun.err
    assert "next: imagematrix build --matrix verify --matrix" in begun.out
    assert program("check").code == program("render", "--check").code == 0
    here = [sys.executable, "-m", "imagematrix", "list", "--json", "--file", str(root / "matrix.toml")]
    done = subprocess.run(here, check=True, capture_output=True, text=True)
    keys = program.keys()
    assert keys == {row["image"]: row["key"] for row in json.loads(done.stdout)["rows"]}

    assert program("init", "--yes").code == 2
    (root / "more").mkdir()
    assert program("init", "--folder", "more", "--yes").code == 0
    assert program("render", "--check").code == 0
    assert program("render", "--check", "--file", "more/matrix.toml").code == 0
    assert program.keys() == keys
