"""Keys: everything a node is made from, and nothing else."""

import os
import random
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import projects
from tests.projects import FILES, MATRIX, PLAIN, PYTORCH

from imagematrix.model import Key
from imagematrix.project import Project, open_project

PYTHON = "common/layers/python/Dockerfile.j2"
PROFILE = "common/layers/python/files/profile.sh"
KEY = re.compile(r"[0-9a-f]{64}")
LAYERS = ("system", "python", "torch", "boot")
ALL = frozenset(LAYERS)


def keys(root: Path, *, matrix: str = MATRIX, files: Mapping[str, str] = FILES, lock: str = "") -> Mapping[str, Key]:
    """Return layer -> key of one row on a pulled base."""
    every = projects.keys(projects.project(root, matrix=matrix, files=files, lock=lock))
    return {layer: key for (row, layer), key in every.items() if row == PYTORCH}


def changed(old: Mapping[str, Key], new: Mapping[str, Key]) -> frozenset[str]:
    assert old.keys() == new.keys()
    return frozenset(layer for layer in old if old[layer] != new[layer])


def test_a_key_is_known_for_good(tmp_path: Path) -> None:
    """The same input has the same key on every machine and in every version: else everything is rebuilt.

    If this fails because what a key is made of has changed, raise keys.SCHEMA, then these.
    """
    every = projects.keys(projects.project(tmp_path))

    assert every[PYTORCH, "system"] == "a9f0d6625aa15809dc2b1d1121222ab0a138d627c5eab90d5bee406f39a68e3e"
    assert every[PYTORCH, "boot"] == "577d0e454601ad206d2ece3ac5f815b38ae25e42c6555427ddd4512322331eb9"
    assert every[PLAIN, "base"] == "a4064264d13ad14ca1bf5026e3fb962672a2e3934bd53df554e3b3bb2807375f"
    assert all(KEY.fullmatch(key) for key in every.values())


@pytest.mark.parametrize(
    ("files", "layers"),
    [
        pytest.param({PYTHON: FILES[PYTHON] + "ENV A=1\n"}, {"python", "torch", "boot"}, id="a stage's text"),
        pytest.param({PROFILE: "PATH=/\n"}, {"python", "torch", "boot"}, id="a copied file"),
        pytest.param({PROFILE: "#!" + FILES[PROFILE]}, {"python", "torch", "boot"}, id="its mode"),
        pytest.param(
            {"common/layers/torch/files/requirements.txt.j2": "torch=={{ torch }}\n"},
            {"torch", "boot"},
            id="a file that is mounted, not copied",
        ),
        pytest.param({"common/init/new": ""}, {"boot"}, id="a new file in a copied folder"),
        pytest.param({"common/layers/python/files/unread.txt": "other\n"}, set(), id="a file that no stage reads"),
        pytest.param({"common/layers/python/files/new": "new\n"}, set(), id="a new file that no stage reads"),
        pytest.param({PYTHON: "{# a remark #}\n\n" + FILES[PYTHON]}, set(), id="a template's comment"),
        pytest.param({"common/layers/other/Dockerfile.j2": "RUN true\n"}, set(), id="another layer"),
        pytest.param({"common/bootstrap/debian.sh": "#!/bin/sh\n"}, set(), id="the script of another base"),
    ],
)
def test_files(tmp_path: Path, files: Mapping[str, str], layers: set[str]) -> None:
    """What a stage reads is in its key and in those of the nodes built on it."""
    assert changed(keys(tmp_path / "old"), keys(tmp_path / "new", files={**FILES, **files})) == layers


def test_the_path_of_a_file(tmp_path: Path) -> None:
    """Two files that change places are another context."""
    copy = {"common/layers/boot/Dockerfile.j2": "COPY boot/ /x/\n"}
    one = {"common/layers/boot/files/a": "1", "common/layers/boot/files/b": "2"}
    two = {"common/layers/boot/files/a": "2", "common/layers/boot/files/b": "1"}

    old = keys(tmp_path / "old", files={**FILES, **copy, **one})
    assert changed(old, keys(tmp_path / "new", files={**FILES, **copy, **two})) == {"boot"}


