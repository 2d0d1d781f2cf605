"""What plugins add: docs/examples/plugins is a monorepo with all of it, and a wheel; and what is wrong with others."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from tests import nights, projects
from tests.chat import Chat
from tests.folders import FolderExecutor
from tests.unit.test_audit import BASE, judged
from tests.unit.test_other_executors import Night, ran

from imagematrix import compat, extensions
from imagematrix.commands import reporting
from imagematrix.commands.build import run
from imagematrix.compat import catalogue
from imagematrix.errors import FlagError, InputError
from imagematrix.model import Attempt, Extensions, Status
from imagematrix.project import Project, examine, open_project

EXAMPLE: Final = Path(__file__).parents[2] / "docs/examples/plugins"
FILE: Final = "imagematrix_plugins.py"


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """Look at the installed wheels again, before a test and after it."""
    extensions.installed.cache_clear()
    yield
    extensions.installed.cache_clear()


@pytest.fixture
def example(tmp_path: Path) -> Project:
    return open_project(str(shutil.copytree(EXAMPLE, tmp_path / "example") / "matrix.toml"))


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """Install a wheel with one module that is a plugin."""
    module = name.replace("-", "_")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[imagematrix.plugins]\n{name} = {module}\n")
    (folder / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, module, raising=False)
    extensions.installed.cache_clear()


def codes(found: InputError) -> list[tuple[str, int]]:
    return [(each.file, each.line) for each in found.diagnostics if each.code == "plugin"]


def test_the_example_is_fine_and_has_a_layer_a_service_a_check_and_a_rule(example: Project) -> None:
    assert [each for each in example.proof() if each.code != "unused_fact"] == []
    [row] = example.matrix.rows
    leaf = example.renderer.leaf(row)
    files = {file.path: file.content for file in example.renderer.files(leaf)}
    assert files["motd/motd.txt"] == b"Welcome to Python 3.11 on debian12.\n"
    assert [service.name for service in example.services(row)] == ["ssh", "files"]
    assert "def test_users_are_welcomed" in example.repository.common.checks()["motd"]
    assert judged(example.matrix, BASE, {"usr/bin/cc": "cc"}) == ("/usr/bin/cc is a compiler",)


def test_the_example_corrects_the_catalogue(example: Project) -> None:
    """A fact, and a version rule as data."""
    [row] = example.matrix.rows
    values = {**row.values, "scipy": "1.10.1", "python": "3.12"}
    assert "known_breakage" in [each.code for each in compat.findings(replace(row, values=values))]
    assert "houseos1" in catalogue.glibc()


def test_the_example_writes_a_file_of_its_own_and_tells_its_pager(
    example: Project, tmp_path: Path, chat: tuple[str, type[Chat]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = chat
    handler.answers.append("accepted")
    monkeypatch.setenv("IMAGEMATRIX_WEBHOOK", f"pager+{url}")
    said: list[str] = []
    grid = nights.grid(6)

    assert reporting.built(example.with_own_plugins(), nights.night(grid, 0), (), tmp_path / "report", say=said.append)

    assert said == []
    lines = (tmp_path / "report/rows.csv").read_text().splitlines()
    assert lines[0] == "row,outcome,bytes"
    assert len(lines) == 1 + len(grid.final_nodes)
    assert json.loads(handler.heard[0]).keys() == {"severity", "summary", "source"}


def test_the_executor_of_the_example_does_the_jobs_with_that_of_the_engine(example: Project, tmp_path: Path) -> None:
    plan = projects.plan(projects.project(tmp_path / "project"))
    executor = FolderExecutor(tmp_path, machines=("a", "b"))
    wrapped = run.wrapper(example.with_own_plugins().extensions.executors, "one-big-node")(executor)

    outcomes = ran(plan, wrapped, Night())

    assert type(wrapped).__name__ == "OneBigNode"
    assert {outcome.status for outcome in outcomes.values()} == {Status.BUILT}
    assert len(executor.done) == len(plan.steps)


def test_the_wheel_of_the_example_judges_versions_and_names(
    example: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every command, `check` too; a row may be allowed, as for a rule of the package."""
    text = (EXAMPLE / "house-rules/house_rules.py").read_text()
    install(tmp_path / "site", monkeypatch, "house-rules", text)
    file = example.repository.matrix_file
    assert examine(str(file)).diagnostics == ()

    file.write_text(file.read_text().replace('"3.11"', '"3.10"'))
    [found] = [each for each in open_project(str(file)).proof() if each.code == "old_python"]
    assert (found.severity, found.line, found.rows) == ("broken", 8, ("example:3.10-debian12",))

    file.write_text(file.read_text().replace("families.example", "families.ex_ample"))
    [refused] = examine(str(file)).diagnostics
    assert (refused.code, refused.line) == ("matrix", 3)


