"""What a builder does about names that someone moves: it goes by ids, before and after each build."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests import projects
from tests.fakes import job_of
from tests.projects import PYTORCH

from imagematrix.engine.builder import Builder
from imagematrix.engine.locks import Locks
from imagematrix.model import (
    TOOL_LABEL,
    Attempt,
    BuildJob,
    DockerfileBuild,
    Key,
    NodePull,
    ParentImage,
    Site,
    Step,
    node_ref,
)

if TYPE_CHECKING:
    from imagematrix.engine import Engine
    from imagematrix.shell import Shell

OTHER = f"sha256:{'f' * 64}"
DIGEST = f"sha256:{'d' * 64}"
NODES = "registry.example.com/nodes"


def id_of(key: Key) -> str:
    return f"sha256:{key}"


@dataclass
class FakeEngine:
    """Images by id, with their layers and labels; names stand for ids."""

    layers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    labels: dict[str, Mapping[str, str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    registry: dict[str, str] = field(default_factory=dict)
    """Name in a registry -> id."""

    def image_id(self, name: str) -> str:
        return name if name in self.layers else self.names.get(name, "")

    def tag(self, source: str, name: str) -> None:
        self.names[name] = self.image_id(source)

    def untag(self, name: str) -> None:
        self.names.pop(name)

    def diff_ids(self, name: str) -> tuple[str, ...]:
        return self.layers[self.image_id(name)]

    def config(self, name: str) -> Mapping[str, Any]:
        return {"Labels": self.labels.get(self.image_id(name), {})}

    def pull(self, name: str) -> None:
        self.names[name] = self.registry[name]


@dataclass
class FakeBuildx:
    """Puts one layer upon the image that the parent's name stands for, or links files, as buildx does."""

    engine: FakeEngine
    before: Callable[[], None] = lambda: None
    """What someone does in the moment before."""
    code: int = 0

    def run(self, argv: Sequence[str], *, stdin: bytes, **_: Any) -> int:
        assert stdin
        self.before()
        words = list(argv)
        key = Key(words[words.index("--tag") + 1].rpartition(":")[2])
        contexts = dict(word.split("=docker-image://") for word in words if "docker-image://" in word)
        linked = contexts.pop("torch-files", "") if len(contexts) > 1 else ""
        (parent,) = contexts.values()
        own = self.engine.diff_ids(linked) if linked else (f"layer {key}",)
        self.engine.layers[id_of(key)] = (*self.engine.diff_ids(parent), *own)
        made = {"containerimage.digest": id_of(key), "containerimage.config.digest": OTHER}
        Path(words[words.index("--metadata-file") + 1]).write_text(json.dumps(made))
        return self.code


@dataclass
class World:
    """A node to be built, and its parent, which is there."""

    step: Step
    job: BuildJob
    engine: FakeEngine
    buildx: FakeBuildx
    builder: Builder

    @property
    def parent(self) -> Key:
        assert self.step.node.parent
        return self.step.node.parent

    def build(self) -> Attempt:
        return self.builder.build(self.job)


@pytest.fixture
def world(tmp_path: Path) -> World:
    opened = projects.project(tmp_path)
    plan = projects.plan(opened, PYTORCH)
    step = next(step for step in plan.steps if step.node.layer == "torch")
    parent = step.node.parent
    assert parent
    engine = FakeEngine(
        layers={id_of(parent): ("base", "python"), OTHER: ("evil",)},
        names={node_ref(parent): id_of(parent)},
    )
    buildx = FakeBuildx(engine)
    builder = Builder(
        engine=cast("Engine", engine),
        shell=cast("Shell", buildx),
        site=Site(),
        buildx="buildx",
        docker="docker",
        secrets={},
        compression="",
        folder=tmp_path,
        logs=opened.state.log,
        said=lambda _key, _line: None,
        locks=Locks(lambda _key, _blockers: None),
    )
    job = job_of(plan)(step, {parent: id_of(parent)})
    return World(step=step, job=job, engine=engine, buildx=buildx, builder=builder)


def test_a_node_is_known_by_the_id_of_what_was_made(world: World) -> None:
    attempt = world.build()

    assert (attempt.ok, attempt.image) == (True, id_of(world.step.node.key))


