"""What is asked of the index, and when: locks are found by what they were resolved from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests import projects
from tests.projects import FILES, PLAIN, PYTORCH

from imagematrix.cli import program
from imagematrix.commands.lock import run as locking
from imagematrix.errors import InputError, NoIndexError
from imagematrix.planning import requirements, sizes
from imagematrix.planning.requirements import Locked, Requirements, RequirementStack, ResolveRequest
from imagematrix.project import Project, Selection, open_project
from imagematrix.resolver import ResolveResult

TOOLS = "common/layers/python/files/requirements.txt"
TORCH = "common/layers/torch/files/requirements.txt.j2"
LOCKED = {
    **FILES,
    TOOLS: "pip==26.0\n",
    "common/layers/python/Dockerfile.j2": "COPY python/requirements.lock /\n",
    "common/layers/torch/Dockerfile.j2": "COPY torch/requirements.lock /\n",
}
"""The python layer of all rows, and the torch layer of the pytorch rows, are installed from locks."""

NOTEBOOK = {
    "common/layers/boot/Dockerfile.j2": "COPY boot/requirements.lock /\nCOPY --link init/ /init/\n",
    "common/layers/boot/files/requirements.txt": "jupyterlab\n",
}
"""A third layer with a lock, on all rows."""


@dataclass
class FakeResolver:
    """An index at some state: what it cannot do by requirement, what it was asked; its locks name its state."""

    state: str = "monday"
    impossible: Collection[str] = ()
    conflicts: Collection[str] = ()
    """Layers that have no solution upon the locks below them."""
    is_down: bool = False
    asked: list[ResolveRequest] = field(default_factory=list)
    bytes: int | None = 1_000_000
    """The size of each file."""
    measured: list[ResolveRequest] = field(default_factory=list)
    cancelled: bool = False

    def resolve(self, question: ResolveRequest) -> ResolveResult:
        self.asked.append(question)
        if self.is_down:
            raise NoIndexError("nobody answers")
        if any(word in question.asker.text for word in self.impossible):
            return ResolveResult(why="No solution found\n\nhint: sorry")
        anew = question.asker.layer in self.conflicts
        return ResolveResult(text=requirements.lock_text(question, f"# {self.state}\n{question.asker.text}", anew=anew))

    def measure(self, question: ResolveRequest, locked: Locked) -> ResolveResult:
        self.measured.append(question)
        if self.is_down:
            raise NoIndexError("nobody answers")
        if self.bytes is None:
            return ResolveResult(why="no sizes\nhint: none")
        below = [lower.text for lower in question.constraints]
        return ResolveResult(
            text=sizes.measured(locked.text, dict.fromkeys(sizes.unmeasured(locked.text, below), self.bytes))
        )

    def cancel(self) -> None:
        self.cancelled = True


def opened(root: Path, changed: Mapping[str, str] | None = None) -> Project:
    return projects.project(root, files={**LOCKED, **(changed or {})})


def lock(root: Path, resolver: FakeResolver, *only: str, upgrade: bool = False) -> list[str]:
    """Lock what lies on the disk; return what was said, the summary last."""
    said: list[str] = []
    project = open_project(str(root / "matrix.toml"))
    done = locking.run(
        project,
        project.possible(project.rows(Selection(only=only))),
        resolver=resolver,
        upgrade=upgrade,
        say=said.append,
    )
    return [*said, done]


def locks(root: Path) -> Mapping[str, str]:
    return open_project(str(root / "matrix.toml")).repository.locks()


def layers(resolver: FakeResolver) -> list[str]:
    return sorted(question.asker.layer for question in resolver.asked)


def leaves(root: Path, *only: str) -> Mapping[str, Mapping[str, str]]:
    """Return the text of each leaf's locks, by row."""
    project = open_project(str(root / "matrix.toml"))
    made = project.leaves(project.rows(Selection(only=only)))
    files = {name: project.renderer.files(leaf) for name, leaf in made.items()}
    return {
        name: {file.path: file.content.decode() for file in found if file.path.endswith(".lock")}
        for name, found in files.items()
    }


def test_rows_that_ask_the_same_share_a_lock(tmp_path: Path) -> None:
    """Two Pythons on two systems, and two versions of torch on each; a second run asks nothing."""
    opened(tmp_path)
    resolver = FakeResolver()
    said = lock(tmp_path, resolver)

    assert layers(resolver) == ["python"] * 4 + ["torch"] * 8
    assert said[-1] == "12 locks, 12 resolved, 12 files changed"
    again = FakeResolver()
    assert lock(tmp_path, again) == ["12 locks, 0 resolved, 0 files changed"]
    assert again.asked == []


