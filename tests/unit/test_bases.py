"""Which bases are asked for, and what is kept of the answers: a project on a disk, registries of our own."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests import projects
from tests.projects import CUDA, MATRIX

from imagematrix.commands.lock import bases
from imagematrix.planning import lock
from imagematrix.project import Selection, open_project
from imagematrix.registry import BaseDigest, host

OTHERS = MATRIX.replace('base = ["cuda", "debian"]', 'base = ["cuda", "here", "there", "fixed", "debian"]') + "".join(
    f'\n[bases.{name}]\nimage = "{image}"\nos = "ubuntu22.04"\n'
    for name, image in {
        "here": "registry.example/team/base:1",
        "there": "registry.example/team/base:2",
        "fixed": f"registry.example/team/base@sha256:{'f' * 64}",
    }.items()
)


@dataclass
class FakeRegistry:
    """Knows digests by image, each made of one letter; whole registries may be silent."""

    digests: Mapping[str, str] = field(default_factory=dict)
    silent: Collection[str] = ()
    asked: list[str] = field(default_factory=list)
    platforms: Collection[str] = ("linux/amd64",)
    """Those that all its images are for."""

    def digest(self, image: str, wanted: Collection[str], *, known: str = "") -> BaseDigest:
        self.asked.append(f"{image}@{known}" if known else image)
        if lacking := tuple({*wanted}.difference(self.platforms)):
            return BaseDigest(why=f"is not for {lacking[0]}", lacking=lacking)
        if known:
            return BaseDigest(digest=known)
        if host(image) in self.silent:
            return BaseDigest(why="dial tcp: no route", is_silent=True)
        if image not in self.digests:
            return BaseDigest(why=f"{image}: not found")
        return BaseDigest(digest=f"sha256:{self.digests[image] * 64}")

    def cancel(self) -> None:
        raise AssertionError("nobody stops this")


def ask(root: Path, registry: FakeRegistry, *only: str, upgrade: bool = False) -> list[str]:
    """Lock what lies on the disk; return what was said."""
    said: list[str] = []
    opened = open_project(str(root / "matrix.toml"))
    bases.run(
        opened,
        opened.possible(opened.rows(Selection(only=only))),
        registry=registry,
        upgrade=upgrade,
        say=said.append,
    )
    return said


def locked(root: Path) -> Mapping[str, str]:
    found = lock.parse((root / "matrix.lock").read_text())
    return {image: digest.removeprefix("sha256:")[0] for image, digest in found.bases.items()}


def test_bases_are_locked_once(tmp_path: Path) -> None:
    """The digest of each; those made here have none; the epoch stays."""
    projects.project(tmp_path, lock=projects.lock(epoch="monday"))
    assert ask(tmp_path, FakeRegistry({CUDA: "a"})) == [
        f"base {CUDA}: sha256:{'a' * 64}",
        "matrix.lock: commit it",
    ]
    assert locked(tmp_path) == {CUDA: "a"}
    assert open_project(str(tmp_path / "matrix.toml")).lock.epoch == "monday"

    again = FakeRegistry({CUDA: "b"})
    assert ask(tmp_path, again) == []
    assert again.asked == []
    assert ask(tmp_path, again, upgrade=True)[0] == f"base {CUDA}: sha256:{'b' * 64}"
    assert ask(tmp_path, again, upgrade=True) == []
    assert locked(tmp_path) == {CUDA: "b"}


def test_a_platform_that_comes_later(tmp_path: Path) -> None:
    """The digest that is locked is judged, and not moved; what was found is kept: no registry is asked again."""
    both = ("linux/amd64", "linux/arm64")
    matrix = MATRIX.replace("schema = 1", f"schema = 1\nplatforms = {list(both)}")
    projects.project(tmp_path, matrix=matrix, lock=projects.lock({CUDA: "a"}))
    digest = f"sha256:{'a' * 64}"

    alone = FakeRegistry({CUDA: "b"})
    assert ask(tmp_path, alone) == [
        f"base {CUDA}: is not for linux/arm64",
        (
            '    leave its rows out: [[families.NAME.exclude]] platform = "linux/arm64", reason = "…";'
            " `invoke lock --upgrade` looks for a newer image of the name"
        ),
    ]
    assert (alone.asked, locked(tmp_path)) == ([f"{CUDA}@{digest}"], {CUDA: "a"})

    assert ask(tmp_path, FakeRegistry({CUDA: "b"}, platforms=both)) == ["matrix.lock: commit it"]
    assert lock.parse((tmp_path / "matrix.lock").read_text()).platforms == {CUDA: ("linux/arm64",)}
    again = FakeRegistry({CUDA: "b"}, platforms=both)
    assert (ask(tmp_path, again), again.asked, locked(tmp_path)) == ([], [], {CUDA: "a"})
    assert ask(tmp_path, again, upgrade=True)[0] == f"base {CUDA}: sha256:{'b' * 64}"
    assert (again.asked, locked(tmp_path)) == ([CUDA], {CUDA: "b"})


def test_a_registry_that_does_not_answer(tmp_path: Path) -> None:
    """Is told once; what is locked stays; others are asked. A base that is given by its digest is never asked for."""
    projects.project(tmp_path, matrix=OTHERS, lock=projects.lock({"registry.example/team/base:1": "c"}))
    registry = FakeRegistry({CUDA: "a"}, silent=["registry.example"])

    assert ask(tmp_path, registry, upgrade=True) == [
        f"base {CUDA}: sha256:{'a' * 64}",
        "registry registry.example does not answer (dial tcp: no route): 2 bases in it are unchanged",
        "matrix.lock: commit it",
    ]
    assert locked(tmp_path) == {CUDA: "a", "registry.example/team/base:1": "c"}


def test_no_more_is_asked_of_a_silent_registry(tmp_path: Path) -> None:
    """Than the first question."""
    images = [f"registry.example/team/base:{number}" for number in range(40)]
    declared = "".join(f'[bases.b{at}]\nimage = "{image}"\nos = "ubuntu22.04"\n' for at, image in enumerate(images))
    names = [f"b{number}" for number in range(40)]
    matrix = MATRIX.replace('base = ["cuda", "debian"]', f"base = {names}") + declared
    projects.project(
        tmp_path,
        matrix=matrix.replace('[bases.cuda]\nimage = "nvidia/cuda:12.1.0-devel-ubuntu22.04"\nos = "ubuntu22.04"\n', ""),
    )
    registry = FakeRegistry(silent=["registry.example"])

    assert len(ask(tmp_path, registry)) == 1
    assert len(registry.asked) == 1


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    """Is told in the registry's words."""
    projects.project(tmp_path)
    assert ask(tmp_path, FakeRegistry()) == [f"base {CUDA}: {CUDA}: not found"]


def test_only_the_bases_of_selected_rows(tmp_path: Path) -> None:
    """A bootstrapped one has no registry. Bases that no row uses any more are removed."""
    projects.project(tmp_path, lock=projects.lock({"gone:1": "d", CUDA: "a"}))
    registry = FakeRegistry()

    assert ask(tmp_path, registry, projects.PLAIN, upgrade=True) == ["matrix.lock: commit it"]
    assert registry.asked == []
    assert locked(tmp_path) == {CUDA: "a"}


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("ubuntu:22.04", "docker.io"),
        ("nvidia/cuda:12", "docker.io"),
        ("localhost/base:1", "localhost"),
        ("localhost:5000/base:1", "localhost:5000"),
        ("ccr.ccs.tencentyun.com/team/base:1", "ccr.ccs.tencentyun.com"),
    ],
)
def test_the_registry_of_an_image(image: str, name: str) -> None:
    """Without a host in its name it is Docker's own."""
    assert host(image) == name
