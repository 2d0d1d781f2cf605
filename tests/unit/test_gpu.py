"""Which CUDA a row uses, who brings it, and what its host needs for that."""

from collections.abc import Mapping

import pytest
from tests.unit.test_compat import row

from imagematrix import compat
from imagematrix.compat import BroughtBy
from imagematrix.diagnostics import Severity
from imagematrix.model import Base, Family, Row

BASE, WHEELS = BroughtBy.BASE, BroughtBy.WHEELS
AND_CUDA = "tensorflow[and-cuda]"
DEVEL = "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04"


@pytest.mark.parametrize(
    ("values", "cuda", "by"),
    [
        ({"cuda": "12.4.1"}, "12.4.1", BASE),
        ({"torch": "2.9.1"}, "12.8", WHEELS),
        ({"torch": "2.15.0"}, "13.2", WHEELS),
        ({"torch": "1.12.1"}, "10.2", WHEELS),
        ({"torch": "2.3.0+cu118"}, "11.8", WHEELS),
        ({"torch": "2.3.0", "torch_build": "cu121", "cuda": "11.8.0"}, "12.1", WHEELS),
        ({"torch": "2.3.0", "cuda": "11.8.0"}, "12.1", WHEELS),
        ({"torch": "99.1"}, "", WHEELS),
        ({"torch": "99.1", "torch_build": "cu140"}, "14.0", WHEELS),
        ({"tensorflow": "2.15.1", "tensorflow_package": AND_CUDA}, "12.2", WHEELS),
        ({"tensorflow": "2.15.1", "tensorflow_package": AND_CUDA, "cuda": "11.8.0"}, "12.2", WHEELS),
        ({"tensorflow": "99.0", "tensorflow_package": AND_CUDA}, "", WHEELS),
        ({"tensorflow": "2.15.1", "cuda": "12.2.2"}, "12.2.2", BASE),
        ({"tensorflow": "99.0", "cuda": "12.2.2"}, "12.2.2", BASE),
        ({"tensorflow": "1.12.0", "tensorflow_package": "tensorflow-gpu", "cuda": "9.0"}, "9.0", BASE),
        ({"paddle": "2.6.2", "cuda": "11.8.0"}, "11.8.0", BASE),
        ({"paddle": "3.3.1", "paddle_package": "paddlepaddle-gpu"}, "", WHEELS),
        ({"paddle": "3.3.1", "cuda": "12.6.3"}, "12.6", WHEELS),
        ({"tensorflow": "2.20.0", "torch": "2.15.0", "tensorflow_package": AND_CUDA}, "13.2", WHEELS),
    ],
)
def test_a_row_uses_the_cuda_of_its_wheels_or_its_base(values: Mapping[str, str], cuda: str, by: BroughtBy) -> None:
    use = compat.cuda_of(values)

    assert use is not None
    assert (use.version, use.brought_by) == (cuda, by)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"cuda": "none"},
        {"torch_build": "cpu"},
        {"torch": "2.9.1", "torch_build": "cpu"},
        {"torch": "2.9.1+cpu", "cuda": "12.8.1"},
        {"torch": "2.9.1", "torch_build": "rocm6.4"},
        {"tensorflow": "2.15.1"},
        {"tensorflow": "2.15.1", "tensorflow_package": "tensorflow"},
        {"tensorflow": "2.15.1", "tensorflow_package": "tensorflow-cpu", "cuda": "12.2.2"},
        {"tensorflow": "1.12.0", "tensorflow_package": "tensorflow", "cuda": "9.0"},
        {"paddle": "3.3.1"},
        {"paddle": "2.6.2", "paddle_package": "paddlepaddle-gpu"},
        {"paddle": "3.3.1", "paddle_package": "paddlepaddle", "cuda": "12.6.3"},
    ],
)
def test_a_row_for_cpus_uses_none(values: Mapping[str, str]) -> None:
    assert compat.cuda_of(values) is None


