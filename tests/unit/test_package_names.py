"""Packages and extras that a row names in place of the usual ones."""

import pytest
from tests.unit.test_compat import row

from imagematrix import compat
from imagematrix.diagnostics import Severity


def told(**values: str) -> list[Severity]:
    """Return how bad it is what is found of the package that a row names."""
    found = compat.findings(row(**values))
    return [each.severity for each in found if each.about in {"tensorflow_package", "paddle_package"}]


@pytest.mark.parametrize(
    ("package", "severities"),
    [
        ("tensorflow[and-cuda]", []),
        ("tensorflow", []),
        ("tensorflow-cpu", []),
        ("tensorflow[andcuda]", [Severity.BROKEN]),
        ("tensorflow[cuda]", [Severity.BROKEN]),
        ("tensorflow[gpu]", [Severity.BROKEN]),
        ("tensorflow[and_cuda]", [Severity.UNKNOWN]),  # pip takes it, the rules would not know it
        ("tensorflow-rocm", [Severity.UNKNOWN]),
    ],
)
def test_tensorflow(package: str, severities: list[Severity]) -> None:
    """An extra that does not exist is ignored by installers, and CUDA is missing."""
    assert told(tensorflow="2.15.1", tensorflow_package=package) == severities


@pytest.mark.parametrize(
    ("package", "severities"),
    [
        ("paddlepaddle", []),
        ("paddlepaddle-gpu", []),
        ("paddle-gpu", [Severity.UNKNOWN]),
        ("paddlepaddle_gpu", [Severity.UNKNOWN]),
        ("paddlepaddle-xpu", [Severity.UNKNOWN]),
    ],
)
def test_paddle(package: str, severities: list[Severity]) -> None:
    assert told(paddle="2.6.2", python="3.10", paddle_package=package) == severities
