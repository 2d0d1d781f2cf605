"""A disk that refuses what a run wants to remember or report: that file is missing, and a warning names it."""

import errno
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Final

import pytest
from tests import nights, projects
from tests.chat import Chat

from imagematrix import tree
from imagematrix.commands import reporting
from imagematrix.errors import DiskError
from imagematrix.model import File, Key
from imagematrix.planning.checks import CheckOutcome, CheckResult, Settled
from imagematrix.planning.plan import Record
from imagematrix.planning.trust import Bond
from imagematrix.project import Project, open_project
from imagematrix.report import webhook
from imagematrix.tree import Tree

STATE: Final = (
    *(".imagematrix/.gitignore", ".imagematrix/built.jsonl", ".imagematrix/verified.jsonl", ".imagematrix/night.json"),
    *(".imagematrix/logs/a.log", ".imagematrix/runs/2026-11-01T010000Z.json", "user/images.jsonl"),
)
REPORT: Final = ("report/report.json", "report/junit.xml", "report/summary.md", "report/index.html")


class Disk:
    """Refuses to write some files below a folder, with one of the errors of full and failing disks."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._refused: frozenset[str] = frozenset()
        self._number = 0
        self._replace, self._appending = tree.replace, Tree.appending
        monkeypatch.setattr(tree, "replace", self._replacing)
        monkeypatch.setattr(Tree, "appending", lambda of, path: self._full(of, path) or self._appending(of, path))

    def refuse(self, *paths: str, number: int = errno.ENOSPC) -> None:
        self._refused, self._number = frozenset(paths), number

    def _replacing(self, path: Path, file: File) -> None:
        if path.relative_to(self._root).as_posix() in self._refused:
            raise OSError(self._number, os.strerror(self._number), f"{path.parent}/.writing-xyz")
        self._replace(path, file)

    def _full(self, of: Tree, path: str) -> FileIO | None:
        name = (of.root / path).relative_to(self._root).as_posix()
        return FileIO("/dev/full", "w") if name in self._refused else None


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def project(tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("IMAGEMATRIX_STATE_DIR", str(tmp_path / "user"))
    return open_project(str(projects.write(tmp_path)), warn=warnings.append)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


@pytest.fixture
def heard(chat: tuple[str, type[Chat]], monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    url, handler = chat
    monkeypatch.setenv(webhook.VARIABLE, url)
    return handler.heard


def run(project: Project) -> bool:
    """Write all that a run writes; return whether its report is whole."""
    state = project.state
    with state.sole_builder(waiting=lambda: None), state.log("a.log") as log:
        for number in range(3):
            state.write_night("{}")
            log.write(f"line {number}\n")
            state.bind(Bond(key=Key(f"{number}" * 64), digest=f"sha256:{str(number) * 64}"))
            state.remember(Record(key=Key(f"{number}" * 64), layer="a", inputs={}, rows=(), seconds=1.0))
            passed = (CheckResult(owner="a", name="b", outcome=CheckOutcome.PASSED),)
            key = Key(f"{number}" * 64)
            state.remember_settled(Settled(key=key, image="", owner="a", fingerprint=key, checks=passed, whole=True))
        state.forget(lambda key: key != "0" * 64)
    report = project.repository.root / "report"
    return reporting.built(project, nights.night(nights.grid(6), 0), (), report, say=print)


def written(project: Project) -> Mapping[str, int]:
    paths = {path: project.repository.root / path for path in (*STATE, *REPORT)}
    return {path: at.stat().st_size for path, at in paths.items() if at.exists()}


@pytest.mark.parametrize("path", [*STATE, *REPORT])
def test_one_file_that_does_not_fit(
    project: Project, disk: Disk, warnings: list[str], heard: list[bytes], path: str
) -> None:
    """It is named once, however often it was tried; all others are whole, and the chat is notified."""
    disk.refuse(path)

    complete = run(project)

    (warning,) = warnings
    assert path in warning
    assert warning.startswith("cannot write ")
    assert warning.endswith(": No space left on device")
    assert written(project).keys() >= {*STATE, *REPORT} - {path}
    assert complete == (path not in REPORT)
    assert len(heard) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_nothing_fits(project: Project, disk: Disk, warnings: list[str], heard: list[bytes], number: int) -> None:
    """Whatever the disk's reason is, each file is named once, and the chat is notified."""
    disk.refuse(*STATE, *REPORT, number=number)

    assert not run(project)

    refused = [word for path in (*STATE, *REPORT) for word in warnings if path in word]
    assert len(refused) == len(warnings) == len({*STATE, *REPORT})
    assert len(heard) == 1


def test_a_run_knows_what_it_could_not_write_down(project: Project, disk: Disk) -> None:
    """What it built is named and published all the same."""
    disk.refuse(*STATE)
    run(project)

    assert project.state.bonds().hold(Key("1" * 64), f"sha256:{'1' * 64}")


def test_a_log_goes_on_once_there_is_room(project: Project, disk: Disk, warnings: list[str]) -> None:
    disk.refuse(".imagematrix/logs/a.log")
    with project.state.log("a.log") as log:
        log.write("lost\n")
    disk.refuse()
    with project.state.log("a.log") as log:
        log.write("kept\n")

    assert (project.repository.root / log.path).read_text() == "kept\n"
    assert len(warnings) == 1


def test_a_report_that_was_asked_for_and_is_not_there(project: Project, disk: Disk) -> None:
    """`invoke report` fails; what it could write lies there."""
    run(project)
    disk.refuse("again/index.html")

    with pytest.raises(DiskError):
        reporting.again(project, project.repository.root / "again", say=print)

    assert (project.repository.root / "again/report.json").exists()


def test_the_oldest_runs_go_before_a_new_one_is_written(project: Project, disk: Disk) -> None:
    """They may be what fills the disk."""
    for number in range(70):
        project.state.keep_run(f"2026-10-01T0000{number:02}Z", "{}")
    disk.refuse(".imagematrix/runs/2026-11-22T000000Z.json")

    project.state.keep_run("2026-11-22T000000Z", "{}")

    assert len(project.state.runs()) == 59
