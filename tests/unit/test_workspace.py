"""The repository on disk: what is written, what is left alone, what is told when the disk refuses."""

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from imagematrix.errors import InputError, WorkspaceError
from imagematrix.model import File, Key
from imagematrix.planning.plan import Record
from imagematrix.workspace import MANIFEST, Workspace

LEAF = "images/torch/1"
OTHER = "images/torch/2"
LONG_AGO = 1_000_000_000


def file(path: str, text: str = "text\n", *, executable: bool = False) -> File:
    return File(path=path, content=text.encode(), executable=executable)


FILES = (file("Dockerfile"), file("init/boot.sh", "#!/bin/sh\n", executable=True))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "matrix.toml")


def write(workspace: Workspace, files: Sequence[File] = FILES, *others: str) -> tuple[str, ...]:
    """Write a leaf, and others like it; all are kept."""
    leaves = dict.fromkeys((LEAF, *others), files)
    return workspace.write_leaves(leaves, keep=leaves)


def stale(workspace: Workspace, files: Sequence[File] = FILES) -> list[str]:
    return list(workspace.stale({LEAF: files}, keep={LEAF}))


def tree(folder: Path) -> Mapping[str, str]:
    """Return path -> mode and content of all files below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): f"{stat.S_IMODE(path.stat().st_mode):o} {path.read_text()}"
        for path in paths
    }


def age(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def young(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in files if path.stat().st_mtime != LONG_AGO}


def test_a_leaf_is_written(workspace: Workspace) -> None:
    """With modes that depend on nobody's umask, and a list of what is ours."""
    before = os.umask(0o077)
    try:
        assert write(workspace) == (LEAF,)
    finally:
        os.umask(before)

    assert tree(workspace.root / LEAF) == {
        MANIFEST: "644 Dockerfile\ninit/boot.sh\n",
        "Dockerfile": "644 text\n",
        "init/boot.sh": "755 #!/bin/sh\n",
    }
    assert stale(workspace) == []


def test_what_is_right_keeps_its_mtime(workspace: Workspace) -> None:
    """And what is not gets a new one: builders judge by it."""
    write(workspace)
    age(workspace.root)

    assert write(workspace) == ()
    assert not young(workspace.root)

    assert write(workspace, (file("Dockerfile", "TEXT\n"), *FILES[1:])) == (LEAF,)
    assert young(workspace.root) == {f"{LEAF}/Dockerfile"}


@pytest.mark.parametrize("executable", [True, False])
def test_a_mode_is_mended(workspace: Workspace, executable: bool) -> None:
    """Also when the content is right."""
    files = (file("run", executable=executable),)
    write(workspace, files)
    (workspace.root / LEAF / "run").chmod(0o644 if executable else 0o755)

    assert stale(workspace, files) == [f"{LEAF}/run: should {'' if executable else 'not '}be executable"]
    assert write(workspace, files) == (LEAF,)
    assert stale(workspace, files) == []


def test_what_is_no_longer_rendered_is_deleted(workspace: Workspace) -> None:
    """With the folders that it leaves empty; what people put beside it stays."""
    write(workspace, (*FILES, file("old/deep/a"), file("old/b")))
    (workspace.root / LEAF / "notes.txt").write_text("mine\n")
    (workspace.root / LEAF / "init/mine").write_text("mine\n")

    assert write(workspace, FILES[:1]) == (LEAF,)
    assert tree(workspace.root / LEAF).keys() == {MANIFEST, "Dockerfile", "notes.txt", "init/mine"}
    assert not (workspace.root / LEAF / "old").exists()


def test_a_leaf_that_no_row_makes_is_deleted(workspace: Workspace) -> None:
    """All that is ours of it; a leaf that was not selected, and folders without our mark, stay."""
    write(workspace, FILES, OTHER, "images/torch/3")
    (workspace.root / "images/torch/3/mine").write_text("mine\n")
    (workspace.root / "images/torch/hand").mkdir()
    (workspace.root / "images/torch/hand/Dockerfile").write_text("FROM scratch\n")

    assert list(workspace.stale({}, keep={LEAF})) == [
        f"{OTHER}: no row of the matrix makes this leaf",
        "images/torch/3: no row of the matrix makes this leaf",
    ]
    assert workspace.write_leaves({}, keep={LEAF}) == (OTHER, "images/torch/3")
    assert {path.name for path in (workspace.root / "images/torch").iterdir()} == {"1", "3", "hand"}
    assert tree(workspace.root / "images/torch/3") == {"mine": "644 mine\n"}
    assert list(workspace.stale({LEAF: FILES}, keep={LEAF})) == []


