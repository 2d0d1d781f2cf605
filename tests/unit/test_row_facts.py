"""Facts of one row: beside the values of its axes, of that row alone."""

import pytest

from imagematrix import matrix
from imagematrix.errors import InputError
from imagematrix.matrix import ROW_FACTS
from imagematrix.model import Row

MATRIX = """\
schema = 1

[bases.cuda]
image = "nvidia/cuda:12.1.0-devel-ubuntu22.04"
torch_build = "cu121"

[bases.plain]
image = "ubuntu:22.04"

[families.pytorch]
layers = ["torch"]
tag = "{torch}-{base}"

[families.pytorch.axes]
base = ["cuda", "plain"]
torch = ["2.3.0"]

[[families.pytorch.row]]
base = "plain"
torch = "2.4.1"
torch_build = "cu118"
pins = "numpy<2"
"""
BY_HAND = MATRIX.replace('[families.pytorch.axes]\nbase = ["cuda", "plain"]\ntorch = ["2.3.0"]\n', "") + (
    '\n[[families.pytorch.row]]\nbase = "plain"\ntorch = "2.5.0"\n'
)


def rows(text: str) -> dict[str, Row]:
    return {row.tag: row for row in matrix.parse(text, layers={"torch": True}).rows}


@pytest.mark.parametrize("text", [MATRIX, BY_HAND])
def test_a_row_has_facts_of_its_own(text: str) -> None:
    """They are values, and no axes; no other row has them."""
    found = rows(text)
    row = found.pop("2.4.1-plain")
    assert (row.values["torch_build"], row.values["pins"]) == ("cu118", "numpy<2")
    assert row.axes == {"base": "plain", "torch": "2.4.1"}
    assert row.place("pins")[:3] == ("families", "pytorch", "row")
    assert all("pins" not in other.values for other in found.values())
    assert found


def test_what_follows_from_them_follows() -> None:
    text = MATRIX + '\n[facts.torch_build.cu118]\ntorch_index = "https://example.com/cu118"\n'
    assert rows(text)["2.4.1-plain"].values["torch_index"] == "https://example.com/cu118"


def test_they_do_not_contradict_others() -> None:
    with pytest.raises(InputError, match=r"matrix\.toml:21: .*'cu118' contradicts torch_build = 'cu121'"):
        rows(MATRIX.replace('base = "plain"', 'base = "cuda"'))


def test_a_tag_or_an_axis_of_the_name_makes_it_an_axis() -> None:
    named = BY_HAND.replace('tag = "{torch}-{base}"', 'tag = "{torch}-{torch_build}"')
    with pytest.raises(InputError, match="the row has no value for torch_build"):
        rows(named)
    axis = MATRIX.replace('torch = ["2.3.0"]', 'torch = ["2.3.0"]\npins = [""]')
    assert rows(axis)["2.4.1-plain"].axes["pins"] == "numpy<2"


def test_other_names_are_unknown_axes() -> None:
    with pytest.raises(InputError, match=r"unknown axis \[IM2000 matrix\]\n    did you mean 'torch_build'") as caught:
        rows(MATRIX.replace('torch_build = "cu118"', 'torch_biuld = "cu118"'))
    assert len(caught.value.diagnostics) == 1
    assert "owner" not in ROW_FACTS
    with pytest.raises(InputError, match=r"unknown axis \[IM2000 matrix\]\n    known: base, torch"):
        rows(MATRIX.replace('pins = "numpy<2"', 'owner = "me"'))


def test_two_rows_that_differ_in_facts_alone_are_one() -> None:
    with pytest.raises(InputError, match="this row is given twice"):
        rows(MATRIX + '\n[[families.pytorch.row]]\nbase = "plain"\ntorch = "2.4.1"\n')
