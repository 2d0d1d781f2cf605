"""Rows for several Docker platforms: their names, their facts, what a platform that is not meant looks like."""

import pytest
from tests.unit.test_matrix import LAYERS

from imagematrix import matrix
from imagematrix.errors import InputError
from imagematrix.model import Row
from imagematrix.text import platforms

HEAD = """\
schema = 1
platforms = ["linux/amd64", "linux/arm64"]

[bases.deb]
bootstrap = "bookworm"
python = "3.11"

"""
FAMILY = """\
[families.f]
layers = ["system"]
tag = "{torch}"
base = "deb"
"""
AXES = """\
[families.f.axes]
torch = ["2.4.1", "2.5.1"]
"""


def rows(text: str) -> dict[str, Row]:
    """Return the rows of a matrix by their names."""
    return {row.name: row for row in matrix.parse(text, layers=LAYERS).rows}


def refused(text: str) -> list[tuple[int, str]]:
    """Return line and message of each problem."""
    with pytest.raises(InputError) as error:
        rows(text)
    return [(each.line, each.message) for each in error.value.diagnostics]


def test_each_row_is_for_each_platform() -> None:
    """Those of the first have the names that they have alone, so that adding a platform moves none."""
    alone, both = rows(HEAD.replace(', "linux/arm64"', "") + FAMILY + AXES), rows(HEAD + FAMILY + AXES)
    assert alone.keys() <= both.keys()
    assert [(row.name, row.platform, row.architecture) for row in both.values()] == [
        ("f:2.4.1", "linux/amd64", "amd64"),
        ("f:2.4.1-arm64", "linux/arm64", "arm64"),
        ("f:2.5.1", "linux/amd64", "amd64"),
        ("f:2.5.1-arm64", "linux/arm64", "arm64"),
    ]
    assert {row.directory for row in both.values()} == {f"images/{row.name.replace(':', '/')}" for row in both.values()}
    assert {row.published_tag for row in both.values()} == {"2.4.1", "2.5.1"}
    assert {row.shares for row in both.values()} == {("linux/amd64", "linux/arm64")}
    assert {row.shares for row in alone.values()} == {()}


def test_a_family_and_a_row_may_name_their_own() -> None:
    """What is nearest counts; a tag that one platform has is published alone."""
    found = rows(
        HEAD
        + FAMILY
        + 'platforms = ["linux/arm64"]\n'
        + AXES
        + '[[families.f.row]]\ntorch = "2.6.0"\nplatforms = ["linux/amd64", "linux/arm/v7"]\n'
    )
    assert {name: row.shares for name, row in found.items()} == {
        "f:2.4.1-arm64": (),
        "f:2.5.1-arm64": (),
        "f:2.6.0": ("linux/amd64", "linux/arm/v7"),
        "f:2.6.0-arm-v7": ("linux/amd64", "linux/arm/v7"),
    }
    assert found["f:2.4.1-arm64"].published_tag == "2.4.1"


def test_facts_of_a_platform_stand_in_place_of_the_others() -> None:
    """Also of those of a base; what follows from the platform itself is a fact like all others."""
    facts = """\
[facts.torch."2.4.1"]
torchvision = "0.19.1"
pins = "numpy<2"

[facts."linux/arm64".torch."2.4.1"]
torchvision = "0.19.0"

[facts."linux/arm64".base.deb]
python = "3.12"

[facts.platform."linux/arm64"]
machine = "aarch64"
"""
    found = rows(HEAD + FAMILY + AXES + facts)
    names = ("torchvision", "pins", "python", "machine")
    assert {name: tuple(map(row.values.get, names)) for name, row in found.items()} == {
        "f:2.4.1": ("0.19.1", "numpy<2", "3.11", None),
        "f:2.4.1-arm64": ("0.19.0", "numpy<2", "3.12", "aarch64"),
        "f:2.5.1": (None, None, "3.11", None),
        "f:2.5.1-arm64": (None, None, "3.12", "aarch64"),
    }


