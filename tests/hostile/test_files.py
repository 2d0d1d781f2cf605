"""Files of a foreign checkout: whatever lies in a path's place, nothing outside the root is touched."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from tests import projects

from imagematrix.errors import UserError
from imagematrix.model import Key
from imagematrix.planning.plan import Record
from imagematrix.project import Project, Selection, open_project
from imagematrix.repository import MANIFEST, Repository
from imagematrix.state import State
from imagematrix.tree import Tree

LEAF: Final = "images/plain/3.11-debian"
TEXT_OUTSIDE: Final = "what another folder holds"

PLACES: Final = (
    "common",
    "common/init",
    "common/init/boot.sh",
    "common/init/planted",
    "common/bootstrap",
    "common/bootstrap/debian.sh",
    "common/layers",
    "common/layers/python",
    "common/layers/python/Dockerfile.j2",
    "common/layers/python/test_python.py",
    "common/layers/python/files",
    "common/layers/python/files/profile.sh",
    "common/layers/python/files/deep/planted",
    "images",
    "images/plain",
    LEAF,
    f"{LEAF}/Dockerfile",
    f"{LEAF}/{MANIFEST}",
    f"{LEAF}/run-example",
    f"{LEAF}/planted",
    "images/evil",
    "locks",
    "locks/torch",
    "locks/torch/planted.txt",
    "matrix.lock",
    ".imagematrix",
    ".imagematrix/.gitignore",
    ".imagematrix/build.lock",
    ".imagematrix/night.lock",
    ".imagematrix/verify",
    ".imagematrix/verify/left.lock",
    ".imagematrix/built.jsonl",
    ".imagematrix/verified.jsonl",
    ".imagematrix/night.json",
    ".imagematrix/logs",
    ".imagematrix/logs/planted.log",
    ".imagematrix/runs",
    ".imagematrix/runs/2026-11-22T030400Z.json",
)
"""Files and folders that we read, write or delete, and some beside them."""


def _link(to: str) -> Callable[[Path, Path], object]:
    return lambda path, outside: path.symlink_to(outside / to if to else outside)


def _socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's name is short
        try:
            listening.bind(path.name)
        finally:
            os.chdir(here)


def _not_utf8(path: Path, _: Path) -> None:
    path.mkdir()
    (path / os.fsdecode(b"caf\xe9")).write_text("text\n")


def _control(path: Path, _: Path) -> None:
    path.mkdir()
    (path / "a\nRUN evil").write_text("text\n")


KINDS: Final[Mapping[str, Callable[[Path, Path], object]]] = {
    "link to a file": _link("passwd"),
    "link to a folder": _link(""),
    "link to nothing": _link("nowhere"),
    "link to the environment": lambda path, _: path.symlink_to("/proc/self/environ"),
    "link to itself": lambda path, _: path.symlink_to(path.name),
    "FIFO": lambda path, _: os.mkfifo(path),
    "socket": _socket,
    "folder": lambda path, _: path.mkdir(),
    "file": lambda path, _: path.write_text("planted\n"),
    "not UTF-8": lambda path, _: path.write_bytes(b"\xff\xfe\0\0"),
    "name that is not UTF-8": _not_utf8,
    "name with a line end": _control,
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    for name in ("passwd", "sub/passwd", MANIFEST, "Dockerfile", "built.jsonl"):
        (folder / name).write_text(TEXT_OUTSIDE)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project that was rendered once."""
    made = projects.project(tmp_path / "project")
    render(made)
    return tmp_path / "project"


def render(project: Project) -> None:
    files = project.files(project.leaves(project.rows(Selection())))
    list(project.repository.leaves.stale(files, keep=project.directories()))
    project.repository.leaves.write(files, keep=project.directories())


def run_checks(state: State) -> None:
    with state.sole_night(), state.run_folder(killed=lambda _: None) as folder:
        (folder / "results.jsonl").touch()


def remember(state: State) -> None:
    with state.sole_builder(waiting=lambda: None):
        state.remember(Record(key=Key("a"), layer="python", inputs={}, rows=(), seconds=1.0))
        state.forget(lambda _: False)


def write_log(state: State) -> None:
    with state.log("a.log") as log:
        log.write("a line\n")


OPERATIONS: Final[tuple[Callable[[Path], object], ...]] = (
    lambda file: render(open_project(str(file))),
    lambda file: open_project(str(file)).repository.common.checks(),
    lambda file: Repository(file).write_locks({}, prune=True),
    lambda file: Repository(file).write_lock("schema = 1\n"),
    lambda file: remember(State(file.parent)),
    lambda file: run_checks(State(file.parent)),
    lambda file: State(file.parent).history(),
    lambda file: State(file.parent).settled(),
    lambda file: State(file.parent).night_text(),
    lambda file: State(file.parent).write_night("{}"),
    lambda file: State(file.parent).runs(),
    lambda file: State(file.parent).keep_run("2026-11-23T030400Z", "{}"),
    lambda file: State(file.parent).remove_logs(State(file.parent).logs()),
    lambda file: write_log(State(file.parent)),
)
"""All that reads, writes or deletes files of a project."""


