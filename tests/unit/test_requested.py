"""What the layers of this repository ask the index for: pins of each Python's tools, and builds of torch."""

from pathlib import Path

import pytest
from tests.unit.test_layers import rendered


def asked(root: Path, layer: str, layers: str, **axes: str) -> list[str]:
    """Return the requirements of a layer."""
    text = rendered(root, layers, **axes)[f"{layer}/requirements.txt"]
    return [line for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("pins", "tools"),
    [
        ("setuptools==59.5.0", ["pip==26.0.1", "setuptools==59.5.0", "uv==0.13.9", "wheel==0.48.0"]),
        ("setuptools<70 pip>=23,<24", ["pip>=23,<24", "setuptools<70", "uv==0.13.9", "wheel==0.48.0"]),
        ("wheel setuptools-scm==8", ["pip==26.0.1", "setuptools==80.10.2", "uv==0.13.9", "wheel"]),
    ],
)
def test_a_row_pins_the_tools_of_its_python(tmp_path: Path, pins: str, tools: list[str]) -> None:
    """The layer below is locked first: with another version there, the pin would have no solution."""
    assert asked(tmp_path, "python", "python torch", python="3.10", torch="1.13.1", pins=pins) == tools
    assert asked(tmp_path, "torch", "python torch", python="3.10", torch="1.13.1", pins=pins)[1:] == pins.split()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"torch_build": "cu121"}, ["torch==2.4.0", "torchvision==0.19.0"]),  # as PyPI has it, without a suffix
        ({"torch_build": "cpu"}, ["torch==2.4.0+cpu", "torchvision==0.19.0+cpu"]),
        (
            {"torch_build": "cu121", "torch_index": "https://index.example/cu121"},
            ["--extra-index-url https://index.example/cu121", "torch==2.4.0+cu121", "torchvision==0.19.0+cu121"],
        ),
    ],
)
def test_a_build_is_asked_for_by_its_name_where_it_has_one(
    tmp_path: Path, values: dict[str, str], expected: list[str]
) -> None:
    row = {"python": "3.10", "torch": "2.4.0", "torchvision": "0.19.0", **values}
    assert asked(tmp_path, "torch", "python torch", **row) == expected
