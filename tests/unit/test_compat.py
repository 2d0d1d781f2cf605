"""Which versions go together: what is reported about real combinations, word for word."""

import ast
import inspect
import json
from collections.abc import Iterator
from datetime import date
from importlib import resources

import pytest

from imagematrix import compat
from imagematrix.compat import catalogue, others, rules
from imagematrix.compat.catalogue import outlook as _outlook
from imagematrix.compat.finding import note
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.model import Base, Family, Row
from imagematrix.text.versions import version

FILES = tuple(
    sorted(path.name.removesuffix(".json") for path in resources.files("imagematrix.compat").joinpath("data").iterdir())
)


def row(name: str = "f:t", *, image: str = "", allow: str = "", layers: str = "", **values: str) -> Row:
    family, _, tag = name.partition(":")
    return Row(
        family=Family(name=family, layers=tuple(layers.split()), tag=""),
        base=Base(name="b", image=image),
        tag=tag,
        axes={},
        values=values,
        image=name,
        allow=allow,
    )


def told(wanted: Row) -> list[str]:
    """Return what is found, as `SEVERITY ABOUT: text`; without the notes that every old or CUDA row has."""
    return [f"{finding.severity} {finding.about}: {finding}" for finding in compat.findings(wanted) if _is_own(finding)]


def _is_own(finding: Diagnostic) -> bool:
    """Whether a finding is about something else than a Python's age or whose CUDA a row uses (see test_gpu)."""
    is_of_cuda = "host driver" in finding.message or " brings " in finding.message
    return finding.severity is not Severity.NOTE or not (finding.about == "python" or is_of_cuda)


TORCH = {
    "no wheel yet": (
        {"torch": "2.3.0", "python": "3.13"},
        (
            "impossible torch: torch 2.3.0 has no wheel for Python 3.13:"
            " wheels exist for 3.8-3.12; the first torch with 3.13 is 2.5.0"
        ),
    ),
    "no wheel any more": (
        {"torch": "2.5.0", "python": "3.8.20"},
        (
            "impossible torch: torch 2.5.0 has no wheel for Python 3.8:"
            " wheels exist for 3.9-3.13; the last torch with 3.8 is 2.4.1"
        ),
    ),
    "no wheel ever": (
        {"torch": "1.5.0", "python": "3.4"},
        (
            "impossible torch: torch 1.5.0 has no wheel for Python 3.4:"
            " wheels exist for 3.5-3.8; no torch has wheels for 3.4"
        ),
    ),
    "a release to come": (
        {"torch": "2.99.0", "python": "3.13"},
        f"unknown torch: torch 2.99.0 is newer than the catalogue (1.4.0-2.15.0): {_outlook('torch')}",
    ),
    "a release between": (
        {"torch": "2.3.9"},
        "unknown torch: torch 2.3.9 is not in the catalogue (1.4.0-2.15.0): known of 2.3: 2.3.0, 2.3.1",
    ),
    "no version": (
        {"torch": "nightly", "python": "3.13"},
        "unknown torch: torch nightly is not in the catalogue (1.4.0-2.15.0): nothing is known about it",
    ),
    "a Python to come": (
        {"torch": "2.15.0", "python": "3.16"},
        f"unknown torch: whether torch 2.15.0 has a wheel for Python 3.16 is not known: {_outlook('torch')}",
    ),
    "no such build": (
        {"torch": "2.3.0", "torch_build": "cu124"},
        "impossible torch_build: torch 2.3.0 has no cu124 build: there are cpu, cu118, cu121",
    ),
    "no such build, as a local version": (
        {"torch": "2.3.0+cu124", "python": "3.12"},
        "impossible torch: torch 2.3.0 has no cu124 build: there are cpu, cu118, cu121",
    ),
    "no CUDA on a base that has it": (
        {"torch": "2.3.0+cpu", "cuda": "12.1.1", "torch_index": "https://index.example/cpu"},
        "note torch: torch 2.3.0+cpu is a CPU build: the base's CUDA 12.1 is not used",
    ),
    "glibc": (
        {"torch": "2.7.0", "python": "3.11", "os": "ubuntu18.04"},
        (
            "impossible torch: torch 2.7.0 needs glibc 2.28, ubuntu18.04 has 2.27: take torch=2.6.0, the last for it,"
            " or a newer base: ubuntu20.04, ubuntu22.04, ubuntu24.04, ubuntu26.04"
        ),
    ),
    "vision of another torch": (
        {"torch": "2.3.0", "torchvision": "0.17.0"},
        (
            "broken torchvision: torchvision 0.17.0 does not go with torch 2.3.0:"
            " it is for torch==2.2.0; take torchvision=0.18.0"
        ),
    ),
    "vision without a wheel": (
        {"torch": "2.5.0", "python": "3.13", "torchvision": "0.20.0"},
        (
            "broken torchvision: torchvision 0.20.0 has no wheel for Python 3.13 on PyPI:"
            " wheels exist for 3.9-3.12; the first torch whose torchvision has one is 2.6.0"
        ),
    ),
}