def test_a_layer_is_resolved_upon_the_locks_below_it(tmp_path: Path) -> None:
    """For the row's Python and the glibc of its base."""
    opened(tmp_path)
    resolver = FakeResolver()
    lock(tmp_path, resolver, PYTORCH)

    tools, torch = resolver.asked
    assert tools.constraints == ()
    assert [locked.text for locked in torch.constraints] == [sizes.without(locks(tmp_path)[tools.path])]
    assert (torch.python, torch.platform) == ("3.10", "x86_64-manylinux_2_35")


def test_a_leaf_carries_its_locks(tmp_path: Path) -> None:
    """Each beside the requirements it was resolved from."""
    opened(tmp_path)
    lock(tmp_path, FakeResolver())

    head = "# Generated by `invoke lock`: do not edit, but commit it.\n# Python 3.10, x86_64-manylinux_2_35\n"
    assert leaves(tmp_path)[PYTORCH] == {
        "python/requirements.lock": f"{head}# monday\npip==26.0\n",
        "torch/requirements.lock": f"{head}# monday\ntorch==2.3.0\nnumpy<3\n",
    }


@pytest.mark.parametrize("changed", [{TOOLS: "pip==27.0\n"}, {TORCH: "torch=={{ torch }}\n"}])
def test_a_lock_that_no_longer_fits_is_refused(tmp_path: Path, changed: Mapping[str, str]) -> None:
    """Of the layer itself, or of one above a layer that changed; locked again, the old ones go."""
    opened(tmp_path)
    lock(tmp_path, FakeResolver())
    before = locks(tmp_path)
    file = next(iter(changed))
    projects.write(tmp_path, files={**LOCKED, **changed})

    with pytest.raises(InputError) as caught:
        leaves(tmp_path, PYTORCH)
    [refused] = caught.value.diagnostics
    assert (refused.file, refused.code, refused.rows, refused.hint) == (
        file,
        "unlocked",
        (PYTORCH,),
        "run `invoke lock`",
    )
    assert refused.message == f"requirements of layer {file.split('/')[2]} are not locked for Python 3.10"
    lock(tmp_path, FakeResolver())
    assert len(locks(tmp_path)) == len(before)
    assert leaves(tmp_path, PYTORCH)


def test_comments_are_no_requirements(tmp_path: Path) -> None:
    """What only explains moves nothing."""
    opened(tmp_path)
    lock(tmp_path, FakeResolver())
    projects.write(tmp_path, files={**LOCKED, TOOLS: "# why\n\npip==26.0\n"})

    resolver = FakeResolver()
    lock(tmp_path, resolver)
    assert resolver.asked == []


def test_layers_that_name_no_lock_have_none(tmp_path: Path) -> None:
    """Nor those that bring one of their own: all of it works as it did."""
    projects.project(tmp_path)
    resolver = FakeResolver()
    assert lock(tmp_path, resolver) == ["0 locks, 0 resolved, 0 files changed"]
    assert set(leaves(tmp_path)[PLAIN]) == set()

    opened(tmp_path, {"common/layers/python/files/requirements.lock": "mine\n"})
    lock(tmp_path, resolver)
    assert layers(resolver) == ["torch"] * 8
    assert leaves(tmp_path)[PLAIN] == {"python/requirements.lock": "mine\n"}


def test_without_a_solution_nothing_is_written_and_all_rows_are_told(tmp_path: Path) -> None:
    """Each question once, with a row that asks it, its file and the resolver's own words."""
    opened(tmp_path)
    with pytest.raises(InputError) as caught:
        lock(tmp_path, FakeResolver(impossible=["torch==2.3.0"]))

    first, *others = caught.value.diagnostics
    assert len(others) == 3
    assert (first.file, first.code) == ("common/layers/torch/files/requirements.txt.j2", "unsolvable")
    assert first.message == (
        "pytorch:2.3.0-python3.10-cuda: requirements of layer torch have no solution for Python 3.10"
    )
    assert first.hint == "No solution found\n\n    hint: sorry"
    assert locks(tmp_path) == {}


