"""What packages need and do not declare: rows are resolved with it, and judged by it."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import projects
from tests.unit.test_requirements import LOCKED, FakeResolver, leaves, lock, locks

from imagematrix import compat
from imagematrix.cli import program
from imagematrix.compat import bounds, catalogue
from imagematrix.diagnostics import Diagnostic
from imagematrix.model import Base, Family, Row
from imagematrix.planning import requirements
from imagematrix.planning.requirements import Requirements, RequirementStack, ResolveRequest
from imagematrix.resolver import ResolveResult
from imagematrix.text.versions import comparison


def row(*, allow: str = "", **values: str) -> Row:
    family = Family(name="f", layers=(), tag="")
    return Row(family=family, base=Base(name="b"), tag="t", axes={}, values=values, image="i", allow=allow)


def found(one: Row, locked: Mapping[str, str] | None = None) -> list[tuple[str, str, str]]:
    """Return the severity, the code and the place of all that is reported about packages and their bounds."""
    codes = {"bound", "numpy_on_python", "numpy_of_pins"}
    told = compat.findings(one, locked or {})
    return [(finding.severity, finding.code, finding.about) for finding in told if finding.code in codes]


def asks(**values: str) -> set[str]:
    """Return what a row with some values is resolved with."""
    return {bound.requirement for bound in bounds.constraining(values, bounds.stated(values), allowed=False)}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"torch": "2.2.2", "python": "3.10"}, {"numpy<2"}),
        ({"torch": "1.13.1+cu117", "python": "3.10"}, {"numpy<2"}),
        ({"torch": "2.2.2", "python": "3.8"}, set()),  # there is no NumPy 2
        ({"torch": "2.3.0", "python": "3.10"}, set()),
        ({"tensorflow": "2.6.0", "python": "3.9"}, {"keras<2.7", "tensorflow-estimator<2.7", "protobuf<3.21"}),
        ({"tensorflow": "2.7.0", "python": "3.8"}, {"protobuf<3.21"}),
        ({"tensorflow": "2.7.4", "python": "3.9"}, {"numpy<2"}),
        ({"tensorflow": "2.11.1", "python": "3.9"}, {"numpy<2"}),
        ({"tensorflow": "2.14.0", "python": "3.11"}, {"numpy<2"}),
        ({"tensorflow": "2.14.1", "python": "3.11"}, set()),
        ({"tensorflow": "1.15.0", "python": "3.7"}, {"numpy<1.20", "protobuf<3.21", "h5py<3"}),
        ({"paddle": "2.6.2", "python": "3.11"}, {"protobuf<7"}),
        ({"paddle": "2.4.2.post112", "python": "3.10"}, set()),  # declares what it needs
        ({"paddle": "2.2.2", "python": "3.9"}, {"numpy<1.24", "protobuf<3.21"}),
        ({"paddle": "3.3.1", "python": "3.12"}, set()),
    ],
)
def test_what_a_row_is_resolved_with(values: dict[str, str], expected: set[str]) -> None:
    """Less the bound on setuptools, which most TensorFlows need."""
    assert asks(**values) - {"setuptools<82"} == expected


def test_every_bound_can_be_read_and_has_a_source() -> None:
    for bound in catalogue.bounds():
        package, condition = bounds.split(bound)
        assert package
        assert condition
        assert bound.source
        assert comparison(condition)
        assert compat.findings(row(**{bound.package: "0"})) is not None


@pytest.mark.parametrize(
    "values",
    [
        {"tensorflow": "2.11.1", "pins": "numpy==2.0.2"},
        {"tensorflow": "2.11.1", "pins": "protobuf<3.21 NumPy>=2"},
        {"tensorflow": "2.4.1", "python": "3.8", "pins": "protobuf==4.25.9"},
        {"tensorflow": "2.6.0", "pins": "keras==2.8.0"},
        {"torch": "2.2.2", "pins": "numpy==2.2.6"},
        {"paddle": "2.6.2", "pins": "protobuf>=7"},
    ],
)
def test_pins_that_contradict_a_bound(values: dict[str, str]) -> None:
    """Are broken, whatever else is pinned; a reason overrules them, and then the pins win."""
    assert found(row(**values)) == [("broken", "bound", "pins")]
    assert found(row(**values, allow="we know")) == [("note", "bound", "pins")]
    before = bounds.constraining(values, bounds.stated(values), allowed=False)
    after = bounds.constraining(values, bounds.stated(values), allowed=True)
    assert len(after) == len(before) - 1


@pytest.mark.parametrize(
    ("row_says", "pins", "works"),
    [
        ({"torch": "2.2.2", "torchvision": "0.17.2"}, "basicsr==1.4.2", {"torch": "2.1.2", "torchvision": "0.16.2"}),
        ({"torch": "1.9.0", "python": "3.8"}, "timm==0.3.2", {"torch": "1.8.1"}),
        ({"torch": "2.0.1"}, "deepspeed==0.7.7", {"torch": "1.13.1"}),
        ({"torch": "2.0.1"}, "transformers==4.57.0", {"torch": "2.1.0"}),
        ({"torch": "2.1.2"}, "transformers==5.0.0", {"torch": "2.2.0"}),
        ({"torch": "2.4.1"}, "dgl==2.1.0", {"torch": "2.2.1"}),
        ({"tensorflow": "2.10.1"}, "tensorflow-probability==0.19.0", {"tensorflow": "2.11.1"}),
        ({"tensorflow": "2.9.3"}, "tensorflow-probability==0.18.0", {"tensorflow": "2.10.0"}),
        ({"tensorflow": "2.16.1"}, "tensorflow-hub==0.15.0", {"tensorflow": "2.15.1"}),
    ],
)
def test_pins_that_the_rows_framework_does_not_suit(row_says: dict[str, str], pins: str, works: dict[str, str]) -> None:
    """Packages check or import what only some releases of a framework have, and do not declare it."""
    [about] = [each for each in row_says if each in {"torchvision", "tensorflow"}] or ["torch"]
    assert found(row(**row_says, pins=pins)) == [("broken", "bound", about)]
    assert found(row(**{**row_says, **works}, pins=pins)) == []


@pytest.mark.parametrize(
    ("broken", "works"),
    [
        ("faiss-cpu==1.8.0 numpy==2.0.2", "faiss-cpu==1.8.0.post1 numpy==2.0.2"),  # declares it
        ("shap==0.45.1 numpy==2.0.2", "shap==0.46.0 numpy==2.0.2"),
        ("imgaug==0.4.0 numpy==2.0.2", "imgaug==0.4.0 numpy==1.26.4"),
        ("mxnet==1.9.1 numpy==1.24.4", "mxnet==1.9.1 numpy==1.23.5"),
        ("gensim==4.3.2 scipy==1.13.0", "gensim==4.3.2 scipy==1.12.0"),
        ("statsmodels==0.14.4 scipy==1.16.0", "statsmodels==0.14.4 scipy==1.15.3"),
        ("tensorboard==2.8.0 protobuf==4.21.0", "tensorboard==2.9.1 protobuf==3.19.6"),
        ("wandb==0.12.16 protobuf==4.21.0", "wandb==0.12.17 protobuf==3.20.3"),
        ("datasets==2.14.5 pyarrow==21.0.0", "datasets==2.14.5 pyarrow==20.0.0"),
        ("gradio==4.44.1 huggingface-hub==1.0.0", "gradio==4.44.1 huggingface-hub==0.36.0"),
    ],
)
def test_pins_that_do_not_suit_each_other(broken: str, works: str) -> None:
    assert found(row(pins=broken, python="3.10")) == [("broken", "bound", "pins")]
    assert found(row(pins=works, python="3.10")) == []


@pytest.mark.parametrize(
    "values",
    [
        {"tensorflow": "2.11.1", "pins": "numpy<1.24 protobuf<3.20"},
        {"tensorflow": "2.4.1", "pins": "numpy~=1.19.2 protobuf<5"},  # the bound lowers it further
        {"torch": "2.2.2", "pins": "numpy scipy==1.10 --no-deps"},
        {"torch": "2.2.2", "numpy": "1.26.4"},
        {"torch": "2.3.0", "pins": "numpy==2.0.0"},
        {"torch": "2.2.2", "numpy": "newest"},
    ],
)
def test_pins_that_leave_something(values: dict[str, str]) -> None:
    assert found(row(**values)) == []


def test_both_are_named_with_their_sources() -> None:
    [finding] = [each for each in compat.findings(row(torch="2.2.2", pins="numpy==2.2.6")) if each.code == "bound"]
    assert finding.message == "the pins ask for numpy==2.2.6, and torch 2.2.2 needs numpy<2"
    assert "pytorch issue 107302" in finding.hint


def test_a_fact_is_judged_as_a_pin() -> None:
    assert found(row(torch="2.2.2", numpy="2.2.6")) == [("broken", "bound", "numpy")]
    assert found(row(tensorflow="2.18.1", numpy="2.3.0")) == [("impossible", "bound", "numpy")]
    assert found(row(paddle="2.6.2", numpy="2.0.0")) == [("note", "bound", "numpy")]


@pytest.mark.parametrize(
    ("version", "python"),
    [
        ("2.3.0", "3.14"),
        ("1.23.1", "3.11"),
        ("1.21.1", "3.10"),
        ("1.19.2", "3.9"),
        ("1.17.2", "3.8"),
        ("2.5.1", "3.15"),
    ],
)
def test_numpy_without_a_wheel(version: str, python: str) -> None:
    """By the exact patch: later ones of the series have one."""
    assert found(row(numpy=version, python=python)) == [("broken", "numpy_on_python", "numpy")]
    assert found(row(pins=f"numpy=={version}", python=python)) == [("broken", "numpy_on_python", "pins")]
    assert found(row(python=python), {"numpy": version}) == [("broken", "numpy_on_python", "")]
    series, _, patch = version.rpartition(".")
    assert found(row(numpy=f"{series}.{int(patch) + 2}", python=python)) == []


def test_pins_that_leave_no_numpy_with_a_wheel() -> None:
    assert found(row(pins="numpy<1.20", python="3.12")) == [("broken", "numpy_of_pins", "pins")]
    assert found(row(pins="numpy<1.27", python="3.12")) == []
    assert found(row(pins="numpy==1.19.*", python="3.9")) == []


def test_what_is_locked_is_judged() -> None:
    """Under the name that rows use; of one package, what the row says comes first."""
    torch = row(torch="2.2.2", python="3.10")
    assert found(torch, {"numpy": "2.2.6"}) == [("broken", "bound", "torch")]
    assert found(torch, {"numpy": "1.26.4"}) == []
    assert found(row(python="3.9"), {"tensorflow-cpu": "2.11.1", "numpy": "2.0.2"}) == [
        ("broken", "bound", "tensorflow")
    ]
    assert found(row(torch="2.2.2", pins="numpy>=2"), {"numpy": "2.2.6"}) == [("broken", "bound", "pins")]


# --- what is asked of the index ----------------------------------------------------------------------------

ROW = "pytorch:2.2.2-python3.10-cuda"
MATRIX = projects.MATRIX.replace('["2.3.0", "2.4.1"]', '["2.2.2", "2.4.1"]')
TORCH = "common/layers/torch/files/requirements.txt.j2"
FILES = {
    **LOCKED,
    TORCH: 'torch=={{ torch }}\n{{ pins | default("") }}\n',
    "common/layers/boot/Dockerfile.j2": "COPY boot/requirements.lock /\nCOPY --link init/ /init/\n",
    "common/layers/boot/files/requirements.txt": "jupyterlab\n",
}


class Index(FakeResolver):
    """One whose torch brings NumPy, the newest within the bounds."""

    def __init__(self, numpy: str = "2.2.6", layer: str = "torch") -> None:
        super().__init__()
        self.numpy = numpy
        self.layer = layer

    def resolve(self, question: ResolveRequest) -> ResolveResult:
        answer = super().resolve(question)
        limited = any(bound.requirement == "numpy<2" for bound in question.bounds)
        brings = question.asker.layer == self.layer and "torch" in question.layers[-2].text + question.asker.text
        numpy = "1.26.4" if limited else self.numpy
        return ResolveResult(text=f"{answer.text}numpy=={numpy}\n" if brings else answer.text)


def asked(resolver: FakeResolver, row: str) -> dict[str, set[str]]:
    """Return the bounds of each question for a version of torch, by layer."""
    return {
        question.asker.layer: {bound.requirement for bound in question.bounds}
        for question in resolver.asked
        if question.python == "3.10" and question.platform.endswith("2_35") and row in str(question.layers)
    }


def test_bounds_count_from_the_layer_that_needs_them(tmp_path: Path) -> None:
    """Those below are shared as they were; above, the lock says it already."""
    projects.project(tmp_path, matrix=MATRIX, files=FILES)
    resolver = Index()
    lock(tmp_path, resolver)

    assert asked(resolver, "torch==2.2.2") == {"torch": {"numpy<2"}, "boot": set()}
    assert asked(resolver, "torch==2.4.1") == {"torch": set(), "boot": set()}
    assert len([question for question in resolver.asked if question.asker.layer == "python"]) == 4
    text = leaves(tmp_path)[ROW]["torch/requirements.lock"]
    assert (
        "\n# numpy<2: torch <2.3 was compiled against NumPy 1: tensor.numpy() raises (pytorch issue 107302)\n" in text
    )


def test_bounds_hold_in_the_layers_above(tmp_path: Path) -> None:
    """Where what they are about is installed by one of those."""
    projects.project(tmp_path, matrix=MATRIX, files=FILES)
    resolver = Index(layer="boot")
    lock(tmp_path, resolver)
    assert asked(resolver, "torch==2.2.2") == {"torch": {"numpy<2"}, "boot": {"numpy<2"}}
    assert "numpy==1.26.4" in leaves(tmp_path)[ROW]["boot/requirements.lock"]


def test_only_locks_that_a_bound_is_for_have_another_name() -> None:
    """The layer that needs it, and those above that may install what it is about."""
    texts = {"python": "pip\n", "torch": "torch==2.2.2\n", "boot": "jupyterlab\n"}
    layers = tuple(Requirements(layer=name, text=text, file="") for name, text in texts.items())
    plain = RequirementStack(python="3.10", platform="x86_64-manylinux_2_35", layers=layers)
    bound = RequirementStack(
        python="3.10", platform="x86_64-manylinux_2_35", layers=layers, bounds=of(torch="2.2.2", python="3.10")
    )

    assert paths(plain, "torch==2.2.2\n")[0] == paths(bound, "torch==2.2.2\n")[0]
    assert not {*paths(plain, "torch==2.2.2\n")[1:]} & {*paths(bound, "torch==2.2.2\n")[1:]}
    # One that brings NumPy, of a version that fits, is all that the layers above need to know.
    assert requirements.follow(bound, committed(bound, "torch==2.2.2\nnumpy==1.26.4\n"))[1] is None
    top = [question for question, _ in requirements.answered(bound, committed(bound, "numpy==1.26.4\n"))][-1]
    assert top.bounds == ()


def of(**values: str) -> tuple[compat.Bound, ...]:
    return bounds.constraining(values, (), allowed=False)


def committed(chain: RequirementStack, text: str) -> Mapping[str, str]:
    """Return locks for all layers of a chain, which hold the same."""
    found: dict[str, str] = {}
    while question := requirements.follow(chain, found)[1]:
        found[question.path] = text
    return found


def paths(chain: RequirementStack, text: str) -> list[str]:
    return [*committed(chain, text)]


def test_requirements_that_say_it_already(tmp_path: Path) -> None:
    """Make the bound no part of the lock: those of a monorepo that has always pinned it stay."""
    pinned = {**FILES, TORCH: "torch=={{ torch }}\nnumpy<1.27\n"}
    projects.project(tmp_path, matrix=MATRIX, files=pinned)
    resolver = Index(numpy="1.26.4")
    lock(tmp_path, resolver)
    assert asked(resolver, "torch==2.2.2")["torch"] == set()


def test_a_package_that_only_the_requirements_name(tmp_path: Path) -> None:
    """Needs its bounds as well."""
    files = {**FILES, TORCH: 'torch=={{ torch }}\npandas==2.1.4\n{{ pins | default("") }}\n'}
    projects.project(tmp_path, matrix=MATRIX, files=files)
    resolver = Index()
    lock(tmp_path, resolver)
    assert asked(resolver, "torch==2.4.1")["torch"] == {"numpy<2"}


PINNED = """
[facts.torch."2.2.2"]
pins = "numpy==2.2.6"
"""


def check(root: Path, capfd: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        program.run(["imagematrix", "check", "--file", str(root / "matrix.toml")])
    assert ended.value.code == 2
    told = capfd.readouterr()
    return told.out + told.err


def test_check_names_the_line_of_the_pins(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a lock: no index is needed for it."""
    projects.project(tmp_path, matrix=MATRIX + PINNED, files=FILES)
    line = (MATRIX + PINNED).splitlines().index('pins = "numpy==2.2.6"') + 1
    told = check(tmp_path, capfd)
    assert (
        f"matrix.toml:{line}: error: the pins ask for numpy==2.2.6, and torch 2.2.2 needs numpy<2 [IM3002 bound]\n"
        in told
    )
    assert "pytorch issue 107302" in told


