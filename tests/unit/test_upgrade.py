"""A new version of imagematrix that renders something else: who reports it, and what has other reasons."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import projects
from tests.installed import Installed

from imagematrix.commands import leaves, request
from imagematrix.commands.build.recorder import record
from imagematrix.planning import apt_locks, lock
from imagematrix.planning.apt_locks import Answers, AptAnswer, AptBase, AptStack
from imagematrix.project import Project, Selection, open_project
from imagematrix.tasks import collection

MATRIX = """\
schema = 1
[bases.debian12]
bootstrap = "bookworm"
os = "debian12"
[families.plain]
layers = ["system", "app", "boot"]
tag = "1"
axes = { base = ["debian12"], app = ["1.0"] }
"""
OWN = {"common/layers/app/Dockerfile.j2": "ENV APP={{ app }}\n"}
DIFFERS = "renders this stage differently"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Installed:
    return Installed(monkeypatch, tmp_path)


def opened(root: Path, own: Mapping[str, str] = OWN, matrix: str = MATRIX) -> Project:
    return open_project(str(projects.write(root, matrix=matrix, files=own, lock=lock_text(root))))


def lock_text(root: Path) -> str:
    path = root / "matrix.lock"
    return path.read_text() if path.exists() else ""


def rendered(project: Project, *, record: bool = True) -> list[str]:
    """Write all leaves as `render` does; return what it says before."""
    said: list[str] = []
    leaves.write(project, project.files(project.leaves(project.rows(Selection()))), say=said.append, record=record)
    return said


def reasons(project: Project) -> Mapping[str, str]:
    return {step.node.layer: step.reason for step in projects.plan(project).steps}


def test_a_plan_names_the_version_that_renders_a_stage_differently(tmp_path: Path, installed: Installed) -> None:
    """The stages above it are rebuilt for the stage below, as always."""
    projects.build(opened(tmp_path))
    installed.upgrade()
    found = reasons(opened(tmp_path))
    assert found["system"].startswith(f"imagematrix 1.1.0 {DIFFERS}: its Dockerfile stage changed")
    assert found["app"] == "its parent system is rebuilt"


@pytest.mark.parametrize(
    ("own", "matrix", "layer"),
    [
        ({"common/layers/app/Dockerfile.j2": "ENV APP={{ app }} MORE=1\n"}, MATRIX, "app"),
        (OWN, MATRIX.replace('"1.0"', '"2.0"'), "app"),
        ({**OWN, "common/layers/system/Dockerfile.j2": "ENV MINE=1\n"}, MATRIX, "system"),
        ({**OWN, "common/init/boot/late.sh": "#!/bin/sh\n"}, MATRIX, "boot"),
        (OWN, MATRIX.replace('tag = "1"', 'tag = "2"'), "boot"),
        (OWN, MATRIX.replace('bootstrap = "bookworm"', 'image = "debian:12"'), "boot"),
        (OWN, MATRIX.replace('"system", "app"', '"system", "tools", "app"'), "app"),
    ],
)
def test_what_the_monorepo_changed_is_not_the_version(
    tmp_path: Path, installed: Installed, own: Mapping[str, str], matrix: str, layer: str
) -> None:
    """Both happen at once; a stage that somebody changed is explained by that."""
    projects.build(opened(tmp_path))
    installed.is_version("1.1.0")
    assert DIFFERS not in reasons(opened(tmp_path, own, matrix))[layer]


def test_the_same_version_is_never_the_reason(tmp_path: Path, installed: Installed) -> None:
    """So it is in a checkout of imagematrix, whose layers people change; and of records that name no version."""
    projects.build(opened(tmp_path))
    installed.upgrade()
    installed.is_version("1.0.0")
    assert DIFFERS not in reasons(opened(tmp_path))["system"]


def test_keys_do_not_depend_on_the_version(tmp_path: Path, installed: Installed) -> None:
    before = projects.keys(opened(tmp_path))
    rendered(opened(tmp_path))
    installed.is_version("2.0.0")
    assert rendered(opened(tmp_path)) == []
    assert projects.keys(opened(tmp_path)) == before
    assert lock.parse(lock_text(tmp_path)).imagematrix == "2.0.0"


def test_what_an_upgrade_changes_is_said_before_leaves_are_written(tmp_path: Path, installed: Installed) -> None:
    assert rendered(opened(tmp_path)) == []
    assert lock.parse(lock_text(tmp_path)).imagematrix == "1.0.0"
    installed.upgrade()
    [line] = rendered(opened(tmp_path))
    assert "imagematrix 1.0.0 rendered the leaves, and this is 1.1.0: 1 of 1 image" in line
    assert "system" in line
    assert lock.parse(lock_text(tmp_path)).imagematrix == "1.1.0"
    assert rendered(opened(tmp_path)) == []


def test_a_build_whose_leaves_are_up_to_date_records_no_version(tmp_path: Path, installed: Installed) -> None:
    """CI builds with any version, and leaves the checkout as it is."""
    rendered(opened(tmp_path))
    installed.is_version("1.1.0")
    assert rendered(opened(tmp_path), record=False) == []
    assert lock.parse(lock_text(tmp_path)).imagematrix == "1.0.0"


def test_commits_before_a_release_change_no_lock(tmp_path: Path, installed: Installed) -> None:
    rendered(opened(tmp_path))
    installed.is_version("1.0.0.dev7+g0123456")
    rendered(opened(tmp_path))
    assert lock.parse(lock_text(tmp_path)).imagematrix == "1.0.0"


@pytest.mark.usefixtures("installed")
def test_leaves_of_some_rows_are_not_all_leaves(tmp_path: Path) -> None:
    matrix = MATRIX + '[families.more]\nlayers = ["system"]\ntag = "1"\naxes.base = ["debian12"]\n'
    project = opened(tmp_path, matrix=matrix)
    files = project.files(project.leaves(project.rows(Selection(only=("plain:*",)))))
    leaves.write(project, files, say=print, record=True)
    assert lock_text(tmp_path) == ""


def test_the_plan_command_says_so_too(
    tmp_path: Path, installed: Installed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where nothing was ever built: CI has no record of earlier builds."""
    rendered(opened(tmp_path))
    installed.upgrade()
    monkeypatch.setattr(request, "images_or_note", lambda: ())
    collection()["plan"].body(None, file=str(tmp_path / "matrix.toml"))
    assert "imagematrix 1.0.0 rendered the leaves, and this is 1.1.0" in capsys.readouterr().err
    assert lock.parse(lock_text(tmp_path)).imagematrix == "1.0.0"


def test_a_lock_of_apt_that_does_not_move_keeps_the_version_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each night after an upgrade would touch every lock."""
    base = AptBase(suite="bookworm", platform="linux/amd64")
    stack = AptStack(base=base, steps=())

    def locked(version: str, libc: str, committed: Mapping[str, str]) -> Mapping[str, str]:
        monkeypatch.setattr(apt_locks, "__version__", version)
        answers: Mapping[AptBase, Answers] = {base: {(): AptAnswer(packages={"libc6": libc})}}
        return apt_locks.locks([stack], committed, answers, asked=[stack], upgrade=True)

    made = locked("1.0.0", "2.36", {})
    [text] = made.values()
    assert "# Made by imagematrix 1.0.0\n" in text
    assert locked("1.1.0", "2.36", made) == made
    [text] = locked("1.1.0", "2.37", made).values()
    assert "# Made by imagematrix 1.1.0\n" in text


@pytest.mark.usefixtures("installed")
def test_a_record_keeps_version_and_what_was_given(tmp_path: Path) -> None:
    step = projects.plan(opened(tmp_path)).steps[0]
    made = record(step, 2.0)
    assert (made.version, bool(made.given)) == ("1.0.0", True)
