"""Bad input, each kind word for word and with its exit code, through the doors of the command line.

What is here is what no other test says: pairs of versions, broken rows, warnings and notes are in `test_proof`, one
mistake of matrix.toml after the other in `test_matrix`, an index that does not answer in integration's `test_lock`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from tests import projects
from tests.projects import FILES
from tests.unit.test_requirements import LOCKED, TOOLS, FakeResolver

from imagematrix.cli import program
from imagematrix.commands.lock import run as locking
from imagematrix.project import open_project

MATRIX: Final = """\
schema = 1

[bases.debian]
bootstrap = "bookworm"
os = "debian12"

[families.plain]
layers = ["system", "python", "boot"]
tag = "{python}-{base}"

[families.plain.axes]
base = ["debian"]
python = ["3.11", "3.12"]
"""


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder as the current one, on a machine without an engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    return tmp_path


def run(capfd: pytest.CaptureFixture[str], *words: str) -> Said:
    try:
        program.run(["imagematrix", *words])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    return Said(code, *capfd.readouterr())


def tree(root: Path) -> Mapping[str, bytes]:
    """Return path -> content of all files but those of `.imagematrix`, where commands hold the project's lock."""
    paths = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    return {name.as_posix(): path.read_bytes() for name, path in paths.items() if name.parts[0] != ".imagematrix"}


DELETED: Final = """\

[bases.cuda]
image = "nvidia/cuda:11.2.1-cudnn8-devel-ubuntu20.04"
os = "ubuntu20.04"

[[families.plain.row]]
base = "cuda"
python = "3.12"
"""

WRONG: Final = {
    "facts that contradict each other": (
        '[facts.base.debian]\npython = "3.11"\n\n[facts.python."3.12"]\nos = "debian13"\n',
        (
            "matrix.toml:15: error: facts.base.debian.python: '3.11' contradicts python = '3.12' (line 13)"
            " [IM2000 matrix]\n"
            "    make them agree, or exclude the rows that have both\n"
            "matrix.toml:18: error: facts.python.\"3.12\".os: 'debian13' contradicts os ="
            " 'debian12' (line 5) [IM2000 matrix]\n"
            "    make them agree, or exclude the rows that have both\n"
        ),
    ),
    "facts of a value that no row has": (
        '[facts.python."3.13"]\nnumpy = "2.1.0"\n',
        (
            'matrix.toml:14: error: facts.python."3.13": nothing uses these facts: no row has'
            " python = '3.13' [IM2000 matrix]\n"
            "    did you mean '3.12'?\n"
        ),
    ),
    "facts of what no row has": (
        '[facts.torch."2.3.0"]\nnumpy = "1.26.0"\n',
        (
            'matrix.toml:14: error: facts.torch."2.3.0": nothing uses these facts: no row has an'
            " axis or fact 'torch' [IM2000 matrix]\n"
            "    known: base, os, platform, python\n"
        ),
    ),
    "an exclude that matches nothing": (
        '[[families.plain.exclude]]\npython = "<3.11"\nreason = "old"\n',
        (
            "matrix.toml:14: error: families.plain.exclude: this exclude matches nothing [IM2000 matrix]\n"
            "    no row has python = '<3.11'; python is one of: 3.11, 3.12\n"
        ),
    ),
}


@pytest.mark.parametrize("words", [("check",), ("render",), ("plan",), ("build", "--matrix"), ("lock",)])
@pytest.mark.parametrize("case", WRONG)
def test_a_matrix_that_makes_no_sense(
    root: Path, capfd: pytest.CaptureFixture[str], case: str, words: tuple[str, ...]
) -> None:
    """Every command says the same, and touches nothing."""
    addition, message = WRONG[case]
    projects.write(root, matrix=MATRIX + addition)
    before = tree(root)

    assert run(capfd, *words) == (2, "", message)
    assert tree(root) == before


