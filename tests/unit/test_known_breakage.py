"""Combinations that an issue reports are broken, and the issue is named."""

from collections.abc import Mapping

import pytest
from tests.unit.test_compat import row

from imagematrix import compat
from imagematrix.compat import catalogue
from imagematrix.diagnostics import Severity

AND_CUDA = {"tensorflow_package": "tensorflow[and-cuda]"}


def broken(values: Mapping[str, str]) -> list[str]:
    """Return everything that is reported about breakage."""
    return [str(finding) for finding in compat.findings(row(**values)) if finding.severity is Severity.BROKEN]


@pytest.mark.parametrize(
    ("values", "issue"),
    [
        ({"horovod": "0.28.1", "torch": "2.1.0"}, "horovod#3996"),
        ({"horovod": "0.28.1", "torch": "2.3.0+cu121", "torch_build": "cu121"}, "#4014"),
        ({"horovod": "0.23.0", "torch": "1.11.0"}, "horovod#3425"),
        ({"horovod": "0.28.1", "tensorflow": "2.16.1"}, "horovod#4290"),
        ({"horovod": "0.27.0", "tensorflow": "2.12.0"}, "horovod#3864"),
        ({"horovod": "0.24.3", "tensorflow": "2.9.1"}, "horovod#3513"),
        ({"horovod": "0.22.0", "tensorflow": "2.6.2", "pins": "protobuf<3.21"}, "horovod#2932"),
        ({"horovod": "0.27.0", "os": "debian12", "torch": "1.13.1"}, "horovod#3923"),
        ({"tensorflow": "2.16.1", **AND_CUDA}, "tensorflow#63362"),
        ({"tensorflow": "2.20.0", "gpus": "sm_90 sm_120", **AND_CUDA}, "tensorflow#99592"),
        ({"tensorflow": "2.16.2", "gpus": "sm_121", "cuda": "12.3.2"}, "#101746"),
        ({"tensorflow": "2.16.1", "pins": "transformers==4.38.0"}, "transformers#34761"),
        ({"cuda": "12.1.1", "pins": "numpy<2 onnxruntime-gpu==1.16.3"}, "onnxruntime#21684"),
        ({"cuda": "12.1.1", "torch": "2.3.1", "pins": "onnxruntime-gpu==1.18.0 numpy<2"}, "onnxruntime#21684"),
        ({"cuda": "12.1.1", "cudnn": "8", "pins": "onnxruntime-gpu==1.19.2"}, "onnxruntime#22198"),
        ({"cuda": "11.8.0", "pins": "onnxruntime-gpu==1.20.0"}, "#requirements"),
        ({"cuda": "11.8.0", "pins": "cupy-cuda12x==13.3.0"}, "cupy#7772"),
        ({"cuda": "12.4.1", "pins": "cupy-cuda11x==13.3.0"}, "docs.cupy.dev"),
        ({"tensorflow": "2.18.0", "tensorrt": "10.6.0"}, "tensorflow#68303"),
        ({"tensorflow": "2.20.0", "tensorrt": "8.6.1"}, "#87911"),
        ({"tensorflow": "2.17.0", "tensorrt": "10.1.0"}, "tensorflow#64809"),
        ({"tensorflow": "2.15.0", "tensorrt": "10.0.1"}, "tensorflow#64809"),
        ({"tensorflow": "2.10.0", "tensorrt": "8.5.3.1"}, "tensorflow#57679"),
        ({"paddle": "2.6.2", "cuda": "12.0.1", "python": "3.10"}, "Paddle#60906"),
        ({"paddle": "2.5.2", "cuda": "12.0.0", "paddle_package": "paddlepaddle-gpu"}, "Paddle#60906"),
        ({"paddle": "2.4.2", "cuda": "11.2.2"}, "Paddle#60906"),
        ({"paddle": "2.6.1.post120", "cuda": "12.0.1", "os": "ubuntu20.04"}, "Paddle#60906"),
    ],
)
def test_what_an_issue_tells(values: Mapping[str, str], issue: str) -> None:
    """It is an error that a row may overrule, and names its source."""
    assert any(issue in text for text in broken(values))
    overruled = compat.findings(row(allow="patched", **values))
    assert not [finding for finding in overruled if finding.severity is Severity.BROKEN]