def test_a_layer_that_was_resolved_anew_constrains_alone(tmp_path: Path) -> None:
    """It pins what is below it too, to other versions; a line reports that, and nothing is resolved twice."""
    opened(tmp_path, NOTEBOOK)
    resolver = FakeResolver(conflicts=["torch"])
    said = lock(tmp_path, resolver, PYTORCH)

    assert [locked.layer for locked in resolver.asked[-1].constraints] == ["torch"]
    assert "without the locks of python, which leave no solution, so less is shared" in said[1]
    again = FakeResolver()
    lock(tmp_path, again, PYTORCH)
    assert again.asked == []


def test_upgrade(tmp_path: Path) -> None:
    """Everything is resolved again; with an unchanged index, nothing changes."""
    opened(tmp_path)
    lock(tmp_path, FakeResolver())
    assert lock(tmp_path, FakeResolver(), upgrade=True)[-1] == "12 locks, 12 resolved, 0 files changed"

    lock(tmp_path, FakeResolver(state="tuesday"), upgrade=True)
    assert all("tuesday" in text for text in locks(tmp_path).values())
    assert len(locks(tmp_path)) == 12


def test_upgrade_of_some_rows_moves_what_stands_on_what_they_share(tmp_path: Path) -> None:
    """Here the python layer of another row; the rest stays."""
    opened(tmp_path)
    lock(tmp_path, FakeResolver())
    lock(tmp_path, FakeResolver(state="tuesday"), PYTORCH, upgrade=True)

    moved = {row: [*found.values()] for row, found in leaves(tmp_path).items() if "tuesday" in str(found)}
    assert set(moved) == {PYTORCH, PYTORCH.replace("2.3.0", "2.4.1")}
    assert all("tuesday" in text for found in moved.values() for text in found)


def test_what_moves_goes_on_moving_above_a_layer_resolved_anew(tmp_path: Path) -> None:
    """Though its locks name none of those below it."""
    opened(tmp_path, NOTEBOOK)
    lock(tmp_path, FakeResolver(conflicts=["torch"]))
    lock(tmp_path, FakeResolver(state="tuesday", conflicts=["torch"]), PYTORCH, upgrade=True)

    other = leaves(tmp_path)[PYTORCH.replace("2.3.0", "2.4.1")]
    assert len(other) == 3
    assert all("tuesday" in text for text in other.values())


def test_what_cannot_be_upgraded_stays(tmp_path: Path) -> None:
    """As a wheel that only a wheelhouse has, where there is none."""
    opened(tmp_path)
    lock(tmp_path, FakeResolver())
    before = locks(tmp_path)
    said = lock(tmp_path, FakeResolver(impossible=["torch"]), PYTORCH, upgrade=True)

    assert locks(tmp_path) == before
    assert any(line.startswith(f"kept as committed: {TORCH}: {PYTORCH}: ") for line in said)


def test_an_index_that_does_not_answer(tmp_path: Path) -> None:
    """Ends the run: what still goes on is stopped, and nothing is written."""
    opened(tmp_path)
    lock(tmp_path, FakeResolver())
    before = locks(tmp_path)
    resolver = FakeResolver(state="tuesday", is_down=True)

    with pytest.raises(NoIndexError):
        lock(tmp_path, resolver, upgrade=True)
    assert resolver.cancelled
    assert locks(tmp_path) == before


def test_sizes_are_asked_once(tmp_path: Path) -> None:
    """Kept in the lock, not in the leaf; a lock from before has them added, and moves nothing."""
    opened(tmp_path)
    lock(tmp_path, FakeResolver(bytes=None), PYTORCH)
    before, leaf = locks(tmp_path), leaves(tmp_path, PYTORCH)

    resolver = FakeResolver()
    assert lock(tmp_path, resolver, PYTORCH)[-1].startswith("2 locks, 0 resolved, 2 files changed")
    after = locks(tmp_path)
    assert [question.asker.layer for question in resolver.measured] == ["python", "torch"]
    assert after.keys() == before.keys()
    assert {path: sizes.without(text) for path, text in after.items()} == before
    assert leaves(tmp_path, PYTORCH) == leaf

    again = FakeResolver(bytes=5)
    lock(tmp_path, again, PYTORCH, upgrade=True)
    assert locks(tmp_path) == after


