"""Several matrix files in one folder, and files that people put where ours belong: each changes only its own."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import projects
from tests.projects import FILES, MATRIX
from tests.unit.test_cli import run

from imagematrix.errors import InputError
from imagematrix.model import File, Key
from imagematrix.planning import requirements
from imagematrix.planning.plan import Record
from imagematrix.planning.requirements import HEAD
from imagematrix.project import Project, open_project
from imagematrix.repository import MANIFEST, Repository
from imagematrix.state import State

SECOND = MATRIX.replace("families.pytorch", "families.cuda").replace("families.plain", "families.bare")
LOCK = "locks/python/abc.txt"
TEXT = f"{HEAD}# Python 3.11, x86_64-manylinux_2_31\npip==1\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a folder with two matrix files whose families have other names."""
    projects.write(tmp_path)
    (tmp_path / "gpu.toml").write_text(SECOND)
    return tmp_path


def opened(root: Path, name: str = "matrix.toml") -> Project:
    return open_project(str(root / name))


def render(root: Path, name: str = "matrix.toml") -> tuple[str, ...]:
    project = opened(root, name)
    leaves = project.files(project.leaves(project.obtainable))
    return project.repository.leaves.write(leaves, keep=project.directories())


def stale(root: Path, name: str) -> list[str]:
    project = opened(root, name)
    leaves = project.files(project.leaves(project.obtainable))
    return list(project.repository.leaves.stale(leaves, keep=project.directories()))


def tree(root: Path) -> Mapping[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file() and ".imagematrix" not in path.parts)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def test_each_matrix_prunes_its_own_leaves(root: Path) -> None:
    assert len(render(root)) == len(render(root, "gpu.toml")) == 9
    assert stale(root, "matrix.toml") == stale(root, "gpu.toml") == []

    (root / "gpu.toml").write_text(SECOND.partition("[families.bare]")[0])
    assert render(root) == ()
    assert stale(root, "gpu.toml") == ["images/bare/3.11-debian: no row of the matrix makes this leaf"]
    assert render(root, "gpu.toml") == ("images/bare/3.11-debian",)
    assert (root / "images/plain/3.11-debian/Dockerfile").is_file()


def test_a_leaf_has_one_matrix(root: Path) -> None:
    """The second one is refused by name; without its matrix file a leaf is anybody's."""
    render(root)
    (root / "gpu.toml").write_text(MATRIX)
    before = tree(root)
    with pytest.raises(InputError) as caught:
        render(root, "gpu.toml")
    assert {problem.code for problem in caught.value.diagnostics} == {"foreign_leaf"}
    assert [problem.file for problem in caught.value.diagnostics] == sorted(
        {path.rpartition("/")[0] for path in before if path.endswith(MANIFEST)}
    )
    assert tree(root) == before

    (root / "matrix.toml").unlink()
    assert len(render(root, "gpu.toml")) == 9


@pytest.mark.parametrize("with_list", [True, False])
def test_a_file_that_nobody_marked_is_kept(root: Path, with_list: bool) -> None:
    """All of them are named, and nothing is written: nor where a leaf lies beside it."""
    paths = ["images/plain/3.11-debian/Dockerfile", "images/pytorch/2.3.0-python3.10-cuda/README.md"]
    for path in paths:
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text("mine\n")
        if with_list:
            (root / path).with_name(MANIFEST).write_text("build-scripts.sh\n")
    before = tree(root)
    with pytest.raises(InputError) as caught:
        render(root)
    assert [(problem.file, problem.code) for problem in caught.value.diagnostics] == [
        (path, "not_ours") for path in paths
    ]
    assert tree(root) == before


def test_a_file_that_is_right_already_is_taken_over(root: Path) -> None:
    """The list of files is lost; the leaf is what would be written."""
    render(root)
    (root / "images/plain/3.11-debian" / MANIFEST).unlink()
    assert render(root) == ("images/plain/3.11-debian",)
    assert stale(root, "matrix.toml") == []


