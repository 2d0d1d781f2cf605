"""A missing extra is reported before the work that needs it begins."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import uv
from tests import projects

from imagematrix.cli import program
from imagematrix.commands import extras
from imagematrix.commands.doctor import run as doctor
from imagematrix.model import Site
from imagematrix.report.outputs import PrerequisiteState
from imagematrix.resolver import find_uv
from imagematrix.shell import Shell


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        (["build", "--matrix", "--report", "out"], "plotly", "report"),
        (["push", "--matrix", "--report", "out"], "itables", "report"),
        (["report"], "plotly", "report"),
        (["verify", "--matrix"], "testinfra", "verify"),
        (["nightly"], "pytest", "verify"),
    ],
)
def test_a_part_that_is_not_installed_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    module: str,
    extra: str,
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == module else find_spec(name))
    file = projects.write(tmp_path)
    with pytest.raises(SystemExit) as ended:
        program.run(["imagematrix", *command, "--file", str(file)])
    assert ended.value.code == 2
    assert f"pip install 'imagematrix[{extra}]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def fake_uv(folder: Path, says: str) -> Path:
    path = folder / "bin/uv"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def without_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a machine without the extra `lock`, and a folder that its PATH consists of."""
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_the_uv_of_the_extra_is_the_first() -> None:
    assert find_uv(Shell()) == uv.find_uv_bin()


@pytest.mark.parametrize("says", ["uv 0.13.0", "uv 0.14.2 (0123abcd 2026-11-01)", "uv 1.0.0"])
def test_a_uv_that_is_there_already_is_used(without_uv: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    """That of the PATH; `uvx` names itself instead."""
    path = fake_uv(without_uv, says)
    assert find_uv(Shell()) == str(path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("UV", str(path))
    assert find_uv(Shell()) == str(path)


@pytest.mark.parametrize("says", ["", "uv 0.12.9", "something else"])
def test_where_there_is_no_uv_nothing_begins(
    without_uv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], says: str
) -> None:
    """A folder in which `init` was refused is as it was; another program is named."""
    if says:
        fake_uv(without_uv, says)
    root = without_uv / "shop"
    root.mkdir()
    monkeypatch.chdir(root)
    with pytest.raises(SystemExit) as ended:
        program.run(["imagematrix", "init"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "pip install 'imagematrix[lock]'" in said
    assert says in said
    assert list(root.iterdir()) == []


@pytest.mark.usefixtures("without_uv")
def test_doctor_goes_on_without_uv() -> None:
    """A machine that only builds needs none."""
    found = doctor._index(Site(), Shell())
    assert (found.state, "imagematrix[lock]" in found.remedy) == (PrerequisiteState.WEAK, True)