def test_how_big_rows_get(tmp_path: Path) -> None:
    """Of those whose locks changed, the biggest first, alike ones together."""
    opened(tmp_path)
    lock(tmp_path, FakeResolver(), projects.PLAIN)
    told = [line for line in lock(tmp_path, FakeResolver()) if "Python packages" in line]
    assert told[0] == ("pytorch:2.3.0-python3.10-cuda: Python packages 2.0 MB to download, about 6.2 MB installed")
    assert len(told) == 8
    assert not any("Python packages" in line for line in lock(tmp_path, FakeResolver()))


def test_a_row_that_is_too_big_for_its_destination(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Is a warning, of all rows that are alike; the layers to blame are named, and what is unknown."""
    limit = '\n[destinations.small]\nmax_size = "6 MB"\n'
    matrix = projects.MATRIX.replace('groups = ["gpu"]', 'groups = ["gpu"]\ndestination = "small"') + limit
    projects.write(tmp_path, matrix=matrix, files={**LOCKED, TORCH: "torch=={{ torch }}\nnumpy==2.1.0\n"})
    lock(tmp_path, FakeResolver())

    program.run(["imagematrix", "check", "--file", str(tmp_path / "matrix.toml")])
    assert capfd.readouterr().out.startswith(
        "matrix.toml:31: warning: destination small takes images of at most 6.0 MB, and the Python packages alone are"
        " about 9.3 MB [IM2501 max_size]\n"
        "    torch 6.2 MB, python 3.1 MB; not counted: the base, what apt installs\n"
        "    pytorch:2.3.0-python3.10-cuda and 7 more\n"
    )


def test_sizes_only_predict(tmp_path: Path) -> None:
    """Where the index has no answer, or does not answer, everything else continues."""
    opened(tmp_path)
    said = lock(tmp_path, FakeResolver(bytes=None), PYTORCH)
    assert said[2].startswith("size unknown: locks/python/")
    assert said[2].endswith(".txt: no sizes")
    assert lock(tmp_path, FakeResolver(is_down=True), PYTORCH) == [
        "sizes unknown: the package index does not answer",
        "2 locks, 0 resolved, 0 files changed",
    ]


def test_some_rows(tmp_path: Path) -> None:
    """Others are left as they are; while they lack locks it is not known what they need, so none is removed."""
    opened(tmp_path)
    lock(tmp_path, FakeResolver(), PYTORCH)
    lock(tmp_path, FakeResolver(), PLAIN)
    assert len(locks(tmp_path)) == 3

    projects.write(tmp_path, files={**LOCKED, TOOLS: "pip==27.0\n"})
    lock(tmp_path, FakeResolver(), PLAIN)
    assert len(locks(tmp_path)) == 4


def test_files_of_others_stay(tmp_path: Path) -> None:
    """Only what carries our head is ours."""
    opened(tmp_path)
    own = tmp_path / "locks/python/mine.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine\n")
    lock(tmp_path, FakeResolver())
    assert own.read_text() == "mine\n"


def test_a_lock_with_a_merge_conflict(tmp_path: Path) -> None:
    """Locks nothing, and is resolved again."""
    opened(tmp_path)
    lock(tmp_path, FakeResolver(), PLAIN)
    [path] = locks(tmp_path)
    (tmp_path / path).write_text(locks(tmp_path)[path] + "<<<<<<< HEAD\npip==26\n=======\n")

    with pytest.raises(InputError, match="are not locked for Python"):
        leaves(tmp_path, PLAIN)
    lock(tmp_path, FakeResolver(), PLAIN)
    assert leaves(tmp_path, PLAIN)


def test_a_system_whose_glibc_is_not_known(tmp_path: Path) -> None:
    """No platform can be named for it: the base that says so is at fault."""
    matrix = projects.MATRIX.replace("debian12", "debain12")
    projects.write(tmp_path, files=LOCKED, matrix=matrix)
    with pytest.raises(InputError) as caught:
        lock(tmp_path, FakeResolver(), PLAIN)
    [refused] = caught.value.diagnostics
    line = 1 + matrix.splitlines().index('os = "debain12"')
    assert (refused.file, refused.line, refused.code, refused.rows) == ("matrix.toml", line, "unlockable", (PLAIN,))
    assert refused.hint == "did you mean 'debian12'?"


def test_a_platform_that_uv_has_no_name_for(tmp_path: Path) -> None:
    matrix = projects.MATRIX.replace("schema = 1", 'schema = 1\nplatforms = ["linux/s390x"]')
    projects.write(tmp_path, files=LOCKED, matrix=matrix)
    with pytest.raises(InputError) as caught:
        lock(tmp_path, FakeResolver(), "plain:*")
    [refused] = caught.value.diagnostics
    assert (refused.file, refused.line, refused.code) == ("matrix.toml", 2, "unlockable")
    assert refused.hint == "they can for linux/amd64, linux/arm64"


def test_a_base_that_does_not_say_what_it_is(tmp_path: Path) -> None:
    """Each row that needs to know it is named with the base that may say it."""
    matrix = projects.MATRIX.replace('bootstrap = "bookworm"', 'image = "registry.example.com/base:1"')
    projects.write(tmp_path, files=LOCKED, matrix=matrix.replace('os = "debian12"\n', ""))
    with pytest.raises(InputError) as caught:
        lock(tmp_path, FakeResolver(), PLAIN)
    [refused] = caught.value.diagnostics
    assert (refused.file, refused.code) == ("matrix.toml", "unlockable")
    assert refused.line > 0
    assert refused.hint == 'say it of the base: [bases.debian] os = "…"'


def test_a_stock_layer_that_is_not_locked(tmp_path: Path) -> None:
    """The line is that of the matrix, which names the layer: nobody mends a file of the package."""
    matrix = projects.MATRIX.partition("[families")[0] + (
        '[families.plain]\ntag = "{python}"\nlayers = ["system",\n    "python"]\nbase = "debian"\n'
        '[[families.plain.row]]\npython = "3.11"\n'
    )
    project = projects.project(tmp_path, matrix=matrix, files={})
    [refused] = project.unrendered()
    line = 1 + matrix.splitlines().index('    "python"]')
    assert (refused.file, refused.line, refused.code) == ("matrix.toml", line, "unlocked")


@pytest.mark.parametrize(
    ("docker", "system", "expected"),
    [
        ("linux/amd64", "debian11", "x86_64-manylinux_2_31"),
        ("linux/amd64", "debian13", "x86_64-manylinux_2_40"),
        ("linux/amd64", "ubuntu18.04", "x86_64-manylinux_2_17"),
        ("linux/arm64", "ubuntu22.04", "aarch64-manylinux_2_35"),
        ("linux/s390x", "debian12", ""),
    ],
)
def test_platforms(docker: str, system: str, expected: str) -> None:
    """The newest that uv knows and the system's glibc serves."""
    assert requirements.platform(docker, system) == expected


def test_command() -> None:
    """Upon the locks below, or with the requirements below; files lie by layer, so that results name layers."""
    asked = tuple(Requirements(layer=name, text=f"{name}\n", file="") for name in ("python", "torch"))
    chain = RequirementStack(python="3.11", platform="x86_64-manylinux_2_36", layers=asked)
    _, tools = requirements.follow(chain, {})
    assert tools
    _, question = requirements.follow(chain, {tools.path: "locked\n"})
    assert question
    uv = ("uv", "python3")

    assert requirements.files(question, anew=False) == {
        "torch/requirements.txt": "torch\n",
        "python/requirements.lock": "locked\n",
    }
    assert requirements.files(question, anew=True) == {
        "python/requirements.txt": "python\n",
        "torch/requirements.txt": "torch\n",
    }
    command = " ".join(requirements.argv(question, uv=uv, folder="/x", anew=False))
    assert command == (
        "uv --directory /x --config-file uv.toml pip compile torch/requirements.txt"
        " --constraints python/requirements.lock --python python3"
        " --python-version 3.11 --python-platform x86_64-manylinux_2_36"
        " --generate-hashes --no-emit-index-url --no-header --quiet --output-file resolved.txt"
    )
    anew = " ".join(requirements.argv(question, uv=uv, folder="/x", anew=True))
    assert "compile python/requirements.txt torch/requirements.txt --python python3" in anew


@pytest.mark.parametrize(
    ("python", "told"), [("3.6", "3.6.3"), ("3.8", "3.8.1"), ("3.8.20", "3.8.20"), ("3.11", "3.11")]
)
def test_a_python_is_no_older_than_that_of_any_image(python: str, told: str) -> None:
    """To uv, 3.6 is 3.6.0, which torch 1.10 (3.6.2 or newer) refuses."""
    layer = Requirements(layer="torch", text="torch\n", file="")
    chain = RequirementStack(python=python, platform="x86_64-manylinux_2_27", layers=(layer,))
    _, question = requirements.follow(chain, {})
    assert question
    command = " ".join(requirements.argv(question, uv=("uv", "python3"), folder="/x", anew=False))
    assert f" --python-version {told} " in command
