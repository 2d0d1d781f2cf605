"""Rows near to one that cannot be."""

from collections.abc import Mapping

import pytest

from imagematrix.compat import nearest
from imagematrix.model import Base, Family, Row

FAMILY = Family(name="f", layers=("x",), tag="")


def row(values: Mapping[str, str]) -> Row:
    tag = "-".join(values[axis] for axis in sorted(values))
    return Row(family=FAMILY, base=Base(name="b"), tag=tag, axes=values, values=values, image=f"f:{tag}")


def offers(asked: Mapping[str, str], known: Mapping[str, tuple[str, ...]] | None = None) -> list[Mapping[str, str]]:
    """Return what changes in each row offered."""
    found = nearest.offers(asked, {axis: (known or {}).get(axis, ()) for axis in asked}, row, lambda _: True)
    return [{axis: each.axes[axis] for axis in asked if each.axes[axis] != asked[axis]} for each in found]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"torch": "2.3.0", "python": "3.13"}, [{"python": "3.12"}, {"torch": "2.5.0"}]),
        ({"torch": "2.3", "python": "3.13"}, [{"python": "3.12"}, {"torch": "2.5.0"}]),
        ({"tensorflow": "2.16.1", "python": "3.8"}, [{"python": "3.9"}, {"tensorflow": "2.13.1"}]),
        ({"tensorflow": "1.15.5", "python": "3.11"}, [{"tensorflow": "2.12.0"}, {"python": "3.7"}]),
        ({"torch": "2.3.0", "torchvision": "0.17.0"}, [{"torch": "2.2.0"}, {"torchvision": "0.18.0"}]),
        ({"torch": "2.15.0", "torchaudio": "2.11.0"}, [{"torch": "2.14.1"}, {"torchaudio": "2.11.1"}]),
        ({"horovod": "0.28.1", "python": "2.7"}, [{"python": "3.6"}, {"horovod": "0.19.5"}]),
    ],
)
def test_one_change_of_each_axis_the_closest_first(asked: Mapping[str, str], wanted: list[Mapping[str, str]]) -> None:
    """What the catalogue knows is tried, also where the matrix has no value of the axis."""
    found = offers(asked)
    assert sorted(map(str, found)) == sorted(map(str, wanted))


def test_what_is_known_goes_before_what_is_closer() -> None:
    found = offers({"torch": "2.4.0", "python": "3.13"}, {"torch": ("2.4.9",)})
    assert found == [{"torch": "2.5.0"}, {"python": "3.12"}]


def test_two_changes_only_where_one_does_not_help() -> None:
    """A torch without a wheel for this Python, whose CUDA build is of another torch."""
    found = offers({"torch": "2.3.0", "python": "3.13", "torch_build": "cu92"}, {"torch_build": ("cu124", "cpu")})
    assert found
    assert all(len(change) == 2 for change in found)


def test_nothing_is_offered_where_nothing_works() -> None:
    assert (
        nearest.offers(
            {"torch": "2.3.0", "python": "3.13"}, {"torch": (), "python": ()}, lambda _: None, lambda _: True
        )
        == ()
    )


def test_the_nearest_row_there_is_works_and_differs_least() -> None:
    rows = [
        row({"torch": torch, "python": python, "base": base})
        for torch, python, base in [
            ("2.3.0", "3.13", "cuda121"),  # cannot be
            ("2.3.0", "3.10", "cuda121"),
            ("2.3.0", "3.12", "debian"),
            ("2.4.0", "3.12", "cuda121"),
            ("2.3.0", "3.11", "cuda121"),
        ]
    ]
    found = nearest.existing({"torch": "2.3.0", "python": "3.13", "base": "cuda121"}, rows)
    assert found is rows[4]
    assert nearest.existing({"torch": "2.3.0", "python": "3.12", "base": "cuda124"}, rows) is rows[2]
    assert nearest.existing({"torch": "2.3.0"}, rows) is None
    assert nearest.existing({"torch": "2.3.0", "python": "3.13", "base": "cuda121"}, rows[:1]) is None


@pytest.mark.parametrize(
    ("asked", "there", "nearer"),
    [
        ("1.2.3", ("1.2.2", "1.2.4"), "1.2.4"),
        ("1.2.3", ("1.2.1", "1.2.4", "1.2.5"), "1.2.4"),
        ("rev12", ("rev11", "rev13"), "rev13"),
    ],
)
def test_of_two_that_are_as_near_the_newer_one(asked: str, there: tuple[str, ...], nearer: str) -> None:
    """Of names too, by the numbers in them."""
    found = nearest.existing({"x": asked}, [row({"x": value}) for value in there])
    assert found
    assert found.axes["x"] == nearer
