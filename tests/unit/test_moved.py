"""What a refresh builds again, what of it has moved, and what that does to keys."""

import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests import projects
from tests.projects import CUDA, FILES, PLAIN, PYTORCH

from imagematrix.audit import Entry, Kind
from imagematrix.engine import comparing, saved
from imagematrix.planning import moved
from imagematrix.planning.reproducible import Fingerprint
from imagematrix.project import Project

EPOCH, LATER = "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"
DEBIAN = "pytorch:2.3.0-python3.10-debian"


def due(project: Project, *settled: str) -> list[str]:
    """Return the layers that a refresh would build next."""
    return sorted({node.layer for node in moved.due(projects.dag(project), settled)})


def named(project: Project, row: str, layer: str) -> str:
    """Return the name of a node in matrix.lock."""
    return next(node.moving for node in projects.dag(project, row).nodes.values() if node.layer == layer)


def at(project: Project, *names: str, epoch: str = EPOCH) -> Project:
    return replace(project, lock=moved.recorded(project.lock, names, epoch))


def test_only_the_lowest_are_due(tmp_path: Path) -> None:
    """What is built on one that may move waits for it: on a pulled base `system`, on one made here the base."""
    project = projects.project(tmp_path, lock=projects.lock({CUDA: "c"}))
    assert due(project) == ["base", "system"]
    first = [node.moving for node in moved.due(projects.dag(project), ())]
    assert len(first) == len(set(first)) == 2
    assert due(project, *first) == ["system", "torch"]
    everything = {node.moving for node in projects.dag(project).nodes.values()}
    assert due(project, *everything) == []


def test_a_node_that_moved_takes_with_it_what_is_built_on_it_alone(tmp_path: Path) -> None:
    """Rows on another base keep all of their keys."""
    project = projects.project(tmp_path, lock=projects.lock({CUDA: "c"}))
    before, after = projects.keys(project), projects.keys(at(project, named(project, PYTORCH, "system")))
    changed = {place for place, key in before.items() if after[place] != key}
    assert {row.rpartition("-")[2] for row, _ in changed} == {"cuda"}
    assert {layer for _, layer in changed} == {"system", "python", "torch", "boot"}


def test_the_later_epoch_counts(tmp_path: Path) -> None:
    """`--fresh` moves everything, what moved since then stays moved."""
    project = projects.project(tmp_path, lock=projects.lock({CUDA: "c"}, epoch=LATER))
    name = named(project, PYTORCH, "system")
    assert projects.keys(at(project, name)) == projects.keys(project)
    assert projects.keys(at(project, name, epoch=LATER + "1")) != projects.keys(project)


def test_a_name_is_the_same_at_each_epoch(tmp_path: Path) -> None:
    project = projects.project(tmp_path)
    assert named(at(project, named(project, PLAIN, "base")), PLAIN, "base") == named(project, PLAIN, "base")


def test_nodes_that_download_nothing_that_moves_are_left_alone(tmp_path: Path) -> None:
    files = {**FILES, **{f"common/layers/{layer}/Dockerfile.j2": "ENV X=1\n" for layer in ("system", "torch")}}
    project = projects.project(tmp_path, files=files)
    assert due(project) == ["base"]


LOGS = [
    "var/log/apt/history.log",
    "var/cache/ldconfig/aux-cache",
    "tmp/x",
    "root/.cache/pip/a",
    "opt/x/__pycache__/a.pyc",
    "opt/y/.git/index",
    "opt/y/.git/objects/pack/pack-1.pack",
    "etc/shadow-",
]


def _tar(files: Mapping[str, tuple[bytes, int, int]]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for path, (content, mode, time) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(content), mode, time
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def _content(files: Mapping[str, tuple[bytes, int, int]]) -> dict[str, Fingerprint]:
    """Return what a filesystem layer with some files (path -> content, mode, time) holds."""
    manifest = b'[{"Layers": ["blobs/sha256/aa"]}]'
    image = _tar({"blobs/sha256/aa": (_tar(files), 0o644, 0), "manifest.json": (manifest, 0o644, 0)})
    (layer,) = saved.layers(iter([image]), comparing.fingerprints)
    return dict(layer)


def test_times_and_noise_do_not_count() -> None:
    old = {"opt/x": (b"1", 0o644, 5), **dict.fromkeys(LOGS, (b"1", 420, 5))}
    new = {"opt/x": (b"1", 0o644, 6), **dict.fromkeys(LOGS[:-1], (b"2", 384, 6))}
    assert moved.change(_content(old), _content(new)) is None
    assert {path for path in LOGS if not moved.is_noise(path)} == set()


@pytest.mark.parametrize(
    ("new", "what"),
    [
        ({"opt/x": (b"2", 0o644, 5)}, "content"),
        ({"opt/x": (b"1", 0o755, 5)}, "mode"),
        ({}, "presence"),
    ],
)
def test_what_else_differs_counts(new: Mapping[str, tuple[bytes, int, int]], what: str) -> None:
    change = moved.change(_content({"opt/x": (b"1", 0o644, 5)}), _content(new))
    assert change
    assert (change.path, change.what) == ("opt/x", what)


def test_the_day_of_a_password_does_not_count() -> None:
    """A step that makes a user writes the day on which it ran."""
    one, other, another = (
        {"etc/shadow": (f"root:*:1::\nuser:{word}:{day}:0:99999:7:::\n".encode(), 0o640, 0)}
        for word, day in (("!", 20000), ("!", 20001), ("$y$hash", 20001))
    )
    assert moved.change(_content(one), _content(other)) is None
    assert moved.change(_content(one), _content(another)) is not None


def test_layers_that_are_shared_are_not_read() -> None:
    layers = {f"blobs/sha256/{name}": (_tar({name: (b"1", 0o644, 0)}), 0o644, 0) for name in ("aa", "bb")}
    image = _tar({**layers, "manifest.json": (b'[{"Layers": ["blobs/sha256/aa", "blobs/sha256/bb"]}]', 0o644, 0)})
    assert saved.layers(
        iter([image]), lambda blob: [entry.path for entry in blob.entries()], skipped={"sha256:aa"}
    ) == [["bb"]]


def test_a_file_is_known_by_a_strong_hash() -> None:
    """A checksum of 32 bits would let a file pass that was made to have the same one."""
    entry = Entry(path="opt/x", kind=Kind.FILE, checked=lambda: 1, hashed=lambda: "strong")
    assert moved.fingerprint(entry).content == "strong"