def test_a_killed_render_is_followed_by_another(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the rows have changed: what it had written is ours."""
    project = opened(root)
    whole = type(project.repository._tree).replace

    def killed(self: object, path: str, file: File) -> None:
        whole(self, path, file)  # type: ignore[arg-type]
        if path.endswith("README.md"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(project.repository._tree), "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            render(root)
    (root / "common/layers/system/Dockerfile.j2").write_text("RUN apt-get install -y curl\n")
    assert len(render(root)) == 9
    assert stale(root, "matrix.toml") == []


@pytest.mark.parametrize("name", ["matrix.toml", "gpu.toml"])
def test_a_lock_that_two_matrices_need_goes_with_the_last(root: Path, name: str) -> None:
    """What it installs, and so its leaf, is the same for both."""
    first, second = (Repository(root / each) for each in ("matrix.toml", "gpu.toml"))
    for repository in (first, second):
        assert repository.write_locks({LOCK: TEXT}, prune=True) == (LOCK,)
    assert first.write_locks(first.locks(), prune=True) == ()
    [text] = first.locks().values()
    assert requirements.installed(text) == TEXT

    one, other = (first, second) if name == "matrix.toml" else (second, first)
    assert one.write_locks({}, prune=True) == (LOCK,)
    assert one.write_locks({}, prune=True) == ()
    assert other.write_locks({}, prune=False) == ()
    assert (root / LOCK).is_file()
    assert other.write_locks({}, prune=True) == (LOCK,)
    assert not (root / LOCK).exists()


def test_a_lock_that_nobody_marked_is_kept(root: Path) -> None:
    """One with the marks of a merge is ours, and is written again."""
    repository, path = Repository(root / "matrix.toml"), root / LOCK
    path.parent.mkdir(parents=True)
    path.write_text("pip==2\n")
    with pytest.raises(InputError, match="was not generated by imagematrix"):
        repository.write_locks({LOCK: TEXT, "locks/python/other.txt": TEXT}, prune=True)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    path.write_text(f"{HEAD}\n<<<<<<< HEAD\npip==2\n")
    assert repository.write_locks({LOCK: TEXT}, prune=True) == (LOCK,)
    assert path.read_text() == TEXT


def test_each_matrix_has_its_digests_and_its_epoch(root: Path) -> None:
    for name, lock in (("matrix.toml", "matrix.lock"), ("gpu.toml", "gpu.lock")):
        Repository(root / name).write_lock(projects.lock(epoch=name))
        assert (root / lock).is_file()
        assert opened(root, name).lock.epoch == name
    (root / "gpu.lock").write_text("schema = 9\n")
    with pytest.raises(InputError, match=r"^gpu\.lock:1: "):
        opened(root, "gpu.toml")


def test_each_matrix_remembers_its_own_builds(root: Path) -> None:
    """So that cleaning up after one leaves the images of the other."""
    record = Record(key=Key("a"), layer="python", inputs={}, rows=(), seconds=1.0)
    first, second = State(root), State(root, matrix="gpu.toml")
    second.remember(record)
    second.keep_run("2026-11-22T030400Z", "{}")
    assert (first.history(), list(first.runs())) == ([], [])
    assert (second.history(), list(second.runs())) == ([record], ["2026-11-22T030400Z.json"])
    assert opened(root, "gpu.toml").state.history() == [record]


def test_adding_a_row_writes_nothing_where_its_leaf_cannot_be(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{root}/no.sock")
    mine = root / "images/plain/3.12-debian/Dockerfile"
    mine.parent.mkdir(parents=True)
    mine.write_text("FROM mine\n")
    before = tree(root)
    words = ["add", "plain", "base=debian", "python=3.12", "allow=so"]
    monkeypatch.setattr(sys, "argv", ["imagematrix", *words])
    said = run(capsys, *words)
    assert said.code == 2
    assert "images/plain/3.12-debian/Dockerfile: error: was not generated" in said.err
    assert tree(root) == before
    assert FILES.keys() <= before.keys()
