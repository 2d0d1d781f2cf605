"""A monorepo opened: what its rows are, what their images' state is, what is reported about an impossible one."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import projects
from tests.projects import MATRIX, PLAIN, PYTORCH

from imagematrix import row_state
from imagematrix.errors import FlagError, InputError
from imagematrix.model import EngineImage, Key, Site
from imagematrix.project import Selection, open_project


def test_selection(tmp_path: Path) -> None:
    """All rows without one; what matches nothing is an error."""
    opened = projects.project(tmp_path)

    assert len(opened.rows(Selection())) == 9
    assert [row.name for row in opened.rows(Selection(only=("plain:*",)))] == [PLAIN]
    assert {row.family.name for row in opened.rows(Selection(groups=("gpu",)))} == {"pytorch"}
    with pytest.raises(FlagError, match="nosuch"):
        opened.rows(Selection(only=("nosuch*",)))


def test_another_matrix_file(tmp_path: Path) -> None:
    """Its folder is the project's root, and errors name it."""
    matrix = projects.write(tmp_path)
    matrix.rename(tmp_path / "grid.toml")
    assert open_project(str(tmp_path / "grid.toml")).repository.root == tmp_path

    (tmp_path / "grid.toml").write_text(MATRIX.replace("[bases.cuda]", "[basis.cuda]"))
    with pytest.raises(InputError, match=r"(?m)^grid\.toml:3: "):
        open_project(str(tmp_path / "grid.toml"))


def test_a_layer_without_a_folder(tmp_path: Path) -> None:
    """Is a problem of the matrix, before anything is rendered."""
    with pytest.raises(InputError, match="unknown layer 'boots'"):
        projects.project(tmp_path, matrix=MATRIX.replace('"boot"', '"boots"'))


def test_a_broken_lock(tmp_path: Path) -> None:
    """Is told with its file and line."""
    with pytest.raises(InputError, match=r"^matrix\.lock:4: "):
        projects.project(tmp_path, lock='schema = 1\n\n[bases]\ncuda = "latest"\n')


def test_refreshed(tmp_path: Path) -> None:
    """Another epoch: what installs from the network has other keys, nothing is written."""
    opened = projects.project(tmp_path)
    fresh = opened.refreshed("2026-11-22T00:00:00Z")

    assert projects.keys(fresh)[PYTORCH, "system"] != projects.keys(opened)[PYTORCH, "system"]
    assert opened.repository.lock_text() == ""


def test_one_layer_is_refreshed_alone(tmp_path: Path) -> None:
    """It and the nodes built on it have other keys; then all are, and nothing is left of that."""
    opened = projects.project(tmp_path)
    alone = opened.refreshed("2", ["torch"])
    before, after = projects.keys(opened), projects.keys(alone)

    assert {layer for row, layer in before if before[row, layer] != after[row, layer]} == {"torch", "boot"}
    assert all(before[projects.PLAIN, layer] == after[projects.PLAIN, layer] for layer in ("system", "python", "boot"))
    assert alone.refreshed("3").lock == opened.refreshed("3").lock


def test_states(tmp_path: Path) -> None:
    """Built: an image with the row's key; stale: only one with its name; missing: neither."""
    opened = projects.project(tmp_path)
    dag = projects.dag(opened)
    stale = EngineImage(id="sha256:1", key=Key("f" * 64), bytes=1, names=("pytorch:2.4.1-python3.10-cuda",))
    inherited = EngineImage(
        id="sha256:2", key=dag.final_nodes["pytorch:2.4.1-python3.11-cuda"], bytes=1, names=("mine:1",)
    )

    projects.believe(opened, projects.image(dag.final_nodes[PLAIN]))
    found = row_state.states(opened, opened.matrix.rows, [projects.image(dag.final_nodes[PLAIN]), stale, inherited])
    assert [state.row.name for state in found] == sorted(dag.final_nodes)
    assert {state.row.name: state.state for state in found if state.state != "missing"} == {
        PLAIN: "built",
        "pytorch:2.4.1-python3.10-cuda": "stale",
    }
    kept = row_state.states(opened, opened.matrix.rows, [projects.image(dag.final_nodes[PLAIN])], lambda *_: dag.nodes)
    assert {state.row.name for state in kept if state.state != "remote"} == {PLAIN}


def test_files_of_all_leaves(tmp_path: Path) -> None:
    """One folder a row; written, nothing is stale; with a row fewer, its folder goes."""
    opened = projects.project(tmp_path)
    files = opened.files(opened.leaves(opened.rows(Selection())))
    opened.repository.leaves.write(files, keep=opened.directories())

    assert set(files) == set(opened.directories())
    assert list(opened.repository.leaves.stale(files, keep=opened.directories())) == []

    fewer = projects.project(tmp_path, matrix=MATRIX.replace('"2.3.0", ', ""))
    leaves = fewer.files(fewer.leaves(fewer.rows(Selection())))
    gone = list(fewer.repository.leaves.stale(leaves, keep=fewer.directories()))
    assert len(gone) == 4
    assert all(line.endswith("no row of the matrix makes this leaf") for line in gone)
    fewer.repository.leaves.write(leaves, keep=fewer.directories())
    assert not (tmp_path / "images/pytorch/2.3.0-python3.10-cuda").exists()


def test_at_a_site(tmp_path: Path) -> None:
    """What [sites.NAME] says counts, and nothing of [site]; no key changes, nothing is fetched from where it was."""
    sites = '[site]\nwheelhouse = "wheels"\n[sites.tencent]\nnetwork = "host"\n'
    opened = projects.project(tmp_path, matrix=MATRIX + sites)
    there = opened.at_site("tencent")

    assert there.matrix.site == Site(name="tencent", network="host")
    assert opened.at_site("").matrix.site == Site(wheelhouse="wheels")
    assert projects.keys(there) == projects.keys(opened)


def test_impossible_rows_have_no_folder(tmp_path: Path) -> None:
    """One that was made before goes."""
    opened = projects.project(tmp_path)
    opened.repository.leaves.write(opened.files(opened.leaves(opened.obtainable)), keep=opened.directories())

    row = '[[families.plain.row]]\nbase = "debian"\npython = "3.11"\nimpossible = "gone"\n'
    fewer = projects.project(tmp_path, matrix=MATRIX.replace('python = ["3.11"]\n', 'python = ["3.12"]\n') + row)
    assert len(fewer.matrix.rows) == len(fewer.obtainable) + 1
    gone = fewer.repository.leaves.write(fewer.files(fewer.leaves(fewer.obtainable)), keep=fewer.directories())
    assert gone == ("images/plain/3.12-debian", f"images/{PLAIN.replace(':', '/')}")


def test_a_row_is_rendered_alone_as_among_others(tmp_path: Path) -> None:
    """What a selection leaves out changes nothing of what it keeps."""

    def contents(*only: str) -> Mapping[str, bytes]:
        opened = projects.project(tmp_path)
        files = opened.files(opened.leaves(opened.rows(Selection(only=only))))
        return {file.path: file.content for file in files[f"images/{PYTORCH.replace(':', '/')}"]}

    assert contents() == contents(PYTORCH)
