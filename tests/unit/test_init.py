"""A monorepo begins: what is written into an empty folder, a repository, a folder of one, and where it is refused."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import projects
from tests.unit.test_cli import Said, run

from imagematrix.commands.init import run as beginning
from imagematrix.errors import NoIndexError
from imagematrix.planning.beginning import Surroundings, begin
from imagematrix.project import Project

TEMPLATES = {path.name: path.read_text() for path in beginning._TEMPLATES.iterdir()}


def begun(texts: Mapping[str, str] | None = None, *, within: str = ".", ci: str = "", platform: str = "linux/amd64"):  # type: ignore[no-untyped-def]  # noqa: ANN201
    found = Surroundings(name="My Shop", within=within, platform=platform, ci=ci, texts=texts or {})
    return begin(found, TEMPLATES)


def tree(root: Path) -> Mapping[str, str]:
    paths = (path for path in root.rglob("*") if path.is_file() and ".git" not in path.relative_to(root).parts)
    return {path.relative_to(root).as_posix(): path.read_text() for path in paths}


def opened(root: Path, matrix: str) -> Project:
    return projects.project(root, matrix=matrix, files={})


def test_an_empty_folder() -> None:
    made = begun()
    assert made.files.keys() == {"matrix.toml", "tasks.py", "README.md", ".gitignore", ".gitattributes", ".taplo.toml"}
    assert made.remarks == ()


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_the_first_rows(tmp_path: Path, platform: str) -> None:
    """They lack nothing but their locks, have names of their own, and are for this machine."""
    project = opened(tmp_path, begun(platform=platform).files["matrix.toml"])
    assert project.matrix.platforms == (platform,)
    assert [row.name for row in project.obtainable] == ["my-shop-python:3.11-debian12", "my-shop-python:3.13-debian13"]
    assert {each.code for each in project.unrendered()} == {"unlocked"}
    assert [each for each in project.proof() if each.severity.is_error] == []


def test_the_example_that_is_commented_out(tmp_path: Path) -> None:
    lines = begun().files["matrix.toml"].split("# TensorFlow for CPUs")[1].splitlines()[1:]
    example = "\n".join(line.removeprefix("#").strip() for line in lines)
    project = opened(tmp_path, begun().files["matrix.toml"] + example)
    assert "my-shop-tensorflow:2.20.0-python3.11-debian12" in {row.name for row in project.obtainable}
    assert {each.code for each in project.unrendered()} == {"unlocked"}


def test_what_exists_is_added_to() -> None:
    """Once: a second time there is nothing to add."""
    texts = {".gitignore": "dist/\n", "README.md": "# Shop\n\nSells things.\n", ".gitattributes": "*.png binary"}
    made = begun(texts)
    for path, text in texts.items():
        assert made.files[path].startswith(text)
        assert len(made.files[path]) > len(text)
    assert begun(made.files).files == {}


def test_a_folder_of_a_repository_with_tasks() -> None:
    made = begun({"tasks.py": "import invoke\n"}, within="infra/images", ci="github")
    assert made.files.keys() == {
        *(
            f"infra/images/{name}"
            for name in ("matrix.toml", "tasks.py", "README.md", ".gitignore", ".gitattributes", ".taplo.toml")
        ),
        ".github/workflows/images.yml",
    }
    assert "working-directory: infra/images" in made.files[".github/workflows/images.yml"]
    [remark] = made.remarks
    assert 'collection(root="infra/images")' in remark


def test_a_pipeline_that_exists_is_not_touched() -> None:
    made = begun({".gitlab-ci.yml": "test: {script: make}\n"}, ci="gitlab")
    assert ".gitlab-ci.yml" not in made.files
    assert "check-images:" in made.remarks[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def refused(said: Said, root: Path, before: Mapping[str, str]) -> bool:
    return said.code == 2 and not said.out and "Traceback" not in said.err and tree(root) == before


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"matrix.toml": "schema = 1\n"}, "matrix.toml exists"),
        ({"images/cat.png": "mine"}, "images exists"),
        ({"images": "mine"}, "images exists"),
    ],
)
def test_where_a_monorepo_cannot_begin(
    folder: Path, capsys: pytest.CaptureFixture[str], files: Mapping[str, str], words: str
) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    before = tree(folder)
    said = run(capsys, "init", "--yes")
    assert refused(said, folder, before)
    assert words in said.err


def test_a_folder_that_is_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "taken").write_text("mine\n")
    for name in ("taken", "taken/images"):
        said = run(capsys, "init", "--folder", name)
        assert refused(said, folder, {"taken": "mine\n"})
        assert "taken is not a folder" in said.err


def test_a_folder_is_made_and_what_an_index_has_to_say_can_follow(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are there; the error names the commands that lock and render them later."""

    def silent(*_: object, **__: object) -> str:
        raise NoIndexError("the package index does not answer")

    monkeypatch.setattr(beginning, "lock_rows", silent)
    said = run(capsys, "init", "--folder", "infra/images")
    assert said.code == 3
    assert "cd infra/images && invoke lock && invoke render" in said.err
    assert {"infra/images/matrix.toml", "infra/images/tasks.py"} <= tree(folder).keys()


def test_a_folder_that_cannot_be_written_to(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is asked or looked up."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    said = run(capsys, "init")
    assert refused(said, folder, {})
    assert "cannot be written to" in said.err


def test_a_link_is_not_written_through(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine\n")
    (folder / "README.md").symlink_to(tmp_path / "elsewhere")
    said = run(capsys, "init", "--yes")
    assert (said.code, said.out) == (2, "")
    assert (tmp_path / "elsewhere").read_text() == "mine\n"
    assert not (folder / "matrix.toml").exists()


def test_a_dry_run_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And shows all of it; whose repository it is follows from where it is pushed to."""
    for words in (["init", "-q"], ["remote", "add", "origin", "git@gitlab.example.com:team/shop.git"]):
        subprocess.run(["git", *words], check=True, cwd=folder)
    said = run(capsys, "init", "--dry-run")
    assert said.code == 0
    assert "[families.shop-python]" in said.out
    assert "--- .gitlab-ci.yml" in said.out
    assert tree(folder) == {}
