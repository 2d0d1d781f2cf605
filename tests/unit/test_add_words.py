"""Whatever `add` and the rules tell people to say, `add` takes: the repository's own matrix, words as in a shell."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from imagematrix.compat import nearest
from imagematrix.errors import FlagError
from imagematrix.model import Row
from imagematrix.planning import addition
from imagematrix.planning.addition import Addition
from imagematrix.project import Project, open_project

MATRIX = Path(__file__).parents[2] / "matrix.toml"
CUDA118 = "base=cuda11.8.0-cudnn8-devel-ubuntu22.04"
CUDA112 = "base=cuda11.2.2-cudnn8-devel-ubuntu20.04"
REFUSED = (
    f"pytorch {CUDA118} python=3.13 torch=2.3.0",
    f"pytorch {CUDA118} python=3.10 torch=2.8.0 torchvision=0.22.0",
    f"pytorch {CUDA118} python=3.10 torch=2.8.0 torchaudio=2.3.0 torchvision=0.18.0",
    "pytorch base=cuda128 python=3.12 torch=2.8.0 torchvision=0.22.0",
    f"tensorflow {CUDA118} python=3.11 tensorflow=2.15.0",
    f"tensorflow {CUDA112} python=3.8 tensorflow=2.4.1",
    f"tensorflow {CUDA112} python=3.8 tensorflow=2.5.0 tensorflow_package=tensorflow[and-cuda]",
    "tensorflow base=ubuntu24.04 python=3.12 tensorflow=2.3.0",
    "tensorflow-cpu base=debian13 tensorflow=2.18.0",
    "tensorflow-cpu base=debian11 tensorflow=2.4.1",
    "paddle base=debian13 paddle=2.6.2",
)
"""Rows that cannot be built, or should not be."""


@cache
def repository() -> Project:
    return open_project(str(MATRIX))


def decide(words: str) -> Addition:
    project = repository()
    return addition.decide(
        shlex.split(words),
        project.repository.matrix_source(),
        project.matrix,
        layers=project.repository.common.layers(),
        renderer=project.renderer,
        file="matrix.toml",
    )


def works(row: Row) -> bool:
    return not any(finding.severity.is_error for finding in repository().renderer.findings(row))


def commands(told: str) -> list[str]:
    return re.findall(r"invoke add (.+)", told)


@cache
def refusal(words: str) -> str:
    """Return why a row is refused; empty where the catalogue has come to know better."""
    try:
        decide(words)
    except FlagError as refused:
        return str(refused)
    return ""


def test_most_of_them_are_refused() -> None:
    assert sum(bool(refusal(words)) for words in REFUSED) > len(REFUSED) / 2


@pytest.mark.parametrize("words", REFUSED)
def test_each_command_of_a_refusal_is_accepted(words: str) -> None:
    """And adds a row that check has nothing against."""
    told = refusal(words)
    assert bool(told) == bool(commands(told))
    for each in commands(told):
        made = decide(each)
        assert works(made.row), each
        assert made.row in made.matrix.rows


@pytest.mark.parametrize("words", REFUSED)
def test_the_nearest_row_is_right_itself(words: str) -> None:
    for name in re.findall(r"the nearest existing row: (\S+)", refusal(words)):
        [row] = [row for row in repository().matrix.rows if row.name == name]
        assert works(row)
        assert repository().renderer.suits(row)


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("pytorch base=cuda128 python=3.12 torch=2.8.0", {"torchvision": "0.23.0", "torchaudio": "2.8.0"}),
        ("pytorch base=cuda128 python=3.12 torch=2.8.0 torchaudio=", {"torchvision": "0.23.0"}),
        ("miniconda base=ubuntu22.04 python=3.13", {"miniconda": nearest.fact("python", "3.13", "miniconda")}),
        (f"pytorch {CUDA118} python=3.10 torch=2.3.0", {}),
        ("paddle base=debian12 paddle=3.2.0", {}),
    ],
)
def test_proposals(words: str, facts: dict[str, str]) -> None:
    """The row has them, the text too, and the printed command leads to the same."""
    made = decide(words)
    assert made.proposed == facts
    assert facts.items() <= made.row.values.items()
    assert all(f'{name} = "{value}"' in re.sub(" +", " ", made.text) for name, value in facts.items())
    assert decide(made.command.removeprefix("invoke add ")).text == made.text


@pytest.mark.parametrize(
    "word",
    [
        "torch_build=cu118",
        "torch_index=https://example.com/whl/cu118",
        "pins='numpy<2 protobuf<4'",
        "numpy=1.26.4",
        "protobuf=4.25.9",
        "jupyterlab=4.3.8",
        "allow='we know'",
    ],
)
def test_words_of_torch(word: str) -> None:
    """With a torch and a Python that other rows have, and with a torch of its own."""
    name, _, value = word.partition("=")
    for torch in ("2.3.0", "2.3.1"):
        made = decide(f"pytorch {CUDA118} python=3.10 torch={torch} {word}")
        said = made.row.allow if name == "allow" else made.row.values[name]
        assert said == value.strip("'")
        before = {row.name: row for row in repository().matrix.rows}
        assert all(before[row.name] == row for row in made.matrix.rows if row.name in before)


@pytest.mark.parametrize("package", ["tensorflow[and-cuda]", "tensorflow-cpu", "tensorflow"])
def test_words_of_tensorflow(package: str) -> None:
    made = decide(f"tensorflow base=ubuntu24.04 python=3.12 tensorflow=2.18.1 tensorflow_package='{package}'")
    assert made.row.values["tensorflow_package"] == package
    assert any(line == f'tensorflow_package = "{package}"' for _, line in made.lines)


def test_words_of_paddle() -> None:
    made = decide("paddle base=debian12 paddle=3.2.0 paddle_package=paddlepaddle pins='numpy<2'")
    assert (made.row.values["paddle_package"], made.row.values["pins"]) == ("paddlepaddle", "numpy<2")
