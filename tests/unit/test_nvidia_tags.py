"""Tags of nvidia/cuda: which exist, which never did, which NVIDIA deletes, and what cuDNN is in them."""

import pytest

from imagematrix import compat, matrix
from imagematrix.compat import catalogue
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.model import Base, Family, Row

UBUNTU = "ubuntu22.04"


def found(image: str, **values: str) -> list[Diagnostic]:
    """Return the findings of a row on an image, without the notes on drivers and old Pythons."""
    row = Row(
        family=Family(name="f", layers=(), tag=""),
        base=Base(name="b", image=image),
        tag="t",
        axes={},
        values=values,
        image="f:t",
    )
    return [
        each
        for each in compat.findings(row)
        if each.severity is not Severity.NOTE or each.about not in ("cuda", "python")
    ]


def severities(image: str, **values: str) -> list[Severity]:
    return [each.severity for each in found(image, **values)]


def errors(image: str, **values: str) -> list[str]:
    """Return the values of a row that are to blame for errors."""
    return [each.about for each in found(image, **values) if each.severity.is_error]


def test_each_live_tag_of_the_catalogue_is_taken() -> None:
    """With a note at most, where a newer patch is out."""
    for cuda, toolkit in catalogue.toolkits().items():
        for os, image in toolkit.images.items():
            for flavour in image.flavours:
                said = severities(f"nvidia/cuda:{cuda}-{flavour}-{os}", cuda=cuda, os=os)
                assert said in (([], [Severity.NOTE]) if image.live else ([Severity.BROKEN],)), (cuda, flavour, os)


@pytest.mark.parametrize(
    ("tag", "instead"),
    [
        # cuDNN is not spelled so in this release
        ("12.4.1-cudnn9-devel-ubuntu22.04", "nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04"),
        ("12.4.1-cudnn8-runtime-ubuntu22.04", "nvidia/cuda:12.4.1-cudnn-runtime-ubuntu22.04"),
        ("13.0.1-cudnn9-devel-ubuntu24.04", "nvidia/cuda:13.0.1-cudnn-devel-ubuntu24.04"),
        ("13.3.1-cudnn9-runtime-ubuntu22.04", "nvidia/cuda:13.3.1-cudnn-runtime-ubuntu22.04"),
        ("11.8.0-cudnn-devel-ubuntu22.04", "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04"),
        ("11.8.0-cudnn7-devel-ubuntu22.04", "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04"),
        ("12.3.2-cudnn8-devel-ubuntu22.04", "nvidia/cuda:12.3.2-cudnn9-devel-ubuntu22.04"),
        ("12.8.2-cudnn8-runtime-ubuntu22.04", "nvidia/cuda:12.8.1-cudnn-runtime-ubuntu22.04"),
        # this patch has none with cuDNN
        ("12.4.0-cudnn8-devel-ubuntu22.04", "nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04"),
        ("12.2.0-cudnn8-runtime-ubuntu20.04", "nvidia/cuda:12.2.2-cudnn8-runtime-ubuntu20.04"),
        ("12.5.0-cudnn-devel-ubuntu22.04", "nvidia/cuda:12.5.1-cudnn-devel-ubuntu22.04"),
        # nor has this system
        (
            "12.5.1-cudnn-devel-ubuntu24.04",
            "nvidia/cuda:12.5.1-cudnn-devel-ubuntu22.04 or nvidia/cuda:12.6.3-cudnn-devel-ubuntu24.04",
        ),
        (
            "11.4.3-devel-ubuntu22.04",
            "nvidia/cuda:11.4.3-devel-ubuntu20.04 or nvidia/cuda:11.7.1-devel-ubuntu22.04",
        ),
        (
            "13.0.1-devel-ubuntu20.04",
            "nvidia/cuda:13.0.3-devel-ubuntu24.04",
        ),
        # this patch, or this CUDA, was never made
        ("12.1-devel-ubuntu22.04", "nvidia/cuda:12.1.1-devel-ubuntu22.04"),
        ("12.1.2-devel-ubuntu22.04", "nvidia/cuda:12.1.1-devel-ubuntu22.04"),
        ("11.8.1-base-ubuntu22.04", "nvidia/cuda:11.8.0-base-ubuntu22.04"),
        ("12.7.0-devel-ubuntu22.04", "nvidia/cuda:12.8.2-devel-ubuntu22.04"),
        ("12.7.1-cudnn-devel-ubuntu24.04", "nvidia/cuda:12.8.1-cudnn-devel-ubuntu24.04"),
        ("11.9.0-cudnn8-devel-ubuntu22.04", "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04"),
        ("12.10.0-base-ubuntu24.04", "nvidia/cuda:12.9.2-base-ubuntu24.04"),
        # no system
        ("11.8.0-devel", "nvidia/cuda:11.8.0-devel-ubuntu22.04"),
        ("12.4.1", "nvidia/cuda:12.4.1-base-ubuntu22.04"),
    ],
)
def test_what_never_existed_is_refused_with_the_nearest_that_does(tag: str, instead: str) -> None:
    said = found(f"nvidia/cuda:{tag}")
    assert [each.severity for each in said] == [Severity.BROKEN]
    assert said[0].hint == f"take {instead}"
    for image in instead.split(" or "):
        assert Severity.BROKEN not in severities(image)


