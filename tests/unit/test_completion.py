"""What shells complete a command line with: the words that may come next, and bash asking for them."""

import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import projects
from tests.projects import MATRIX
from tests.unit.test_cli import run

from imagematrix.cli import program
from imagematrix.commands.command import Command
from imagematrix.commands.completion import NAMES
from imagematrix.tasks import collection

FILES = {
    **projects.FILES,
    "common/layers/tools/.copied": "1.0.0\n",
    "images/plain/3.11-debian/Dockerfile": "FROM scratch\n",
    "images/pytorch/2.3.0-debian/Dockerfile": "FROM scratch\n",
}
TASKS = """\
from invoke import task
from imagematrix.tasks import collection

@task
def deploy(context, force=False):
    '''Deploy it.'''

ns = collection()
ns.add_task(deploy)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = '[[families.plain.row]]\nbase = "debian"\npython = "3.12"\n[sites.tencent]\n'
    projects.write(tmp_path, matrix=MATRIX + rows, files=FILES)
    (tmp_path / "tasks.py").write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def completed(capsys: pytest.CaptureFixture[str], *words: str) -> set[str]:
    said = run(capsys, "--complete", "--", *words)
    assert (said.code, said.err) == (0, "")
    return {*said.out.splitlines()}


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("bui", {"build"}),
        ("build --gro", {"--group"}),
        ("build --group ''", {"gpu"}),
        ("build --group gpu --only py", {"pytorch:2.3.0-debian"}),
        ("build --only=pl", {"--only=plain:3.11-debian"}),
        ("verify --destination ''", set()),
        ("build --site ''", {"tencent"}),
        ("plan --why torc", {"torch"}),
        ("layers --copy tens", {"tensorflow", "tensorrt"}),
        ("layers --merge ''", {"tools"}),
        ("build --fresh=torc", {"--fresh=torch"}),
        ("check --format g", {"github", "gitlab"}),
        ("engine st", {"start", "stop", "status"}),
        ("engine start ''", set()),
        ("add p", {"plain", "pytorch"}),
        ("add pytorch torch", {"torch=2.3.0", "torch=2.4.1"}),
        ("add pytorch torch=2.5.0 torch", set()),
        ("add pytorch --dry-run python=3.10 ba", {"base=cuda", "base=debian"}),
        ("add plain ''", {"base=debian", "python=3.11", "python=3.12"}),
        ("check --file ''", set()),
        ("check --file no.toml build --group ''", {"gpu"}),
        ("build --matrix ver", {"verify"}),
        ("build --only build --ma", {"--matrix"}),
    ],
)
def test_what_may_come_next(capsys: pytest.CaptureFixture[str], line: str, found: set[str]) -> None:
    """Nothing where it may be a file: shells know those."""
    assert completed(capsys, *shlex.split(line)) == found


def test_the_platforms_of_a_row(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (root / "matrix.toml").read_text()
    (root / "matrix.toml").write_text(
        text.replace("schema = 1", 'schema = 1\nplatforms = ["linux/amd64", "linux/arm64"]')
    )
    assert completed(capsys, "add", "pytorch", "platf") == {"platforms=linux/amd64", "platforms=linux/arm64"}


def test_flags_that_name_what_a_project_has_name_a_known_kind() -> None:
    options = [
        option
        for task in collection().tasks.values()
        if isinstance(task, Command)
        for option in task.options.values()
        if option.names
    ]
    assert {option.names for option in options} == NAMES.keys()


@pytest.mark.parametrize("matrix", ["schema = ", "families = 1", "families.plain = 1", "families.plain.axes = 1"])
def test_a_matrix_that_is_half_written_breaks_nothing(
    root: Path, capsys: pytest.CaptureFixture[str], matrix: str
) -> None:
    (root / "matrix.toml").write_text(matrix)
    for words in (["build", "--group", ""], ["add", "plain", ""], ["build", "--only", "plain"]):
        completed(capsys, *words)


def test_it_opens_no_project(root: Path) -> None:
    """A shell waits for it at each press of a key."""
    code = "import sys; from imagematrix.cli import program; program.run(sys.argv, exit=False); print(*sys.modules)"
    argv = [sys.executable, "-c", code, "--complete", "--", "build", "--only", ""]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=True)
    assert "pytorch:2.3.0-debian" in done.stdout
    heavy = {"imagematrix.project", "imagematrix.repository", "jinja2", "networkx", "packaging"}
    assert heavy.isdisjoint(done.stdout.split())


@pytest.fixture
def bash(root: Path) -> Path:
    """Give a program that is called imagematrix, and one like `scripts/inv`, with the script that completes them."""
    for name, module in (("imagematrix", "imagematrix"), ("inv", "imagematrix.inv")):
        path = root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
        path.chmod(0o755)
    asked = [str(root / "bin/imagematrix"), "--print-completion-script=bash"]
    script = subprocess.run(asked, capture_output=True, check=True)
    (root / "complete").write_bytes(script.stdout)
    return root


def in_bash(root: Path, line: str) -> Mapping[str, list[str]]:
    """Return what bash would complete a line with, and for which programs it would ask."""
    asking = (
        f"PATH={root}/bin:$PATH; source ./complete; COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}\n"
        "compopt() { :; }; _imagematrix; printf '%s\\n' \"${COMPREPLY[@]}\"; echo; complete -p imagematrix inv"
    )
    done = subprocess.run(["bash", "-c", asking], cwd=root, capture_output=True, text=True, check=True)
    found, _, programs = done.stdout.partition("\n\n")
    return {"words": found.split("\n"), "programs": [line.split()[-1] for line in programs.splitlines()]}


def test_bash_completes_values_with_colons(bash: Path) -> None:
    """To bash, what follows a colon or an equals sign is a word of its own."""
    found = in_bash(bash, "imagematrix build --only pytorch:2")
    assert found == {"words": ["2.3.0-debian"], "programs": ["imagematrix", "inv"]}
    assert in_bash(bash, "imagematrix build --only=pl")["words"] == ["plain:3.11-debian"]
    assert in_bash(bash, "imagematrix build --group ")["words"] == ["gpu"]


def test_bash_completes_the_tasks_of_a_repository(bash: Path) -> None:
    assert in_bash(bash, "bin/inv depl")["words"] == ["deploy"]
    assert in_bash(bash, "bin/inv deploy --f")["words"] == ["--force"]


def test_a_program_with_the_tasks_of_a_repository(bash: Path) -> None:
    """It has our help and hints, and its tasks beside ours."""
    inv = str(bash / "bin/inv")
    shown = subprocess.run([inv], cwd=bash, capture_output=True, text=True, check=True).stdout
    assert "Of this repository:\n  deploy   Deploy it.\n" in shown
    wrong = subprocess.run([inv, "deplyo"], cwd=bash, capture_output=True, text=True, check=False)
    assert (wrong.returncode, "did you mean 'deploy'?" in wrong.stderr) == (2, True)


def test_there_is_a_script_for_each_shell(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "fish", "zsh"):
        assert "imagematrix inv" in run(capsys, f"--print-completion-script={shell}").out
    said = run(capsys, "--print-completion-script", "csh")
    assert said.code == 2
    assert "not supported" in said.err


def test_a_flag_without_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "layers", "--diff")
    assert said.code == 2
    assert said.err == "--diff needs a value: `layers --diff VALUE`\n"


def test_the_program_has_no_tasks_of_the_folder(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Of this repository" not in run(capsys).out
    assert "deploy" not in program.collection.task_names
    assert (root / "tasks.py").exists()
