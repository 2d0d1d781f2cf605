"""Big projects: what a grid may come to, what `check` does once for many rows, how big a file of a layer may be."""

import hashlib
import importlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import jinja2
import pytest
from tests import projects
from tests.projects import FILES

from imagematrix import compat, matrix
from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError
from imagematrix.matrix import parsing
from imagematrix.project import Project, Selection, examine, open_project

LAYERS = {"system": True, "python": True, "torch": True, "boot": True}
BASE = 'schema = 1\n[bases.debian]\nbootstrap = "bookworm"\nos = "debian12"\n'


def grid(name: str, **axes: int) -> str:
    """Return a family whose axes have so many values."""
    tag = "-".join(f"{{{axis}}}" for axis in axes)
    lines = [f"{axis} = {[f'{axis}{value}' for value in range(count)]}" for axis, count in axes.items()]
    head = f'[families.{name}]\nbase = "debian"\nlayers = ["system"]\ntag = "{tag}"\n[families.{name}.axes]\n'
    return head + "\n".join(lines) + "\n"


def refusal(text: str) -> Diagnostic:
    with pytest.raises(InputError) as caught:
        matrix.parse(text, layers=LAYERS)
    [problem] = caught.value.diagnostics
    return problem


def test_a_grid_that_no_memory_holds_is_refused_before_a_row_is_made() -> None:
    problem = refusal(BASE + grid("small", tiny=2) + grid("huge", a=100, b=100, c=1_000, d=100, e=100, f=100))
    assert problem.line == (BASE + grid("small", tiny=2)).count("\n") + 5  # [families.huge.axes]
    assert "10,000,000,000,000" in problem.message
    assert "families.huge" in problem.message
    assert "'c'" in problem.hint


def test_a_million_rows_are_refused_though_excludes_leave_few() -> None:
    rule = '[[families.huge.exclude]]\na = "a1"\nreason = "none"\n'
    assert "1,000,000" in refusal(BASE + grid("huge", a=100, b=100, c=100) + rule).message


def test_families_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MOST_ROWS", 10)
    assert len(matrix.parse(BASE + grid("one", a=2, b=3) + grid("two", c=4), layers=LAYERS).rows) == 10
    problem = refusal(BASE + grid("one", a=2, b=3) + grid("two", c=5))
    assert "families.one" in problem.message
    assert " 11 " in problem.message


MATRIX = (
    projects.MATRIX.replace('python = ["3.10", "3.11"]', 'python = ["3.10", "3.11"]\nfree = ["a", "b", "c"]')
    .replace("python{python}-{base}", "python{python}-{free}-{base}")
    .replace('layers = ["system", "python", "torch", "boot"]', 'layers = ["system", "python", "torch", "boot", "odd"]')
)
ODD = {
    "no fault": "RUN true\n",
    "of a value that is an axis": "{{ 1 // (python | replace('3.1', '') | int) }}\n",
    "of a value that nothing else reads": "{% if free == 'b' %}COPY gone /\n{% endif %}RUN true\n",
    "of the tag": "{% if tag.endswith('c-debian') %}{{ nothing }}{% endif %}RUN true\n",
    "of the driver": "{% if driver_requirement %}FROM scratch\n{% endif %}RUN true\n",
    "of all rows": "FROM scratch\nCOPY gone /\n",
}
SECTIONS = {
    "no section": "fine\n",
    "of a section": "{% if free == 'a' %}{{ nothing }}{% endif %}\n",
    "broken": "{% if\n",
}


def one_by_one(project: Project) -> Counter[Diagnostic]:
    """Return what rendering each row by itself raises."""
    found: Counter[Diagnostic] = Counter()
    for row in project.obtainable:
        try:
            project.files(project.leaves([row]))
        except InputError as error:
            found.update(error.diagnostics)
    return found


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("fault", ODD)
def test_faults_that_are_looked_for_once_are_those_of_each_row(tmp_path: Path, fault: str, section: str) -> None:
    odd = {
        "common/layers/odd/Dockerfile.j2": ODD[fault],
        "common/layers/odd/files/README.md.j2": SECTIONS[section],
    }
    project = projects.project(tmp_path, matrix=MATRIX, files={**FILES, **odd})
    found = [problem for problem in project.unrendered() for _ in problem.rows]
    rows = [row for problem in project.unrendered() for row in problem.rows]
    expected = one_by_one(project)
    assert Counter((each.file, each.line, each.message, row) for each, row in zip(found, rows, strict=True)) == Counter(
        {(each.file, each.line, each.message, row): times for each, times in expected.items() for row in each.rows}
    )


