"""Files of layers that memory has no room for: their bytes go from disk to disk, hashed once."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pytest
from tests import projects
from tests.fakes import job_of

from imagematrix import tree
from imagematrix.engine import buildx
from imagematrix.errors import InputError
from imagematrix.model import DockerfileBuild, Node
from imagematrix.planning import keys
from imagematrix.project import Project, Selection, examine

LAYER: Final = "common/layers/torch"
TEMPLATE: Final = "COPY torch/weights.bin /weights.bin\n"
FILES: Final[Mapping[str, str]] = {**projects.FILES, f"{LAYER}/Dockerfile.j2": TEMPLATE}
BIG: Final = 9 * 2**20
LEAF: Final = "images/pytorch/2.3.0-python3.10-cuda"


def made(root: Path, *, size: int = BIG) -> Project:
    """Make a project whose layer copies a file of so many bytes: a hole with some words at its end."""
    projects.write(root, files=FILES)
    with (root / LAYER / "files/weights.bin").open("wb") as stream:
        stream.truncate(size - 3)
        stream.seek(0, 2)
        stream.write(b"end")
    (root / LAYER / "files/weights.bin").chmod(0o755)
    return projects.project(root, files=FILES)


def node(project: Project) -> Node:
    return next(node for node in projects.dag(project, projects.PYTORCH).order() if node.layer == "torch")


def work(project: Project) -> DockerfileBuild:
    """Return what is to be done for that node."""
    plan = projects.plan(project, projects.PYTORCH)
    step = next(step for step in plan.steps if step.node.layer == "torch")
    made = job_of(plan)(step, {}).work
    assert isinstance(made, DockerfileBuild)
    return made


def written(project: Project, *only: str) -> None:
    leaves = project.leaves(project.possible(project.rows(Selection(only=only))))
    project.repository.leaves.write(project.files(leaves), keep=project.directories())


def stale(project: Project) -> list[str]:
    leaves = project.leaves(project.possible(project.rows(Selection())))
    return list(project.repository.leaves.stale(project.files(leaves), keep=project.directories()))


def test_it_has_the_key_that_a_small_file_would_have(tmp_path: Path) -> None:
    """Images that were built when such files were read whole are not built again."""
    content = bytes(BIG - 3) + b"end"

    assert node(made(tmp_path)).inputs["file torch/weights.bin"] == f"0755 sha256 {hashlib.sha256(content).hexdigest()}"


def test_it_is_copied_into_leaf_and_context(tmp_path: Path) -> None:
    project, content, stream = made(tmp_path), bytes(BIG - 3) + b"end", io.BytesIO()
    written(project)
    buildx.write_context(work(project), stream)

    assert (tmp_path / LEAF / "torch/weights.bin").read_bytes() == content
    assert os.access(tmp_path / LEAF / "torch/weights.bin", os.X_OK)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        member = archive.extractfile("torch/weights.bin")
        assert member
        assert member.read() == content
    assert stale(project) == []


@pytest.mark.parametrize("folder", ["common/leaf", f"{LAYER}/leaf"])
def test_it_may_stand_beside_a_dockerfile(tmp_path: Path, folder: str) -> None:
    projects.write(tmp_path)
    (tmp_path / folder).mkdir()
    with (tmp_path / folder / "sample.bin").open("wb") as stream:
        stream.truncate(BIG)
    written(projects.project(tmp_path), projects.PYTORCH)

    assert (tmp_path / LEAF / "sample.bin").stat().st_size == BIG


@pytest.mark.parametrize("damage", [b"x", b"longer"])
def test_a_leaf_whose_copy_differs_is_stale(tmp_path: Path, damage: bytes) -> None:
    """Also where only its bytes do; and it is written again."""
    project = made(tmp_path)
    written(project)
    copy = tmp_path / LEAF / "torch/weights.bin"
    with copy.open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(damage)

    assert [line.partition(": ")[0] for line in stale(project)] == [f"{LEAF}/torch/weights.bin"]
    written(project)
    assert stale(project) == []
    copy.chmod(0o644)
    assert [line.partition(": ")[2] for line in stale(project)] == ["should be executable"]


def test_a_small_file_in_whose_place_a_big_one_lies(tmp_path: Path) -> None:
    """Its leaf is stale; what is there is not read to say so."""
    project = made(tmp_path)
    written(project)
    with (tmp_path / LEAF / "Dockerfile").open("r+b") as stream:
        stream.truncate(10**13)

    assert [line.partition(": ")[0] for line in stale(project)] == [f"{LEAF}/Dockerfile"]


def test_it_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows and stages have it, and however often the project is opened."""
    hashed: list[str] = []
    whole = keys.sha256_of

    def counted(chunks: Iterable[bytes]) -> str:
        hashed.append(whole(chunks))
        return hashed[-1]

    monkeypatch.setattr(keys, "sha256_of", counted)
    tree._sha256.cache_clear()

    assert node(made(tmp_path)).key == node(projects.project(tmp_path, files=FILES)).key
    assert len(hashed) == 1


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    """What is built is what was hashed, or nothing."""
    project = made(tmp_path)
    changing = work(project)
    with (tmp_path / LAYER / "files/weights.bin").open("r+b") as stream:
        stream.write(b"other")

    with pytest.raises(InputError) as caught:
        buildx.write_context(changing, io.BytesIO())
    assert [problem.code for problem in caught.value.diagnostics] == ["changed"]
    with pytest.raises(InputError):
        written(project)
    assert not (tmp_path / LEAF / "torch/weights.bin").exists()


@pytest.mark.parametrize(
    "place", [f"{LAYER}/Dockerfile.j2", f"{LAYER}/files/requirements.txt.j2", f"{LAYER}/files/README.md"]
)
def test_a_text_that_is_too_big(tmp_path: Path, place: str) -> None:
    """A template is held in memory: it is refused unread."""
    file = projects.write(tmp_path)
    with (tmp_path / place).open("wb") as stream:
        stream.truncate(10**12)

    [problem] = [problem for problem in examine(str(file)).diagnostics if problem.code == "oversized_file"]
    assert problem.file == place


PROGRAM: Final = """
import re, sys
from pathlib import Path
from tests.hostile import test_big_files as big

def peak():  # ru_maxrss would be that of the process that started this one, where it is more
    return re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]

root = Path(sys.argv[1])
project = big.projects.project(root, files=big.FILES)
before = peak()
big.written(project, big.projects.PYTORCH)
with open("/dev/null", "wb") as stream:
    big.buildx.write_context(big.work(project), big.Sized(stream))
print(before, peak())
"""


class Sized:
    """A stream that forgets what is written to it, but not how much."""

    def __init__(self, stream: io.BufferedWriter) -> None:
        self._stream = stream
        self._size = 0

    def write(self, data: bytes) -> int:
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size


@pytest.mark.timeout(300)
def test_a_big_file_takes_no_memory(tmp_path: Path) -> None:
    """One of 512 MB is hashed, copied into a leaf and put into a context; a gigabyte took 52 MB, 43 MB without it."""
    made(tmp_path, size=2**29)

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )

    before, most = map(int, done.stdout.split())
    assert most < 200 * 1024, (before, most)
