"""Fedora and openSUSE: known by the names of their images, each with its package manager."""

from pathlib import Path

import pytest
from tests.unit.test_bases_facts import errors, opened


@pytest.mark.parametrize(
    ("base", "layers", "told"),
    [
        ('image = "fedora:40"', ["tools"], [("impossible", "os")]),
        ('image = "quay.example/fedora:41"', ["rpms"], []),
        ('image = "opensuse/leap:15.5"', ["tools"], [("impossible", "os")]),
        ('image = "opensuse/leap:15.6"', ["rpms"], [("impossible", "os")]),
        ('image = "quay.example/x:1"\nos = "fedora42"', ["tools"], [("impossible", "os")]),
    ],
)
def test_the_package_manager(tmp_path: Path, base: str, layers: list[str], told: list[tuple[str, str]]) -> None:
    """One that the rendered layers call must be there."""
    assert errors(opened(tmp_path, base, *layers)) == told