def test_a_file_becomes_a_folder_and_back(workspace: Workspace) -> None:
    """A layer's file may turn into a folder of the same name."""
    flat, deep = (file("conf"),), (file("conf/a"), file("conf/b/c"))
    for files in (flat, deep, flat):
        write(workspace, files)
        assert stale(workspace, files) == []


@pytest.mark.parametrize("path", ["../../../precious", "{root}/precious", "init/../../../../precious"])
def test_a_manifest_reaches_no_further_than_its_leaf(workspace: Workspace, path: str) -> None:
    """It comes with a checkout, from anyone: what it says of other places is not believed."""
    write(workspace)
    precious = workspace.root / "precious"
    precious.write_text("mine\n")
    (workspace.root / LEAF / MANIFEST).write_text(path.format(root=workspace.root) + "\nDockerfile\n")

    write(workspace)
    workspace.write_leaves({}, keep=())
    assert precious.read_text() == "mine\n"


@pytest.mark.parametrize(
    ("found", "what"),
    [
        pytest.param("one\ntwo\nthree\n", "", id="equal"),
        pytest.param("one\nTWO\nthree\n", ":2: has 'TWO', should have 'two'", id="a line differs"),
        pytest.param("one\n", ":2: has '', should have 'two'", id="too short"),
        pytest.param("one\ntwo\nthree\nfour\n", ":4: has 'four', should have ''", id="too long"),
        pytest.param("one\ntwo\nthree", ":4: has nothing, should have ''", id="without the last newline"),
        pytest.param("one\r\ntwo\r\nthree\r\n", r":1: has 'one\r', should have 'one'", id="another system's line ends"),
    ],
)
def test_the_first_difference_is_told(workspace: Workspace, found: str, what: str) -> None:
    """File, line, what is there, what should be."""
    files = (file("a/b", "one\ntwo\nthree\n"),)
    write(workspace, files)
    (workspace.root / LEAF / "a/b").write_bytes(found.encode())

    assert stale(workspace, files) == ([f"{LEAF}/a/b{what}"] if what else [])


def test_what_is_stale_besides(workspace: Workspace) -> None:
    """Missing files, files too many, a list of files that is not ours, a leaf that is not there at all."""
    write(workspace, (*FILES, file("gone")))
    (workspace.root / LEAF / "Dockerfile").unlink()

    assert stale(workspace) == [
        f"{LEAF}/Dockerfile: is missing",
        f"{LEAF}/{MANIFEST}:3: has 'gone', should have ''",
        f"{LEAF}/gone: is not part of the leaf: remove it",
    ]
    assert list(workspace.stale({OTHER: FILES[:1]}, keep={LEAF, OTHER})) == [
        f"{OTHER}/Dockerfile: is missing",
        f"{OTHER}/{MANIFEST}: is missing",
    ]


def test_what_is_stale_is_what_render_writes(workspace: Workspace) -> None:
    """After a write nothing is stale, and a lost list of files is written again."""
    write(workspace)
    (workspace.root / LEAF / MANIFEST).unlink()

    assert stale(workspace) == [f"{LEAF}/{MANIFEST}: is missing"]
    assert write(workspace) == (LEAF,)
    assert stale(workspace) == []