@pytest.mark.parametrize(
    "values",
    [
        {"horovod": "0.28.1", "torch": "2.0.1"},
        {"horovod": "0.28.1", "tensorflow": "2.12.0", "os": "debian12"},
        {"horovod": "0.28.1", "tensorflow": "2.15.1"},
        {"horovod": "0.24.0", "torch": "1.10.2"},
        {"horovod": "0.21.3", "tensorflow": "2.4.0", "pins": "protobuf<3.21", "os": "tlinux2"},
        {"horovod": "0.27.0", "tensorflow": "2.11.0", "os": "ubuntu22.04"},
        {"horovod": "0.27.0", "os": "debian12", "horovod_options": "HOROVOD_WITH_MPI=1 HOROVOD_WITHOUT_GLOO=1"},
        {"horovod": "0.28.1", "torch": "2.3.0", "horovod_options": "HOROVOD_WITHOUT_PYTORCH=1"},
        {"horovod": "9.0.0", "torch": "2.3.0"},
        {"tensorflow": "2.16.2", **AND_CUDA},
        {"tensorflow": "2.16.1", "pins": "transformers==4.38.0 tf-keras~=2.16.0"},
        {"tensorflow": "2.15.1", "pins": "transformers==4.38.0"},
        {"cuda": "12.4.1", "cudnn": "9", "pins": "onnxruntime-gpu==1.19.2 cupy-cuda12x==13.3.0"},
        {"cuda": "11.8.0", "cudnn": "8", "pins": "onnxruntime-gpu==1.16.3 numpy<2 cupy-cuda11x==13.3.0"},
        {"cuda": "12.1.1", "torch": "2.0.1", "pins": "onnxruntime-gpu==1.16.3 numpy<2"},  # its wheels bring CUDA 11
        {"cuda": "12.1.1", "cudnn": "8", "torch": "2.4.1", "pins": "onnxruntime-gpu==1.19.2"},  # and cuDNN 9
        {"tensorflow": "2.20.0", "gpus": "sm_90 sm_100", **AND_CUDA},
        {"tensorflow": "2.16.1", "cuda": "12.3.2", "cudnn": "8.9"},
        {"tensorflow": "2.15.0", "tensorrt": "8.6.1"},
        {"tensorflow": "2.14.1", "tensorrt": "8.5.3.1"},
        {"torch": "2.4.1", "tensorrt": "10.6.0"},
        {"paddle": "2.6.2", "cuda": "11.8.0"},
        {"paddle": "2.6.2", "cuda": "11.7.1"},
        {"paddle": "2.6.2.post120", "cuda": "12.0.1", "os": "ubuntu22.04"},
        {"paddle": "2.4.2.post112", "cuda": "11.2.2"},
        {"paddle": "2.3.2", "cuda": "11.2", "image": "reg.example/paddlepaddle/paddle:2.3.2-gpu-cuda11.2-cudnn8"},
    ],
)
def test_what_works(values: Mapping[str, str]) -> None:
    """Neighbours of what is broken are not."""
    assert broken(values) == []


def test_what_is_locked_counts() -> None:
    """A package that is there only through others is known once it is locked, as is one that mends it."""
    values = row(tensorflow="2.18.1", tensorflow_package="tensorflow", pins="sentence-transformers")
    locked = {"transformers": "4.57.0", "tensorflow": "2.18.1"}

    def codes(more: Mapping[str, str]) -> list[str]:
        found = compat.findings(values, {**locked, **more})
        return [each.code for each in found if each.severity is Severity.BROKEN]

    assert codes({}) == ["known_breakage"]
    assert codes({"tf-keras": "2.18.0"}) == []


def test_the_table() -> None:
    """Each entry names an issue and values that work in its place; rules know every name it speaks of."""
    for each in catalogue.breakages():
        assert "#" in each.source
        assert each.instead
        for name, value in each.instead.items():
            assert name in {each.package, *each.with_, "pins"}
            wanted = catalogue.breakages()
            assert each in wanted
            assert value
    assert set(catalogue.breakage_names()) <= compat.read()


def test_lists_that_may_be_cut_off_refuse_nothing() -> None:
    """Third parties tell of Paddle's newer GPU builds; TensorRT by apt needs no wheel for the row's Python."""
    found = compat.findings(row(paddle="3.0.0", paddle_package="paddlepaddle-gpu", cuda="12.6.3", python="3.14"))
    assert {finding.severity for finding in found if finding.about == "paddle"} <= {Severity.UNKNOWN, Severity.NOTE}
    by_apt = {"tensorrt": "8.5.3.1", "tensorrt_deb": "8.5.3-1+cuda11.8", "python": "3.11"}
    assert not [finding for finding in compat.findings(row(**by_apt)) if finding.about == "tensorrt"]


def test_tensorrt_on_a_neighbour_of_a_listed_cuda() -> None:
    """Is no warning: the libraries of one major version have the same names. On another one, it is."""

    def told(cuda: str) -> set[Severity]:
        found = compat.findings(row(tensorrt="8.6.1", tensorrt_deb="8.6.1.6-1", cuda=cuda))
        return {finding.severity for finding in found if finding.about == "tensorrt"}

    assert told("12.1.1") == set()
    assert told("12.2.2") == {Severity.NOTE}
    assert told("13.0.1") == {Severity.UNKNOWN}


def test_a_warning_gives_way_to_what_is_known() -> None:
    """Then no note says that upstream never tested it."""
    found = compat.findings(row(horovod="0.28.1", torch="2.3.0"))
    assert {finding.severity for finding in found if finding.about == "horovod"} == {Severity.BROKEN}
