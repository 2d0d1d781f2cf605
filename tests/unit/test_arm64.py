"""Rows for linux/arm64 are judged by the wheels for aarch64, never by those for x86_64."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.unit.test_compat import row
from tests.unit.test_matrix import LAYERS

from imagematrix import compat, matrix
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.errors import InputError

MATRIX = """\
schema = 1
platforms = ["{platform}"]

[bases.ubuntu]
image = "ubuntu:22.04"

[families.f]
layers = ["system"]
tag = "t"

[[families.f.row]]
base = "ubuntu"
"""


def told(values: Mapping[str, str], architecture: str = "arm64") -> set[tuple[str, str]]:
    """Return severity and subject of what is found, without notes."""
    found = compat.findings(replace(row(**values), platform=f"linux/{architecture}"))
    return {(str(each.severity), each.about) for each in found if each.severity is not Severity.NOTE}


def test_a_row_knows_its_processor() -> None:
    """It follows from the platform of the matrix."""
    for platform, architecture in (("linux/arm64", "arm64"), ("linux/arm64/v8", "arm64"), ("linux/amd64", "amd64")):
        made = matrix.parse(MATRIX.format(platform=platform), layers=LAYERS)
        assert [each.architecture for each in made.rows] == [architecture]


@pytest.mark.parametrize(
    "values",
    [
        {"torch": "2.7.1", "python": "3.12", "os": "ubuntu22.04"},
        {"torch": "2.7.1", "python": "3.12", "cuda": "12.8.1", "torch_build": "cpu"},
        {"torch": "2.7.1", "torch_build": "cu128", "torch_index": "https://index.example/cu128", "cuda": "12.8.1"},
        {"torch": "2.11.0", "python": "3.12", "cuda": "13.0.1"},
        {"tensorflow": "2.16.1", "python": "3.12"},
        {"tensorflow": "2.15.1", "python": "3.10", "tensorflow_package": "tensorflow"},
        {"paddle": "3.0.0", "python": "3.12"},
        {"paddle": "2.6.2", "python": "3.10", "paddle_package": "paddlepaddle"},
    ],
)
def test_what_there_is(values: Mapping[str, str]) -> None:
    """Nothing is reported about it."""
    assert told(values) == set()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"torch": "2.7.1", "cuda": "12.8.1"}, ("broken", "torch")),
        ({"torch": "2.7.1", "torch_build": "cu128"}, ("broken", "torch_build")),
        ({"torch": "2.7.1+cu128"}, ("broken", "torch")),
        ({"torch": "2.5.1", "python": "3.13"}, ("impossible", "torch")),
        ({"torch": "1.7.1", "python": "3.8"}, ("broken", "torch")),
        ({"torch": "2.7.1", "python": "3.10", "os": "ubuntu18.04"}, ("impossible", "torch")),
        ({"torch": "2.99.0", "python": "3.13"}, ("unknown", "torch")),
        ({"tensorflow": "2.16.1", "tensorflow_package": "tensorflow-cpu"}, ("impossible", "tensorflow_package")),
        ({"tensorflow": "2.18.1", "tensorflow_package": "tensorflow[and-cuda]"}, ("broken", "tensorflow_package")),
        ({"tensorflow": "2.18.1", "cuda": "12.5.1"}, ("broken", "tensorflow")),
        ({"tensorflow": "2.9.1", "python": "3.10"}, ("broken", "tensorflow")),
        ({"tensorflow": "2.18.1", "python": "3.13"}, ("impossible", "tensorflow")),
        ({"paddle": "3.0.0", "cuda": "12.6.3"}, ("broken", "paddle")),
        ({"paddle": "3.3.1"}, ("broken", "paddle")),
        ({"paddle": "2.6.2", "python": "3.13"}, ("impossible", "paddle")),
    ],
)
def test_what_there_is_not(values: Mapping[str, str], expected: tuple[str, str]) -> None:
    """By PyPI's own lists of files."""
    assert told(values) == {expected}


@pytest.mark.parametrize(
    "values",
    [
        {"torch": "2.0.1", "python": "3.8", "torch_build": "cpu", "os": "ubuntu20.04"},
        {"numpy": "1.19.5", "python": "3.12"},
        {"tensorrt": "8.6.0", "python": "3.12"},
    ],
)
def test_facts_of_x86_64_judge_nothing_else(values: Mapping[str, str]) -> None:
    """What is refused there by its wheels is not refused here."""
    assert told(values) == set()