def test_the_script_that_makes_a_base(tmp_path: Path) -> None:
    """Is an input of every row on it."""
    old = projects.keys(projects.project(tmp_path / "old"))
    script = {"common/bootstrap/debian.sh": "#!/bin/sh\necho other\n"}
    new = projects.keys(projects.project(tmp_path / "new", files={**FILES, **script}))

    assert {row for row, layer in old if old[row, layer] != new[row, layer]} == {row for row, _ in old if "deb" in row}
    assert all(old[row, layer] != new[row, layer] for row, layer in old if row == PLAIN)


@pytest.mark.parametrize(
    ("matrix", "layers"),
    [
        pytest.param(MATRIX.replace("12.1.0-devel", "12.4.1-devel"), ALL, id="the base's image"),
        pytest.param('platforms = ["linux/arm64"]\n' + MATRIX, ALL, id="the platform"),
        pytest.param(
            MATRIX.replace('"2.4.1"]', '"2.4.1"]\ncolour = ["red"]'), set(), id="an axis that no template names"
        ),
        pytest.param(MATRIX.replace('os = "ubuntu22.04"', 'os = "ubuntu"'), ALL, id="a value that a template names"),
        pytest.param(MATRIX.replace('os = "ubu', 'note = "x"\nos = "ubu'), set(), id="a value that no template names"),
        pytest.param(MATRIX.replace('"gpu"', '"gpu", "night"'), set(), id="a group"),
        pytest.param('registry = "registry.example.com/ml"\n' + MATRIX, set(), id="the registry"),
        pytest.param(MATRIX.replace("[", "# a remark\n[", 1).replace("\n\n", "\n\n\n"), set(), id="comments"),
        pytest.param(MATRIX + '\n[site]\nindex_url = "https://pypi.example.com/simple"\n', set(), id="the site"),
    ],
)
def test_the_matrix(tmp_path: Path, matrix: str, layers: set[str]) -> None:
    """What the builder sees of it is in the keys, nothing else."""
    # Keys that stand above the tables must follow `schema`.
    lines = sorted(matrix.splitlines(keepends=True), key=lambda line: not line.startswith("schema"))
    assert changed(keys(tmp_path / "old"), keys(tmp_path / "new", matrix="".join(lines))) == layers


def test_the_name_of_an_axis(tmp_path: Path) -> None:
    """Renaming an axis everywhere changes no key."""
    renamed = MATRIX.replace("torch =", "framework =").replace("{torch}", "{framework}")
    template = "common/layers/torch/files/requirements.txt.j2"
    files = {**FILES, template: FILES[template].replace("{{ torch }}", "{{ framework }}")}

    assert not changed(keys(tmp_path / "old"), keys(tmp_path / "new", matrix=renamed, files=files))


@pytest.mark.parametrize(
    ("lock", "layers"),
    [
        pytest.param(projects.lock({projects.CUDA: "a"}), ALL, id="the base's digest"),
        pytest.param(projects.lock({"debian:12": "a"}), set(), id="another base's digest"),
        pytest.param(projects.lock(epoch="1"), ALL, id="the epoch, from the first stage that installs"),
    ],
)
def test_the_lock(tmp_path: Path, lock: str, layers: set[str]) -> None:
    """Digests and the epoch are in the keys."""
    assert changed(keys(tmp_path / "old"), keys(tmp_path / "new", lock=lock)) == layers


def test_the_base_is_its_digest(tmp_path: Path) -> None:
    """Once locked, another name for the same image changes nothing but the label that names it."""
    lock = projects.lock({projects.CUDA: "a", projects.CUDA.replace("nvidia/", "mirror/"): "a"})
    renamed = MATRIX.replace("nvidia/cuda", "mirror/cuda")

    assert changed(keys(tmp_path / "old", lock=lock), keys(tmp_path / "new", lock=lock, matrix=renamed)) == {"boot"}


def test_the_epoch_is_for_stages_that_install(tmp_path: Path) -> None:
    """A node that does not install from the network is rebuilt only when something below it is."""
    offline = {**FILES, "common/layers/system/Dockerfile.j2": "RUN true\n"}

    old, new = (
        keys(tmp_path / "old", files=offline),
        keys(tmp_path / "new", files=offline, lock=projects.lock(epoch="1")),
    )
    assert changed(old, new) == {"torch", "boot"}