def test_check_does_not_run_the_plugin_of_a_checkout(example: Project, tmp_path: Path) -> None:
    """An unreviewed pull request may bring one. What its tables are called is read without running it."""
    path = example.repository.root / FILE
    path.write_text(f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()\nNOTIFIER = {{}}\n")
    opened = examine(str(example.repository.matrix_file))
    assert codes(InputError(opened.diagnostics)) == [(FILE, 2)]
    assert [each.hint for each in opened.diagnostics] == ["did you mean 'NOTIFIERS'?"]
    assert not (tmp_path / "ran").exists()

    path.write_text(f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()\n")
    opened_again = open_project(str(example.repository.matrix_file))
    assert [each for each in opened_again.proof() if each.code == "plugin"] == []
    assert not (tmp_path / "ran").exists()
    opened_again.with_own_plugins()
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def f(:\n", 1),
        ("\nNOTIFERS = {}\n", 2),
        ("VERSION_RULES = {}\n", 1),
        ("\n\nraise KeyError('x')\n", 3),
        ("import nothing_of_this_name\n", 1),
        ("EXECUTORS = [print]\n", 1),
        ("EXECUTORS = {'a': 1}\n", 1),
        ("\nNOTIFIERS = {'a': print}\n", 2),
        ("REPORT_FORMATS = {'../x': print}\n", 1),
        ("REPORT_FORMATS = {'report.json': print}\n", 1),
        ("REPORT_FORMATS: dict = {1: print}\n", 1),
    ],
)
def test_what_is_wrong_with_a_plugin_has_its_place(text: str, line: int) -> None:
    with pytest.raises(InputError) as caught:
        extensions.of_file(text)
    assert codes(caught.value) == [(FILE, line)]


def test_wheels_that_cannot_be_loaded_or_have_one_name_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them; a monorepo's own name stands before that of a wheel."""
    table = "REPORT_FORMATS = {'a.txt': str}\n"
    install(tmp_path / "1", monkeypatch, "one", table)
    mine = extensions.of_file("def f(run): return ''\n" + table.replace("str", "f"))
    assert extensions.merged(extensions.installed(), mine).report_formats == mine.report_formats

    install(tmp_path / "2", monkeypatch, "two", table)
    install(tmp_path / "3", monkeypatch, "broken", "1 / 0\n")
    with pytest.raises(InputError) as caught:
        extensions.installed()
    assert codes(caught.value) == [("broken (broken 1.0)", 0), ("two (two 1.0)", 0)]


def test_a_rule_of_a_wheel_that_fails_is_a_warning(
    example: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "def bad(python): return [1 / 0]\nVERSION_RULES = {'bad': bad}\nNAMING_RULES = {'registry.example.com': bad}\n"
    )
    install(tmp_path / "site", monkeypatch, "bad-rules", text)
    [refused] = examine(str(example.repository.matrix_file)).diagnostics
    assert refused.line == 3

    file = example.repository.matrix_file
    file.write_text(file.read_text().replace("registry.example.com", "other.example.com"))
    assert [each.severity for each in open_project(str(file)).proof() if each.code == "bad"] == ["unknown"]


def test_a_format_that_fails_costs_its_file_alone(tmp_path: Path) -> None:
    """And the report is not complete: the exit code says so."""
    project = projects.project(
        tmp_path / "project", files={**projects.FILES, FILE: "REPORT_FORMATS = {'x.txt': len}\n"}
    )
    said: list[str] = []

    done = reporting.built(
        project.with_own_plugins(), nights.night(nights.grid(2), 0), (), tmp_path / "report", say=said.append
    )

    assert not done
    assert [word.startswith("warning: a plugin cannot write x.txt") for word in said] == [True]
    assert (tmp_path / "report/index.html").exists()


def test_executors_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    class Half:
        def build(self) -> Attempt:
            raise NotImplementedError

    engine = FolderExecutor(tmp_path, machines=("a",))
    known = Extensions(executors={"half": lambda _: Half(), "none": lambda _: 1 / 0}).executors
    for name in ("haf", "half", "none"):
        with pytest.raises(FlagError, match=f"{name}'|'{name}"):
            run.wrapper(known, name)(engine)
    assert run.wrapper(known, "")(engine) is engine
