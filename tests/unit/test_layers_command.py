"""The layers command: the list of layers, and a layer of the package taken over."""

from pathlib import Path

import pytest
from tests import projects
from tests.unit.test_cli import run
from tests.unit.test_stock import MATRIX

from imagematrix import __version__
from imagematrix.project import open_project
from imagematrix.repository import STOCK


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    projects.write(tmp_path, matrix=MATRIX, files={"common/layers/mine/Dockerfile.j2": "ENV A=1\n"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    lines = run(capsys, "layers").out.splitlines()[:-1]
    return {line.split()[0]: " ".join(line.split()[1:]) for line in lines}


@pytest.mark.usefixtures("root")
def test_where_layers_come_from_and_who_uses_them(capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys)
    assert found["mine"] == "own no checks; not used"
    assert found["system"] == "stock plain:1"
    assert found["torch"] == "stock not used"


def test_a_copy_changes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Until it is edited; the version that it came from is remembered."""
    before = projects.keys(open_project("matrix.toml"))
    for layer in ("boot", "system"):
        assert run(capsys, "layers", "--copy", layer).code == 0
    assert projects.keys(open_project("matrix.toml")) == before
    assert listed(capsys)["system"] == f"copied from {__version__} plain:1"
    own = root / "common/layers/system"
    assert (own / "test_system.py").read_text() == (STOCK / "common/layers/system/test_system.py").read_text()
    (own / "Dockerfile.j2").write_text("RUN true\n")
    assert projects.keys(open_project("matrix.toml")) != before


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("layer", "words"), [("sytem", "did you mean 'system'?"), ("mine", "has no such layer")])
def test_what_cannot_be_copied(capsys: pytest.CaptureFixture[str], layer: str, words: str) -> None:
    said = run(capsys, "layers", "--copy", layer)
    assert said.code == 2
    assert words in said.err
    assert run(capsys, "layers", "--copy", "tools").code == 0
    assert run(capsys, "layers", "--copy", "tools").code == 2
