"""What apt installs: asked, locked, part of the keys; a project on a disk, an apt of our own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pytest
from tests import projects
from tests.projects import CUDA, FILES, MATRIX, PLAIN, PYTORCH

from imagematrix.apt import AptResult
from imagematrix.commands.lock import apt
from imagematrix.engine.log import BuildLog
from imagematrix.model import Downloads, Verdict
from imagematrix.planning import apt_locks, moved, plan
from imagematrix.planning.apt_locks import AptAnswer, AptQuestion
from imagematrix.planning.plan import Record
from imagematrix.project import Project, Selection, open_project

LAYER = "common/layers/{}/Dockerfile.j2"
IMPORT = '{% import "site.j2" as site %}\n'
SOURCES: Mapping[str, str] = {
    **FILES,
    LAYER.format("system"): IMPORT + 'RUN {{ site.apt_install("system", os, "openssl", "ssh") }}\n',
    LAYER.format("python"): IMPORT + 'RUN {{ site.apt_install("python", os, "python3-venv") }}\nENV V={{ python }}\n',
}
SUITES = MATRIX.replace('base = ["debian"]', 'base = ["debian", "trixie"]') + (
    '\n[bases.trixie]\nbootstrap = "trixie"\nos = "debian13"\n'
)
TRIXIE = "plain:3.11-trixie"
EPOCH = "2026-11-22T00:00:00Z"


@dataclass
class FakeApt:
    """Installs what is named, libc with everything; knows versions, and may be silent."""

    versions: Mapping[str, str] = field(default_factory=lambda: {"openssl": "3.0.15"})
    silent: str = "none"
    unknown: str = ""
    asked: list[AptQuestion] = field(default_factory=list)

    def ask(self, question: AptQuestion) -> AptResult:
        self.asked.append(question)
        if question.base.suite == self.silent:
            return AptResult(why="cannot read http://deb.example.com/dists/InRelease")
        return AptResult(answers={names: self._answer(names) for names in question.lists})

    def cancel(self) -> None:
        raise AssertionError("nobody stops this")

    def _answer(self, names: tuple[str, ...]) -> AptAnswer:
        if self.unknown in names:
            return AptAnswer(packages={}, why=f"Unable to locate package {self.unknown}")
        return AptAnswer(packages={name: self.versions.get(name, "1-1") for name in ("libc6", *names)})


def opened(root: Path) -> Project:
    return open_project(str(root / "matrix.toml"))


def lock(root: Path, source: FakeApt, *only: str, upgrade: bool = False) -> list[str]:
    """Lock what lies on the disk; return what was said."""
    said: list[str] = []
    project = opened(root)
    rows = project.possible(project.rows(Selection(only=only)))
    apt.run(project, rows, source=lambda _digests: source, upgrade=upgrade, say=said.append)
    return said


def written(root: Path) -> Mapping[str, str]:
    files = sorted((root / "locks").rglob("*.txt"))
    return {f"{file.parent.name}/{file.stem.partition('-')[0]}": file.read_text() for file in files}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    projects.write(tmp_path, matrix=SUITES, files=SOURCES, lock=projects.lock(epoch=EPOCH))
    return tmp_path


def downloads(project: Project, row: str) -> Mapping[str, Downloads]:
    leaf = project.leaves(project.rows(Selection(only=(row,))))[row]
    return {stage.layer: stage.downloads for stage in (leaf.bootstrap, *leaf.stages) if stage}


def test_a_lock_names_what_each_stage_adds(root: Path) -> None:
    """Of the base all, of each stage what is not below it; the leaf has a copy without comments."""
    lock(root, FakeApt())

    texts = written(root)
    assert texts.keys() == {
        f"{suite}/{layer}" for suite in ("bookworm", "trixie") for layer in ("base", "system", "python")
    }
    assert apt_locks.installed(texts["bookworm/base"]) == "libc6=1-1\n"
    assert apt_locks.installed(texts["bookworm/system"]) == "openssl=3.0.15\nssh=1-1\n"
    assert apt_locks.installed(texts["bookworm/python"]) == "python3-venv=1-1\n"
    project = opened(root)
    leaves = project.leaves(project.rows(Selection(only=(PLAIN,))))
    (files,) = project.files(leaves).values()
    copies = {file.path: file.content for file in files if file.path.endswith("apt.lock")}
    assert copies["system/apt.lock"] == b"openssl=3.0.15\nssh=1-1\n"
    assert copies.keys() == {"base/apt.lock", "system/apt.lock", "python/apt.lock"}


def test_what_is_locked_is_not_asked_again(root: Path) -> None:
    """Unless it is upgraded: then each base is asked once, about all of its lists."""
    source = FakeApt()
    lock(root, source)
    lock(root, source)
    assert [question.base.suite for question in source.asked] == ["bookworm", "trixie"]
    assert source.asked[0].lists == ((), ("openssl", "ssh"), ("openssl", "ssh", "python3-venv"))

    lock(root, source, upgrade=True)
    assert len(source.asked) == 4


def test_the_lock_takes_the_place_of_the_epoch(root: Path) -> None:
    """A night moves nothing that is locked, and all of it that is not."""
    before = opened(root)
    assert set(downloads(before, PLAIN).values()) == {Downloads.MOVING, Downloads.NOTHING}
    assert {node.layer for node in moved.due(projects.dag(before, PLAIN), ())} == {"base"}

    lock(root, FakeApt(), PLAIN)
    after = opened(root)
    assert downloads(after, PLAIN) == {
        **dict.fromkeys(("base", "system", "python"), Downloads.LOCKED),
        "boot": Downloads.NOTHING,
    }
    assert moved.due(projects.dag(after, PLAIN), ()) == ()
    assert {node.layer for node in moved.due(projects.dag(after, TRIXIE), ())} == {"base"}
    assert projects.keys(after)[PLAIN, "boot"] != projects.keys(after.refreshed("2026-11-24"))[PLAIN, "boot"]


def test_a_package_that_moves_rebuilds_what_has_it(root: Path) -> None:
    """Only on the base where it moved, from its stage upwards, and the reason names it."""
    lock(root, FakeApt())
    old = opened(root)
    dag = projects.dag(old)
    records = [
        Record(key=key, layer=dag.nodes[key].layer, inputs=dag.nodes[key].inputs, rows=rows, seconds=1.0)
        for key, rows in dag.rows_by_node().items()
    ]
    moved = FakeApt({"openssl": "3.0.16"}, silent="trixie")
    said = lock(root, moved, upgrade=True)

    present = {record.key for record in records}
    made = plan.make(projects.dag(opened(root)), present=present, history=lambda: records)
    building = {(step.node.layer, row) for step in made.steps if step.verdict is Verdict.BUILD for row in step.leaves}
    assert {row for _, row in building if row.startswith("plain")} == {PLAIN}
    assert {layer for layer, row in building if row == PLAIN} == {"system", "python", "boot"}
    (reason,) = {step.reason for step in made.steps if step.node.layer == "system" and PLAIN in step.leaves}
    assert reason == "openssl 3.0.15 -> 3.0.16"
    assert any("trixie" in line and "cannot read" in line for line in said)


def test_an_upgrade_of_some_rows_moves_what_they_share_with_others(root: Path) -> None:
    """The lock of `system` is that of all rows on a base, whatever else they install."""
    torch = root / LAYER.format("torch")
    torch.write_text(IMPORT + 'RUN {{ site.apt_install("torch", os, "libgomp1") }}\n')
    lock(root, FakeApt())
    lock(root, FakeApt({"openssl": "3.0.16"}), PLAIN, upgrade=True)

    assert apt_locks.installed(written(root)["bookworm/system"]) == "openssl=3.0.16\nssh=1-1\n"
    assert apt_locks.installed(written(root)["trixie/system"]) == "openssl=3.0.15\nssh=1-1\n"


def test_rows_may_be_locked_in_any_order(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One after the other, or all at once: the same locks, with the same names."""
    other = tmp_path_factory.mktemp("other")
    projects.write(other, matrix=SUITES, files=SOURCES)
    lock(root, FakeApt(), TRIXIE)
    lock(root, FakeApt(), PLAIN)
    lock(root, FakeApt())
    lock(other, FakeApt())

    def tree(folder: Path) -> Mapping[str, str]:
        return {str(file.relative_to(folder)): file.read_text() for file in (folder / "locks").rglob("*.txt")}

    assert tree(root) == tree(other)


