"""The command line as a user meets it: what is printed, the exit code, and what is left on the disk."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from tests import projects
from tests.projects import FILES, MATRIX, PYTORCH

from imagematrix.cli import program
from imagematrix.tasks import collection


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a small monorepo as the current directory, on a machine without an engine."""
    projects.write(tmp_path, matrix=MATRIX + "[sites.tencent]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    try:
        program.run(["imagematrix", *words])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return Said(code, out, err)


def tree(root: Path) -> Mapping[str, bytes]:
    """Return path -> content of all files but those of `.imagematrix`, where commands hold the project's lock."""
    paths = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    return {name.as_posix(): path.read_bytes() for name, path in paths.items() if name.parts[0] != ".imagematrix"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["biuld"], "No idea what 'biuld' is!\n    did you mean 'build'?"),
        (["build", "--onyl", "x"], "No idea what '--onyl' is!\n    did you mean '--only'?"),
        (["build"], "select the rows to build: --matrix for all rows, or --only 'family:tag*', or --group NAME"),
        (["build", "--matrix", "--jobs", "many"], "--jobs many: must be a whole number, 1 or more"),
        (["build", "--matrix", "--retries", "-1"], "--retries -1: must be a whole number, 0 or more"),
        (["verify"], "select the rows to verify: --matrix for all rows, or --only 'family:tag*', or --group NAME"),
        (["verify", "--matrix", "--jobs", "0"], "--jobs 0: must be a whole number, 1 or more"),
        (["build", "--group", "gpus"], "--group gpus: no row is in this group\n    did you mean 'gpu'?"),
        (
            ["lock", "--site", "tencnet"],
            "no site is named 'tencnet' (--site or IMAGEMATRIX_SITE)\n    did you mean 'tencent'?",
        ),
        (["build", "--matrix", "--site", "tencnet"], "no site is named 'tencnet'"),
        (["plan", "--why", "tourch"], "--why tourch: no layer or key of this plan\n    did you mean 'torch'?"),
        (["graph", "--out", "x.png"], "--out x.png: the ending must be one of .svg, .html, .dot"),
        (["check", "--file", "none.toml"], "none.toml: error: no such file"),
    ],
)
def test_a_wrong_word_is_exit_code_2_and_a_hint(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    before = tree(root)
    said = run(capsys, *words)
    assert said.code == 2
    assert message in said.err
    assert tree(root) == before


@pytest.mark.usefixtures("root")
def test_the_environment_may_choose_the_site(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEMATRIX_SITE", "home")
    assert "no site is named 'home'" in run(capsys, "lock").err
    assert run(capsys, "lock", "--site", "tencent").code == 0


@pytest.mark.parametrize("command", ["list", "check", "render", "plan", "build", "graph"])
def test_all_mistakes_of_a_matrix_at_once_and_no_file_touched(
    root: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    matrix = MATRIX.replace('"torch", "boot"]', '"tourch", "boot"]', 1).replace('"2.3.0"', "2.3")
    projects.write(root, matrix=matrix)
    before = tree(root)
    said = run(capsys, command, *(["--matrix"] if command == "build" else []))
    assert said.code == 2
    assert said.out == ""
    assert said.err.count("matrix.toml:") == 2
    assert "unknown layer 'tourch' [IM2000 matrix]\n    did you mean 'torch'?" in said.err
    assert tree(root) == before


def test_a_templates_mistake_is_told_before_an_engine_is_asked_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    projects.write(root, files={**FILES, "common/layers/boot/Dockerfile.j2": "# boot\nENV A={{ tourch }}\n"})
    said = run(capsys, "check")
    assert said.code == 2
    assert said.out.startswith("common/layers/boot/Dockerfile.j2:2: error: 'tourch' is undefined")


def test_render_and_its_check(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "render", "--check").code == 5
    assert run(capsys, "render").out.endswith("9 of 9 leaves written\n")
    assert run(capsys, "render", "--check") == (0, "9 leaves are up to date\n", "")

    leaf = root / "images/pytorch/2.3.0-python3.10-cuda/Dockerfile"
    leaf.write_text(leaf.read_text().replace("FROM", "from", 1))
    said = run(capsys, "render", "--check")
    assert said.code == 5
    assert "images/pytorch/2.3.0-python3.10-cuda/Dockerfile:3: has 'from scratch" in said.err
    assert "run `invoke render`" in said.err


def test_a_row_that_is_gone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its leaf is called removed, and not written; what people put there stays, and is named so."""
    run(capsys, "render")
    (root / "images/plain/3.11-debian/NOTES").touch()
    projects.write(root, matrix=projects.MATRIX.partition("[families.plain]")[0])
    said = run(capsys, "render")
    assert "images/plain/3.11-debian: removed, except what render did not write\n" in said.out
    assert said.out.endswith("0 of 8 leaves written, 1 removed\n")
    assert [path.name for path in (root / "images/plain/3.11-debian").iterdir()] == ["NOTES"]


def test_without_an_engine_a_plan_is_made_all_the_same(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "plan", "--only", PYTORCH, "--json")
    assert said.code == 0
    assert "Continuing as if nothing had been built yet" in said.err
    plan = json.loads(said.out)
    assert [node["layer"] for node in plan["nodes"]] == ["system", "python", "torch", "boot"]
    assert [node["parent"] for node in plan["nodes"]] == [None, *(node["key"] for node in plan["nodes"][:-1])]
    assert {node["verdict"] for node in plan["nodes"]} == {"build"}
    assert plan["nodes"][0]["leaves"] == [PYTORCH]
    assert tree(root).keys() == {*FILES, "matrix.toml", "matrix.lock"}  # planning writes nothing


@pytest.mark.parametrize("command", ["build", "verify"])
def test_without_an_engine_a_build_is_exit_code_3(root: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    said = run(capsys, command, "--matrix")
    assert said.code == 3
    assert said.err.startswith("no Docker Engine answers. Start docker")
    assert f"unix://{root}/no.sock: No such file or directory" in said.err


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ("torhc", "no selected row has a layer 'torhc' (--fresh)\n    did you mean 'torch'?"),
        ("torch,boot", "layer 'boot' installs nothing from the network: there is nothing to refresh (--fresh)\n"),
        ("pythn,boot", "no selected row has a layer 'pythn' (--fresh)\n    did you mean 'python'?\nlayer 'boot' "),
    ],
)
@pytest.mark.usefixtures("root")
def test_a_layer_that_cannot_be_refreshed_is_exit_code_2(
    capsys: pytest.CaptureFixture[str], layers: str, said: str
) -> None:
    """Before an engine is looked for; all wrong layers are named at once."""
    done = run(capsys, "build", "--matrix", f"--fresh={layers}")
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("flag", ["--fresh", "--fresh=torch", "--time-limit=5"])
def test_flags_that_are_right_come_as_far_as_the_engine(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    """Which is not there."""
    assert run(capsys, "build", "--matrix", flag).code == 3


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_the_commands_by_what_they_are_for(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    """Each of them once."""
    said = run(capsys, *words)
    assert said.code == 0
    listed = [line.split()[0] for line in said.out.splitlines() if re.match(r"  [a-z]", line)]
    assert sorted(listed) == sorted(collection().task_names)


def test_list(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(run(capsys, "list", "--group", "gpu", "--json").out)["rows"]
    assert len(rows) == 8
    assert rows[0] == {
        "family": "pytorch",
        "tag": "2.3.0-python3.10-cuda",
        "axes": {"base": "cuda", "python": "3.10", "torch": "2.3.0"},
        "platform": "linux/amd64",
        "groups": ["gpu"],
        "image": PYTORCH,
        "directory": "images/pytorch/2.3.0-python3.10-cuda",
        "key": projects.keys(projects.project(root))[PYTORCH, "boot"],
        "state": "missing",
        "reason": "no engine answers: whether its image exists is not known",
        "nearest": "",
    }
    assert run(capsys, "list").out.endswith("9 rows: 9 missing\n")


def test_list_names_the_row_nearest_to_one_that_cannot_be(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the catalogue or by what the matrix says; one of the same family, if any works."""
    matrix = MATRIX.replace('python = ["3.10", "3.11"]', 'python = ["3.11", "3.13"]')
    projects.write(
        root, matrix=matrix + '\n[[families.plain.row]]\nbase="cuda"\npython="2.7"\nimpossible = "deleted"\n'
    )
    lines = run(capsys, "list").out.splitlines()
    assert lines[0] == "plain:2.7-cuda                   impossible  deleted; nearest: plain:3.11-debian"
    assert lines[4].startswith(
        "pytorch:2.3.0-python3.13-cuda    impossible  torch 2.3.0 has no wheel for Python 3.13: "
    )
    assert lines[4].endswith("; nearest: pytorch:2.3.0-python3.11-cuda")
    rows = json.loads(run(capsys, "list", "--json").out)["rows"]
    assert [row["nearest"] for row in rows[:2]] == ["plain:3.11-debian", ""]


@pytest.mark.usefixtures("root")
def test_why_explains_a_node_down_to_its_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "plan", "--only", PYTORCH, "--why", "torch")
    assert "verdict  build: no torch was built before" in said.out
    assert "file torch/requirements.txt: 0644\n            torch==2.3.0\n" in said.out


def test_another_matrix_file_makes_its_directory_the_root(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert run(capsys, "render", "--file", str(root / "matrix.toml")).code == 0
    assert (root / "images/pytorch").is_dir()


def test_a_graph_is_written_where_it_was_asked_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "graph", "--out", "deep/dag.svg").code == 0
    assert (root / "deep/dag.svg").read_text().startswith("<svg")


def test_a_reader_that_has_seen_enough() -> None:
    """As in `imagematrix | head`: no traceback."""
    with subprocess.Popen([sys.executable, "-m", "imagematrix"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stderr
        run.stdout.close()
        assert (run.wait(), run.stderr.read()) == (0, b"")