@pytest.mark.parametrize("flavour", ["cudnn-base", "cudnn", "develop", "tensorrt-devel"])
def test_a_flavour_that_no_release_had(flavour: str) -> None:
    said = found(f"nvidia/cuda:12.4.1-{flavour}-ubuntu22.04")
    assert [each.severity for each in said] == [Severity.BROKEN]
    assert said[0].hint.endswith(" comes as base, cudnn-devel, cudnn-runtime, devel, runtime")


@pytest.mark.parametrize("image", ["nvidia/cuda", "nvidia/cuda:latest", "docker.io/nvidia/cuda"])
def test_there_is_no_latest(image: str) -> None:
    assert severities(image) == [Severity.BROKEN]


@pytest.mark.parametrize(
    "tag",
    [
        "14.0.0-devel-ubuntu22.04",
        "13.5.0-cudnn-devel-ubuntu26.04",
        "13.0.4-devel-ubuntu24.04",
        "12.8.3-cudnn-devel-ubuntu24.04",
        "12.8.2-cudnn-devel-ubuntu24.04",
        "13.0.1-tensorrt-devel-ubuntu24.04",
        "13.2.0-devel-ubuntu26.04",
        "13.3.1-mystery-ubuntu22.04",
        "12.4.1-devel-ubuntu22.04-extra",
        "12.9.3-devel-ubi9",
    ],
)
def test_what_may_be_there_is_unknown(tag: str) -> None:
    """A release, a patch, a system or a flavour that NVIDIA may have added since."""
    assert severities(f"nvidia/cuda:{tag}") == [Severity.UNKNOWN]


@pytest.mark.parametrize("os", ["ubi8", "ubi9", "rockylinux8", "rockylinux9", "centos7"])
def test_other_systems_are_recognised(os: str) -> None:
    """Their tags are not listed; their CUDA and cuDNN are as the tag says."""
    image = f"nvidia/cuda:12.4.1-cudnn-devel-{os}"
    assert severities(image, cuda="12.4.1", os="rocky8") == [Severity.NOTE]
    assert severities(image, cuda="12.1.0") == [Severity.BROKEN, Severity.NOTE][::-1]
    assert severities(f"nvidia/cuda:12.4.1-devel-{os}", tensorflow="2.15.0") == [Severity.NOTE, Severity.BROKEN]


@pytest.mark.parametrize(
    ("image", "newer"),
    [
        ("nvidia/cuda:12.1.0-cudnn8-devel-ubuntu22.04", "take nvidia/cuda:12.1.1-cudnn8-devel-ubuntu22.04"),
        ("nvcr.io/nvidia/cuda:12.1.0-base-ubuntu20.04", "take nvcr.io/nvidia/cuda:12.1.1-base-ubuntu20.04"),
        ("nvidia/cuda:12.6.0-devel-ubuntu24.04", "take nvidia/cuda:12.6.3-devel-ubuntu24.04"),
        ("nvidia/cuda:12.3.1-runtime-ubuntu22.04", "take nvidia/cuda:12.3.2-runtime-ubuntu22.04"),
        ("nvidia/cuda:12.8.1-cudnn-devel-ubuntu24.04", "no such tag is known of CUDA 12.8.2"),
        ("nvidia/cuda:12.1.0-devel-ubuntu18.04", "no such tag is known of CUDA 12.1.1"),
    ],
)
def test_a_superseded_patch_is_noted(image: str, newer: str) -> None:
    said = found(image)
    assert [(each.severity, each.hint) for each in said] == [(Severity.NOTE, newer)]


@pytest.mark.parametrize("prefix", ["", "docker.io/", "index.docker.io/", "registry-1.docker.io/", "nvcr.io/"])
@pytest.mark.parametrize("suffix", ["", "@sha256:" + "0" * 64])
def test_the_same_image_by_another_name(prefix: str, suffix: str) -> None:
    said = [
        severities(f"{prefix}nvidia/cuda:{tag}{suffix}", cuda="12.4.1")
        for tag in (
            "12.4.1-devel-ubuntu22.04",
            "12.4.0-cudnn8-devel-ubuntu22.04",
            "12.1.1-devel-ubuntu22.04",
            "10.2-devel-ubuntu18.04",
        )
    ]
    broken = Severity.BROKEN
    assert said == [[], [broken, broken], [broken], [broken, broken]]


