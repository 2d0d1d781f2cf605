"""Which rows a command is about: globs over family:tag, and groups."""

import pytest

from imagematrix import matrix
from imagematrix.errors import FlagError
from imagematrix.model import Row

TEXT = """
schema = 1
[bases.deb]
bootstrap = "bookworm"
[families.pytorch]
layers = ["system"]
tag = "{torch}-{base}"
groups = ["gpu", "nightly"]
base = "deb"
axes.torch = ["2.3.0", "2.4.1"]
[families.paddle]
layers = ["system"]
tag = "{paddle}-{base}"
groups = ["nightly"]
base = "deb"
axes.paddle = ["3.0.0"]
"""
ROWS = matrix.parse(TEXT, layers={"system": True}).rows


def names(rows: tuple[Row, ...]) -> list[str]:
    return [row.name for row in rows]


PADDLE, OLD, NEW = "paddle:3.0.0-deb", "pytorch:2.3.0-deb", "pytorch:2.4.1-deb"


@pytest.mark.parametrize(
    ("only", "groups", "chosen"),
    [
        ([], [], [PADDLE, OLD, NEW]),
        (["pytorch:*"], [], [OLD, NEW]),
        (["*2.4*", "paddle:?.0.0-*"], [], [PADDLE, NEW]),
        (["pytorch:2.[35].0-deb"], [], [OLD]),
        (["*", "pytorch:*"], [], [PADDLE, OLD, NEW]),
        ([], ["nightly"], [PADDLE, OLD, NEW]),
        ([], ["gpu", "nightly"], [PADDLE, OLD, NEW]),
        (["*:2.3*", "paddle:*"], ["gpu"], [OLD]),
    ],
)
def test_selection(only: list[str], groups: list[str], chosen: list[str]) -> None:
    """Patterns are a union, groups a union, both given an intersection; rows keep their order."""
    assert names(matrix.select(ROWS, only=only, groups=groups)) == chosen


@pytest.mark.parametrize(
    ("only", "groups", "message"),
    [
        (
            ["pytorch"],
            [],
            "--only pytorch: no row matches\n    a pattern is a glob over family:tag, did you mean 'pytorch:*'?",
        ),
        (
            ["pytorch:2.3.1-deb"],
            [],
            f"--only pytorch:2.3.1-deb: no row matches\n    nearest: {NEW}, {OLD}",
        ),
        (
            ["xyz"],
            [],
            "--only xyz: no row matches\n    a pattern is a glob over family:tag; families: paddle, pytorch",
        ),
        ([], ["nightli"], "--group nightli: no row is in this group\n    did you mean 'nightly'?"),
        (["paddle:*"], ["gpu"], "no row matches 'paddle:*' and is in group gpu"),
    ],
)
def test_what_matches_nothing(only: list[str], groups: list[str], message: str) -> None:
    """A pattern or group without rows is a wrong flag, with what was probably meant."""
    with pytest.raises(FlagError) as error:
        matrix.select(ROWS, only=only, groups=groups)
    assert str(error.value) == message


def test_globs_are_case_sensitive() -> None:
    """On every host alike."""
    with pytest.raises(FlagError):
        matrix.select(ROWS, only=["PYTORCH:*"])


def test_all_wrong_flags_at_once() -> None:
    """One run reports every flag."""
    with pytest.raises(FlagError) as error:
        matrix.select(ROWS, only=["a", "*", "b"], groups=["c"])
    assert [line.split(":")[0] for line in str(error.value).splitlines()[::2]] == ["--group c", "--only a", "--only b"]


@pytest.mark.parametrize(
    ("platform", "hint"),
    [("linux/arm64", "`platforms` of the matrix"), ("linux/amd65", "did you mean 'linux/amd64'?")],
)
def test_a_platform_without_rows(platform: str, hint: str) -> None:
    """One that exists can be added; another is misspelt."""
    with pytest.raises(FlagError) as refused:
        matrix.select(ROWS, platforms=[platform])
    assert hint in str(refused.value)
