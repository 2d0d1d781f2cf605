"""scripts/update-compat: what the names of wheels say, and a catalogue that takes it in."""

import json

import pytest
from scripts.lib import update_compat

from imagematrix.compat import catalogue
from imagematrix.compat.catalogue import Corrections

FILES = [
    "torch-2.16.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    "torch-2.16.0-cp313-cp313t-manylinux_2_28_x86_64.whl",
    "torch-2.16.0-cp314-cp314-manylinux_2_28_aarch64.whl",
    "torch-2.16.0-cp315-cp315-win_amd64.whl",
    "torch-2.17.0rc1-cp312-cp312-manylinux_2_28_x86_64.whl",
    "torch-2.15.0-2-cp310-cp310-manylinux1_x86_64.whl",
    "torch-1.4.0-cp27-cp27mu-manylinux1_x86_64.whl",
    "torch-1.0.0-cp37-cp37m-manylinux1_x86_64.whl",
    "torch-2.16.0.tar.gz",
]


def test_wheels() -> None:
    """Linux on x86_64, no previews, no free-threaded builds."""
    assert update_compat.wheels(FILES) == {
        "2.16.0": {"3.12"},
        "2.15.0": {"3.10"},
        "1.4.0": {"2.7"},
        "1.0.0": {"3.7"},
    }


def test_merged() -> None:
    """New releases come in order, new Pythons to what is known; nothing is taken away, what is too old left out."""
    document = {
        "_meta": {},
        "releases": [
            {"release": "1.4.0", "python": ["3.8"], "torchvision": "0.5.0"},
            {"release": "2.15.0", "python": ["3.9", "3.11"]},
        ],
    }
    found = update_compat.merged(document, update_compat.wheels(FILES), pythons="python", new={"builds": {}})
    assert found["releases"] == [
        {"release": "1.4.0", "python": ["2.7", "3.8"], "torchvision": "0.5.0"},
        {"release": "2.15.0", "python": ["3.9", "3.10", "3.11"]},
        {"release": "2.16.0", "python": ["3.12"], "builds": {}},
    ]


def test_sourced() -> None:
    """What left the index is said to have left it; nothing else moves."""
    builds = {
        "cu90": {"suffix": ".post97", "by": "pypi"},
        "cu102": {"by": "pypi"},
        "cu101": {"suffix": "x", "by": "url"},
    }
    document = {"_meta": {}, "releases": [{"release": "1.8.5", "cpu_on_pypi": True, "gpu_builds": builds}]}
    found = update_compat.sourced(document, {}, {"1.8.5.post97": frozenset({"3.7"})})
    assert found["releases"] == [
        {
            "release": "1.8.5",
            "cpu_on_pypi": False,
            "gpu_builds": {
                "cu90": {"suffix": ".post97", "by": "pypi"},
                "cu102": {"by": "index"},
                "cu101": {"suffix": "x", "by": "url"},
            },
        }
    ]


@pytest.mark.parametrize("name", ["torch", "tensorflow", "paddle"])
def test_text(name: str) -> None:
    """What did not change is written as it was."""
    text = (update_compat.DATA / f"{name}.json").read_text(encoding="utf-8")
    assert update_compat.text(json.loads(text)) == text


def test_rules_are_silent_on_what_an_index_does_not_know() -> None:
    """A release that was only just added has no builds and no CUDA."""
    from imagematrix.compat import paddle, tensorflow, torch

    bare: dict[str, dict[str, object]] = {
        "torch": {"builds": {}},
        "tensorflow": {"packages": {"cpu": [], "gpu": []}},
        "paddle": {"gpu_builds": {}},
    }
    known = {"release": "9.0", "python": ["3.13"], "cpu_python": ["3.13"], "cpu_on_pypi": True}
    documents: dict[str, catalogue.Document] = {
        name: {**catalogue.packaged(name), "releases": [{**known, **more}]} for name, more in bare.items()
    }
    catalogue.use(Corrections(documents=documents))
    try:
        assert [
            *torch.torch_build("9.0", "cu140"),
            *tensorflow.tensorflow_on_cuda("9.0", "14.0"),
            *tensorflow.tensorflow_on_cudnn("9.0", "10"),
            *paddle.paddle_on_cuda("9.0", "14.0"),
            *paddle.paddle_on_python("9.0", "", "3.13", "14.0"),
            *paddle.paddle_gpu_on_pypi("9.0", "14.0"),
            *tensorflow.tensorflow_on_os("9.0", "debian12"),
        ] == []
    finally:
        catalogue.use(Corrections())
