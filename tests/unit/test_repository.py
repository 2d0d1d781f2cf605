"""The repository on disk: what is written, what is left alone, what is reported when the disk refuses."""

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

from imagematrix.errors import DiskError, InputError
from imagematrix.model import File, Key
from imagematrix.planning.plan import Record
from imagematrix.repository import MANIFEST, Repository
from imagematrix.state import State

LEAF = "images/torch/1"
OTHER = "images/torch/2"
LONG_AGO = 1_000_000_000


def file(path: str, text: str = "text\n", *, executable: bool = False) -> File:
    return File(path=path, content=text.encode(), executable=executable)


FILES = (file("Dockerfile"), file("init/boot.sh", "#!/bin/sh\n", executable=True))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "matrix.toml")


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def write(repository: Repository, files: Sequence[File] = FILES, *others: str) -> tuple[str, ...]:
    """Write a leaf, and others like it; all are kept."""
    leaves = dict.fromkeys((LEAF, *others), files)
    return repository.leaves.write(leaves, keep=leaves)


def stale(repository: Repository, files: Sequence[File] = FILES) -> list[str]:
    return list(repository.leaves.stale({LEAF: files}, keep={LEAF}))


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


def test_a_leaf_is_written(repository: Repository) -> None:
    """With modes that do not depend on the umask, and a list of generated files."""
    before = os.umask(0o077)
    try:
        assert write(repository) == (LEAF,)
    finally:
        os.umask(before)

    assert tree(repository.root / LEAF) == {
        MANIFEST: "644 Dockerfile\ninit/boot.sh\n",
        "Dockerfile": "644 text\n",
        "init/boot.sh": "755 #!/bin/sh\n",
    }
    assert stale(repository) == []


def test_what_is_right_keeps_its_mtime(repository: Repository) -> None:
    """And what is not gets a new one: builders judge by it."""
    write(repository)
    age(repository.root)

    assert write(repository) == ()
    assert not young(repository.root)

    assert write(repository, (file("Dockerfile", "TEXT\n"), *FILES[1:])) == (LEAF,)
    assert young(repository.root) == {f"{LEAF}/Dockerfile"}


@pytest.mark.parametrize("executable", [True, False])
def test_a_mode_is_mended(repository: Repository, executable: bool) -> None:
    """Also when the content is right."""
    files = (file("run", executable=executable),)
    write(repository, files)
    (repository.root / LEAF / "run").chmod(0o644 if executable else 0o755)

    assert stale(repository, files) == [f"{LEAF}/run: should {'' if executable else 'not '}be executable"]
    assert write(repository, files) == (LEAF,)
    assert stale(repository, files) == []


def test_what_is_no_longer_rendered_is_deleted(repository: Repository) -> None:
    """With the folders that it leaves empty; what people put beside it stays."""
    write(repository, (*FILES, file("old/deep/a"), file("old/b")))
    (repository.root / LEAF / "notes.txt").write_text("mine\n")
    (repository.root / LEAF / "init/mine").write_text("mine\n")

    assert write(repository, FILES[:1]) == (LEAF,)
    assert tree(repository.root / LEAF).keys() == {MANIFEST, "Dockerfile", "notes.txt", "init/mine"}
    assert not (repository.root / LEAF / "old").exists()


def test_a_leaf_that_no_row_makes_is_deleted(repository: Repository) -> None:
    """All that is ours of it; a leaf that was not selected, and folders without our mark, stay."""
    write(repository, FILES, OTHER, "images/torch/3")
    (repository.root / "images/torch/3/mine").write_text("mine\n")
    (repository.root / "images/torch/hand").mkdir()
    (repository.root / "images/torch/hand/Dockerfile").write_text("FROM scratch\n")

    assert list(repository.leaves.stale({}, keep={LEAF})) == [
        f"{OTHER}: no row of the matrix makes this leaf",
        "images/torch/3: no row of the matrix makes this leaf",
    ]
    assert repository.leaves.write({}, keep={LEAF}) == (OTHER, "images/torch/3")
    assert {path.name for path in (repository.root / "images/torch").iterdir()} == {"1", "3", "hand"}
    assert tree(repository.root / "images/torch/3") == {"mine": "644 mine\n"}
    assert list(repository.leaves.stale({LEAF: FILES}, keep={LEAF})) == []


def test_a_file_becomes_a_folder_and_back(repository: Repository) -> None:
    """A layer's file may turn into a folder of the same name."""
    flat, deep = (file("conf"),), (file("conf/a"), file("conf/b/c"))
    for files in (flat, deep, flat):
        write(repository, files)
        assert stale(repository, files) == []


@pytest.mark.parametrize("path", ["../../../precious", "{root}/precious", "init/../../../../precious"])
def test_a_manifest_reaches_no_further_than_its_leaf(repository: Repository, path: str) -> None:
    """It comes with a checkout, from anyone: what it says of other places is not believed."""
    write(repository)
    precious = repository.root / "precious"
    precious.write_text("mine\n")
    (repository.root / LEAF / MANIFEST).write_text(path.format(root=repository.root) + "\nDockerfile\n")

    write(repository)
    repository.leaves.write({}, keep=())
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
def test_the_first_difference_is_told(repository: Repository, found: str, what: str) -> None:
    """File, line, what is there, what should be."""
    files = (file("a/b", "one\ntwo\nthree\n"),)
    write(repository, files)
    (repository.root / LEAF / "a/b").write_bytes(found.encode())

    assert stale(repository, files) == ([f"{LEAF}/a/b{what}"] if what else [])


