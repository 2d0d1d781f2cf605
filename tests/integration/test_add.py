"""A row added with requirements really resolved, by the commands that people type."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.monorepo import Done
from tests.integration.test_lock import FILE, MATRIX, NOWHERE

TASKS = "from imagematrix.tasks import collection\n\nns = collection()\n"
ADDED = MATRIX.replace('["TOOLS"]', '["1.16.0", "1.17.0"]')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a family of one layer that installs six."""
    files = (tmp_path / FILE).parent
    files.mkdir(parents=True)
    (files.parent / "Dockerfile.j2").write_text("COPY tools/requirements.lock /\n")
    (files / "requirements.txt.j2").write_text("six=={{ tools }}\n")
    (tmp_path / "matrix.toml").write_text(MATRIX.replace("TOOLS", "1.16.0"))
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def run(root: Path, *argv: str, **env: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", *argv],
        cwd=root,
        env={**os.environ, "DOCKER_HOST": f"unix://{root}/no.sock", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("program", ["invoke", "imagematrix"])
def test_a_row_is_added(root: Path, program: str) -> None:
    """With the flag between the words; a second time it is there."""
    words = (program, "add", "small", "tools=1.17.0", "base=debian12")
    dry = run(root, *words[:3], "--dry-run", *words[3:])
    assert dry.code == 0, dry.err
    assert not (root / "locks").exists()
    done = run(root, *words)
    assert done.code == 0, done.err
    assert (root / "matrix.toml").read_text() == ADDED
    [lock] = (root / "locks/tools").iterdir()
    assert "six==1.17.0 \\\n    --hash=sha256:" in lock.read_text()
    assert "six==1.17.0" in (root / "images/small/1.17.0/tools/requirements.lock").read_text()
    assert "kB to download" in done.out
    again = run(root, *words)
    assert (again.code, again.out) == (2, "")
    assert "matrix.toml:13: small:1.17.0 exists already, from the axes of the family: nothing to add" in again.err


def contents(root: Path) -> dict[Path, bytes]:
    """Return what is in a project's files, but for `.imagematrix`, where commands hold the project's lock."""
    paths = (path for path in root.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in paths if ".imagematrix" not in path.relative_to(root).parts}


def test_without_the_release_or_the_index_nothing_is_written(root: Path) -> None:
    before = contents(root)
    none = run(root, "imagematrix", "add", "small", "tools=0.0.1", "base=debian12")
    assert none.code == 2
    assert "there is no version of six==0.0.1" in none.err
    assert none.err.endswith("nothing was written\nthe nearest existing row: small:1.16.0\n")
    lost = run(root, "imagematrix", "add", "small", "tools=1.17.0", "base=debian12", **NOWHERE, UV_NO_CACHE="1")
    assert lost.code == 3
    assert lost.err.startswith("the package index does not answer")
    assert contents(root) == before