TENSORFLOW = {
    "no wheel yet": (
        {"tensorflow": "2.18.1", "python": "3.13"},
        (
            "impossible tensorflow: tensorflow 2.18.1 has no wheel for Python 3.13:"
            " wheels exist for 3.9-3.12; the first tensorflow with 3.13 is 2.20.0"
        ),
    ),
    "no CPU package": (
        {"tensorflow": "1.15.5", "tensorflow_package": "tensorflow-cpu", "python": "3.7"},
        (
            "impossible tensorflow_package: there is no tensorflow-cpu 1.15.5: tensorflow_package=tensorflow is its"
            " CPU build"
        ),
    ),
    "no GPU package": (
        {"tensorflow": "2.12.0", "tensorflow_package": "tensorflow-gpu", "python": "3.10"},
        (
            "impossible tensorflow_package: there is no tensorflow-gpu 2.12.0: tensorflow_package=tensorflow is its"
            " GPU build"
        ),
    ),
    "another package": (
        {"tensorflow": "2.12.0", "tensorflow_package": "tf-nightly", "python": "3.10"},
        (
            "unknown tensorflow_package: tf-nightly is not in the catalogue:"
            " it knows tensorflow, tensorflow-cpu, tensorflow-gpu"
        ),
    ),
    "no extra yet": (
        {"tensorflow": "2.13.1", "tensorflow_package": "tensorflow[and-cuda]", "python": "3.10"},
        (
            "broken tensorflow_package: tensorflow 2.13.1 has no extra and-cuda: tensorflow=2.14.0 is the first; or"
            " take CUDA from the base"
        ),
    ),
    "a CPU build on a base with CUDA": (
        {"tensorflow": "1.15.5", "python": "3.7", "cuda": "10.0", "cudnn": "7.6.5"},
        (
            "note tensorflow: tensorflow 1.15.5 is a CPU build: the base's CUDA 10.0 is not used:"
            " tensorflow_package=tensorflow-gpu uses it"
        ),
    ),
    "glibc": (
        {"tensorflow": "2.21.0", "python": "3.11", "os": "centos7"},
        (
            "impossible tensorflow: tensorflow 2.21.0 needs glibc 2.27, centos7 has 2.17: take tensorflow=2.20.0, the"
            " last for it, or a newer base: centosstream9"
        ),
    ),
    "libcusolver": (
        {"tensorflow": "2.4.1", "python": "3.8", "cuda": "11.1.1", "cudnn": "8.0.5"},
        (
            "broken tensorflow: tensorflow 2.4.1 does not find its GPU libraries on CUDA 11.1:"
            " take a base with CUDA 11.0 (nvidia/cuda has 11.0.3),"
            " or link libcusolver.so.10 to libcusolver.so.11 and say so in allow"
        ),
    ),
    "CUDA 10.1 instead of 11.0": (
        {"tensorflow": "2.4.1", "python": "3.8", "cuda": "10.1"},
        (
            "broken tensorflow: tensorflow 2.4.1 does not find its GPU libraries on CUDA 10.1: take a base with CUDA"
            " 11.0 (nvidia/cuda has 11.0.3), or tensorflow=2.3.4, the last for CUDA 10.1"
        ),
    ),
    "CUDA 11 after 2.15": (
        {"tensorflow": "2.15.0", "cuda": "11.8.0"},
        (
            "broken tensorflow: tensorflow 2.15.0 does not find its GPU libraries on CUDA 11.8: take a base with CUDA"
            " 12.2 (nvidia/cuda has 12.2.2; any 12 will do), or tensorflow=2.14.1, the last for CUDA 11.8, or"
            " tensorflow_package=tensorflow[and-cuda] on a base without CUDA"
        ),
    ),
    "CUDA 12 too early": (
        {"tensorflow": "2.11.0", "cuda": "12.1"},
        (
            "broken tensorflow: tensorflow 2.11.0 does not find its GPU libraries on CUDA 12.1:"
            " take a base with CUDA 11.2 (nvidia/cuda has 11.2.2; 11.2 to 11.8 will do)"
        ),
    ),
    "another minor version of CUDA": (
        {
            "image": "nvidia/cuda:11.3.1-cudnn8-runtime-ubuntu20.04",
            "tensorflow": "2.11.0",
            "python": "3.8",
            "cuda": "11.3.1",
        },
        (
            "note tensorflow: tensorflow 2.11.0 was built and tested with CUDA 11.2, not 11.3:"
            " the names of the libraries agree, so it should run"
        ),
    ),
    "cuDNN of another major version": (
        {"tensorflow": "2.11.0", "cuda": "11.2.2", "cudnn": "9"},
        "broken tensorflow: tensorflow 2.11.0 needs cuDNN 8.1, the base has 9: take a base with cuDNN 8, 8.1 or newer",
    ),
    "cuDNN that the tag names only by its major version": (
        {"image": "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu18.04", "tensorflow": "2.14.0", "cuda": "11.8", "cudnn": "8"},
        (
            "broken tensorflow: tensorflow 2.14.0 needs cuDNN 8.7, the base has 8.6.0.163: take a base with cuDNN 8,"
            " 8.7 or newer, or tensorflow_package=tensorflow[and-cuda] on a base without CUDA"
        ),
    ),
}

