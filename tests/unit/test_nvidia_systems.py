"""NVIDIA's tags on other systems than Ubuntu: not listed one by one, but some are known never to have been."""

import pytest
from tests.unit.test_compat import row

from imagematrix import compat
from imagematrix.diagnostics import Severity


def severities(tag: str, repository: str = "nvidia/cuda") -> list[Severity]:
    """Return how bad it is what is found of a base."""
    return [each.severity for each in compat.findings(row(image=f"{repository}:{tag}")) if each.about == "base"]


@pytest.mark.parametrize(
    "tag",
    [
        "12.4.1-devel-rockylinux8",
        "12.1.1-cudnn8-devel-ubi8",
        "12.6.3-cudnn-devel-rockylinux9",
        "11.8.0-cudnn8-runtime-ubi7",
        "11.8.0-devel-centos7",
        "12.6.0-devel-amzn2023",
        "12.9.1-cudnn-devel-oraclelinux9",
        "13.0.0-devel-azl3",
    ],
)
def test_tags_that_may_be_there(tag: str) -> None:
    """Of CUDAs that get new tags, on systems that are not known too."""
    assert severities(tag) == [Severity.NOTE]


@pytest.mark.parametrize(
    "tag",
    [
        "12.4.1-cudnn-devel-debian12",  # on none of Debian
        "11.8.0-base-alpine3.18",
        "12.6.3-devel-centos7",  # dropped
        "12.9.1-devel-ubi7",
        "11.8.0-devel-rockylinux9",  # not yet
        "12.4.1-cudnn8-runtime-ubi8",  # spelled cudnn since 12.4.1
        "12.4.0-cudnn-devel-rockylinux9",  # none came with cuDNN
        "12.7.0-devel-ubi9",  # there is no CUDA 12.7
        "11.2.0-cudnn8-devel-ubi8",  # deleted
    ],
)
@pytest.mark.parametrize("repository", ["nvidia/cuda", "nvcr.io/nvidia/cuda"])
def test_tags_that_are_not(tag: str, repository: str) -> None:
    """By NVIDIA's own lists of all tags of a CUDA that gets no new ones."""
    assert severities(tag, repository) == [Severity.BROKEN]
