"""GPU architectures: what a build has code for, and which GPUs a row, a family or a destination names."""

from collections.abc import Mapping

import pytest

from imagematrix import compat, matrix
from imagematrix.compat import architectures, catalogue
from imagematrix.diagnostics import Severity
from imagematrix.errors import InputError
from imagematrix.model import Base, Family, Row

LAYERS = {"system": True}


def found(**values: str) -> list[tuple[Severity, str]]:
    """Return the findings about a row's GPUs: severity and text."""
    row = Row(
        family=Family(name="f", layers=(), tag=""), base=Base(name="b"), tag="t", axes={}, values=values, image="f:t"
    )
    return [(each.severity, str(each)) for each in compat.findings(row) if each.about == "gpus"]


@pytest.mark.parametrize(
    ("code", "gpu", "does"),
    [
        ("sm_80", "sm_80", True),
        ("sm_80", "sm_86", True),
        ("sm_80", "sm_89", True),
        ("sm_86", "sm_80", False),
        ("sm_80", "sm_90", False),
        ("sm_90", "sm_89", False),
        ("sm_60", "sm_61", True),
        ("sm_100", "sm_103", True),
        ("sm_100", "sm_120", False),
        ("sm_120", "sm_121", True),
        ("sm_12", "sm_120", False),
        ("compute_80", "sm_120", True),
        ("compute_80", "sm_80", True),
        ("compute_90", "sm_89", False),
        ("compute_70", "sm_100", True),
    ],
)
def test_what_code_a_gpu_runs(code: str, gpu: str, does: bool) -> None:
    """Code of its own major version that is not newer; PTX that is not newer."""
    assert architectures.runs([code], gpu) is does


class TestTorch:
    """Each CUDA build of a release has an own list."""

    @pytest.mark.parametrize(
        ("of_torch", "build", "wanted"),
        [
            ("2.6.0", "cu124", "sm_50 sm_61 sm_70 sm_75 sm_80 sm_86 sm_89 sm_90"),
            ("2.6.0", "", "sm_90"),
            ("2.7.0", "cu128", "sm_75 sm_90 sm_100 sm_120"),
            ("2.8.0", "", "sm_70 sm_103 sm_120 sm_121"),
            ("2.14.1", "cu126", "sm_61 sm_70 sm_90"),
            ("2.15.0", "", "sm_75 sm_89 sm_100 sm_120"),
            ("1.7.1", "", "sm_75"),
            ("1.10.2", "cu113", "sm_80 sm_86"),
        ],
    )
    def test_served(self, of_torch: str, build: str, wanted: str) -> None:
        assert found(torch=of_torch, **({"torch_build": build} if build else {}), gpus=wanted) == []

    @pytest.mark.parametrize(
        ("of_torch", "build", "wanted", "said"),
        [
            ("2.6.0", "cu124", "sm_90 sm_120", "for sm_120: …; the first that has it is torch 2.7.0+cu128"),
            ("2.6.0", "", "sm_120", "for sm_120: …; the first that has it is torch 2.7.0+cu128"),
            ("2.7.0", "cu126", "sm_120", "for sm_120: …; torch 2.7.0+cu128 has it"),
            ("2.7.0", "cu128", "sm_70", "for sm_70: …; torch 2.7.0+cu126 has it"),
            ("2.15.0", "", "sm_61 sm_70", "for sm_61, sm_70: …; torch 2.15.0+cu126 has it"),
            ("1.12.1", "", "sm_80", "for sm_80: …; torch 1.12.1+cu116 has it"),
            ("2.0.1", "", "sm_90", "for sm_90: …; torch 2.0.1+cu118 has it"),
            ("2.8.0", "", "sm_37", "for sm_37: …; the last that has it is torch 2.7.1+cu118"),
            ("2.8.0", "", "sm_37 sm_120", "for sm_37: …; no build that is known serves all of them"),
        ],
    )
    def test_not_served(self, of_torch: str, build: str, wanted: str, said: str) -> None:
        """The remedy names the nearest build that has code for all of them."""
        [(severity, text)] = found(torch=of_torch, **({"torch_build": build} if build else {}), gpus=wanted)
        head, tail = said.split("…")
        assert severity is Severity.BROKEN
        assert head.removesuffix(": ") in text
        assert text.endswith(tail)

    @pytest.mark.parametrize(
        ("of_torch", "build"), [("2.6.0", "cpu"), ("2.6.0", "rocm6.1"), ("2.99.0", "cu140"), ("1.4.0", "cu92")]
    )
    def test_where_nothing_is_known_nothing_is_said(self, of_torch: str, build: str) -> None:
        assert found(torch=of_torch, torch_build=build, gpus="sm_120") == []

    def test_ptx(self) -> None:
        """It runs on what comes after it, once the driver has compiled it."""
        [(severity, text)] = found(torch="2.7.0", torch_build="cu128", gpus="sm_120 sm_130")
        assert (severity, "sm_130" in text, "sm_120" in text.partition(":")[0]) == (Severity.NOTE, True, False)


def test_tensorflow() -> None:
    row = {"tensorflow": "2.18.1", "cuda": "12.5.1"}
    assert found(**row, gpus="sm_60 sm_89") == []
    assert [severity for severity, _ in found(**row, gpus="sm_90 sm_120")] == [Severity.NOTE]
    [(severity, text)] = found(**row, gpus="sm_52")
    assert (severity, text.endswith("the last that has it is tensorflow 2.16.2")) == (Severity.BROKEN, True)
    assert found(tensorflow="2.18.1", gpus="sm_52") == []  # a build for CPUs, as is the next one
    assert found(**row, tensorflow_package="tensorflow-cpu", gpus="sm_52") == []
    assert found(tensorflow="2.18.1", tensorflow_package="tensorflow[and-cuda]", gpus="sm_52") != []