@contextmanager
def failing_writes(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """Let the system refuse to move a file into its place: its data is written by then, or should be."""

    def refuse(_source: object, target: object) -> None:
        raise OSError(number, os.strerror(number), str(target))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        patch.setattr(Path, "replace", refuse)
        yield


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full. Free some space (`docker system df` shows what images use) and run it again"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_the_disk_refuses(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    """Which file, why, and what to do; what was there is whole, and nothing half-made lies about."""
    write(workspace)
    workspace.write_lock("schema = 1\n")
    before = tree(workspace.root)

    with failing_writes(monkeypatch, number):
        with pytest.raises(WorkspaceError) as caught:
            write(workspace, (file("Dockerfile", "new\n"), *FILES[1:], file("new")))
        assert str(caught.value) == f"cannot write {workspace.root / LEAF / 'Dockerfile'}: {words}"
        with pytest.raises(WorkspaceError, match=r"^cannot write .*matrix\.lock: "):
            workspace.write_lock("schema = 2\n")
        with pytest.raises(WorkspaceError, match=r"^cannot write .*report\.json: "):
            workspace.write(workspace.root / "reports/report.json", "{}")
    assert tree(workspace.root) == before


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Workspace]:
    """Give a workspace on a file system of 64 KiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield Workspace(tmp_path / "matrix.toml")
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_disk_that_is_really_full(tiny: Workspace) -> None:
    """Leaves and lock end the command, in the same words; a record is lost. What was there is whole."""
    write(tiny)
    with tiny.sole_builder(waiting=lambda: None):
        tiny.remember(record("a"))
        before = tree(tiny.root)
        full = r"^cannot write .*: the disk is full\."

        with pytest.raises(WorkspaceError, match=full):
            write(tiny, (file("Dockerfile", "new\n" * 50_000), *FILES[1:]))
        with pytest.raises(WorkspaceError, match=full):
            tiny.write_lock("a" * 100_000)
        assert tree(tiny.root) == before
        tiny.remember(record("b" * 100_000))
    assert tiny.history()[0] == record("a")


def test_a_read_only_project(tiny: Workspace) -> None:
    """No build begins in a place that cannot remember it."""
    with tiny.sole_builder(waiting=lambda: None):
        pass
    (tiny.root / ".imagematrix/build.lock").unlink(missing_ok=True)
    subprocess.run(["mount", "-o", "remount,ro", str(tiny.root)], check=True)

    with (
        pytest.raises(WorkspaceError, match=r"^cannot write .*: the file system is read-only$"),
        tiny.sole_builder(waiting=lambda: None),
    ):
        pytest.fail("began")


def test_no_matrix(workspace: Workspace) -> None:
    """Where it was looked for, and what to do."""
    with pytest.raises(InputError) as caught:
        workspace.matrix_text()
    assert str(caught.value) == (
        f"{workspace.matrix_file}: no such file\n    run this in a project's root, or name its matrix with --file"
    )


@pytest.mark.parametrize("name", ["matrix.toml", "matrix.lock"])
def test_text_that_is_not_utf8(workspace: Workspace, name: str) -> None:
    """Told as a mistake in that file."""
    (workspace.root / name).write_bytes(b"# caf\xe9\n")
    read = workspace.matrix_text if name == "matrix.toml" else workspace.lock_text

    with pytest.raises(InputError, match=rf"^{name}: is not UTF-8: "):
        read()


def test_a_byte_order_mark_is_passed_over(workspace: Workspace) -> None:
    """Editors of another system begin files with one."""
    workspace.matrix_file.write_bytes(b"\xef\xbb\xbfschema = 1\n")
    assert workspace.matrix_text() == "schema = 1\n"


def test_the_lock(workspace: Workspace) -> None:
    """Is empty where there is none."""
    assert workspace.lock_text() == ""
    workspace.write_lock("schema = 1\n")
    assert workspace.lock_text() == "schema = 1\n"


def test_sources(workspace: Workspace) -> None:
    """Layers with a template, their files by path, boot files as they lie in a leaf, the script of bases."""
    for path in ("layers/a/Dockerfile.j2", "layers/a/files/x/y", "layers/b/notes", "init/boot.sh"):
        (workspace.root / "common" / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / "common" / path).write_text(path)
    (workspace.root / "common/init/boot.sh").chmod(0o755)

    sources = workspace.sources()
    assert workspace.layers() == {"a": True, "b": False}
    assert sources.bootstrap is None
    assert sources.init == (file("init/boot.sh", "init/boot.sh", executable=True),)
    assert list(sources.layers) == ["a"]
    assert sources.layers["a"].files == (file("x/y", "layers/a/files/x/y"),)
    assert sources.layers["a"].template_path == "common/layers/a/Dockerfile.j2"


def record(key: str) -> Record:
    return Record(key=Key(key), layer="python", inputs={"text": "é\n"}, rows=("torch:1",), seconds=1.5)


def remember(workspace: Workspace, *keys: str) -> None:
    with workspace.sole_builder(waiting=lambda: None):
        for key in keys:
            workspace.remember(record(key))


def test_what_was_built_is_remembered(workspace: Workspace) -> None:
    """Oldest first, over any number of runs; in a folder that git passes over."""
    assert workspace.history() == []
    remember(workspace, "a", "b")
    remember(workspace, "c")

    assert workspace.history() == [record("a"), record("b"), record("c")]
    assert (workspace.root / ".imagematrix/.gitignore").read_text() == "*\n"


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_half_written_record(workspace: Workspace, kept: int) -> None:
    """Is passed over, and costs nothing of what is remembered after it."""
    remember(workspace, "a", "b")
    path = workspace.root / ".imagematrix/built.jsonl"
    first, second = [line for line in path.read_text().splitlines(keepends=True) if line.strip()]
    path.write_text(first + second.rstrip("\n")[:kept])

    assert workspace.history() == [record("a")]
    remember(workspace, "c")
    assert workspace.history() == [record("a"), record("c")]


@pytest.mark.parametrize("line", [b"\0\0\0\n", b"\xff\xfe\n", b"[]\n", b"3\n", b'{"key": "a"}\n'])
def test_a_record_that_is_none(workspace: Workspace, line: bytes) -> None:
    """Whatever a crash leaves in the file costs reasons at most."""
    remember(workspace, "a")
    with (workspace.root / ".imagematrix/built.jsonl").open("ab") as stream:
        stream.write(b"\n" + line)

    assert workspace.history() == [record("a")]


def test_logs_have_a_folder(workspace: Workspace) -> None:
    """A node's output can be followed as it is written; another try adds to it."""
    with workspace.log("python-1.log") as log:
        log.write("text\n")
        assert (workspace.root / log.path).read_text() == "text\n"
    with workspace.log("python-1.log") as log:
        log.write("more\n")

    assert log.path == ".imagematrix/logs/python-1.log"
    assert (workspace.root / log.path).read_text() == "text\nmore\n"


def test_the_last_sixty_runs_are_kept(workspace: Workspace) -> None:
    """Under names that sort by time; a run that is added to stays one."""
    for number in range(70):
        workspace.keep_run(f"2026-11-22T0304{number:02}Z", f"{number}")
    workspace.keep_run("2026-11-22T030469Z", "69 and its checks")

    runs = workspace.runs()

    assert list(runs) == [f"2026-11-22T0304{number:02}Z.json" for number in range(10, 70)]
    assert runs["2026-11-22T030469Z.json"] == "69 and its checks"


def test_two_builders_wait_for_each_other(workspace: Workspace) -> None:
    """The second is told once, and goes on when the first has ended."""
    order: list[str] = []
    told = threading.Event()

    def waiting() -> None:
        order.append("told")
        told.set()

    def second() -> None:
        with workspace.sole_builder(waiting=waiting):
            order.append("second")

    with workspace.sole_builder(waiting=lambda: order.append("never")):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(10)
        order.append("first ends")
    thread.join(10)
    assert order == ["told", "first ends", "second"]


def test_a_killed_builder_holds_nothing(workspace: Workspace) -> None:
    """The lock goes with the process that had it."""
    program = (
        "import os, pathlib, imagematrix.workspace as w\n"
        f"with w.Workspace(pathlib.Path({str(workspace.matrix_file)!r})).sole_builder(waiting=print): os._exit(9)\n"
    )
    source = str(Path(__file__).parents[2] / "src")
    ended = subprocess.run([sys.executable, "-c", program], check=False, env={**os.environ, "PYTHONPATH": source})

    assert ended.returncode == 9
    with workspace.sole_builder(waiting=lambda: pytest.fail("waits")):
        pass


def test_remains_of_a_killed_write_are_cleared(workspace: Workspace) -> None:
    write(workspace, FILES)
    remains = workspace.root / LEAF / "init/.writing-abc"
    remains.parent.mkdir(exist_ok=True)
    remains.write_text("half")

    write(workspace, FILES)

    assert not remains.exists()
