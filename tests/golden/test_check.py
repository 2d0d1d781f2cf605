"""The words of `invoke check`: check.txt has each of its cases, the command line first."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import projects
from tests.golden.words import assert_said
from tests.projects import FILES
from tests.unit.test_cli import run

MATRIX = """\
schema = 1

[bases.debian]
bootstrap = "bookworm"
os        = "debian12"
tourch    = "a fact with a misspelt name"

[families.pytorch]
layers = ["system", "python", "torch", "boot"]
tag    = "{torch}-python{python}"
base   = "debian"

[families.pytorch.axes]
python = ["3.11", "3.12"]
torch  = ["2.6.0", "2.96.0", "2.97.0", "2.97.1", "2.98.0"]

[[families.pytorch.row]]
python     = "3.6"
torch      = "1.0.0"
impossible = "nobody has its wheels any more"
"""
BAD = MATRIX.replace('"2.6.0"', '"2.3.0", "2.6.0"').replace('"3.12"]', '"3.13"]')
BOOT = "common/layers/boot/Dockerfile.j2"
CASES: Mapping[str, tuple[str, Mapping[str, str], tuple[str, ...]]] = {
    "fine, with warnings": (MATRIX, {}, ()),
    "fine, with all notes": (MATRIX, {}, ("--notes",)),
    "rows that cannot be built": (BAD, {}, ()),
    "a template that does not render": (MATRIX, {BOOT: "# one\nENV A={{ tourhc }}\n"}, ()),
    "locks that cannot be read": (MATRIX, {"matrix.lock": "schema = 1\n[bases]\nx = 1\n"}, ()),
    "an unknown format": (MATRIX, {}, ("--format", "xml")),
}


def test_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each case, the exit code too."""
    told = []
    for number, (case, (matrix, files, flags)) in enumerate(CASES.items()):
        root = tmp_path / str(number)
        projects.write(root, matrix=matrix, files={**FILES, **files}, lock=files.get("matrix.lock", ""))
        monkeypatch.chdir(root)
        said = run(capsys, "check", *flags)
        told.append(f"# {case}\n$ {' '.join(['invoke check', *flags])}\n{said.out}{said.err}exit code {said.code}\n")
    assert_said("check.txt", "\n".join(told))