def test_what_is_stale_besides(repository: Repository) -> None:
    """Missing files, files too many, a list of files that is not ours, a leaf that is not there at all."""
    write(repository, (*FILES, file("gone")))
    (repository.root / LEAF / "Dockerfile").unlink()

    assert stale(repository) == [
        f"{LEAF}/Dockerfile: is missing",
        f"{LEAF}/{MANIFEST}:3: has 'gone', should have ''",
        f"{LEAF}/gone: is not part of the leaf: remove it",
    ]
    assert list(repository.leaves.stale({OTHER: FILES[:1]}, keep={LEAF, OTHER})) == [
        f"{OTHER}/Dockerfile: is missing",
        f"{OTHER}/{MANIFEST}: is missing",
    ]


def test_what_is_stale_is_what_render_writes(repository: Repository) -> None:
    """After a write nothing is stale, and a lost list of files is written again."""
    write(repository)
    (repository.root / LEAF / MANIFEST).unlink()

    assert stale(repository) == [f"{LEAF}/{MANIFEST}: is missing"]
    assert write(repository) == (LEAF,)
    assert stale(repository) == []


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
def test_the_disk_refuses(
    repository: Repository, state: State, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """Which file, why, and what to do; what was there is whole, and nothing half-made lies about."""
    write(repository)
    repository.write_lock("schema = 1\n")
    before = tree(repository.root)

    with failing_writes(monkeypatch, number):
        with pytest.raises(DiskError) as caught:
            write(repository, (file("Dockerfile", "new\n"), *FILES[1:], file("new")))
        assert str(caught.value) == f"cannot write {repository.root / LEAF / 'Dockerfile'}: {words}"
        with pytest.raises(DiskError, match=r"^cannot write .*matrix\.lock: "):
            repository.write_lock("schema = 2\n")
        with pytest.raises(DiskError, match=r"^cannot write .*report\.json: "):
            state.write(repository.root / "reports/report.json", "{}")
    assert tree(repository.root) == before


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Repository]:
    """Give a project on a file system of 64 KiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield Repository(tmp_path / "matrix.toml")
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_disk_that_is_really_full(tiny: Repository) -> None:
    """Leaves and lock end the command, in the same words; a record is lost. What was there is whole."""
    write(tiny)
    state = State(tiny.root)
    with state.sole_builder(waiting=lambda: None):
        state.remember(record("a"))
        before = tree(tiny.root)
        full = r"^cannot write .*: the disk is full\."

        with pytest.raises(DiskError, match=full):
            write(tiny, (file("Dockerfile", "new\n" * 50_000), *FILES[1:]))
        with pytest.raises(DiskError, match=full):
            tiny.write_lock("a" * 100_000)
        assert tree(tiny.root) == before
        state.remember(record("b" * 100_000))
    assert state.history()[0] == record("a")


def test_a_read_only_project(tiny: Repository) -> None:
    """No build begins in a place that cannot remember it."""
    state = State(tiny.root)
    with state.sole_builder(waiting=lambda: None):
        pass
    (tiny.root / ".imagematrix/build.lock").unlink(missing_ok=True)
    subprocess.run(["mount", "-o", "remount,ro", str(tiny.root)], check=True)

    with (
        pytest.raises(DiskError, match=r"^cannot write .*: the file system is read-only$"),
        state.sole_builder(waiting=lambda: None),
    ):
        pytest.fail("began")


def test_no_matrix(repository: Repository) -> None:
    """Where it was looked for, and what to do."""
    with pytest.raises(InputError) as caught:
        repository.matrix_text()
    assert str(caught.value) == (
        f"{repository.matrix_file}: error: no such file [IM2007 unreadable]\n"
        "    run this in a project's root, name its matrix with --file, or begin a project with `invoke init`"
    )


@pytest.mark.parametrize("name", ["matrix.toml", "matrix.lock"])
def test_text_that_is_not_utf8(repository: Repository, name: str) -> None:
    """Told as a mistake in that file."""
    (repository.root / name).write_bytes(b"# one\n# caf\xe9\n")
    read = repository.matrix_text if name == "matrix.toml" else repository.lock_text

    with pytest.raises(InputError, match=rf"^{name}:2: error: is not UTF-8: "):
        read()


def test_a_byte_order_mark_is_passed_over(repository: Repository) -> None:
    """Editors of another system begin files with one."""
    repository.matrix_file.write_bytes(b"\xef\xbb\xbfschema = 1\n")
    assert repository.matrix_text() == "schema = 1\n"


def test_the_lock(repository: Repository) -> None:
    """Is empty where there is none."""
    assert repository.lock_text() == ""
    repository.write_lock("schema = 1\n")
    assert repository.lock_text() == "schema = 1\n"


def test_sources(repository: Repository) -> None:
    """Layers with a template, their files by path, boot files as they lie in a leaf, the script of bases."""
    for path in ("layers/a/Dockerfile.j2", "layers/a/files/x/y", "layers/b/notes", "init/boot.sh"):
        (repository.root / "common" / path).parent.mkdir(parents=True, exist_ok=True)
        (repository.root / "common" / path).write_text(path)
    (repository.root / "common/init/boot.sh").chmod(0o755)

    sources = repository.common.sources()
    own = {layer: whole for layer, whole in repository.common.layers().items() if repository.common.is_own(layer)}
    assert own == {"a": True, "b": False}
    assert file("init/boot.sh", "init/boot.sh", executable=True) in sources.init
    assert "b" not in sources.layers
    assert sources.layers["a"].files == (file("x/y", "layers/a/files/x/y"),)
    assert sources.layers["a"].template_path == "common/layers/a/Dockerfile.j2"


def record(key: str) -> Record:
    return Record(key=Key(key), layer="python", inputs={"text": "é\n"}, rows=("torch:1",), seconds=1.5)


def remember(state: State, *keys: str) -> None:
    with state.sole_builder(waiting=lambda: None):
        for key in keys:
            state.remember(record(key))


def test_what_was_built_is_remembered(repository: Repository, state: State) -> None:
    """Oldest first, over any number of runs; in a folder that git passes over."""
    assert state.history() == []
    remember(state, "a", "b")
    remember(state, "c")

    assert state.history() == [record("a"), record("b"), record("c")]
    assert (repository.root / ".imagematrix/.gitignore").read_text() == "*\n"


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_half_written_record(repository: Repository, state: State, kept: int) -> None:
    """Is skipped, and nothing that is remembered after it is lost."""
    remember(state, "a", "b")
    path = repository.root / ".imagematrix/built.jsonl"
    first, second = [line for line in path.read_text().splitlines(keepends=True) if line.strip()]
    path.write_text(first + second.rstrip("\n")[:kept])

    assert state.history() == [record("a")]
    remember(state, "c")
    assert state.history() == [record("a"), record("c")]


@pytest.mark.parametrize("line", [b"\0\0\0\n", b"\xff\xfe\n", b"[]\n", b"3\n", b'{"key": "a"}\n'])
def test_a_record_that_is_none(repository: Repository, state: State, line: bytes) -> None:
    """Whatever a crash leaves in the file, at most reasons are lost."""
    remember(state, "a")
    with (repository.root / ".imagematrix/built.jsonl").open("ab") as stream:
        stream.write(b"\n" + line)

    assert state.history() == [record("a")]


def test_logs_have_a_folder(repository: Repository, state: State) -> None:
    """A node's output can be followed as it is written; another try adds to it."""
    with state.log("python-1.log") as log:
        log.write("text\n")
        assert (repository.root / log.path).read_text() == "text\n"
    with state.log("python-1.log") as log:
        log.write("more\n")

    assert log.path == ".imagematrix/logs/python-1.log"
    assert (repository.root / log.path).read_text() == "text\nmore\n"