@pytest.mark.parametrize(
    ("values", "requirement"),
    [
        ({"torch": "2.9.1"}, "driver>=525.60.13"),
        ({"torch": "2.9.1", "torch_build": "cu130", "cuda": "12.8.1"}, "driver>=580"),
        ({"torch": "2.3.0", "torch_build": "cu118", "cuda": "12.1.1"}, "driver>=450.80.02"),
        ({"torch": "1.12.1"}, "driver>=440.33"),
        ({"torch": "2.9.1", "torch_build": "cpu"}, ""),
        ({"torch": "99.1"}, ""),
        ({"tensorflow": "2.15.1", "cuda": "12.2.2"}, ""),
    ],
)
def test_an_image_asks_for_the_driver_of_the_cuda_that_its_wheels_bring(
    values: Mapping[str, str], requirement: str
) -> None:
    """Not of the base's; what the base brings, it asks for itself."""
    assert compat.driver_requirement(values) == requirement


def notes(image: str = "", **values: str) -> list[str]:
    """Return what `check` notes of a row, after the axis or fact that it is about."""
    base = Base(name="b", image=image)
    row = Row(family=Family(name="f", layers=(), tag=""), base=base, tag="t", axes={}, values=values, image="f:t")
    return [f"{each.about}: {each}" for each in compat.findings(row) if each.severity is Severity.NOTE]


@pytest.mark.parametrize(
    ("values", "about"),
    [
        ({"torch": "2.3.0"}, "torch"),
        ({"torch": "2.3.0", "torch_build": "cu118"}, "torch"),
        ({"torch": "2.3.0", "torch_build": "cpu"}, "torch"),
        ({"tensorflow": "2.15.1", "tensorflow_package": AND_CUDA}, "tensorflow"),
        ({"paddle": "3.3.1"}, "paddle"),
    ],
)
def test_check_notes_a_base_whose_cuda_nothing_loads_and_what_a_slim_one_saves(
    values: dict[str, str], about: str
) -> None:
    """An unknown base has no known size."""
    saved = "the base's CUDA 11.8 is not used; one without CUDA is about 8 GB smaller"
    assert any(text.startswith(f"{about}: ") and saved in text for text in notes(DEVEL, cuda="11.8.0", **values))
    elsewhere = notes("registry.example.com/gpu:1", cuda="11.8.0", **values)
    assert any("the base's CUDA 11.8 is not used" in text for text in elsewhere)
    assert not any("smaller" in text for text in elsewhere)


@pytest.mark.parametrize(
    "values",
    [
        {"torch": "2.3.0", "horovod": "0.28.1"},
        {"tensorflow": "2.13.1"},
        {"paddle": "2.6.2"},
        {},
    ],
)
def test_check_notes_no_base_whose_cuda_is_used(values: dict[str, str]) -> None:
    """Or compiled against."""
    assert not any("smaller" in text for text in notes(DEVEL, cuda="11.8.0", **values))


def test_check_names_the_driver_for_the_cuda_that_is_used() -> None:
    """At the line of what brings it."""
    needs = "needs a host driver of 525.60.13 or newer"
    assert any(f"torch: CUDA 12.1 {needs}" in text for text in notes(cuda="11.8.0", torch="2.3.0"))
    assert any(f"torch: CUDA 12.8 {needs}" in text for text in notes(torch="2.9.1"))
    assert any(f"cuda: CUDA 12.2.2 {needs}" in text for text in notes(cuda="12.2.2", tensorflow="2.15.1"))
    assert not any("host driver" in text for text in notes(torch="2.9.1", torch_build="cpu"))


@pytest.mark.parametrize(
    ("values", "severity"),
    [
        ({"image": "ubuntu:22.04"}, Severity.BROKEN),
        ({"image": "reg.example/our/base:1"}, Severity.UNKNOWN),
        ({"image": "ubuntu:22.04", "paddle_package": "paddlepaddle"}, None),
        ({"image": "ubuntu:22.04", "paddle": "3.3.1"}, None),  # brings CUDA
        ({"image": "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04", "cuda": "11.8.0"}, None),
        ({"image": "reg.example/paddlepaddle/paddle:2.6.2-gpu-cuda11.8-cudnn8.6-trt8.5"}, None),
    ],
)
def test_a_build_of_paddle_that_takes_cuda_from_a_base_without(
    values: dict[str, str], severity: Severity | None
) -> None:
    """An image whose name tells nothing may have CUDA: that is a warning."""
    values = {"paddle": "2.6.2", "paddle_package": "paddlepaddle-gpu", "python": "3.10", **values}
    found = [each.severity for each in compat.findings(row(**values)) if each.code == "paddle_without_cuda"]
    assert found == ([severity] if severity else [])