def test_rules_may_name_a_platform() -> None:
    """A row that is excluded, or impossible, leaves the others alone."""
    excluded = AXES + '[[families.f.exclude]]\nplatform = "linux/arm64"\ntorch = "2.4.1"\nreason = "no wheel"\n'
    found = rows(HEAD + FAMILY + excluded)
    assert {name: row.shares for name, row in found.items()} == {
        "f:2.4.1": (),
        "f:2.5.1": ("linux/amd64", "linux/arm64"),
        "f:2.5.1-arm64": ("linux/amd64", "linux/arm64"),
    }
    row = '[[families.f.row]]\ntorch = "2.6.0"\nplatforms = ["{}"]\n'
    hand = row.format("linux/amd64") + row.format("linux/arm64") + 'impossible = "no wheel"\n'
    assert {name: row.shares for name, row in rows(HEAD + FAMILY + hand).items()} == {
        "f:2.6.0": (),
        "f:2.6.0-arm64": (),
    }


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (HEAD.replace("linux/arm64", "arm64") + FAMILY + AXES, 2, "platforms: 'arm64' is not a valid Docker platform"),
        (HEAD.replace('["linux/amd64", "linux/arm64"]', "[]") + FAMILY + AXES, 2, "platforms: the list is empty"),
        (
            HEAD + FAMILY + "platforms = 1\n" + AXES,
            12,
            "families.f.platforms: the number 1 is not a list of strings",
        ),
        (
            HEAD + FAMILY + AXES + 'platform = ["linux/arm64"]\n',
            14,
            "families.f.axes.platform: an axis cannot be named 'platform'",
        ),
        (
            HEAD + FAMILY + AXES + '[facts."linux/arm".torch."2.4.1"]\nx = "1"\n',
            14,
            'facts."linux/arm": nothing uses these facts: no row is for linux/arm',
        ),
        (
            HEAD + FAMILY + AXES + '[facts."linux/arm64".torch."2.4"]\nx = "1"\n',
            14,
            'facts."linux/arm64".torch."2.4": nothing uses these facts: no row has torch = \'2.4\'',
        ),
        (
            HEAD + FAMILY + AXES + '[facts."arm64/".torch."2.4.1"]\nx = "1"\n',
            14,
            "facts.\"arm64/\": 'arm64/' is not a valid Docker platform",
        ),
        (
            HEAD + FAMILY + '[families.f.axes]\ntorch = ["2.4.1", "2.4.1-arm64"]\n',
            10,
            (
                "families.f.tag: two rows have the tag '2.4.1-arm64': "
                "base=deb, torch=2.4.1-arm64 and base=deb, torch=2.4.1"
            ),
        ),
        (
            HEAD
            + FAMILY.replace("{torch}", "{base}")
            + '[[families.f.row]]\ntorch = "2.4.1"\nplatforms = ["linux/amd64"]\n'
            + '[[families.f.row]]\ntorch = "2.5.1"\nplatforms = ["linux/arm64"]\n',
            10,
            "families.f.tag: two rows have the tag 'deb': base=deb, torch=2.4.1 and base=deb, torch=2.5.1",
        ),
    ],
)
def test_what_is_refused(text: str, line: int, message: str) -> None:
    """Each mistake once, on its line."""
    assert refused(text) == [(line, message)]


def test_a_row_may_be_written_once_for_each_platform() -> None:
    """With facts of its own there; twice for one platform is a mistake."""
    row = '[[families.f.row]]\ntorch = "2.4.1"\nplatforms = ["linux/{}"]\ntorchvision = "{}"\n'
    found = rows(HEAD + FAMILY + row.format("amd64", "0.19.1") + row.format("arm64", "0.19.0"))
    assert {name: row.values["torchvision"] for name, row in found.items()} == {
        "f:2.4.1": "0.19.1",
        "f:2.4.1-arm64": "0.19.0",
    }
    assert refused(HEAD + FAMILY + row.format("amd64", "0.19.1") * 2) == [
        (16, "families.f.row: this row is given twice (line 12)")
    ]


@pytest.mark.parametrize(
    ("engine", "emulated", "expected"),
    [
        ("linux/amd64", (), {"linux/amd64", "linux/386"}),
        ("linux/arm64", (), {"linux/arm64"}),
        ("linux/arm64/v8", ("linux/amd64",), {"linux/arm64", "linux/amd64"}),
    ],
)
def test_what_an_engine_runs(engine: str, emulated: tuple[str, ...], expected: set[str]) -> None:
    assert platforms.run_by(engine, emulated) == expected