def test_what_no_wheel_decides() -> None:
    """Pairs, issues and the base are the same everywhere."""
    assert ("broken", "torchvision") in told({"torch": "2.3.0", "torchvision": "0.17.0"})
    assert ("broken", "horovod") in told({"horovod": "0.28.1", "torch": "2.3.0"})


def test_a_processor_without_facts() -> None:
    """One warning, and no verdict by another's wheels."""
    assert told({"torch": "2.3.0", "python": "3.13"}, "ppc64le") == {("unknown", "platform")}


TWO = """\
schema = 1
platforms = ["linux/amd64", "linux/arm64"]

[bases.ubuntu]
image = "ubuntu:22.04"
os = "ubuntu22.04"
cuda = "12.1"

[families.f]
layers = ["system"]
tag = "{torch}-{base}"

[families.f.axes]
base = ["ubuntu"]
torch = ["2.3.0", "2.13.0"]
"""


def errors(text: str) -> dict[str, Diagnostic]:
    """Return what is wrong with the rows of a matrix, by code."""
    made = matrix.parse(text, layers=LAYERS)
    found = compat.diagnose(made.rows, text, file="matrix.toml")
    return {each.code: each for each in found if each.severity.is_error}


def written(hint: str) -> str:
    """Return the table that a hint names, as a person writes it."""
    (table,) = re.findall(r"\[\[.*", hint)
    header, _, pairs = table.partition("]] ")
    return f"\n{header}]]\n" + "\n".join(pairs.split(", ")) + "\n"


@pytest.mark.parametrize("by_hand", [False, True])
def test_what_one_platform_lacks_is_left_out(by_hand: bool) -> None:
    """The remedy leaves out the row of that platform, and no other one, also where the row is written by hand."""
    text = TWO
    if by_hand:
        rows = ('[[families.f.row]]\nbase = "ubuntu"\ntorch = "' + version + '"\n' for version in ("2.3.0", "2.13.0"))
        text = text[: text.index("[families.f.axes]")] + "\n".join(rows)
    found = errors(text)["torch_on_arm64"]
    assert found.rows == ("f:2.3.0-ubuntu-arm64",)
    mended = text + written(found.hint)
    assert errors(mended) == {}
    assert [row.name for row in matrix.parse(mended, layers=LAYERS).rows] == [
        "f:2.13.0-ubuntu",
        "f:2.13.0-ubuntu-arm64",
        "f:2.3.0-ubuntu",
    ]


def test_a_row_that_names_its_platforms() -> None:
    text = TWO[: TWO.index("[families.f.axes]")]
    text += '[[families.f.row]]\nbase = "ubuntu"\ntorch = "2.3.0"\nplatforms = ["linux/amd64", "linux/arm64"]\n'
    assert errors(text)["torch_on_arm64"].hint.endswith('or take "linux/arm64" out of the row\'s platforms')


def test_a_fact_of_one_platform() -> None:
    """The hint says where it may stand for that platform alone; written there, the row is right."""
    text = TWO[: TWO.index("[families.f]")] + (
        '[families.f]\nlayers = ["system"]\ntag = "{python}"\naxes = { base = ["ubuntu"], python = ["3.12"] }\n'
        '\n[facts.python."3.12"]\nminiconda = "Miniconda3-py312_26.5.3-1-Linux-x86_64.sh"\n'
    )
    hint = errors(text)["miniconda_of_python"].hint
    (table,) = re.findall(r"\[facts[^\]]*\]", hint)
    (name, value), *_ = errors(text)["miniconda_of_python"].words.items()
    assert errors(f'{text}\n{table}\n{name} = "{value}"\n') == {}


def test_what_no_platform_has_is_not_left_out() -> None:
    text = TWO.replace('"2.3.0", "2.13.0"', '"2.13.0"').replace("12.1", "12.99")
    assert not any("exclude" in each.hint for each in errors(text).values())


def test_a_row_that_is_left_out_on_every_platform() -> None:
    """An exclude that leaves nothing of a row by hand contradicts it, whichever platforms it names."""
    text = TWO[: TWO.index("[families.f.axes]")] + '[[families.f.row]]\nbase = "ubuntu"\ntorch = "2.3.0"\n'
    each = '\n[[families.f.exclude]]\nplatform = "linux/{}"\nreason = "why"\n'
    with pytest.raises(InputError, match="an exclude forbids this row: why"):
        matrix.parse(text + each.format("amd64") + each.format("arm64"), layers=LAYERS)
