"""Plans: a verdict for each node, and the reason in words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests import projects
from tests.projects import FILES, MATRIX, PLAIN, PYTORCH

from imagematrix.model import Key, Plan, Verdict
from imagematrix.planning import plan
from imagematrix.planning.plan import Record, to_push
from imagematrix.project import Project

PROFILE = "common/layers/python/files/profile.sh"
REQUIREMENTS = "common/layers/torch/files/requirements.txt.j2"
TEMPLATE = "common/layers/python/Dockerfile.j2"


def reasons(plan: Plan, row: str = PYTORCH) -> Mapping[str, str]:
    """Return for one row: layer -> verdict and reason."""
    return {step.node.layer: f"{step.verdict}: {step.reason}" for step in plan.steps if row in step.leaves}


def replanned(
    root: Path, *, matrix: str = MATRIX, files: Mapping[str, str] = FILES, lock: str = "", only: str = PYTORCH
) -> Plan:
    """Build every row, change the project, plan again."""
    images = projects.build(projects.project(root))
    changed = projects.project(root, matrix=matrix, files={**FILES, **files}, lock=lock)
    return projects.plan(changed, only, images=images)


def key_of(project: Project, layer: str, row: str = PYTORCH) -> Key:
    return projects.keys(project)[row, layer]


def test_nothing_was_ever_built(tmp_path: Path) -> None:
    """Everything is built, for want of anything."""
    assert reasons(projects.plan(projects.project(tmp_path), PLAIN), PLAIN) == {
        "base": "build: no base was built before",
        "system": "build: no system was built before",
        "python": "build: no python was built before",
        "boot": "build: no boot was built before",
    }


def test_everything_exists(tmp_path: Path) -> None:
    """Nothing is built, and the reason names the key that was found."""
    project = projects.project(tmp_path)
    plan = projects.plan(project, PYTORCH, images=projects.build(project))

    assert reasons(plan)["torch"] == f"reuse: an image with key {key_of(project, 'torch')[:12]} exists"
    assert {step.verdict for step in plan.steps} == {Verdict.REUSE}


def test_ancestors_of_what_exists_are_not_needed(tmp_path: Path) -> None:
    """On a machine that has the leaves alone, nothing is built."""
    project = projects.project(tmp_path)
    final_nodes = {
        image for image in projects.build(project) if image.key in projects.dag(project).final_nodes.values()
    }

    assert reasons(projects.plan(project, PYTORCH, images=final_nodes)) == {
        "system": "reuse: not needed: everything built on it exists",
        "python": "reuse: not needed: everything built on it exists",
        "torch": "reuse: not needed: everything built on it exists",
        "boot": f"reuse: an image with key {key_of(project, 'boot')[:12]} exists",
    }


def test_what_the_registry_keeps(tmp_path: Path) -> None:
    """Is not built; of it only that is pulled on which something is built that is nowhere."""
    project = projects.project(tmp_path)
    dag = projects.dag(project, PYTORCH)
    digests = {key: f"sha256:{key}" for key in dag.nodes}
    whole = project.plan(dag, (), kept=digests)
    assert {step.verdict for step in whole.steps} == {Verdict.REUSE}
    assert reasons(whole)["boot"] == f"reuse: an image with key {key_of(project, 'boot')[:12]} is in the registry"

    boot, torch, python = (key_of(project, layer) for layer in ("boot", "torch", "python"))
    kept = {key: digest for key, digest in digests.items() if key not in {boot, torch}}
    some = project.plan(dag, (), kept=kept)
    assert reasons(some)["python"] == f"pull: an image with key {python[:12]} is in the registry"
    assert [step.verdict for step in some.steps] == [Verdict.REUSE, Verdict.PULL, Verdict.BUILD, Verdict.BUILD]
    assert [step.digest for step in some.steps] == ["", digests[python], "", ""]
    there = project.plan(dag, projects.believe(project, projects.image(python)), kept=kept)
    assert Verdict.PULL not in {step.verdict for step in there.steps}

    assert to_push(some, present=(), kept=kept) == (torch, boot)
    # What the registry has is not pushed again, though the engine has it too.
    assert to_push(there, present=[python], kept={*dag.nodes} - {boot, torch}) == (torch, boot)
    assert to_push(there, present=[python], kept={*dag.nodes} - {boot, torch, python}) == (python, torch, boot)


def test_an_image_is_gone(tmp_path: Path) -> None:
    """What was built but exists no more is built again, and below it only what is missing."""
    project = projects.project(tmp_path)
    boot, torch = key_of(project, "boot"), key_of(project, "torch")
    images = [image for image in projects.build(project) if image.key not in {boot, torch}]

    found = reasons(projects.plan(project, PYTORCH, images=images))
    assert found["torch"] == "build: it was built before, but its image is gone from the engine"
    assert found["boot"] == "build: it was built before, but its image is gone from the engine"
    assert found["python"].startswith("reuse: an image with key")


@pytest.mark.parametrize(
    ("change", "layer", "reason"),
    [
        pytest.param(
            {"files": {PROFILE: "PATH=/opt/python/bin:/bin\n"}},
            "python",
            "python/profile.sh changed: PATH=/opt/python/bin:$PATH -> PATH=/opt/python/bin:/bin",
            id="a file",
        ),
        pytest.param(
            {"files": {PROFILE: "#!/bin/sh\n"}},
            "python",
            "python/profile.sh changed: 0644 -> 0755; PATH=/opt/python/bin:$PATH -> #!/bin/sh",
            id="its mode and its content",
        ),
        pytest.param(
            {"files": {PROFILE: FILES[PROFILE].rstrip("\n")}},
            "python",
            "python/profile.sh changed: line ends only",
            id="a file's last newline",
        ),
        pytest.param(
            {"files": {PROFILE: "export A=1\n" * 300}}, "python", "python/profile.sh changed", id="a file, by very much"
        ),
        pytest.param({"files": {"common/init/new": "1\n"}}, "boot", "init/new is new", id="a new file"),
        pytest.param(
            {"files": {REQUIREMENTS: "torch==2.5.1\nnumpy<3\n"}},
            "torch",
            "torch/requirements.txt changed: torch==2.3.0 -> torch==2.5.1",
            id="a version in a file",
        ),
        pytest.param(
            {"files": {TEMPLATE: FILES[TEMPLATE].replace("VERSION={{ python }}", "VERSION=3")}},
            "python",
            "its Dockerfile stage changed: ENV VERSION=3.10 -> ENV VERSION=3",
            id="a version in the stage",
        ),
        pytest.param(
            {"files": {TEMPLATE: FILES[TEMPLATE] + "ENV A=1\n"}},
            "python",
            "its Dockerfile stage changed: (nothing) -> ENV A=1",
            id="a line more",
        ),
        pytest.param(
            {"files": {TEMPLATE: "COPY init/ /x/\n" + FILES[TEMPLATE] + "ENV A=1\nENV B=2\n"}},
            "python",
            "its Dockerfile stage changed; init/banner.txt is new; init/boot.sh is new",
            id="much at once",
        ),
        pytest.param({"files": {PROFILE: "PATH=/\n"}}, "torch", "its parent python is rebuilt", id="the parent"),
        pytest.param(
            {"lock": projects.lock({projects.CUDA: "a"})},
            "system",
            f"the base changed: nvidia/cuda:12.1.0-devel-ubuntu22.04 -> {'a' * 12}",
            id="the base's digest, for the first time",
        ),
        pytest.param(
            {"matrix": MATRIX.replace("cuda:12.1.0", "cuda:12.4.1")},
            "system",
            "the base changed: nvidia/cuda:12.1.0-devel-ubuntu22.04 -> nvidia/cuda:12.4.1-devel-ubuntu22.04",
            id="the base's name",
        ),
        pytest.param(
            {"lock": projects.lock(epoch="2026-11-22T00:00:00Z")},
            "torch",
            "the refresh epoch moved: none -> 2026-11-22T00:00:00Z; its parent python is rebuilt",
            id="the epoch",
        ),
        pytest.param(
            {"matrix": MATRIX.replace("[bases.cuda]", 'platforms = ["linux/arm64"]\n[bases.cuda]')},
            "system",
            "the platform changed: linux/amd64 -> linux/arm64",
            id="the platform",
        ),
    ],
)
def test_why_a_node_is_built_anew(tmp_path: Path, change: Mapping[str, Any], layer: str, reason: str) -> None:
    """What changed, by name, from what to what."""
    assert reasons(replanned(tmp_path, **change))[layer] == f"build: {reason}"


def test_the_digest_moved(tmp_path: Path) -> None:
    """From one digest to another, short enough to read."""
    images = projects.build(projects.project(tmp_path, lock=projects.lock({projects.CUDA: "a"})))
    plan = projects.plan(projects.project(tmp_path, lock=projects.lock({projects.CUDA: "b"})), PYTORCH, images=images)

    assert reasons(plan)["system"] == f"build: the base changed: {'a' * 12} -> {'b' * 12}"


def test_a_file_is_gone(tmp_path: Path) -> None:
    """A file that is copied no more."""
    without = {name: text for name, text in FILES.items() if name != "common/init/banner.txt"}
    images = projects.build(projects.project(tmp_path))
    (tmp_path / "common/init/banner.txt").unlink()

    found = reasons(projects.plan(projects.project(tmp_path, files=without), PYTORCH, images=images))
    assert found["boot"] == "build: init/banner.txt is gone"


def test_another_base_script(tmp_path: Path) -> None:
    """A base made here says what its recipe changed in, like any other node."""
    script = {"common/bootstrap/debian.sh": "#!/bin/sh\necho made\n"}

    found = reasons(replanned(tmp_path, files=script, only=PLAIN), PLAIN)
    assert found["base"] == "build: bootstrap.sh changed: echo make -> echo made"
    assert found["system"] == "build: its parent base is rebuilt"


def test_one_version_of_one_row(tmp_path: Path) -> None:
    """Of one family: only its nodes from that layer on are built; they say which line of which file changed."""
    images = projects.build(projects.project(tmp_path))
    moved = projects.project(tmp_path, matrix=MATRIX.replace('"2.4.1"', '"2.5.1"'))
    plan = projects.plan(moved, images=images)

    built = [step for step in plan.steps if step.verdict is Verdict.BUILD]
    assert {step.node.layer for step in built} == {"torch", "boot"}
    assert all("2.5.1" in leaf for step in built for leaf in step.leaves)
    assert {step.reason for step in built if step.node.layer == "torch"} == {
        "torch/requirements.txt changed: torch==2.4.1 -> torch==2.5.1"
    }


def test_a_new_row_is_compared_to_its_nearest_kin(tmp_path: Path) -> None:
    """A row beside others is not "changed": what distinguishes it is reported."""
    images = projects.build(projects.project(tmp_path))
    more = projects.project(tmp_path, matrix=MATRIX.replace('"2.4.1"', '"2.4.1", "2.5.1"'))

    found = reasons(projects.plan(more, images=images), "pytorch:2.5.1-python3.10-cuda")
    assert found["torch"] == (
        "build: new: unlike the nearest node, torch/requirements.txt changed: torch==2.4.1 -> torch==2.5.1"
    )
    assert found["python"].startswith("reuse: ")


def test_a_row_that_moves_to_another_parent(tmp_path: Path) -> None:
    """Its parent exists already: it is not rebuilt, it differs."""
    images = projects.build(projects.project(tmp_path))
    swapped = MATRIX.replace('[bases.debian]\nbootstrap = "bookworm"', '[bases.debian]\nbootstrap = "trixie"')
    both = projects.project(tmp_path, matrix=swapped)
    others = projects.plan(both, PLAIN)
    known = [
        *images,
        *projects.believe(both, *(projects.image(step.node.key) for step in others.steps if step.node.layer != "boot")),
    ]

    found = reasons(projects.plan(both, PLAIN, images=known), PLAIN)
    assert found["boot"].endswith("its parent python differs")


def test_a_selection_is_compared_with_all_that_was_built(tmp_path: Path) -> None:
    """A row outside the selection is still in the matrix: it was not replaced."""
    images = projects.build(projects.project(tmp_path), "pytorch:2.3.0*")

    other = "pytorch:2.4.1-python3.10-cuda"
    found = reasons(projects.plan(projects.project(tmp_path), other, images=images), other)
    assert found["torch"].startswith(
        "build: new: unlike the nearest node, torch/requirements.txt changed: torch==2.3.0"
    )


def test_records_of_another_version(tmp_path: Path) -> None:
    """A record whose recipe names what we do not know, or in another shape, spoils a reason at most."""
    project = projects.project(tmp_path)
    system = next(step.node for step in projects.plan(project, PYTORCH).steps)
    strange = {**system.inputs, "schema": "0", "moon": "full"}
    with project.state.sole_builder(waiting=lambda: None):
        project.state.remember(Record(key=Key("f" * 64), layer="system", inputs=strange, rows=(PYTORCH,), seconds=1))

    found = reasons(projects.plan(project, PYTORCH))
    assert found["system"] == "build: the schema changed: 0 -> 1; the moon changed: full -> none"


def test_each_row_is_compared_with_what_it_was(tmp_path: Path) -> None:
    """Of many alike records, a row's own predecessor is the one with the fewest differing lines."""
    matrix = MATRIX.replace('"2.4.1"', '"2.4.2"')
    for base in ("cuda", "debian"):
        row = f"pytorch:2.4.2-python3.11-{base}"
        found = reasons(replanned(tmp_path / base, matrix=matrix, only=row), row)
        assert found["torch"] == "build: torch/requirements.txt changed: torch==2.4.1 -> torch==2.4.2"
        assert found["boot"] == "build: the labels that name its row changed; its parent torch is rebuilt"


def test_the_latest_of_many_records_are_compared(tmp_path: Path) -> None:
    """Of a layer that was built a hundred times, the next one comes from what was built last."""
    dag = projects.dag(projects.project(tmp_path), PYTORCH)
    node = next(node for node in dag.order() if node.layer == "torch")
    old = [{**node.inputs, "text": f"RUN {number}\n" * 9} for number in range(100)]
    history = [
        Record(key=Key(f"{number:064}"), layer="torch", inputs=inputs, rows=("gone:1",), seconds=1.0)
        for number, inputs in enumerate([*old, {**node.inputs, "epoch": "monday"}])
    ]

    made = plan.make(dag, present=(), history=lambda: history)

    [step] = [step for step in made.steps if step.node.key == node.key]
    assert step.reason == "the refresh epoch moved: monday -> none"
