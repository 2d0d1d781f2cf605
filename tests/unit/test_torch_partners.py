"""Torch, the builds there are of it, and which torchvision and torchaudio go with it."""

import pytest

from imagematrix import compat
from imagematrix.compat import catalogue, nearest
from imagematrix.compat.catalogue import Corrections
from imagematrix.diagnostics import Severity
from imagematrix.model import Base, Family, Row

INDEX = "https://download.pytorch.org/whl/cu118"


def found(about: str, **values: str) -> list[tuple[Severity, str]]:
    """Return the findings about one value of a row: severity and hint."""
    row = Row(
        family=Family(name="f", layers=(), tag=""), base=Base(name="b"), tag="t", axes={}, values=values, image="f:t"
    )
    return [(each.severity, each.hint) for each in compat.findings(row) if each.about == about]


def said(**values: str) -> list[Severity]:
    """Return the severities of findings about a row's torch, without notes."""
    return [severity for severity, _ in found("torch", **values) if severity is not Severity.NOTE]


@pytest.mark.parametrize(
    ("package", "release", "of_torch"),
    [
        ("torchvision", "0.8.0", "1.7.0"),
        ("torchvision", "0.8.1", "1.7.0"),
        ("torchvision", "0.22.0", "2.7.0"),
        ("torchvision", "0.22.0+cu118", "2.7.0+cu118"),
        ("torchvision", "0.29.0", "2.14.0"),
        ("torchvision", "0.29.1", "2.14.0"),
        ("torchvision", "0.29.1", "2.14.1"),
        ("torchvision", "0.29.1", "2.15.0"),
        ("torchvision", "0.29.2", "2.14.0"),
        ("torchvision", "0.29.2", "2.15.0"),
        ("torchvision", "0.29.2", "2.99.0"),
        ("torchaudio", "2.11.0", "2.11.0"),
        ("torchaudio", "2.11.0", "2.14.1"),
        ("torchaudio", "2.11.1", "2.11.0"),
        ("torchaudio", "2.11.1", "2.14.0"),
        ("torchaudio", "2.11.1", "2.15.0"),
        ("torchaudio", "2.0.1", "2.0.0"),
        ("torchaudio", "2.2.2", "nightly"),
    ],
)
def test_what_a_partner_asks_for_is_enough(package: str, release: str, of_torch: str) -> None:
    """An exact torch before 0.29.1 and 2.11.0, since then a minimum; two releases may be for one torch."""
    assert found(package, torch=of_torch, python="3.12", **{package: release}) == []


@pytest.mark.parametrize(
    ("package", "release", "of_torch", "remedy"),
    [
        ("torchvision", "0.8.0", "1.7.1", "it is for torch==1.7.0; take torchvision=0.8.2"),
        ("torchvision", "0.29.0", "2.14.1", "it is for torch==2.14.0; take torchvision=0.29.1"),
        ("torchvision", "0.29.0", "2.15.0", "it is for torch==2.14.0; take torchvision=0.29.2"),
        ("torchvision", "0.29.2", "2.13.0", "it is for torch>=2.14.0; take torchvision=0.28.0"),
        ("torchvision", "0.4.0", "2.3.0", "it is for torch==1.2.0; take torchvision=0.18.0"),
        ("torchaudio", "2.10.0", "2.11.0", "it is for torch==2.10.0; take torchaudio=2.11.0"),
        ("torchaudio", "2.10.0", "2.15.0", "it is for torch==2.10.0; take torchaudio=2.11.1"),
        ("torchaudio", "2.11.0", "2.10.0", "it is for torch>=2.11; take torchaudio=2.10.0"),
        ("torchaudio", "2.11.1", "2.10.0", "it is for torch>=2.11; take torchaudio=2.10.0"),
        ("torchaudio", "0.13.1", "2.99.0", "it is for torch==1.13.1; take torchaudio=2.11.1"),
        ("torchvision", "0.10.0", "1.3.2", "it is for torch==1.9.0; none is known to go with torch 1.3.2"),
    ],
)
def test_a_partner_of_another_torch_is_broken(package: str, release: str, of_torch: str, remedy: str) -> None:
    """The remedy is a word that `add` takes."""
    assert found(package, torch=of_torch, **{package: release}) == [(Severity.BROKEN, remedy)]


@pytest.mark.parametrize("release", ["0.18.9", "0.99.0", "main", "0.18.0.post1"])
def test_an_unlisted_partner_is_unknown(release: str) -> None:
    assert found("torchvision", torch="2.3.0", torchvision=release) == [
        (Severity.UNKNOWN, "take torchvision=0.18.0"),
    ]


