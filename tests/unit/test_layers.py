"""The layers of this repository, rendered for rows it need not have: what a Python gets, wherever it comes from."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import projects
from tests.unit.test_requirements import FakeResolver

from imagematrix.commands.lock import run as locking
from imagematrix.project import Selection, open_project

ROOT = Path(__file__).parents[2]

MATRIX = """\
schema = 1

[bases.plain]
image = "ubuntu:20.04"
os = "ubuntu20.04"

[bases.cuda]
image = "nvidia/cuda:11.2.2-cudnn8-runtime-ubuntu20.04"
os = "ubuntu20.04"
cuda = "11.2.2"
cudnn = "8"

{families}

[families.image.axes]
{axes}
"""


def rendered(root: Path, layers: str, **axes: str) -> Mapping[str, str]:
    """Return the files of one image with these layers, their requirements locked by a fake."""
    families = f'[families.image]\nlayers = {layers.split()}\ntag = "one"\n'
    lines = "\n".join(f'{axis} = ["{value}"]' for axis, value in {"base": "plain", **axes}.items())
    projects.project(root, matrix=MATRIX.format(families=families, axes=lines), files={})
    opened = open_project(str(root / "matrix.toml"))
    locking.run(opened, opened.possible(opened.matrix.rows), resolver=FakeResolver(), upgrade=False, say=print)
    project = open_project(str(root / "matrix.toml"))
    made = project.files(project.leaves(project.rows(Selection())))
    return {file.path: file.content.decode() for listed in made.values() for file in listed}


@pytest.mark.parametrize("source", ["python", "miniconda", "adopt"])
@pytest.mark.parametrize(
    ("python", "tools"),
    [
        ("3.6", ["pip==21.3.1", "setuptools==59.6.0", "wheel==0.37.1"]),
        ("3.7", ["pip==24.0", "setuptools==68.0.0", "wheel==0.42.0"]),
        ("3.8", ["pip==25.0.1", "setuptools==75.3.4", "uv==0.13.9", "wheel==0.45.1"]),
        ("3.12", ["pip==26.0.1", "setuptools==80.10.2", "uv==0.13.9", "wheel==0.48.0"]),
    ],
)
def test_tools_of_a_python(tmp_path: Path, source: str, python: str, tools: list[str]) -> None:
    """Each Python has the last tools that support it, the same from all three sources."""
    files = rendered(tmp_path, source, python=python, miniconda="Miniconda3.sh", miniconda_sha256="00")

    assert [line for line in files[f"{source}/requirements.txt"].splitlines() if not line.startswith("#")] == tools


@pytest.mark.parametrize(
    ("python", "command"),
    [("3.7", " pip install --no-compile"), ("3.8", " uv pip install --prefix /out/opt/python")],
)
def test_what_installs_a_lock(tmp_path: Path, python: str, command: str) -> None:
    """Pip where uv does not support the Python, uv elsewhere."""
    dockerfile = rendered(tmp_path, "python tensorflow", python=python, tensorflow="2.11.0")["Dockerfile"]

    stage = dockerfile.partition("AS tensorflow")[2]
    assert command in stage
    assert "source=tensorflow/requirements.lock,target=/tmp/requirements.lock" in stage


@pytest.mark.parametrize("source", ["python", "miniconda", "adopt"])
def test_another_python_than_the_rows(tmp_path: Path, source: str) -> None:
    """Is refused before anything is installed into it."""
    files = rendered(tmp_path, source, python="3.8", miniconda="Miniconda3.sh", miniconda_sha256="00")

    stage = files["Dockerfile"].partition(f"AS {source}")[2]
    assert "and this image is to have 3.8" in stage
    assert stage.index("and this image is to have 3.8") < stage.index("-m venv") < stage.index("pip install")


@pytest.mark.parametrize(
    ("axes", "requirements"),
    [
        ({"base": "plain"}, "tensorflow-cpu==2.11.0\n"),
        ({"base": "cuda"}, "tensorflow==2.11.0\n"),
        ({"base": "cuda", "tensorflow_package": "tensorflow-gpu"}, "tensorflow-gpu==2.11.0\n"),
        ({"base": "plain", "pins": "numpy<1.24 protobuf<3.20"}, "tensorflow-cpu==2.11.0\nnumpy<1.24\nprotobuf<3.20\n"),
    ],
)
def test_package_of_tensorflow(tmp_path: Path, axes: Mapping[str, str], requirements: str) -> None:
    """CUDA in the base means the GPU build, unless the row names the package; pins are the row's own."""
    files = rendered(tmp_path, "python tensorflow", python="3.8", tensorflow="2.11.0", **axes)

    assert files["tensorflow/requirements.txt"] == requirements


def test_torch_of_another_index(tmp_path: Path) -> None:
    """Both resolving and installing use it: a lock names no index."""
    index = "https://download.pytorch.org/whl/cu118"
    versions = {"torch": "2.3.0", "torchvision": "0.18.0", "torchaudio": "2.3.0"}
    files = rendered(tmp_path, "python torch", python="3.8", torch_index=index, torch_build="cu118", **versions)

    assert files["torch/requirements.txt"] == (
        f"--extra-index-url {index}\ntorch==2.3.0+cu118\ntorchvision==0.18.0+cu118\ntorchaudio==2.3.0+cu118\n"
    )
    assert f"--no-deps --extra-index-url {index} --require-hashes" in files["Dockerfile"]


def test_torch_of_the_default_index(tmp_path: Path) -> None:
    """Is named without a build."""
    files = rendered(tmp_path, "python torch", python="3.8", torch="2.3.0")

    assert files["torch/requirements.txt"] == "torch==2.3.0\n"
    assert "extra-index-url" not in files["Dockerfile"]
