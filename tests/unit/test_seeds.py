"""The combinations that the five systems ask for, and what is reported about each: word for word, the notes too."""

from typing import Final

import pytest
from tests.unit.test_compat import row

from imagematrix import compat

TI: Final = "ccr.ccs.tencentyun.com/qcloud-ti-platform"
PINS: Final = "numpy<1.19 protobuf<3.21"
PADDLE_ON_PYPI: Final = "1.8.5, 2.6.2, 3.0.0, 3.1.0, 3.1.1, 3.2.0, 3.2.1, 3.2.2, 3.3.0, 3.3.1"

OLD: Final = {
    "3.6": "note: Python 3.6 gets no fixes since 2021-12-23: 3.11-3.14 do",
    "3.7": "note: Python 3.7 gets no fixes since 2023-06-27: 3.11-3.14 do",
    "3.8": "note: Python 3.8 gets no fixes since 2024-10-07: 3.11-3.14 do",
    "3.10": "note: Python 3.10 gets no fixes since 2026-10-31: 3.11-3.14 do",
}
GONE: Final = "NVIDIA's dist/end-of-life builds what was deleted"
HOROVOD: Final = {
    "tensorflow": "2.4.0",
    "tensorflow_package": "tensorflow",
    "python": "3.8",
    "cuda": "11.1.1",
    "cudnn": "8.0.5",
    "horovod": "0.21.3",
    "pins": "numpy<1.20 protobuf<3.21",
    "layers": "adopt tensorflow horovod",
    "image": f"{TI}/ti-cloud-gpu-image-py3.8-devel:1.0.8",
}
CUDA_10_2: Final = {"paddle": "2.0.0", "paddle_package": "paddlepaddle-gpu", "python": "3.7", "cuda": "10.2"}