PADDLE = {
    "deleted": (
        {"paddle": "2.0.0", "python": "3.6"},
        (
            "broken paddle: paddlepaddle 2.0.0 was deleted from PyPI by its owners:"
            " PyPI has 1.8.5, 2.6.2, 3.0.0, 3.1.0, 3.1.1,"
            " 3.2.0, 3.2.1, 3.2.2, 3.3.0, 3.3.1; Paddle's docs list a direct download of it;"
            " or vendor a wheel and say so in allow"
        ),
    ),
    "deleted, but not from everywhere": (
        {"paddle": "2.4.1", "paddle_package": "paddlepaddle", "python": "3.8"},
        (
            "broken paddle: paddlepaddle 2.4.1 was deleted from PyPI by its owners:"
            " PyPI has 1.8.5, 2.6.2, 3.0.0, 3.1.0, 3.1.1,"
            " 3.2.0, 3.2.1, 3.2.2, 3.3.0, 3.3.1; Paddle's own index has it; or vendor a wheel and say so in allow"
        ),
    ),
    "the CPU build on a base with CUDA": (
        {"paddle": "3.3.1", "paddle_package": "paddlepaddle", "python": "3.11", "cuda": "12.6.3"},
        (
            "note paddle: paddlepaddle 3.3.1 is the CPU build: the base's CUDA 12.6 is not used:"
            " paddle_package=paddlepaddle-gpu uses it"
        ),
    ),
    "a GPU build that only a list of links has": (
        {"paddle": "1.8.5", "python": "3.7", "cuda": "10.1"},
        (
            "note paddle: paddlepaddle-gpu 1.8.5 for CUDA 10.1 is not on PyPI: Paddle's docs list a direct download"
            " of it; PyPI has 1.8.5.post97 for CUDA 9.0 and 1.8.5.post107 for CUDA 10.0"
        ),
    ),
    "a GPU build of a release that PyPI has none of": (
        {"paddle": "3.3.1", "python": "3.12", "cuda": "12.6.3"},
        (
            "note paddle: paddlepaddle-gpu 3.3.1 for CUDA 12.6 is not on PyPI: Paddle's own index has it;"
            " PyPI has no GPU build of it"
        ),
    ),
    "a build for another CUDA": (
        {"paddle": "2.4.2.post117", "python": "3.8", "cuda": "10.2", "cudnn": "7"},
        "broken paddle: paddlepaddle-gpu 2.4.2.post117 is for CUDA 11.7, the base has 10.2: paddle=2.4.2 is for 10.2",
    ),
    "no wheel": (
        {"paddle": "1.8.5", "python": "3.9"},
        (
            "impossible paddle: paddlepaddle 1.8.5 has no wheel for Python 3.9:"
            " wheels exist for 2.7, 3.5-3.8; the first paddlepaddle with 3.9 is 2.1.0"
        ),
    ),
    "no GPU wheel": (
        {"paddle": "2.4.2", "python": "3.12", "cuda": "10.2"},
        (
            "impossible paddle: paddlepaddle-gpu (cu102) 2.4.2 has no wheel for Python 3.12:"
            " wheels exist for 3.6-3.10; the first paddlepaddle with 3.12 is 2.6.0"
        ),
    ),
    "no build for this CUDA": (
        {"paddle": "2.0.0", "python": "3.8", "cuda": "11.2.1"},
        (
            "broken paddle: paddlepaddle-gpu 2.0.0 has no build for CUDA 11.2:"
            " there are builds for CUDA 9.0, 10.0-10.2, 11.0; 11.2 is in 2.1.0 to 2.6.2;"
            " for 11.0, nvidia/cuda has 11.0.3"
        ),
    ),
    "no build that anybody has seen": (
        {"paddle": "3.3.1", "python": "3.12", "cuda": "12.1"},
        (
            "unknown paddle: paddlepaddle-gpu 3.3.1 has no build for CUDA 12.1:"
            " there are builds for CUDA 11.8, 12.6, 12.9, 13.0; for 12.9, nvidia/cuda has 12.9.2"
        ),
    ),
    "cuDNN of another major version": (
        {"paddle": "2.3.0", "python": "3.8", "cuda": "10.2", "cudnn": "8"},
        "broken paddle: paddlepaddle-gpu 2.3.0 asks for cuDNN 7.6.5, the base has 8: take a base with cuDNN 7",
    ),
    "cuDNN a little old": (
        {
            "paddle": "2.5.2",
            "python": "3.8",
            "cuda": "11.8.0",
            "cudnn": "8.5",
        },
        "note paddle: paddlepaddle-gpu 2.5.2 asks for cuDNN 8.6.0, the base has 8.5",
    ),
}