def test_other_packages_are_another_lock(root: Path) -> None:
    """A layer that names one more is asked again, with those above it; the old locks go."""
    lock(root, FakeApt())
    before = set((root / "locks").rglob("*.txt"))
    template = root / LAYER.format("system")
    template.write_text(template.read_text().replace('"ssh"', '"ssh", "vim"'))

    assert downloads(opened(root), PLAIN)["system"] is Downloads.MOVING
    lock(root, FakeApt())
    after = set((root / "locks").rglob("*.txt"))
    assert {file.name for file in before & after} == {"base.txt"}
    assert len(after) == len(before)


def test_a_package_that_is_not_there(root: Path) -> None:
    """It is reported; its stage and those above follow the epoch, what is below is locked."""
    said = lock(root, FakeApt(unknown="python3-venv"), PLAIN)

    assert any("Unable to locate package python3-venv" in line for line in said)
    kinds = downloads(opened(root), PLAIN)
    assert (kinds["system"], kinds["python"]) == (Downloads.LOCKED, Downloads.MOVING)


def test_a_silent_mirror_leaves_the_locks(root: Path) -> None:
    lock(root, FakeApt())
    before = written(root)
    said = lock(root, FakeApt({"openssl": "9"}, silent="bookworm"), upgrade=True)

    assert {name for name, text in written(root).items() if text != before[name]} == {"trixie/system"}
    assert any("bookworm" in line for line in said)