def wide(root: Path, rows: int) -> Project:
    """Return a project of rows that differ in an axis that no template and no rule reads."""
    values = [f"v{number}" for number in range(rows)]
    text = MATRIX.replace('free = ["a", "b", "c"]', f"free = {values}").replace(', "odd"', "")
    return open_project(str(projects.write(root, matrix=text)))


def test_check_renders_and_judges_once_what_rows_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(rows: int) -> tuple[int, int]:
        project, done = wide(tmp_path / str(rows), rows), Counter[str]()
        render, judge = jinja2.Template.render, compat.findings

        def counted_render(self: jinja2.Template, *args: object, **kwargs: object) -> str:
            done["renderings"] += 1
            return render(self, *args, **kwargs)

        def counted_judge(*args: object, **kwargs: object) -> object:
            done["judgements"] += 1
            return judge(*args, **kwargs)  # type: ignore[arg-type]

        with monkeypatch.context() as patched:
            patched.setattr(jinja2.Template, "render", counted_render)
            patched.setattr(importlib.import_module("imagematrix.compat.diagnosis"), "findings", counted_judge)
            assert sum(len(cause.rows) for cause in project.proof()) >= rows
            assert not project.unrendered()
        return done["renderings"], done["judgements"]

    assert work(3) == work(60)


def test_rows_that_rules_tell_apart_are_judged_apart(tmp_path: Path) -> None:
    project = projects.project(tmp_path, matrix=MATRIX.replace(', "odd"', ""))
    found = {(replace(cause, file="", line=0, rows=()), name) for cause in project.proof() for name in cause.rows}
    expected = {(finding, row.name) for row in project.matrix.rows for finding in project.renderer.findings(row)}
    assert expected
    assert expected <= found


def test_rows_that_only_an_allowance_tells_apart_are_judged_apart(tmp_path: Path) -> None:
    text = MATRIX.replace(', "odd"', "") + '[facts.torch."2.3.0"]\ntorchvision = "0.20.0"\n'
    allow = '[[allow]]\nfree = "b"\nreason = "ours is patched"\nsource = "tried here"\n'
    project = projects.project(tmp_path, matrix=text, files={**FILES, "compat/allow.toml": allow})
    [refused] = [each.rows for each in project.proof() if each.code == "torchvision" and each.severity.is_error]
    assert refused
    assert not any("-b-" in name for name in refused)


def test_a_file_that_memory_is_not_for_is_refused_unread(tmp_path: Path) -> None:
    file = projects.write(tmp_path)
    with (tmp_path / "common/layers/torch/files/weights.bin").open("wb") as stream:
        stream.truncate(3 * 10**12)  # a hole: it takes no disk
    [problem] = examine(str(file)).diagnostics
    assert problem.code == "oversized_file"
    assert problem.file == "common/layers/torch/files/weights.bin"


def test_a_big_file_is_hashed_once_for_all_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = {
        "common/layers/torch/files/weights.txt": "w" * 1_000_000,
        "common/layers/torch/Dockerfile.j2": "COPY torch/weights.txt /\nRUN echo {{ torch }} {{ python }}\n",
    }
    project = projects.project(tmp_path, files={**FILES, **text})
    leaves = project.leaves(project.rows(Selection()))
    hashed: list[int] = []
    sha256 = hashlib.sha256

    def counted(content: bytes) -> object:
        hashed.append(len(content))
        return sha256(content)

    monkeypatch.setattr(hashlib, "sha256", counted)
    assert len(project.dag(leaves).final_nodes) == len(leaves)
    assert [size for size in hashed if size >= 1_000_000] == [1_000_000]