OTHERS = {
    "numpy without a wheel": (
        {"numpy": "1.19.5", "python": "3.12"},
        "broken numpy: numpy 1.19.5 has no wheel for Python 3.12: numpy 1.26.0 to 2.5.5 have one",
    ),
    "TensorRT without a wheel": (
        {"tensorrt": "8.6.0", "python": "3.12"},
        (
            "impossible tensorrt: tensorrt 8.6.0 has no wheel for Python 3.12:"
            " wheels exist for 3.6-3.10; from 8.6.1 on it is an installer, which needs NVIDIA's own index"
        ),
    ),
    "TensorRT that is an installer": (
        {"tensorrt": "8.6.1", "cuda": "12.1.0"},
        "note tensorrt: tensorrt 8.6.1 on PyPI is only an installer: builds need NVIDIA's own index too",
    ),
    "TensorRT for other CUDAs": (
        {"tensorrt": "8.5.3.1", "cuda": "12.2.2"},
        "unknown tensorrt: NVIDIA does not list TensorRT 8.5.3.1 for CUDA 12.2: it lists 10.2, 11.0-11.8",
    ),
    "TensorRT that TensorFlow does not load": (
        {"tensorrt": "8.5.3.1", "tensorflow": "2.15.0"},
        (
            "note tensorrt: tensorflow 2.15.0 loads TensorRT 8.6.1 only, not 8.5.3.1: it runs"
            " without TensorRT and prints a warning"
        ),
    ),
    "TensorRT to come": (
        {"tensorrt": "12.0"},
        f"unknown tensorrt: tensorrt 12.0 is newer than the catalogue (8.5.1.7-11.4.0.106): {_outlook('tensorrt')}",
    ),
    "Miniconda of another Python": (
        {"miniconda": "Miniconda3-py38_23.11.0-2-Linux-x86_64.sh", "python": "3.7"},
        (
            "impossible miniconda: Miniconda3-py38_23.11.0-2-Linux-x86_64.sh brings Python 3.8, not 3.7:"
            " miniconda=Miniconda3-py37_23.1.0-1-Linux-x86_64.sh does"
        ),
    ),
    "Miniconda that was never made": (
        {"miniconda": "Miniconda3-py38_26.5.3-1-Linux-x86_64.sh", "python": "3.8"},
        (
            "broken miniconda: no Miniconda3-py38_26.5.3-1-Linux-x86_64.sh was seen, nor another one of its time for"
            " Python 3.8: miniconda=Miniconda3-py38_23.11.0-2-Linux-x86_64.sh is the last with 3.8"
        ),
    ),
    "Miniconda for a Python that it never was made for": (
        {"miniconda": "Miniconda3-py36_4.8.3-Linux-x86_64.sh"},
        (
            "broken miniconda: no Miniconda3-py36_4.8.3-Linux-x86_64.sh was seen, nor another one of its time for"
            " Python 3.6: miniconda=Miniconda3-4.5.4-Linux-x86_64.sh is the last with 3.6"
        ),
    ),
    "Miniconda whose name does not tell its Python": (
        {"miniconda": "Miniconda3-4.5.4-Linux-x86_64.sh", "python": "3.7"},
        (
            "impossible miniconda: Miniconda3-4.5.4-Linux-x86_64.sh brings Python 3.6, not 3.7:"
            " miniconda=Miniconda3-py37_23.1.0-1-Linux-x86_64.sh does"
        ),
    ),
    "Miniconda from before names told a Python": (
        {"miniconda": "Miniconda3-py36_4.5.4-Linux-x86_64.sh"},
        (
            "unknown miniconda: Miniconda3-py36_4.5.4-Linux-x86_64.sh is not in the catalogue: it knows"
            " Miniconda3-pyXY_RELEASE-Linux-x86_64.sh to 26.9.4-1"
        ),
    ),
    "Miniconda of a Python that only nameless ones bring": (
        {"miniconda": "Miniconda3-py37_4.8.3-Linux-x86_64.sh", "python": "3.6"},
        (
            "impossible miniconda: Miniconda3-py37_4.8.3-Linux-x86_64.sh brings Python 3.7, not 3.6:"
            " miniconda=Miniconda3-4.5.4-Linux-x86_64.sh does"
        ),
    ),
    "Miniconda to come": (
        {"miniconda": "Miniconda3-latest-Linux-x86_64.sh"},
        (
            "unknown miniconda: Miniconda3-latest-Linux-x86_64.sh is not in the catalogue: it knows"
            " Miniconda3-pyXY_RELEASE-Linux-x86_64.sh to 26.9.4-1"
        ),
    ),
    "Horovod with another CUDA": (
        {"horovod": "0.21.3", "cuda": "11.2.2"},
        (
            "note horovod: upstream never tested horovod 0.21.3 with CUDA 11.2:"
            " it tested 10.0-10.1, 11.0; horovod 0.22.0 was tested with it"
        ),
    ),
    "Horovod on a newer Python": (
        {"horovod": "0.28.1", "python": "3.11"},
        (
            "note horovod: upstream never tested horovod 0.28.1 with Python 3.11:"
            " it tested 3.7-3.8; it is compiled here, so the build will show it"
        ),
    ),
    "Horovod where nothing can be compiled": (
        {"horovod": "0.28.1", "image": "nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu20.04"},
        (
            "broken horovod: horovod 0.28.1 is compiled,"
            " and nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu20.04 has no compiler of CUDA:"
            " take nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04"
        ),
    ),
    "Horovod with nothing to be compiled against": (
        {"horovod": "0.28.1", "layers": "python horovod boot", "image": "ubuntu:22.04"},
        (
            "broken horovod: horovod 0.28.1 is compiled against a framework, and the row has none:"
            " put layer tensorflow or torch before it"
        ),
    ),
    "Horovod before what it is compiled against": (
        {"horovod": "0.28.1", "layers": "python horovod tensorflow boot"},
        (
            "broken horovod: horovod 0.28.1 is compiled against tensorflow, which the family installs after it:"
            " put layer horovod after it"
        ),
    ),
    "Horovod on an old Python": (
        {"horovod": "0.28.1", "python": "3.5"},
        "impossible horovod: horovod 0.28.1 is not for Python 3.5: it asks for >=3.6",
    ),
    "Horovod with a newer TensorFlow": (
        {"horovod": "0.21.3", "tensorflow": "2.5.0"},
        (
            "unknown horovod: upstream never tested horovod 0.21.3 with tensorflow 2.5.0:"
            " it tested 1.15.5 to 2.4.1; horovod 0.28.1 was tested with it"
        ),
    ),
    "Horovod with a newer torch": (
        {"horovod": "0.28.1", "torch": "2.3.0"},
        (
            "broken horovod: horovod 0.28.1 with torch 2.3.0 does not compile (the headers of torch need C++17):"
            " horovod/horovod#3996, #4014: take torch=2.0.1"
        ),
    ),
    "Horovod to come": (
        {"horovod": "0.99"},
        f"unknown horovod: horovod 0.99 is newer than the catalogue (0.18.2-0.28.1): {_outlook('horovod')}",
    ),
}

