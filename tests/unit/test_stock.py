"""Layers of the package and of a monorepo: which one counts, and what comes with it."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import projects

from imagematrix.model import Leaf
from imagematrix.project import Project, Selection
from imagematrix.repository import STOCK, Repository

MATRIX = """\
schema = 1
[bases.debian12]
bootstrap = "bookworm"
os = "debian12"
[families.plain]
layers = ["system", "boot"]
tag = "1"
axes.base = ["debian12"]
"""
OWN = {"common/layers/boot/Dockerfile.j2": "COPY --link init/ /init/\n", "common/init/mine.sh": "#!/bin/sh\n"}


def leaf(project: Project) -> Leaf:
    [made] = project.leaves(project.rows(Selection())).values()
    return made


def files(project: Project) -> Mapping[str, bytes]:
    [made] = project.files({"plain:1": leaf(project)}).values()
    return {file.path: file.content for file in made}


def opened(root: Path, own: Mapping[str, str]) -> Project:
    return projects.project(root, matrix=MATRIX, files=own)


def test_a_monorepo_needs_no_layer_of_its_own(tmp_path: Path) -> None:
    """Boot files, services and checks come too."""
    found = files(opened(tmp_path, {}))
    assert {"init/boot/boot.sh", "services/ssh/service.sh", "bootstrap.sh", "system/apt.conf"} <= found.keys()
    assert {"boot", "system"} <= Repository(tmp_path / "matrix.toml").common.checks().keys()


def test_boot_files_are_merged(tmp_path: Path) -> None:
    """One of the monorepo stands before one of the same path."""
    found = files(opened(tmp_path, {"common/init/boot/shell.sh": "mine\n", "common/init/hooks.d/10-mine": "mine\n"}))
    assert found["init/boot/shell.sh"] == found["init/hooks.d/10-mine"] == b"mine\n"
    assert "init/boot/boot.sh" in found


def test_a_boot_of_ones_own_starts_what_is_ones_own(tmp_path: Path) -> None:
    """A copy of the package's goes on with the package's services and boot files."""
    found = files(opened(tmp_path / "own", OWN))
    assert [path for path in found if path.startswith(("init/", "services/"))] == ["init/mine.sh"]
    copy = {"common/layers/boot/.copied": "1.0\n"} | {
        f"common/layers/boot/{path.relative_to(STOCK / 'common/layers/boot')}": path.read_text()
        for path in (STOCK / "common/layers/boot").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    whole, copied = opened(tmp_path / "stock", {}), opened(tmp_path / "copy", copy)
    assert files(copied) == files(whole)


@pytest.mark.parametrize("remains", ["common/layers/boot/__pycache__/x.pyc", "common/services/ssh/__pycache__/x.pyc"])
def test_what_is_left_of_a_folder_stands_before_nothing(tmp_path: Path, remains: str) -> None:
    assert files(opened(tmp_path / "one", {remains: "old"})) == files(opened(tmp_path / "other", {}))


def test_a_layer_of_the_package_may_include_what_one_of_the_monorepo_stands_before(tmp_path: Path) -> None:
    """Miniconda shares requirements with `python`."""
    own = {"common/layers/python/Dockerfile.j2": "ENV A=1\n"}
    matrix = MATRIX.replace('"boot"', '"miniconda", "boot"')
    project = projects.project(tmp_path, matrix=matrix, files=own)
    assert project.unrendered() == () or {each.code for each in project.unrendered()} <= {"unlocked", "undefined"}


def test_the_tensorflow_of_a_platform(tmp_path: Path) -> None:
    """For CPUs it is a package of its own, which only x86_64 has."""
    matrix = MATRIX.replace("schema = 1", 'schema = 1\nplatforms = ["linux/amd64", "linux/arm64"]')
    matrix = matrix.replace('"system", "boot"', '"system", "python", "tensorflow"').replace(
        'os = "debian12"', 'os = "debian12"\npython = "3.11"'
    )
    project = projects.project(tmp_path, matrix=matrix + 'axes.tensorflow = ["2.20.0"]\n', files={})
    stacks = project.requirement_stacks(project.rows(Selection()))
    assert {name: stack.layers[-1].text.split()[0] for stack, names in stacks.items() for name in names} == {
        "plain:1": "tensorflow-cpu==2.20.0",
        "plain:1-arm64": "tensorflow==2.20.0",
    }