SEEDS: Final[dict[str, tuple[dict[str, str], list[str]]]] = {
    "TF 1.15 CPU, Python 3.7": (
        {
            "tensorflow": "1.15.0",
            "tensorflow_package": "tensorflow-cpu",
            "python": "3.7",
            "horovod": "0.21.3",
            "numpy": "1.18.5",
            "pins": PINS,
            "layers": "adopt tensorflow horovod",
            "image": f"{TI}/ti-cloud-common-image-py3.7.13-devel:1.0.8",
        },
        [OLD["3.7"]],
    ),
    "TF 1.15 CPU, Python 3.7, without its pins": (
        {"tensorflow": "1.15.5", "tensorflow_package": "tensorflow", "python": "3.7", "numpy": "1.19.5"},
        [
            OLD["3.7"],
            (
                "impossible: the row says numpy==1.19.5, and tensorflow 1.15.5 can only be installed with"
                " numpy<1.19.0,>=1.16.0: it says so in its metadata (PyPI);"
                " leave it out, and `invoke lock` takes one that fits"
            ),
        ],
    ),
    "TF 2.4 GPU, Python 3.8, CUDA 11.1.1, cuDNN 8.0.5, Horovod 0.21.3": (
        HOROVOD,
        [
            OLD["3.8"],
            "note: CUDA 11.1.1 needs a host driver of 450.80.02 or newer (455.32 for all of it)",
            (
                "broken: tensorflow 2.4.0 does not find its GPU libraries on CUDA 11.1:"
                " take a base with CUDA 11.0 (nvidia/cuda has 11.0.3),"
                " or link libcusolver.so.10 to libcusolver.so.11 and say so in allow"
            ),
            "note: upstream never tested horovod 0.21.3 with CUDA 11.1: it tested 10.0-10.1, 11.0",
        ],
    ),
    "the same, its library linked": (
        {**HOROVOD, "allow": "libcusolver.so.10 is a link"},
        [
            OLD["3.8"],
            "note: CUDA 11.1.1 needs a host driver of 450.80.02 or newer (455.32 for all of it)",
            (
                "note: tensorflow 2.4.0 does not find its GPU libraries on CUDA 11.1:"
                " allowed: libcusolver.so.10 is a link"
            ),
            "note: upstream never tested horovod 0.21.3 with CUDA 11.1: it tested 10.0-10.1, 11.0",
        ],
    ),
    "the same on NVIDIA's image, whose neighbour is there": (
        {
            **HOROVOD,
            "tensorflow_package": "tensorflow-gpu",
            "image": "nvidia/cuda:11.1.1-cudnn8-devel-ubuntu20.04",
            "horovod": "",
        },
        [
            OLD["3.8"],
            "note: CUDA 11.1.1 needs a host driver of 450.80.02 or newer (455.32 for all of it)",
            (
                "broken: tensorflow-gpu 2.4.0 does not find its GPU libraries on CUDA 11.1:"
                " take a base with CUDA 11.0 (nvidia/cuda:11.0.3-cudnn8-devel-ubuntu20.04 exists),"
                " or link libcusolver.so.10 to libcusolver.so.11 and say so in allow"
            ),
        ],
    ),
    "torch 2.3.0, torchvision 0.18.0, torchaudio 2.3.0, cu121, Python 3.8": (
        {
            "torch": "2.3.0",
            "torchvision": "0.18.0",
            "torchaudio": "2.3.0",
            "torch_build": "cu121",
            "python": "3.8",
            "numpy": "1.24.4",
            "miniconda": "Miniconda3-py38_23.11.0-2-Linux-x86_64.sh",
            "cuda": "12.1.0",
            "cudnn": "8",
            "os": "ubuntu22.04",
            "image": "nvidia/cuda:12.1.0-cudnn8-devel-ubuntu22.04",
        },
        [
            OLD["3.8"],
            (
                "note: nvidia/cuda:12.1.0-cudnn8-devel-ubuntu22.04 is superseded by CUDA 12.1.1:"
                " NVIDIA deletes such tags after six months: take nvidia/cuda:12.1.1-cudnn8-devel-ubuntu22.04"
            ),
            "note: CUDA 12.1 needs a host driver of 525.60.13 or newer (530.30.02 for all of it)",
            (
                "note: torch 2.3.0+cu121 brings CUDA 12.1: the base's CUDA 12.1 is not used;"
                " one without CUDA is about 8 GB smaller, and enough unless CUDA code is compiled in the image"
            ),
        ],
    ),
    "the same without a CUDA image": (
        {"torch": "2.3.0", "torchvision": "0.18.0", "torch_build": "cu121", "python": "3.8", "os": "ubuntu22.04"},
        [
            OLD["3.8"],
            "note: CUDA 12.1 needs a host driver of 525.60.13 or newer (530.30.02 for all of it)",
        ],
    ),
    "TF-gpu 1.15 on CUDA 9, Python 3.6": (
        {
            "tensorflow": "1.15.0",
            "tensorflow_package": "tensorflow-gpu",
            "python": "3.6",
            "cuda": "9.0",
            "cudnn": "7",
            "image": "nvidia/cuda:9.0-cudnn7-runtime-ubuntu16.04",
        },
        [
            OLD["3.6"],
            (
                "broken: nvidia/cuda:9.0-cudnn7-runtime-ubuntu16.04 was deleted from Docker Hub:"
                f" no tag of CUDA 9.0 is known to be left; {GONE}"
            ),
            "note: CUDA 9.0 needs a host driver of 384.81 or newer",
            (
                "broken: tensorflow-gpu 1.15.0 does not find its GPU libraries on CUDA 9.0: take a base with CUDA 10.0"
                " (nvidia/cuda has none left), or tensorflow=1.12.3, the last for CUDA 9.0"
            ),
        ],
    ),
    "TF-gpu 1.15 on CUDA 10, Python 3.6": (
        {
            "tensorflow": "1.15.0",
            "tensorflow_package": "tensorflow-gpu",
            "python": "3.6",
            "cuda": "10.0",
            "cudnn": "7",
            "image": "nvidia/cuda:10.0-cudnn7-runtime-ubuntu18.04",
        },
        [
            OLD["3.6"],
            (
                "broken: nvidia/cuda:10.0-cudnn7-runtime-ubuntu18.04 was deleted from Docker Hub:"
                f" no tag of CUDA 10.0 is known to be left; {GONE}"
            ),
            "note: CUDA 10.0 needs a host driver of 410.48 or newer",
        ],
    ),
    "paddlepaddle 2.0.0 CPU on ubuntu18.04": (
        {"paddle": "2.0.0", "paddle_package": "paddlepaddle", "python": "3.6", "os": "ubuntu18.04"},
        [
            OLD["3.6"],
            (
                "broken: paddlepaddle 2.0.0 was deleted from PyPI by its owners: "
                f"PyPI has {PADDLE_ON_PYPI}; Paddle's docs list a direct download of it;"
                " or vendor a wheel and say so in allow"
            ),
        ],
    ),
    "paddlepaddle 1.8.5 CPU": (
        {"paddle": "1.8.5", "paddle_package": "paddlepaddle", "python": "3.7"},
        [OLD["3.7"]],
    ),
    "paddlepaddle-gpu 1.8.5": (
        {
            "paddle": "1.8.5.post107",
            "paddle_package": "paddlepaddle-gpu",
            "python": "3.7",
            "cuda": "10.0",
            "cudnn": "7",
            "image": "nvidia/cuda:10.0-cudnn7-devel-ubuntu16.04",
        },
        [
            OLD["3.7"],
            (
                "broken: nvidia/cuda:10.0-cudnn7-devel-ubuntu16.04 was deleted from Docker Hub:"
                f" no tag of CUDA 10.0 is known to be left; {GONE}"
            ),
            "note: CUDA 10.0 needs a host driver of 410.48 or newer",
        ],
    ),
    "paddle GPU on CUDA 10.2, cuDNN 7": (
        {**CUDA_10_2, "cudnn": "7", "image": "nvidia/cuda:10.2-cudnn7-devel-ubuntu18.04"},
        [
            OLD["3.7"],
            (
                "broken: nvidia/cuda:10.2-cudnn7-devel-ubuntu18.04 was deleted from Docker Hub:"
                f" no tag of CUDA 10.2 is known to be left; {GONE}"
            ),
            "note: CUDA 10.2 needs a host driver of 440.33 or newer",
        ],
    ),
    "paddle GPU on CUDA 10.2, cuDNN 8": (
        {**CUDA_10_2, "cudnn": "8", "image": "nvidia/cuda:10.2-cudnn8-devel-ubuntu18.04"},
        [
            OLD["3.7"],
            (
                "broken: nvidia/cuda:10.2-cudnn8-devel-ubuntu18.04 was deleted from Docker Hub:"
                f" no tag of CUDA 10.2 is known to be left; {GONE}"
            ),
            "note: CUDA 10.2 needs a host driver of 440.33 or newer",
            ("broken: paddlepaddle-gpu 2.0.0 asks for cuDNN 7.6, the base has 8.6.0.163: take a base with cuDNN 7"),
        ],
    ),
    "paddle GPU on CUDA 11.2.1, cuDNN 8": (
        {
            "paddle": "2.1.2",
            "paddle_package": "paddlepaddle-gpu",
            "python": "3.7",
            "cuda": "11.2.1",
            "cudnn": "8",
            "image": "nvidia/cuda:11.2.1-cudnn8-devel-ubuntu18.04",
        },
        [
            OLD["3.7"],
            (
                "broken: nvidia/cuda:11.2.1-cudnn8-devel-ubuntu18.04 was deleted from Docker Hub:"
                " take nvidia/cuda:11.2.2-cudnn8-devel-ubuntu18.04"
            ),
            "note: CUDA 11.2.1 needs a host driver of 450.80.02 or newer (460.32.03 for all of it)",
            (
                "broken: paddlepaddle-gpu 2.1.2 on PyPI is for CUDA 10.2, and does not find its libraries on 11.2:"
                " PaddlePaddle/Paddle#60906: take paddle=2.1.2.post112, which is for 11.2 (Paddle's own index has it),"
                " or a base with CUDA 10.2"
            ),
        ],
    ),
    "TensorFlow on nvidia/cuda:11.3.1-cudnn8-runtime-ubuntu20.04": (
        {
            "tensorflow": "2.11.0",
            "tensorflow_package": "tensorflow-gpu",
            "python": "3.8",
            "cuda": "11.3.1",
            "cudnn": "8",
            "os": "ubuntu20.04",
            "image": "nvidia/cuda:11.3.1-cudnn8-runtime-ubuntu20.04",
        },
        [
            OLD["3.8"],
            "note: CUDA 11.3.1 needs a host driver of 450.80.02 or newer (465.19.01 for all of it)",
            (
                "note: tensorflow-gpu 2.11.0 was built and tested with CUDA 11.2, not 11.3:"
                " the names of the libraries agree, so it should run"
            ),
        ],
    ),
    "TF 2.15.0, TensorRT 8.6.1, Python 3.10, CUDA 12.1": (
        {
            "tensorflow": "2.15.0",
            "tensorrt": "8.6.1",
            "python": "3.10",
            "cuda": "12.1.1",
            "cudnn": "8",
            "image": "nvidia/cuda:12.1.1-cudnn8-devel-ubuntu22.04",
        },
        [
            OLD["3.10"],
            "note: CUDA 12.1.1 needs a host driver of 525.60.13 or newer (530.30.02 for all of it)",
            (
                "note: tensorflow 2.15.0 was built and tested with CUDA 12.2, not 12.1:"
                " the names of the libraries agree, so it should run"
            ),
            "note: tensorrt 8.6.1 on PyPI is only an installer: builds need NVIDIA's own index too",
        ],
    ),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_told_of_a_seed(seed: str) -> None:
    """All of it, in the order of the table of rules."""
    values, told = SEEDS[seed]
    assert [f"{finding.severity}: {finding}" for finding in compat.findings(row(**values))] == told