WRONG = {
    f"{group}: {name}": case
    for group, cases in {"torch": TORCH, "tf": TENSORFLOW, "paddle": PADDLE, "other": OTHERS}.items()
    for name, case in cases.items()
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_go_together(case: str) -> None:
    """One cause gives one message, and the message says what would work."""
    values, message = WRONG[case]
    assert told(row(**values)) == [message]


@pytest.mark.parametrize(
    "values",
    [
        {"tensorflow": "1.15.5", "python": "3.7"},
        {
            "torch": "2.3.0",
            "torchvision": "0.18.0",
            "torchaudio": "2.3.0",
            "torch_build": "cu121",
            "python": "3.8",
            "cuda": "12.1.1",
            "os": "ubuntu22.04",
            "numpy": "1.24.4",
            "image": "nvidia/cuda:12.1.1-cudnn8-devel-ubuntu22.04",
        },
        {
            "image": "nvidia/cuda:11.0.3-cudnn8-devel-ubuntu20.04",
            "tensorflow": "2.4.1",
            "python": "3.8",
            "cuda": "11.0.3",
            "cudnn": "8.0.5",
            "horovod": "0.21.3",
        },
        {"tensorflow": "1.15.5", "tensorflow_package": "tensorflow-gpu", "python": "3.6", "cuda": "10.0", "cudnn": "7"},
        {"tensorflow": "2.15.0", "tensorflow_package": "tensorflow[and-cuda]", "python": "3.10", "cuda": "11.8"},
        {"miniconda": "Miniconda3-py38_23.11.0-2-Linux-x86_64.sh", "python": "3.8"},
        {
            "horovod": "0.21.3",
            "layers": "python tensorflow horovod",
            "tensorflow": "2.4.4",
            "python": "3.8",
        },
        {"horovod": "0.28.1", "layers": "horovod", "image": "reg.example/ti-gpu:1"},  # may bring a framework
        {"paddle": "1.8.5", "python": "3.6"},
        {"paddle": "2.3.0", "python": "3.8", "cuda": "10.2", "cudnn": "7"},
        {"paddle": "2.6.2", "python": "3.8", "cuda": "11.8.0", "image": "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04"},
        {"tensorflow": "2.15.0", "python": "3.10", "cuda": "12.2.2", "cudnn": "8.9"},
        {"torch": "2.6.0", "os": "ubuntu18.04"},
        {"torch": "2.7.0", "os": "photon5"},
        {"image": "registry.example.com/nvidia/cuda:10.0-base", "os": "mine", "python": "system", "cuda": "none"},
        {"cudnn": "8", "torchvision": "0.18.0", "numpy": "2.0.0"},
        {},
    ],
)
def test_what_goes_together(values: dict[str, str]) -> None:
    """And what a rule cannot know: it says nothing."""
    assert told(row(**values)) == []


def test_notes() -> None:
    """The age of a Python by the day of the catalogue, not of the clock; what the host needs."""
    assert [str(finding) for finding in compat.findings(row(python="3.9.25", cuda="12.1.0"))] == [
        "Python 3.9 gets no fixes since 2025-10-31: 3.11-3.14 do",
        "CUDA 12.1.0 needs a host driver of 525.60.13 or newer (530.30.02 for all of it)",
    ]
    assert [str(finding) for finding in compat.findings(row(cuda="10.2"))] == [
        "CUDA 10.2 needs a host driver of 440.33 or newer"
    ]
    assert [str(finding) for finding in compat.findings(row(cuda="11.2"))] == [
        "CUDA 11.2 needs a host driver of 450.80.02 or newer (460.32.03 for all of it)"
    ]
    assert compat.findings(row(python="3.13", cuda="99.1")) == ()


def test_allow() -> None:
    """What is broken is a note that shows the reason; what is impossible stays so."""
    broken = {"torch": "2.3.0", "torchvision": "0.17.0"}
    assert told(row(allow="we built it", **broken)) == [
        "note torchvision: torchvision 0.17.0 does not go with torch 2.3.0: allowed: we built it"
    ]
    assert told(row(allow="we built it", **broken, python="3.13"))[0].startswith("impossible torch: ")
    assert told(row(allow="once", torch="2.3.0")) == [
        "note allow: this row allows what is not known to be broken: once"
    ]


class TestTable:
    """The table of rules."""

    def test_every_rule_is_in_it(self) -> None:
        """A public function of a rules' module that yields findings."""
        modules = {inspect.getmodule(rule) for rule in rules.RULES}
        written = {
            f"{module.__name__}.{node.name}"
            for module in modules
            if module is not None
            for node in ast.parse(inspect.getsource(module)).body
            if isinstance(node, ast.FunctionDef)
            and not node.name.startswith("_")
            and node.returns is not None
            and ast.unparse(node.returns) == "Iterator[Diagnostic]"
        }
        assert sorted(f"{rule.__module__}.{rule.__name__}" for rule in rules.RULES) == sorted(written)

    def test_a_rule_reads_what_it_names(self) -> None:
        """Without a value it needs, it says nothing; an empty one is none."""
        assert told(row(torchvision="0.1")) == []
        assert told(row(torch="", python="3.13")) == []


class TestCatalogue:
    """The files."""

    @pytest.mark.parametrize("name", FILES)
    def test_each_file_says_where_it_is_from(self, name: str) -> None:
        """And names no package index's host: those are the site's."""
        text = resources.files("imagematrix.compat").joinpath("data", f"{name}.json").read_text(encoding="utf-8")
        meta = json.loads(text)["_meta"]
        assert {"subject", "collected", "sources", "sure"} <= meta.keys()
        assert meta["collected"] == date.fromisoformat(meta["collected"]).isoformat()
        assert "://" not in text

    def test_releases_stand_in_order(self) -> None:
        """The first and the last that have something are found by it."""
        for names in (
            catalogue.torch(),
            catalogue.tensorflow(),
            catalogue.paddle(),
            catalogue.horovod(),
            catalogue.miniconda(),
            catalogue.toolkits(),
            catalogue.tensorrt_wheels().pythons,
            catalogue.numpy_wheels().pythons,
        ):
            versions = [found for name in names if (found := version(name))]
            assert len(versions) == len(names)
            assert versions == sorted(versions)


MATRIX = """\
[families.pytorch.axes]
torch = [
  "2.3.0",
  "2.5.0",
]
"""


def test_what_many_rows_have() -> None:
    """What several rows have is one diagnostic, reported at the line of the value to blame, the worst first."""
    rows = [
        Row(
            family=Family(name="pytorch", layers=(), tag=""),
            base=Base(name="b"),
            tag=f"{torch}-{python}",
            axes={},
            values={"torch": torch, "python": python},
            image="i",
            places={"torch": ("families", "pytorch", "axes", "torch", ["2.3.0", "2.5.0"].index(torch))},
        )
        for torch in ("2.3.0", "2.5.0")
        for python in ("3.13.1", "3.13.2", "3.8")
    ]
    found = compat.diagnose(rows, MATRIX, file="m.toml")

    assert [(cause.line, cause.severity, cause.about, cause.rows) for cause in found] == [
        (3, "impossible", "torch", ("pytorch:2.3.0-3.13.1", "pytorch:2.3.0-3.13.2")),
        (4, "impossible", "torch", ("pytorch:2.5.0-3.8",)),
        (0, "note", "python", ("pytorch:2.3.0-3.8", "pytorch:2.5.0-3.8")),
        (3, "note", "torch", ("pytorch:2.3.0-3.13.1", "pytorch:2.3.0-3.13.2", "pytorch:2.3.0-3.8")),
        (4, "note", "torch", ("pytorch:2.5.0-3.13.1", "pytorch:2.5.0-3.13.2", "pytorch:2.5.0-3.8")),
    ]
    assert {each.file for each in found} == {"m.toml"}


def test_a_finding_without_a_hint() -> None:
    """Is its first half."""
    assert str(note("x", "so it is")) == "so it is"


@pytest.mark.parametrize(
    "found",
    [
        others.numpy_on_python("1.26.4", "conda"),
        others.numpy_of_pins("numpy>=1.20", "conda"),
        others.miniconda_of_python("Miniconda3-py311_24.4.0-0-Linux-x86_64.sh", "amd64", "conda"),
        others.tensorrt_on_cuda("8.6.1", "none"),
        others.tensorrt_on_python("8.6.1", "conda"),
    ],
    ids=["numpy", "pins", "miniconda", "tensorrt", "tensorrt's wheels"],
)
def test_what_is_not_a_version_is_not_judged_by_versions(found: Iterator[Diagnostic]) -> None:
    """A row may call its Python, or its CUDA, by a name."""
    assert [finding.message for finding in found if finding.severity.is_error or "for CUDA" in finding.message] == []
