"""Messages name commands as people type them, and files as people reach them."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests import projects
from tests.projects import FILES

from imagematrix.commands import spelling

BROKEN = {**FILES, "common/layers/boot/Dockerfile.j2": "ENV A={{ tourch }}\n"}
TASKS = """\
from invoke import Collection, task
from imagematrix.tasks import collection

@task
def deploy(context):
    print("deployed")

ns = Collection(deploy)
ns.add_collection(collection(root="infra"), "images")
ns.add_collection(collection(root="infra", matrix="gpu.toml"), "gpu")
"""


@pytest.mark.parametrize(
    ("argv", "environment", "prefix"),
    [
        (["/venv/bin/imagematrix", "render"], {}, "imagematrix "),
        (["/usr/bin/inv", "render"], {}, "inv "),
        (["/usr/bin/invoke", "images.render", "--check"], {}, "invoke images."),
        (["/usr/bin/invoke", "-r", "x", "infra.images.render"], {}, "invoke infra.images."),
        (["/lib/imagematrix/__main__.py", "render"], {}, "python -m imagematrix "),
        (["/usr/bin/pytest", "render"], {}, "invoke "),
        (["/usr/bin/invoke", "render"], {spelling.VARIABLE: "scripts/inv"}, "scripts/inv "),
        (["/lib/imagematrix/__main__.py", "render"], {spelling.VARIABLE: "invoke images."}, "invoke images."),
    ],
)
def test_what_people_type(argv: list[str], environment: dict[str, str], prefix: str) -> None:
    assert spelling.prefix(argv, environment, "render") == prefix
    assert spelling.respelled("run `invoke lock` --file invoke.toml", prefix) == (
        f"run `{prefix}lock` --file invoke.toml"
    )


def test_a_command_may_be_one_of_several() -> None:
    argv = ["/usr/bin/invoke", "images.build", "--matrix", "images.verify"]
    assert spelling.prefix(argv, {}, "build", "verify") == "invoke images."
    assert spelling.prefix(argv, {}, "push") == "invoke "


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a repository with tasks of its own, and a monorepo with two matrices in a folder of it."""
    projects.write(tmp_path / "infra")
    (tmp_path / "infra/gpu.toml").write_text(projects.MATRIX.replace("[families.", "[families.gpu-"))
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def invoke(folder: Path, *words: str) -> tuple[int, str]:
    """Run invoke as people do; return its exit code, and all that it said."""
    argv = [str(Path(sys.executable).with_name("invoke")), *words]
    done = subprocess.run(argv, cwd=folder, env={"PATH": "/usr/bin:/bin"}, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_namespace_beside_tasks_of_ones_own(root: Path) -> None:
    """In any folder of the repository the same matrix is meant, and each message fits the place."""
    assert invoke(root, "deploy") == (0, "deployed\n")
    code, said = invoke(root, "images.render", "--check")
    assert code == 5
    assert "infra/images/plain/3.11-debian/Dockerfile: is missing" in said
    assert "run `invoke images.render`" in said

    (root / "docs").mkdir()
    code, said = invoke(root / "infra/common", "images.render")
    assert (code, said.splitlines()[0]) == (0, "../images/plain/3.11-debian")
    assert invoke(root / "docs", "images.render", "--check") == (0, "9 leaves are up to date\n")
    assert invoke(root, "gpu.render", "--check")[0] == 5


def test_a_mistake_is_named_from_here(root: Path) -> None:
    """Whether it is reported as data or raised."""
    projects.write(root / "infra", files=BROKEN)
    place = "infra/common/layers/boot/Dockerfile.j2:1: "
    for words in (["images.check"], ["images.render"]):
        code, said = invoke(root, *words)
        assert code == 2
        assert said.startswith(place)
    assert "infra/matrix.toml: " in invoke(root, "images.check")[1]
    assert invoke(root / "infra/common/layers", "images.render")[1].startswith("../../common/layers/boot/")


def test_a_matrix_named_on_the_command_line_counts(root: Path) -> None:
    code, said = invoke(root, "gpu.list", "--file", "infra/matrix.toml")
    assert code == 0
    assert said.splitlines()[0].startswith("plain:")
    assert f"(default:{root}/infra/gpu.toml)" in "".join(invoke(root, "--help", "gpu.list")[1].split())


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("run `invoke lock`", "run `imagematrix lock --file 'my gpu.toml'`"),
        ("next: invoke build --only 'a:1'", "next: imagematrix build --file 'my gpu.toml' --only 'a:1'"),
        ("`invoke engine start`", "`imagematrix engine start`"),
        ("`invoke export make --file x.toml`", "`imagematrix export make --file x.toml`"),
        ("invoke --list", "invoke --list"),
    ],
)
def test_commands_that_are_suggested_name_the_matrix_that_was_named(text: str, typed: str) -> None:
    assert spelling.respelled(text, "imagematrix ", file="my gpu.toml") == typed


def test_a_suggestion_for_a_second_matrix(root: Path) -> None:
    code, said = invoke(root, "gpu.render", "--check", "--file", "infra/matrix.toml")
    assert code == 5
    assert "run `invoke gpu.render --file infra/matrix.toml` and commit" in said