def test_a_parents_name_that_was_moved_before_the_build(world: World) -> None:
    """Is put back: the node is built on the image that the plan chose."""
    world.engine.names[node_ref(world.parent)] = OTHER
    attempt = world.build()

    assert attempt.ok
    assert world.engine.diff_ids(attempt.image)[:2] == ("base", "python")
    assert world.engine.names[node_ref(world.parent)] == id_of(world.parent)


def test_a_parents_name_that_is_moved_in_the_moment_of_the_build(world: World) -> None:
    """What was built upon another image is not the node."""
    world.buildx.before = lambda: world.engine.tag(OTHER, node_ref(world.parent))
    attempt = world.build()

    assert (attempt.ok, attempt.image, attempt.flake) == (False, "", None)
    assert node_ref(world.parent) in attempt.why


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("is_during", [False, True])
def test_a_parent_that_is_removed(world: World, is_during: bool, code: int) -> None:
    """Before the build or during it, whatever came of that: only a new plan helps, no retry."""

    def remove() -> None:
        world.engine.names[node_ref(world.parent)] = OTHER
        del world.engine.layers[id_of(world.parent)]

    world.buildx.code = code
    if is_during:
        world.buildx.before = remove
    else:
        remove()
    attempt = world.build()

    assert (attempt.ok, attempt.lost_source, attempt.flake) == (False, True, None)
    assert node_ref(world.parent) in attempt.why


@pytest.mark.parametrize("moved", [False, True])
def test_a_package_layer_is_linked_by_the_id_of_its_files(world: World, moved: bool) -> None:
    """Its name is put back before the build; what links other files than these is not the node."""
    files = ParentImage(key=Key("e" * 64), image=id_of(Key("e" * 64)), stage="torch-files", repository="")
    assert isinstance(world.job.work, DockerfileBuild)
    world.job = replace(world.job, work=replace(world.job.work, packages=files))
    world.engine.layers[files.image] = ("files",)
    world.engine.names[node_ref(files.key)] = OTHER
    if moved:
        world.buildx.before = lambda: world.engine.tag(OTHER, node_ref(files.key))
    attempt = world.build()

    assert attempt.ok is not moved
    assert (node_ref(files.key) in attempt.why) is moved


def test_files_that_are_removed_are_not_linked(world: World) -> None:
    files = ParentImage(key=Key("e" * 64), image="sha256:gone", stage="torch-files", repository="")
    assert isinstance(world.job.work, DockerfileBuild)
    world.job = replace(world.job, work=replace(world.job.work, packages=files))
    attempt = world.build()

    assert (attempt.ok, attempt.lost_source) == (False, True)
    assert node_ref(files.key) in attempt.why


@pytest.mark.parametrize("here", [True, False])
def test_files_that_were_installed_on_the_parent_are_not_linked_again(world: World, here: bool) -> None:
    """Their image is built on it: so is the node then, without another copy."""
    assert isinstance(world.job.work, DockerfileBuild)
    assert isinstance(world.job.work.source, ParentImage)
    parent = world.job.work.source.image
    files = ParentImage(key=Key("e" * 64), image=id_of(Key("e" * 64)), stage="torch-files", repository="")
    world.job = replace(world.job, work=replace(world.job.work, packages=files))
    world.engine.layers[files.image] = (*world.engine.diff_ids(parent), "files")
    world.engine.labels[files.image] = {TOOL_LABEL: parent if here else OTHER}
    world.engine.names[node_ref(files.key)] = files.image
    attempt = world.build()

    added = world.engine.layers[attempt.image][len(world.engine.diff_ids(parent)) :]
    assert added == (("files", f"layer {world.job.key}") if here else (*world.engine.diff_ids(parent), "files"))


@pytest.mark.parametrize("is_right", [True, False])
def test_a_node_is_pulled_by_its_digest(world: World, is_right: bool) -> None:
    """And kept only where its label is right; the engine keeps no name of the registry."""
    key = world.step.node.key
    world.engine.registry = {f"{NODES}@{DIGEST}": id_of(key)}
    world.engine.layers[id_of(key)] = ("base",)
    world.engine.labels[id_of(key)] = {"imagematrix.key": key if is_right else "0" * 64}
    pulled = replace(world.job, work=NodePull(repository=NODES, digest=DIGEST))
    attempt = world.builder.build(pulled)

    assert (attempt.ok, attempt.image) == (is_right, id_of(key) if is_right else "")
    assert (node_ref(key) in world.engine.names) == is_right
    assert f"{NODES}@{DIGEST}" not in world.engine.names
