"""The layers command: the list of layers, and a layer of the package taken over."""

import json
import shutil
from pathlib import Path

import pytest
from tests import projects
from tests.installed import Installed
from tests.unit.test_cli import run
from tests.unit.test_stock import MATRIX

from imagematrix.model import File
from imagematrix.planning import copies
from imagematrix.planning.copies import LayerCopy
from imagematrix.project import open_project
from imagematrix.repository import STOCK

TEMPLATE = "# tools\nENV A=1\n\n\n\n\nENV B=1\n"


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


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(monkeypatch, tmp_path_factory.mktemp("installed"))


@pytest.fixture
def copied(root: Path, installed: Installed, capsys: pytest.CaptureFixture[str]) -> Path:
    """Give a layer of two files that was copied from version 1.0.0."""
    layer = installed.stock / "common/layers/tools"
    shutil.rmtree(layer)
    (layer / "files").mkdir(parents=True)
    (layer / "Dockerfile.j2").write_text(TEMPLATE)
    (layer / "files/gone.txt").write_text("gone\n")
    assert run(capsys, "layers", "--copy", "tools").code == 0
    return root / "common/layers/tools"


def files(layer: Path) -> dict[str, str]:
    """Return what a layer is made of, without what remembers where it was copied from."""
    paths = (path for path in layer.rglob("*") if path.is_file())
    found = {path.relative_to(layer).as_posix(): path.read_text() for path in paths}
    return {name: text for name, text in found.items() if not name.startswith((".copied", ".original"))}


@pytest.mark.usefixtures("installed")
def test_a_copy_changes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Until it is edited; the version that it came from is remembered."""
    before = projects.keys(open_project("matrix.toml"))
    for layer in ("boot", "system"):
        assert run(capsys, "layers", "--copy", layer).code == 0
    assert projects.keys(open_project("matrix.toml")) == before
    assert listed(capsys)["system"] == "copied from 1.0.0 plain:1"
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


def test_what_an_upgrade_changed_in_a_copied_layer(
    copied: Path, installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    """`layers` and `check` point to it, `--diff` shows both sides, and none of them writes anything."""
    (copied / "Dockerfile.j2").write_text(TEMPLATE.replace("A=1", "A=2"))
    assert listed(capsys)["tools"] == "copied from 1.0.0 no checks; not used"
    installed.upgrade(layer="tools")
    before = files(copied)
    assert listed(capsys)["tools"].startswith("copied from 1.0.0; changed since")
    found = json.loads(run(capsys, "check", "--json").out)["diagnostics"]
    [note] = [each for each in found if each["code"] == "changed_copy"]
    assert (note["level"], note["file"]) == ("note", "common/layers/tools")
    upstream, here = run(capsys, "layers", "--diff", "tools").out.split("# you have changed: Dockerfile.j2")
    assert "+ENV NEWER=1" in upstream
    assert "+ENV A=2" in here
    assert "NEWER" not in here
    assert files(copied) == before


def test_what_an_upgrade_changed_is_merged(
    copied: Path, installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what was changed here; files that nobody touched follow the package, and the next comparison begins here."""
    (copied / "Dockerfile.j2").write_text(TEMPLATE.replace("A=1", "A=2"))
    (copied / "files/mine.txt").write_text("mine\n")
    installed.upgrade(layer="tools")
    (installed.stock / "common/layers/tools/files/gone.txt").unlink()
    (installed.stock / "common/layers/tools/files/new.txt").write_text("new\n")
    assert run(capsys, "layers", "--merge", "tools").code == 0
    assert files(copied) == {
        "Dockerfile.j2": TEMPLATE.replace("A=1", "A=2") + "ENV NEWER=1\n",
        "files/mine.txt": "mine\n",
        "files/new.txt": "new\n",
    }
    assert listed(capsys)["tools"].startswith("copied from 1.1.0 ")
    assert "imagematrix has changed: nothing" in run(capsys, "layers", "--diff", "tools").out
    before = files(copied)
    assert run(capsys, "layers", "--merge", "tools").code == 0
    assert files(copied) == before


def test_lines_that_both_changed_are_marked(
    copied: Path, installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    """All else is merged; a file that one side deleted and the other changed stays."""
    (copied / "Dockerfile.j2").write_text(TEMPLATE.replace("B=1", "B=2"))
    (copied / "files/gone.txt").write_text("needed\n")
    installed.is_version("1.1.0")
    stock = installed.stock / "common/layers/tools"
    (stock / "Dockerfile.j2").write_text(TEMPLATE.replace("A=1", "A=3").replace("B=1", "B=3"))
    (stock / "files/gone.txt").unlink()
    said = run(capsys, "layers", "--merge", "tools")
    assert said.code == 1
    assert "Dockerfile.j2, files/gone.txt" in said.err
    found = files(copied)
    assert found["files/gone.txt"] == "needed\n"
    assert "ENV A=3\n" in found["Dockerfile.j2"]
    assert [line for line in found["Dockerfile.j2"].splitlines() if line.startswith(("<<<", "|||", ">>>"))] == [
        "<<<<<<< yours",
        "||||||| imagematrix 1.0.0",
        ">>>>>>> imagematrix 1.1.0",
    ]


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--diff", "mine"], "was not copied from the package\n    copied layers: tools"),
        (["--merge", "system"], "was not copied from the package"),
        (["--merge", "tools", "--diff", "tools"], "exclude one another"),
    ],
)
def test_what_has_no_original(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    said = run(capsys, "layers", *words)
    assert said.code == 2
    assert message in said.err


def test_a_layer_that_the_package_dropped(
    copied: Path, installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the monorepo's from now on; a merge must not delete it."""
    shutil.rmtree(installed.stock / "common/layers/tools")
    before = files(copied)
    said = run(capsys, "layers", "--merge", "tools")
    assert said.code == 2
    assert "yours alone" in said.err
    assert files(copied) == before
    assert run(capsys, "check").code == 0


@pytest.mark.parametrize(
    ("original", "own", "stock", "executable"),
    [
        (False, False, True, True),
        (True, True, False, False),
        (False, True, False, True),
        (True, False, True, False),
        (None, False, True, True),
    ],
)
def test_whether_a_merged_file_may_be_executed(original: bool | None, own: bool, stock: bool, executable: bool) -> None:
    """As the package has it, unless the monorepo changed that."""
    versions = {"original": original, "own": own, "stock": stock}
    found = {
        name: {} if mode is None else {"x.sh": File(path="x.sh", content=name.encode(), executable=mode)}
        for name, mode in versions.items()
    }
    copy = LayerCopy(layer="tools", version="1.0.0", **found)
    assert copies.merged(copy, "x.sh", b"both") == File(path="x.sh", content=b"both", executable=executable)
