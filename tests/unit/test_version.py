"""Where the package's version comes from: the tags of git, wherever sources are built."""

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from imagematrix import __version__

REPOSITORY = Path(__file__).parents[2]


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def built_version(folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Return the version that a wheel built in a folder has."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SETUPTOOLS_SCM_")}
    argv = [sys.executable, "-W", "ignore", "-m", "hatchling", "version"]
    done = subprocess.run(
        argv, cwd=folder, env={**inherited, **(environment or {})}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Make what the version is read from, as a downloaded archive has it: without git."""
    package = tmp_path / "src/imagematrix"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    return tmp_path


def test_it_is_that_of_the_installed_package() -> None:
    assert __version__ == version("imagematrix")


def test_a_tag_is_the_version(sources: Path) -> None:
    git(sources, "init", "--quiet")
    git(sources, "add", ".")
    git(sources, "commit", "--quiet", "-m", "one")
    git(sources, "tag", "v1.2.3")
    assert built_version(sources) == "1.2.3"
    git(sources, "commit", "--quiet", "--allow-empty", "-m", "two")
    assert built_version(sources).startswith("1.2.4.dev1+g")


def test_sources_without_tags_or_git_can_be_built(sources: Path) -> None:
    """CI clones without tags, and archives of a commit have no history."""
    assert built_version(sources) == "0.0.0"
    git(sources, "init", "--quiet")
    git(sources, "add", ".")
    git(sources, "commit", "--quiet", "-m", "one")
    assert ".dev1+g" in built_version(sources)