def test_a_deleted_base(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Is broken, and its live neighbour is named."""
    projects.write(root, matrix=MATRIX + DELETED)

    said = run(capfd, "check", "--json")
    [finding] = json.loads(said.out)["diagnostics"]
    assert said.code == 2
    assert (finding["severity"], finding["code"], finding["line"]) == ("broken", "base_tag", 20)
    assert finding["hint"] == "take nvidia/cuda:11.2.2-cudnn8-devel-ubuntu20.04"
    assert finding["rows"] == ["plain:3.12-cuda"]


FACTS: Final = '[facts.python."3.12"]\ntorch_vision = "0.18.0"\nowner = "vision team"\n'


def test_facts_that_nothing_reads(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Are told of: with a warning where a name is nearly that of something that is read."""
    projects.write(root, matrix=MATRIX + FACTS)

    said = run(capfd, "check", "--json")
    found = json.loads(said.out)["diagnostics"]
    assert said.code == 0
    assert [(each["code"], each["level"], each["line"], each["about"]) for each in found] == [
        ("unused_fact", "warning", 15, "torch_vision"),
        ("unused_fact", "note", 16, "owner"),
    ]
    assert found[0]["hint"] == "did you mean 'torchvision'?"


def test_axes_that_are_misspelt(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Are told of too; one that nothing reads otherwise may just tell rows apart."""
    axes = 'torch_biuld = ["cu118"]\nflavour = ["big"]\n'
    projects.write(root, matrix=MATRIX + axes)

    found = json.loads(run(capfd, "check", "--json").out)["diagnostics"]
    assert [(each["level"], each["about"], each["hint"]) for each in found if each["code"] == "unused_fact"] == [
        ("warning", "torch_biuld", "did you mean 'torch_build'?")
    ]


def test_a_template_that_is_none(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Does not keep the rest from being told."""
    template = {"common/layers/boot/Dockerfile.j2": "COPY --link init/ /init/\n{% if %}\n"}
    projects.write(root, matrix=MATRIX + DELETED, files={**FILES, **template})

    said = run(capfd, "check")
    assert (said.code, said.err) == (2, "")
    assert "matrix.toml:20: " in said.out
    assert "common/layers/boot/Dockerfile.j2:2: error: Expected an expression" in said.out


READERS: Final = {
    "a template": (MATRIX, "common/layers/boot/Dockerfile.j2", "COPY --link init/ /init/\n# {{ owner }}\n"),
    "a layer's file": (MATRIX, "common/layers/boot/files/x.txt.j2", "{{ owner | default('') }}\n"),
    "a pattern": (MATRIX.replace('"{python}-{base}"', '"{python}-{base}-{owner}"'), "common/x", ""),
    "facts that follow": (MATRIX + '[facts.owner."vision team"]\nnumpy = "2.1.0"\n', "common/x", ""),
}


@pytest.mark.parametrize("case", READERS)
def test_who_reads_a_fact(root: Path, capfd: pytest.CaptureFixture[str], case: str) -> None:
    """Any of these."""
    matrix, file, text = READERS[case]
    facts = "".join(f'[facts.python."{python}"]\nowner = "vision-team"\n' for python in ("3.11", "3.12"))
    projects.write(root, matrix=(matrix + facts).replace("vision team", "vision-team"), files={**FILES, file: text})

    assert "owner" not in run(capfd, "check").out


@pytest.mark.parametrize(
    "words", [("check",), ("render",), ("render", "--check"), ("plan",), ("build", "--matrix"), ("graph",)]
)
def test_a_lock_that_no_longer_fits(root: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    """The row is refused before an engine is looked for, with what to do."""
    projects.write(root, matrix=MATRIX, files=LOCKED)
    project = open_project("matrix.toml")
    locking.run(
        project, project.possible(project.matrix.rows), resolver=FakeResolver(), upgrade=False, say=lambda _: None
    )
    assert run(capfd, "plan").code == 0

    (root / TOOLS).write_text("pip==26.1\n")
    before = tree(root)
    said = run(capfd, *words)
    if words[0] == "check":
        assert (said.code, said.out.count(f"{TOOLS}: error: "), said.out.count("[IM2201 unlocked]")) == (2, 2, 2)
        return
    assert (said.code, said.err) == (
        2,
        "".join(
            f"{TOOLS}: error: requirements of layer python are not locked for Python {python} [IM2201 unlocked]\n"
            "    run `invoke lock`\n"
            f"    plain:{python}-debian\n"
            for python in ("3.11", "3.12")
        ),
    )
    assert tree(root) == before