def test_what_a_disk_adds(tmp_path: Path) -> None:
    """Times, the folder's name, other people's bits and editors' droppings are in no key."""
    old = keys(tmp_path / "old")
    matrix = projects.write(tmp_path / "new")
    for path in (tmp_path / "new").rglob("*"):
        os.utime(path, (1, 1))
    (tmp_path / "new" / PROFILE).chmod(0o675)
    (tmp_path / "new/common/init/boot.sh~").write_text("old")
    (tmp_path / "new/common/init/__pycache__").mkdir()
    (tmp_path / "new/common/init/__pycache__/x.pyc").write_text("old")

    every = projects.keys(open_project(str(matrix)))
    assert not changed(old, {layer: key for (row, layer), key in every.items() if row == PYTORCH})


def test_rows_that_render_the_same_share_the_node(tmp_path: Path) -> None:
    """Also across families; they part where the first byte differs."""
    every = projects.keys(projects.project(tmp_path))
    other = "pytorch:2.4.1-python3.11-debian"

    assert every[PLAIN, "python"] == every[other, "python"]
    assert every[PLAIN, "boot"] != every[other, "boot"]
    assert every["pytorch:2.3.0-python3.11-debian", "torch"] != every[other, "torch"]
    # 2 bases: 1 script, 2 systems, 4 pythons, 8 torches, 9 rows
    assert len(set(every.values())) == 1 + 2 + 4 + 8 + 9


def test_two_bases_of_one_suite_are_one(tmp_path: Path) -> None:
    """What is made of the same script and suite is the same image, whatever it is called."""
    twice = MATRIX.replace("[bases.debian]", '[bases.also]\nbootstrap = "bookworm"\nos = "debian12"\n\n[bases.debian]')
    twice = twice.replace('base = ["debian"]', 'base = ["debian", "also"]')
    every = projects.keys(projects.project(tmp_path, matrix=twice))

    assert every["plain:3.11-also", "python"] == every[PLAIN, "python"]


def fresh(use: Callable[[Path], object]) -> None:
    """Call with an empty folder: hypothesis takes no fixtures that last for one call."""
    with tempfile.TemporaryDirectory() as folder:
        use(Path(folder))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_the_order_of_the_file_changes_nothing(seed: int) -> None:
    """Tables, and lines within a table, may stand anywhere: the plan stays the same to the letter."""

    def check(folder: Path) -> None:
        plain, mixed = (projects.project(folder / str(i), matrix=text) for i, text in enumerate((MATRIX, shuffled)))
        assert shown(plain) == shown(mixed)

    shuffled = _shuffled(MATRIX, random.Random(seed))
    fresh(check)


def shown(project: Project) -> list[object]:
    plan = projects.plan(project)
    return [*((step.node.key, step.verdict, step.reason, step.leaves) for step in plan.steps), dict(plan.final_nodes)]


def _shuffled(text: str, chance: random.Random) -> str:
    head, *tables = text.strip().split("\n\n")
    mixed = []
    for table in tables:
        name, *lines = table.splitlines()
        # Layers are ordered on purpose, axes and their values are not.
        lines = [_shuffled_values(line, chance) if " = [" in line and "layers" not in line else line for line in lines]
        mixed.append("\n".join([name, *chance.sample(lines, len(lines))]))
    return "\n\n".join([head, *chance.sample(mixed, len(mixed))]) + "\n"


def _shuffled_values(line: str, chance: random.Random) -> str:
    name, _, values = line.partition(" = ")
    words = values.strip("[]").split(", ")
    return f"{name} = [{', '.join(chance.sample(words, len(words)))}]"


@given(layer=st.sampled_from(LAYERS), torch=st.sampled_from(["", "2.3.0", "2.4.1"]))
@settings(max_examples=12, deadline=None)
def test_a_change_reaches_exactly_what_stands_on_it(layer: str, torch: str) -> None:
    """Of one stage, for all rows or for those of one torch: its key and its descendants' change, no other."""
    template = f"common/layers/{layer}/Dockerfile.j2"
    condition = f"torch is defined and torch == '{torch}'" if torch else "true"
    files = {**FILES, template: f"{FILES[template]}{{% if {condition} %}}\nENV CHANGED=1\n{{% endif %}}\n"}
    above = LAYERS[LAYERS.index(layer) :]

    def check(folder: Path) -> None:
        old = projects.keys(projects.project(folder / "old"))
        new = projects.keys(projects.project(folder / "new", files=files))
        rows = {row for row, at in old if at == layer and row.startswith(f"pytorch:{torch}" if torch else "")}
        assert {at for at in old if old[at] != new[at]} == {(row, at) for row, at in old if row in rows and at in above}

    fresh(check)