def everything(folder: Path) -> Mapping[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def plant(root: Path, place: str, kind: str, outside: Path) -> None:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(root / "moved-away")
    KINDS[kind](path, outside)


EVERYWHERE: Final = ("link to a file", "link to a folder", "FIFO", "not UTF-8")
"""The kinds that are tried in every place; the others in some of each sort."""
SOME: Final = (
    *("common/layers/python/files/deep/planted", "common/layers/python/Dockerfile.j2", "images/plain", LEAF),
    *(f"{LEAF}/{MANIFEST}", "locks/torch/planted.txt", ".imagematrix/built.jsonl", ".imagematrix/runs"),
)
CASES: Final = [(place, kind) for kind in KINDS for place in (PLACES if kind in EVERYWHERE else SOME)]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("place", "kind"), CASES)
def test_what_lies_in_a_paths_place(root: Path, outside: Path, place: str, kind: str) -> None:
    """A problem with its place, or nothing: no traceback, no hang, no change outside, no secret inside."""
    plant(root, place, kind, outside)
    before = everything(outside)

    for operation in OPERATIONS:
        with suppress(UserError):
            operation(root / "matrix.toml")

    assert everything(outside) == before
    assert all(TEXT_OUTSIDE not in text for text in contents(root))


def contents(root: Path) -> Iterator[str]:
    """Yield the texts of the real files below a folder."""
    for folder, _, names in os.walk(root):
        for path in (Path(folder) / name for name in names):
            if path.is_file() and not path.is_symlink():
                yield path.read_text(errors="replace")


@pytest.mark.parametrize(
    "listed", ["sub/passwd", "../../../outside/passwd", "/etc/passwd", "a\0b", "", "sub/../passwd"]
)
def test_a_listing_that_names_paths_elsewhere(root: Path, outside: Path, listed: str) -> None:
    """A leaf that no row makes holds a link and a listing: what they lead to is not deleted."""
    evil = root / "images/evil/leaf"
    evil.mkdir(parents=True)
    (evil / "sub").symlink_to(outside / "sub")
    (evil / MANIFEST).write_text(f"{listed}\nDockerfile\n")
    before = everything(outside)

    with suppress(UserError):
        render(open_project(str(root / "matrix.toml")))
    assert everything(outside) == before
    assert (evil / MANIFEST).exists() == (listed == "sub/passwd"), "a refused render deletes nothing"


def test_all_that_is_wrong_is_named_at_once(root: Path, outside: Path) -> None:
    files = root / "common/layers/python/files"
    (files / "env").symlink_to("/proc/self/environ")
    os.mkfifo(files / "pipe")
    (files / "folder").symlink_to(outside)

    with pytest.raises(UserError) as caught:
        open_project(str(root / "matrix.toml"))

    assert [line.partition(":")[0] for line in str(caught.value).splitlines() if not line.startswith(" ")] == [
        f"common/layers/python/files/{name}" for name in ("env", "folder", "pipe")
    ]


def test_a_refused_render_writes_nothing(root: Path, outside: Path) -> None:
    """One leaf is a link: the others, though stale, stay as they are until it is gone."""
    other = root / "images/pytorch/2.3.0-python3.10-debian/Dockerfile"
    other.write_text("stale\n")
    plant(root, LEAF, "link to a folder", outside)

    with pytest.raises(UserError, match="is a symbolic link"):
        render(open_project(str(root / "matrix.toml")))
    assert other.read_text() == "stale\n"


@pytest.mark.parametrize("path", ["", ".", "..", "a/..", "/a", "a//b", "a/", "a\0b", "a\x1bb", "a\u2028b", "caf\udce9"])
def test_paths_that_are_none(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError):
        Tree(tmp_path).read(path)


def test_two_that_add_at_once_lose_no_row(root: Path) -> None:
    """Each writes what the other one wrote as well: the second waits for the first."""
    command = [sys.executable, "-m", "imagematrix", "add", "plain", "base=debian"]
    started = [
        subprocess.Popen([*command, f"python={python}"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for python in ("3.12", "3.13")
    ]
    said = [process.communicate(timeout=60)[0].decode() for process in started]

    assert [process.returncode for process in started] == [0, 0], said
    names = {row.name for row in open_project(str(root / "matrix.toml")).matrix.rows}
    assert {"plain:3.12-debian", "plain:3.13-debian"} <= names
