"""Packages without a wheel, resolved by the real uv: from a folder of files, so that no index is asked."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from imagematrix.model import Site
from imagematrix.planning import requirements
from imagematrix.planning.requirements import Requirements, RequirementStack, ResolveRequest
from imagematrix.resolver import Uv
from imagematrix.shell import Shell

PLATFORM = "x86_64-manylinux_2_31"
BACKEND = """
import os, shutil, subprocess, sys, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    {compile}
    name = "{name}-{version}-py3-none-any.whl"
    info = "{name}-{version}.dist-info"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "")
    return name
"""
COMPILE = 'subprocess.run(["cc", "--version"], check=True)'


def write(path: Path, texts: dict[str, str]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in texts.items():
            member = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def sdist(folder: Path, name: str, version: str, *, compile: str = "") -> None:  # noqa: A002 - what it is about
    """Write a source distribution whose metadata is static, as most are: to resolve it builds nothing."""
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    project += f'[project]\nname = "{name}"\nversion = "{version}"\n'
    backend = BACKEND.format(name=name, version=version, compile=compile or "pass")
    files = {"PKG-INFO": metadata, "pyproject.toml": project, "backend.py": backend}
    write(folder / f"{name}-{version}.tar.gz", files)


def wheel(folder: Path, name: str, version: str, tag: str = "cp39-cp39-manylinux_2_17_x86_64") -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")


def question(text: str, *, compiled: frozenset[str] = frozenset()) -> ResolveRequest:
    layer = Requirements(layer="tools", text=f"--no-index\n{text}\n", file="", compiled=compiled)
    found = requirements.follow(RequirementStack(python="3.9", platform=PLATFORM, layers=(layer,)), {})[1]
    assert found
    return found


@pytest.fixture
def uv(tmp_path: Path) -> Uv:
    return Uv(Shell(), Site(wheelhouse=str(tmp_path)))


def test_an_older_version_with_a_wheel_is_taken(uv: Uv, tmp_path: Path) -> None:
    """Where the newest must be compiled: its wheels are for other Pythons, or a newer glibc."""
    sdist(tmp_path, "native", "3.0", compile=COMPILE)
    wheel(tmp_path, "native", "3.0", "cp312-cp312-manylinux_2_17_x86_64")
    wheel(tmp_path, "native", "3.0", "cp39-cp39-manylinux_2_34_x86_64")
    wheel(tmp_path, "native", "2.0")
    answer = uv.resolve(question("native"))
    assert "\nnative==2.0 \\\n" in answer.text, answer.why


def test_what_cannot_be_compiled_is_refused(uv: Uv, tmp_path: Path) -> None:
    """With the package, the version, the Python and the glibc, and what to do."""
    sdist(tmp_path, "native", "3.0", compile=COMPILE)
    wheel(tmp_path, "native", "2.0")
    answer = uv.resolve(question("native>2"))
    assert answer.text == ""
    assert "native 3.0 has no wheel for Python 3.9 and glibc 2.31 on x86_64" in answer.why
    assert "No such file or directory: 'cc'" in answer.why
    assert "--no-binary native" in answer.why


def test_a_source_that_needs_no_compiler_is_built_as_before(uv: Uv, tmp_path: Path) -> None:
    sdist(tmp_path, "pure", "1.1.0")
    wheel(tmp_path, "pure", "1.0.0", "py3-none-any")
    answer = uv.resolve(question("pure"))
    assert "\npure==1.1.0 \\\n" in answer.text, answer.why


def test_what_its_layer_compiles_needs_no_wheel(uv: Uv, tmp_path: Path) -> None:
    sdist(tmp_path, "native", "3.0", compile=COMPILE)
    answer = uv.resolve(question("native", compiled=frozenset({"native"})))
    assert "\nnative==3.0 \\\n" in answer.text, answer.why


def test_bounds_are_given_to_uv(uv: Uv, tmp_path: Path) -> None:
    """And are in the lock, and in the error when they leave no solution."""
    from imagematrix.compat import bounds

    for version in ("1.26.4", "2.0.2"):
        wheel(tmp_path, "numpy", version)
    wheel(tmp_path, "torch", "2.2.2")
    held = bounds.constraining({"torch": "2.2.2"}, (), allowed=False)

    def asked(text: str) -> ResolveRequest:
        layer = Requirements(layer="torch", text=f"--no-index\ntorch==2.2.2\n{text}\n", file="")
        found = requirements.follow(
            RequirementStack(python="3.9", platform=PLATFORM, layers=(layer,), bounds=held), {}
        )[1]
        assert found
        return found

    answer = uv.resolve(asked("numpy"))
    assert "\nnumpy==1.26.4 \\\n" in answer.text, answer.why
    assert "\n# numpy<2: torch <2.3 was compiled against NumPy 1" in answer.text
    assert "numpy<2: torch <2.3 was compiled against NumPy 1" in uv.resolve(asked("numpy==2.0.2")).why
