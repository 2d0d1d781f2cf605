"""The summary of a change of many leaves for a reviewer."""

import subprocess
from pathlib import Path

import pytest
from tests import projects

from imagematrix.cli import program
from imagematrix.planning import changes

LEAF = "images/torch/2.3.0/"
LOCK = "numpy==1.26.0 \\\n    --hash=sha256:aa\ntorch==2.3.0 \\\n    --hash=sha256:bb\n"
FILES = {
    f"{LEAF}Dockerfile": "ARG BASE_IMAGE=debian:12\n\nFROM ${BASE_IMAGE} AS system\nRUN apt\n\nFROM system AS torch\n"
    "COPY torch/requirements.lock /\n\nFROM torch AS boot\nCOPY init/ /init/\n",
    f"{LEAF}torch/requirements.lock": LOCK,
    f"{LEAF}init/boot.sh": "true\n",
    f"{LEAF}README.md": "read me\n",
}


def between(old: str, new: str, *, files: dict[str, str] = FILES) -> changes.Changes:
    """Compare the files with those in which each `old` is `new`."""
    return changes.between(files, {path: text.replace(old, new) for path, text in files.items()})


@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("RUN apt", "RUN apt update", {"system"}),
        ("COPY init/ /init/", "COPY init/ /boot/", {"boot"}),
        ("true", "false", {"boot"}),
        ("numpy==1.26.0", "numpy==1.26.1", {"torch"}),
        ("FROM torch AS boot", "FROM torch AS start", {"start", "boot"}),
        ("debian:12", "debian:13", {"base"}),
    ],
)
def test_the_stages_that_changed_are_named(old: str, new: str, stages: set[str]) -> None:
    found = between(old, new)
    assert (found.stages, found.added, found.removed) == (dict.fromkeys(stages, ("torch:2.3.0",)), (), ())


def test_packages_that_moved_came_or_went_are_named() -> None:
    more = "numpy==1.26.1 \\\n    --hash=sha256:cc\nscipy==1.14.0 \\\n    --hash=sha256:dd\n"
    assert between(LOCK, more).packages == {
        ("numpy", "1.26.0", "1.26.1"): ("torch:2.3.0",),
        ("scipy", "", "1.14.0"): ("torch:2.3.0",),
        ("torch", "2.3.0", ""): ("torch:2.3.0",),
    }


def test_a_readme_changes_no_stage() -> None:
    found = between("read me", "read it")
    assert (found.stages, found.companions, found.changed) == ({}, ("torch:2.3.0",), ("torch:2.3.0",))


def test_rows_that_came_or_went() -> None:
    assert changes.between({}, FILES).added == ("torch:2.3.0",)
    assert changes.between(FILES, {}).removed == ("torch:2.3.0",)


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


def summary(root: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    program.run(["imagematrix", "render", "--file", str(root / "matrix.toml"), *flags], exit=False)
    shown = capsys.readouterr()
    return shown.out or shown.err


def test_leaves_are_compared_with_a_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a project in a folder of the repository; what is not added yet counts too."""
    root = tmp_path / "infra"
    projects.write(root)
    summary(root, capsys)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    assert summary(root, capsys, "--summary") == "No image changes.\n"

    matrix = projects.MATRIX.replace('torch = ["2.3.0", "2.4.1"]', 'torch = ["2.3.0", "2.5.1"]')
    init = {**projects.FILES, "common/init/banner.txt": "good day\n"}
    projects.write(root, matrix=matrix, files=init)
    summary(root, capsys)

    assert summary(root, capsys, "--summary") == (Path(__file__).parents[1] / "golden/summary.md").read_text()
    assert "'HEAD~7' is not a commit" in summary(root, capsys, "--summary=HEAD~7")


def test_without_git_there_is_nothing_to_compare_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    projects.write(tmp_path)
    assert "no git repository" in summary(tmp_path, capsys, "--summary")