def test_paddle() -> None:
    row = {"paddle": "3.0.0", "cuda": "11.8.0"}
    assert found(**row, gpus="sm_70 sm_86") == []
    [(severity, text)] = found(**row, gpus="sm_90")
    assert (severity, text.endswith("; paddlepaddle-gpu 3.0.0 for CUDA 12.6 has it")) == (Severity.BROKEN, True)
    assert found(**{**row, "cuda": "12.6.3"}, gpus="sm_90") == []
    assert found(**row, paddle_package="paddlepaddle", gpus="sm_90") == []


def test_each_cuda_build_of_torch_since_1_6_is_known() -> None:
    unknown = {
        f"{name}+{build}"
        for name, known in catalogue.torch().items()
        for build in known.builds
        if build != "cpu" and not architectures.compiled("torch", name, build)
    }
    assert {each.partition("+")[2] for each in unknown} <= {"cu92", "cu100", "cu101", "cu102"}
    assert all(name.startswith(("1.4", "1.5", "1.6", "1.7", "1.8")) for name in unknown)


MATRIX = """\
schema = 1
[bases.b]
bootstrap = "bookworm"
{base}
[destinations.p]
{destination}
[families.f]
layers = ["system"]
tag = "{{torch}}"
base = "b"
destination = "p"
{family}
[families.f.axes]
torch = ["2.6.0"]
[[families.f.row]]
torch = "2.7.0"
{row}
"""


def rows(**said: str) -> Mapping[str, Row]:
    text = MATRIX.format(**{"base": "", "destination": "", "family": "", "row": "", **said})
    return {row.tag: row for row in matrix.parse(text, layers=LAYERS).rows}


class TestDeclared:
    """`gpus` in matrix.toml."""

    def test_the_nearest_counts(self) -> None:
        """A row, else its family, else its destination; and the line of it is the one to blame."""
        made = rows(destination='gpus = ["sm_80"]', family='gpus = ["sm_90", "sm_120"]', row='gpus = ["sm_100"]')
        assert {tag: row.values["gpus"] for tag, row in made.items()} == {"2.6.0": "sm_90 sm_120", "2.7.0": "sm_100"}
        assert made["2.6.0"].place("gpus") == ("families", "f", "gpus")
        assert made["2.7.0"].place("gpus") == ("families", "f", "row", 0, "gpus")
        [row, _] = rows(destination='gpus = ["sm_80"]').values()
        assert (row.values["gpus"], row.place("gpus")) == ("sm_80", ("destinations", "p", "gpus"))
        assert "gpus" not in rows()["2.6.0"].values

    def test_it_is_not_an_axis(self) -> None:
        assert rows(family='gpus = ["sm_90"]')["2.6.0"].axes.keys() == {"base", "torch"}

    def test_an_axis_cannot_have_the_name(self) -> None:
        text = MATRIX.format(base="", destination="", family="", row="").replace(
            "torch = [", 'gpus = ["sm_90"]\ntorch = ['
        )
        with pytest.raises(InputError) as raised:
            matrix.parse(text, layers=LAYERS)
        assert "families.f.axes.gpus: an axis cannot be named 'gpus'" in [
            each.message for each in raised.value.diagnostics
        ]

    @pytest.mark.parametrize("place", ["destination", "family", "row"])
    @pytest.mark.parametrize("wrong", ["90", "9.0", "SM_90", "sm_9", "sm_90a", "sm_9000", "compute_90", "h100", ""])
    def test_what_is_none_is_told_with_its_line(self, place: str, wrong: str) -> None:
        with pytest.raises(InputError) as raised:
            rows(**{place: f'gpus = ["sm_80",\n "{wrong}"]'})
        [problem] = raised.value.diagnostics
        text = MATRIX.format(**{"base": "", "destination": "", "family": "", "row": "", place: "@"})
        assert problem.line == text[: text.index("@")].count("\n") + 2
        assert "is not a GPU architecture" in problem.message

    @pytest.mark.parametrize(
        ("place", "said"),
        [
            ("family", 'gpus = "sm_90"'),
            ("family", "gpus = []"),
            ("family", "gpus = [90]"),
            ("family", 'gpus = ["sm_90", "sm_90"]'),
            ("base", 'gpus = ["sm_90"]'),
            ("base", 'gpus = "sm_90"'),
            ("row", '[facts.torch."2.6.0"]\ngpus = ["sm_90"]'),
        ],
    )
    def test_other_forms_and_places_are_refused(self, place: str, said: str) -> None:
        text = MATRIX.format(**{"base": "", "destination": "", "family": "", "row": "", place: said})
        with pytest.raises(InputError) as raised:
            matrix.parse(text, layers=LAYERS)
        assert all("gpus" in problem.message for problem in raised.value.diagnostics)

    def test_check_holds_them_against_the_build(self) -> None:
        made = rows(family='gpus = ["sm_90", "sm_120"]')
        said = {
            tag: [each.about for each in compat.findings(row) if each.severity.is_error] for tag, row in made.items()
        }
        assert said == {"2.6.0": ["gpus"], "2.7.0": ["gpus"]}  # 2.7.0 is cu126 on PyPI