def test_the_last_sixty_runs_are_kept(state: State) -> None:
    """Under names that sort by time; a run that is added to stays one."""
    for number in range(70):
        state.keep_run(f"2026-11-22T0304{number:02}Z", f"{number}")
    state.keep_run("2026-11-22T030469Z", "69 and its checks")

    runs = state.runs()

    assert list(runs) == [f"2026-11-22T0304{number:02}Z.json" for number in range(10, 70)]
    assert runs["2026-11-22T030469Z.json"] == "69 and its checks"


def test_two_builders_wait_for_each_other(state: State) -> None:
    """The second is notified once, and continues when the first has ended."""
    order: list[str] = []
    told = threading.Event()

    def waiting() -> None:
        order.append("told")
        told.set()

    def second() -> None:
        with state.sole_builder(waiting=waiting):
            order.append("second")

    with state.sole_builder(waiting=lambda: order.append("never")):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(10)
        order.append("first ends")
    thread.join(10)
    assert order == ["told", "first ends", "second"]


def test_a_killed_builder_holds_nothing(repository: Repository, state: State) -> None:
    """The lock goes with the process that had it."""
    program = (
        "import os, pathlib, imagematrix.state as s\n"
        f"with s.State(pathlib.Path({str(repository.root)!r})).sole_builder(waiting=print): os._exit(9)\n"
    )
    source = str(Path(__file__).parents[2] / "src")
    ended = subprocess.run([sys.executable, "-c", program], check=False, env={**os.environ, "PYTHONPATH": source})

    assert ended.returncode == 9
    with state.sole_builder(waiting=lambda: pytest.fail("waits")):
        pass


def test_remains_of_a_killed_write_are_cleared(repository: Repository) -> None:
    write(repository, FILES)
    remains = repository.root / LEAF / "init/.writing-abc"
    remains.parent.mkdir(exist_ok=True)
    remains.write_text("half")

    write(repository, FILES)

    assert not remains.exists()