@pytest.mark.parametrize(
    "image",
    [
        "registry.example.com/nvidia/cuda:10.0-base",
        "nvidia/cuda-arm64:10.2-base",
        "nvidia/cuda@sha256:" + "0" * 64,
        "mynvidia/cuda:12.7.0-devel-ubuntu22.04",
        "nvcr.io/nvidia/pytorch:24.01-py3",
        "ubuntu:22.04",
    ],
)
def test_other_images_are_not_judged(image: str) -> None:
    assert found(image) == []


def test_a_sites_mirror_has_the_same_images() -> None:
    text = """\
schema = 1
[sites.lab]
mirrors = {"docker.io" = "mirror.example.com/hub", "nvcr.io" = "mirror.example.com/nv"}
[bases]
hub = {image = "mirror.example.com/hub/nvidia/cuda:12.4.0-{flavour}-ubuntu22.04"}
nv = {image = "mirror.example.com/nv/nvidia/cuda:12.4.0-{flavour}-ubuntu22.04"}
other = {image = "mirror.example.com/hubbub/nvidia/cuda:12.4.0-{flavour}-ubuntu22.04"}
[families.f]
layers = ["system"]
tag = "{base}-{flavour}"
axes = {base = ["hub", "nv", "other"], flavour = ["cudnn8-devel", "devel"]}
"""
    rows = matrix.parse(text, layers={"system": True}).rows
    said = {row.tag for row in rows if any(each.severity is Severity.BROKEN for each in compat.findings(row))}
    assert said == {"hub-cudnn8-devel", "nv-cudnn8-devel"}
    assert {row.base.image.partition("/")[0] for row in rows} == {"mirror.example.com"}  # what is pulled


class TestCudnn:
    """What an image without cuDNN in its tag does not have."""

    BASE = "nvidia/cuda:11.8.0-devel-ubuntu22.04"

    def test_tensorflow_for_gpus_needs_it(self) -> None:
        row = {"tensorflow": "2.14.0", "python": "3.10", "cuda": "11.8.0"}
        assert errors(self.BASE, **row) == ["tensorflow"]
        assert errors(self.BASE, **row, tensorflow_package="tensorflow-cpu") == []
        assert errors(self.BASE, **row, tensorflow_package="tensorflow[and-cuda]") == []
        assert errors(self.BASE, **row, pins="nvidia-cudnn-cu11==8.7.0.84") == []
        assert errors(self.BASE.replace("-devel", "-cudnn8-devel"), **row) == []

    def test_so_does_paddle_before_3(self) -> None:
        row = {"paddle": "2.6.2", "python": "3.10", "cuda": "11.8.0"}
        assert errors(self.BASE, **row) == ["paddle"]
        assert errors(self.BASE, **row, paddle_package="paddlepaddle") == []
        assert errors(self.BASE.replace("-devel", "-cudnn8-devel"), **row) == []
        assert errors(self.BASE, **{**row, "paddle": "3.0.0"}) == []

    def test_torch_brings_its_own(self) -> None:
        row = {"torch": "2.3.0", "torch_build": "cu118", "torch_index": "x", "python": "3.10", "cuda": "11.8.0"}
        assert errors(self.BASE, **row) == []

    @pytest.mark.parametrize(
        ("image", "facts", "wrong"),
        [
            ("nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04", {"cudnn": "8"}, "cudnn"),
            ("nvidia/cuda:12.1.1-devel-ubuntu22.04", {"cudnn": "8", "cuda": "12.1", "os": UBUNTU}, "cudnn"),
            ("nvidia/cuda:12.1.1-devel-ubuntu22.04", {"cuda": "12.4"}, "cuda"),
            ("nvcr.io/nvidia/cuda:12.1.1-devel-ubuntu22.04", {"os": "ubuntu20.04"}, "os"),
        ],
    )
    def test_a_fact_that_the_tag_denies(self, image: str, facts: dict[str, str], wrong: str) -> None:
        assert [(each.severity, each.about) for each in found(image, **facts) if each.about != "base"] == [
            (Severity.BROKEN, wrong)
        ]


def test_drivers() -> None:
    assert catalogue.toolkits()["13.2.1"].driver == "595.58.03"
    assert compat.least_driver("13.1.0") == "580"