def test_check_judges_committed_locks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Made by an older version, or changed by hand."""
    projects.project(tmp_path, matrix=MATRIX, files=FILES)
    lock(tmp_path, Index())
    for path, text in locks(tmp_path).items():
        (tmp_path / path).write_text(text.replace("numpy==1.26.4", "numpy==2.2.6"))
    assert "numpy 2.2.6 is locked, and torch 2.2.2 needs numpy<2" in check(tmp_path, capfd)


def test_a_row_with_a_reason_is_resolved_as_it_asks(tmp_path: Path) -> None:
    allowed = '[[families.pytorch.row]]\nbase = "cuda"\npython = "3.12"\ntorch = "2.2.2"\nallow = "never converts"\n'
    matrix = MATRIX.replace("[families.plain]", f"{allowed}\n[families.plain]", 1)
    projects.project(tmp_path, matrix=matrix + PINNED, files=FILES)
    resolver = Index()
    lock(tmp_path, resolver, "pytorch:2.2.2-python3.12-cuda")
    assert [question.bounds for question in resolver.asked] == [(), (), ()]


CORRECTED = """
[[bounds]]
package = "torch"
versions = "==2.4.1"
bound = "numpy<2.2"
why = "is slow with newer ones"
source = "our own benchmark"

[[bounds]]
package = "torch"
versions = "<2.3"
bound = "numpy<2"
severity = "note"
source = "we patch torch"
"""


def test_a_monorepo_adds_and_lifts_bounds(tmp_path: Path) -> None:
    projects.project(tmp_path, matrix=MATRIX, files={**FILES, "compat/bounds.toml": CORRECTED})
    resolver = Index()
    lock(tmp_path, resolver)
    assert asked(resolver, "torch==2.2.2")["torch"] == set()
    assert asked(resolver, "torch==2.4.1")["torch"] == {"numpy<2.2"}
    text = leaves(tmp_path)[ROW.replace("2.2.2", "2.4.1")]["torch/requirements.lock"]
    assert "# numpy<2.2: torch ==2.4.1 is slow with newer ones (our own benchmark)\n" in text


def test_what_a_monorepo_allows_is_resolved_as_the_row_asks(tmp_path: Path) -> None:
    allow = '[[allow]]\ntorch = "<2.3"\nreason = "never converts"\nsource = "our own tests"\n'
    projects.project(tmp_path, matrix=MATRIX + PINNED, files={**FILES, "compat/allow.toml": allow})
    resolver = Index()
    lock(tmp_path, resolver, ROW)
    assert [question.bounds for question in resolver.asked] == [(), (), ()]


@pytest.mark.parametrize(
    "command",
    [
        '{% import "site.j2" as site %}\nRUN {{ site.compile(python, "native", "A=1") }}\n',
        "RUN pip install --no-binary native -r /requirements.lock\n",
        "RUN pip install --no-binary=native -r /requirements.lock\n",
    ],
)
def test_what_a_layer_compiles_is_read_from_its_template(tmp_path: Path, command: str) -> None:
    files = {**FILES, "common/layers/torch/Dockerfile.j2": f"{command}COPY torch/requirements.lock /\n"}
    projects.project(tmp_path, matrix=MATRIX, files=files)
    resolver = Index()
    lock(tmp_path, resolver, ROW)
    assert [question.asker.compiled for question in resolver.asked] == [set(), {"native"}, set()]


def test_findings_are_values() -> None:
    """Equal ones of many rows are one cause."""
    one, other = (compat.findings(row(torch="2.2.2", pins="numpy>=2")) for _ in range(2))
    assert all(isinstance(finding, Diagnostic) for finding in one)
    assert one == other
