"""Builds of torch that its own indexes have: their names, ROCm's, and which index has which."""

import pytest
from tests.unit.test_compat import row

from imagematrix import compat
from imagematrix.compat.gpu import cuda_of
from imagematrix.diagnostics import Severity

INDEX = "https://download.pytorch.org/whl/"


def told(**values: str) -> list[tuple[Severity, str]]:
    """Return how bad it is what is found of a build, and what is to blame."""
    names = ("torch", "torch_build", "torch_index")
    found = compat.findings(row(**values))
    return [(each.severity, each.about) for each in found if each.about in names and "host driver" not in each.message]


@pytest.mark.parametrize(
    ("torch", "build"),
    [
        ("1.8.1", "rocm4.0.1"),
        ("1.13.1", "rocm5.2"),
        ("2.0.1", "rocm5.4.2"),
        ("2.4.0", "rocm6.1"),
        ("2.6.0", "rocm6.2.4"),
        ("2.9.1", "rocm6.4"),
    ],
)
def test_builds_for_rocm_that_are_there(torch: str, build: str) -> None:
    """They have no findings: these are the commands of the page on previous versions."""
    assert told(torch=torch, torch_build=build, torch_index=INDEX + build) == []
    assert told(torch=f"{torch}+{build}", torch_index=INDEX + build) == []


@pytest.mark.parametrize(
    ("torch", "build", "severity"),
    [
        ("2.1.0", "rocm6.1", Severity.BROKEN),  # 2.3 had none newer than 6.0 yet
        ("2.5.1", "rocm5.7", Severity.BROKEN),  # 2.4 had none so old any more
        ("1.13.1", "rocm4.2", Severity.BROKEN),
        ("2.3.0", "rocm5.7", Severity.UNKNOWN),
        ("2.8.0", "rocm6.3", Severity.UNKNOWN),
        ("2.12.0", "rocm7.1", Severity.NOTE),  # newer than what is listed
    ],
)
def test_builds_for_rocm_that_are_not_listed(torch: str, build: str, severity: Severity) -> None:
    """The releases around it imply some of them."""
    assert told(torch=torch, torch_build=build, torch_index=INDEX + build) == [(severity, "torch_build")]


@pytest.mark.parametrize("build", ["cuda12.1", "cu12.1", "12.1", "cuda121", "12.1.1", "cuda-12.1"])
def test_names_that_no_build_has(build: str) -> None:
    """The remedy is the right spelling."""
    found = next(each for each in compat.findings(row(torch="2.3.0", torch_build=build)) if each.about == "torch_build")
    assert (found.severity, found.hint) == (Severity.IMPOSSIBLE, "write cu121")


def test_an_index_of_another_build() -> None:
    """Each of torch's own indexes has one build; a mirror may have any."""
    wrong = {"torch": "2.3.0", "torch_build": "cu118", "torch_index": f"{INDEX}cu121"}
    assert told(**wrong) == [(Severity.BROKEN, "torch_index")]
    assert told(**{**wrong, "torch_index": f"{INDEX}cu118"}) == []
    assert told(**{**wrong, "torch_index": "https://mirror.example/whl/cu121"}) == []
    assert told(torch="2.3.0+cu118", torch_index=f"{INDEX}cu121") == [(Severity.BROKEN, "torch_index")]
    assert told(torch="1.9.0+cu111", torch_index=f"{INDEX}torch_stable.html") == []


def test_a_local_version_needs_an_index_too() -> None:
    """PyPI has no `2.1.0+cu118`."""
    assert told(torch="2.1.0+cu118") == [(Severity.BROKEN, "torch")]
    assert told(torch="2.1.0+cu121") == []


def test_an_index_that_has_no_such_release() -> None:
    """Beside it PyPI is asked, whose build would be installed in silence."""
    assert told(torch="2.6.0", torch_index=f"{INDEX}cu121") == [(Severity.IMPOSSIBLE, "torch_index")]
    assert told(torch="2.1.0", torch_index=f"{INDEX}rocm6.1") == [(Severity.BROKEN, "torch_index")]
    assert told(torch="2.5.1", torch_index=f"{INDEX}cu121") == []
    assert told(torch="2.5.1", torch_index=f"{INDEX}nightly/cu121") == []


def test_the_index_names_the_build() -> None:
    """A row that says neither `torch_build` nor a local version has what its index has."""
    values = {"torch": "2.7.1", "torch_index": f"{INDEX}cu128", "gpus": "sm_120"}
    assert not any(each.about == "gpus" for each in compat.findings(row(**values)))
    assert any(each.about == "gpus" for each in compat.findings(row(torch="2.7.1", gpus="sm_120")))
    use = cuda_of(values)
    assert use is not None
    assert use.version == "12.8"


def test_builds_of_one_release_that_need_different_glibcs() -> None:
    """Torch 2.6.0 for CUDA 12.6 was the first that needs glibc 2.28, which Ubuntu 18.04 does not have."""
    values = {"torch": "2.6.0", "python": "3.10", "os": "ubuntu18.04"}
    new, old = ({"torch_build": each, "torch_index": INDEX + each} for each in ("cu126", "cu124"))
    [finding] = [each for each in compat.findings(row(**values, **new)) if each.code == "torch_on_os"]
    assert finding.severity is Severity.IMPOSSIBLE
    assert finding.words == {"torch_build": "cu124"}
    assert told(**values, **old) == told(**values) == []
    assert told(**{**values, "os": "ubuntu20.04"}, **new) == []