class TestCuda:
    """A partner compares its CUDA with torch's when it is imported."""

    def test_another_minor_version(self) -> None:
        """PyPI has torch 2.15.0 for CUDA 13.2, and torchaudio 2.11.0 for 13.0."""
        row = {"torch": "2.15.0", "torchaudio": "2.11.0", "python": "3.12"}
        assert found("torchaudio", **row) == [
            (Severity.BROKEN, "importing it raises an error; take torchaudio=2.11.1"),
        ]
        assert found("torchaudio", **{**row, "torch": "2.13.0"}) == []

    @pytest.mark.parametrize(("of_torch", "audio"), [("2.11.0", "2.11.0"), ("2.14.0", "2.11.1")])
    def test_another_build_of_torch_alone(self, of_torch: str, audio: str) -> None:
        """The partner is PyPI's, for CUDA 13, unless the index of torch is asked, or the build is named for both."""
        alone = found("torchaudio", torch=f"{of_torch}+cu126", torchaudio=audio)
        assert alone == [(Severity.BROKEN, "importing it raises an error; take torchaudio=2.11.0+cu126")]
        assert found("torchaudio", torch=f"{of_torch}+cu126", torchaudio=f"{audio}+cu126") == []
        assert found("torchaudio", torch=of_torch, torch_build="cu126", torchaudio=audio) == []
        assert found("torchaudio", torch=f"{of_torch}+cu126", torch_index=INDEX, torchaudio=audio) == []

    def test_a_build_without_cuda_is_not_compared(self) -> None:
        assert found("torchaudio", torch="2.15.0+cpu", torchaudio="2.11.0") == []

    def test_since_when_the_minor_version_is_free(self) -> None:
        """Torchvision 0.16.0 compares the major version alone."""
        assert found("torchvision", torch="2.1.0+cu118", torchvision="0.16.0") != []
        assert found("torchvision", torch="2.4.0+cu124", torchvision="0.19.0") == []
        assert found("torchvision", torch="2.0.1+cu118", torchvision="0.15.2") != []


class TestPython:
    """Partners have wheels for Pythons of their own."""

    def test_no_wheel(self) -> None:
        row = {"torch": "2.15.0", "python": "3.15"}
        assert found("torchvision", **row, torchvision="0.29.1") == [
            (Severity.BROKEN, "wheels exist for 3.10-3.14; take torchvision=0.29.2"),
        ]
        assert found("torchaudio", **row, torchaudio="2.11.1") == []  # a py3 wheel

    def test_no_partner_of_this_torch_has_a_wheel(self) -> None:
        assert found("torchaudio", torch="1.13.1", python="3.11", torchaudio="0.13.1") == [
            (Severity.BROKEN, "wheels exist for 3.7-3.10; the first torch whose torchaudio has one is 2.0.0"),
        ]

    def test_torch_has_none_for_python_2(self) -> None:
        assert "2.7" not in catalogue.torch_wheels().pythons["1.5.0"]


def test_a_release_that_was_withdrawn() -> None:
    assert found("torchvision", torch="2.0.0", torchvision="0.15.0") == [(Severity.NOTE, "take torchvision=0.15.1")]


def test_a_release_that_was_withdrawn_is_not_offered() -> None:
    packaged = catalogue.packaged("torch")
    newest = [{**each, "yanked": each["release"] == "0.29.2"} for each in packaged["torchvision"]]
    catalogue.use(Corrections(documents={"torch": {**packaged, "torchvision": newest}}))
    try:
        assert nearest.fact("torch", "2.15.0", "torchvision") == "0.29.1"
    finally:
        catalogue.use(Corrections())


def test_each_torch_has_its_partners() -> None:
    """And they are made for PyPI's build of it, where it has one."""
    for release, known in catalogue.torch().items():
        for package in ("torchvision", "torchaudio"):
            wanted = nearest.fact("torch", release, package)
            assert wanted, (release, package)
            if known.default:
                assert found(package, torch=release, **{package: wanted}) == []
    assert nearest.fact("torch", "2.15.0", "torchaudio") == "2.11.1"
    assert nearest.fact("torch", "2.15.0", "torchtext") == ""
    assert nearest.fact("python", "3.12", "torchvision") == ""


class TestBuilds:
    """Which builds of torch there are."""

    @pytest.mark.parametrize(
        ("of_torch", "build"),
        [("2.3.0", "cu124"), ("2.7.1", "cu129"), ("2.9.1", "cu118"), ("2.15.0", "cu118"), ("2.14.0", "cu124")],
    )
    def test_never_made(self, of_torch: str, build: str) -> None:
        """Where all builds are known; and where all that are known are for a newer CUDA."""
        for index in (INDEX, ""):
            kinds = found("torch_build", torch=of_torch, torch_build=build, torch_index=index)
            assert [severity for severity, _ in kinds] == [Severity.IMPOSSIBLE]
        assert said(torch=f"{of_torch}+{build}") == [Severity.IMPOSSIBLE]

    @pytest.mark.parametrize(
        ("of_torch", "build"),
        [
            ("2.3.0", "rocm5.7"),
            ("2.6.0", "xpu"),
            ("2.3.0", "cpu.cxx11.abi"),
            ("2.1.0", "cu121.with.pypi.cudnn"),
            ("2.9.0", "cu129"),
            ("2.15.0", "cu140"),
        ],
    )
    def test_not_listed(self, of_torch: str, build: str) -> None:
        kinds = found("torch_build", torch=of_torch, torch_build=build, torch_index=INDEX)
        assert [severity for severity, _ in kinds] == [Severity.UNKNOWN]
        assert said(torch=f"{of_torch}+{build}") == [Severity.UNKNOWN]
        assert not any(severity.is_error for severity, _ in found("torch_build", torch=of_torch, torch_build=build))

    def test_one_that_pypi_does_not_have_needs_an_index(self) -> None:
        kinds = found("torch_build", torch="2.3.0", torch_build="cu118")
        assert [severity for severity, _ in kinds] == [Severity.BROKEN]
        assert f'torch_index = "{INDEX}"' in kinds[0][1]
        assert found("torch_build", torch="2.3.0", torch_build="cu118", torch_index=INDEX) == []
        assert found("torch_build", torch="2.3.0", torch_build="cu121") == []
        assert [severity for severity, _ in found("torch_build", torch="2.3.0", torch_build="cpu")] == [Severity.NOTE]
