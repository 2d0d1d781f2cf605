"""The words of `invoke add`: add.txt has each of its cases, the command line first."""

import shlex
import sys
from pathlib import Path

import pytest
from tests import projects
from tests.golden.words import assert_said
from tests.projects import MATRIX
from tests.unit.test_add import FACTS, READ
from tests.unit.test_cli import run

CASES = (
    "add",
    "add pytorhc",
    "add plain base=cdua pyton=3.12 python python=1 python=2 python=",
    "add plain base=debian python=3.11",
    "add plain --set base=debian --set python=3.11",
    "add pytorch torch=2.4.1 python=3.11 base=debian pins=numpy==1.26.4",
    "add pytorch torch=2.5.0 python=3.11 base=debian --dry-run",
    "add pytorch torch=2.4.1 python=3.12 base=debian --dry-run",
    "add pytorch torch=2.4.1 python=3.12 base=debian torch_build=cpu --dry-run",
    "add pytorch torch=2.3.0 python=3.13 base=debian",
    "add pytorch torch=2.5.0 python=3.11 base=debian torchvision=0.18.0",
    "add pytorch torch=2.4.1 python=3.12 base=debian torchvision=1",
    "add pytorch torch=2.4.1 python=3.12 base=debian os=debian13",
)


def test_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each case, the exit code too; nothing is ever written."""
    projects.write(tmp_path, matrix=MATRIX + FACTS, files=READ)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///no.sock")
    told = []
    for case in CASES:
        words = shlex.split(case)
        monkeypatch.setattr(sys, "argv", ["imagematrix", *words])
        said = run(capsys, *words)
        # Notes are the words of rules, which have tests of their own.
        out = "".join(line for line in said.out.splitlines(keepends=True) if not line.startswith("note: "))
        told.append(f"$ invoke {case}\n{out}{said.err}exit code {said.code}\n")
    assert_said("add.txt", "\n".join(told))