def test_stopped_while_asking(root: Path) -> None:
    """Nothing is written; the next run asks again."""

    class Stopped(FakeApt):
        def ask(self, question: AptQuestion) -> AptResult:
            if question.base.suite == "trixie":
                raise KeyboardInterrupt
            return super().ask(question)

        def cancel(self) -> None:
            pass

    with pytest.raises(KeyboardInterrupt):
        lock(root, Stopped())
    assert written(root) == {}
    lock(root, FakeApt())
    assert len(written(root)) == 6


def test_an_image_is_asked_once_something_was_built_on_it(root: Path) -> None:
    """Before, its registry may not even answer; its locks are named after it."""
    source = FakeApt()
    lock(root, source, PYTORCH)
    assert source.asked == []

    node = next(node for node in projects.dag(opened(root), PYTORCH).nodes.values() if node.layer == "system")
    opened(root).state.remember(
        Record(key=node.key, layer=node.layer, inputs=node.inputs, rows=(PYTORCH,), seconds=1.0)
    )
    lock(root, source, PYTORCH)
    assert [(question.base.image, question.lists[0]) for question in source.asked] == [(CUDA, ("openssl", "ssh"))]
    assert downloads(opened(root), PYTORCH)["system"] is Downloads.LOCKED
    names = {path.parent.name for path in (root / "locks/apt").rglob("*.txt")}
    assert names == {"nvidia-cuda-12.1.0-devel-ubuntu22.04"}


def test_names_that_only_the_build_knows_are_not_asked(root: Path) -> None:
    """And no option of apt reaches the machine that asks."""
    template = root / LAYER.format("system")
    for packages in ('"$PACKAGE"', '"-o", "DPkg::Pre-Invoke::=id"', '"a`id`"'):
        template.write_text(IMPORT + f'RUN {{{{ site.apt_install("system", os, {packages}) }}}}\n')
        source = FakeApt()
        lock(root, source, PLAIN, upgrade=True)
        words = {word for question in source.asked for names in question.lists for word in names}
        assert words == {"python3-venv"}
        assert downloads(opened(root), PLAIN)["system"] is Downloads.MOVING


def test_what_the_script_prints_is_read() -> None:
    said = "= \nlibc6=2.36-9\n= less\nlibc6=2.36-9\nless=590-2.1\n= nosuch\n! Unable to locate package nosuch\n"
    answers = apt_locks.answers(said)
    assert answers[()].packages == {"libc6": "2.36-9"}
    assert answers["less",].packages == {"libc6": "2.36-9", "less": "590-2.1"}
    assert (answers["nosuch",].packages, answers["nosuch",].why) == ({}, "Unable to locate package nosuch")


def test_a_drift_is_read_from_the_log() -> None:
    """What is installed in another version than the lock names is never silent."""
    log = BuildLog(StringIO(), lambda _line: None)
    log.said("sha256:a", "drifted: openssl=3.0.16 instead of openssl=3.0.15")
    log.said("sha256:a", "Setting up openssl")
    assert log.drifted == ["openssl=3.0.16 instead of openssl=3.0.15"]
