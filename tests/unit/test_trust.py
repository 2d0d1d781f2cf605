"""What is believed to be a node: where it is recorded, and what a plan does about everything else."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests import projects
from tests.projects import PYTORCH

from imagematrix import ledger
from imagematrix.ledger import FILE, Ledger
from imagematrix.model import EngineImage, Key, Verdict
from imagematrix.planning.trust import Bond, nodes
from imagematrix.project import Project, Selection
from imagematrix.row_state import states

KEY = Key("a" * 64)
BOND = Bond(key=KEY, digest=f"sha256:{'1' * 64}")
NODES = "registry.example.com/team/nodes"


@pytest.fixture(autouse=True)
def own_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a record of its own."""
    folder = tmp_path / "state"
    monkeypatch.setenv("IMAGEMATRIX_STATE_DIR", str(folder))
    return folder / FILE


@pytest.fixture
def built(tmp_path: Path) -> tuple[Project, tuple[EngineImage, ...]]:
    """One row, of which every node was built here."""
    images = projects.build(projects.project(tmp_path / "project"), PYTORCH)
    return projects.project(tmp_path / "project"), images  # as a later run finds it


def forged(image: EngineImage) -> EngineImage:
    """Return another image, with the same name and label."""
    return replace(image, id=f"sha256:{'f' * 64}")


def steps(opened: Project, images: tuple[EngineImage, ...]) -> Mapping[str, tuple[Verdict, str]]:
    made = projects.plan(opened, PYTORCH, images=images)
    return {step.node.layer: (step.verdict, step.reason) for step in made.steps}


def test_a_forged_label_and_name(built: tuple[Project, tuple[EngineImage, ...]]) -> None:
    """Prove nothing: the node is built again, and the reason says what bears its name."""
    opened, images = built
    *below, boot = images
    found = steps(opened, (*below, forged(boot)))

    assert [found[layer][0] for layer in ("system", "python", "torch", "boot")] == ["reuse"] * 3 + ["build"]
    assert f"imagematrix/node:{boot.key[:12]}" in found["boot"][1]
    assert "not the one" in found["boot"][1]
    [state] = states(opened, opened.rows(Selection(only=(PYTORCH,))), (*below, forged(boot)))
    assert (state.state, state.reason) == ("missing", found["boot"][1])


def test_a_forged_parent_costs_nothing_while_what_stands_on_it_is_there(
    built: tuple[Project, tuple[EngineImage, ...]],
) -> None:
    opened, (first, *others) = built
    assert {verdict for verdict, _ in steps(opened, (forged(first), *others)).values()} == {Verdict.REUSE}


def test_what_no_record_knows(built: tuple[Project, tuple[EngineImage, ...]], own_ledger: Path) -> None:
    """A record that was lost, and nodes of versions that kept none, cost a build; the reason says so."""
    opened, images = built
    own_ledger.unlink()
    found = steps(opened, images)

    assert {verdict for verdict, _ in found.values()} == {Verdict.BUILD}
    assert all("no record" in reason for _, reason in found.values())


def test_two_checkouts_share_what_their_user_built(
    built: tuple[Project, tuple[EngineImage, ...]], tmp_path: Path
) -> None:
    other = projects.project(tmp_path / "other")
    assert {verdict for verdict, _ in steps(other, built[1]).values()} == {Verdict.REUSE}


def test_a_checkout_cannot_vouch_for_images(
    built: tuple[Project, tuple[EngineImage, ...]], own_ledger: Path, tmp_path: Path
) -> None:
    """A record that came with it, say in a pull request, is not read."""
    opened, images = built
    own_ledger.rename(tmp_path / "project/.imagematrix" / FILE)
    assert {verdict for verdict, _ in steps(opened, images).values()} == {Verdict.BUILD}


def test_what_a_registry_was_found_to_have(built: tuple[Project, tuple[EngineImage, ...]]) -> None:
    """Proves nothing of an engine, nor the other way round."""
    opened, (image, *_) = built
    elsewhere = Bond(key=image.key, digest=forged(image).id, place=NODES)
    opened.state.bind(elsewhere)
    bonds = opened.state.bonds()

    assert not nodes([forged(image)], bonds)
    assert bonds.hold(image.key, elsewhere.digest, NODES)
    assert not bonds.hold(image.key, image.id, NODES)


@pytest.mark.parametrize(
    "damage",
    ["", "{", '{"key":"a"}', '{"key":"a","digest":"sha256:1"}', "[]", "\x00", '{"key":1,"digest":2}', "é" * 10],
)
def test_a_damaged_record(own_ledger: Path, tmp_path: Path, damage: str) -> None:
    """Costs the lines that are damaged, once a warning."""
    said: list[str] = []
    book = Ledger(tmp_path, warn=said.append)
    book.add(BOND)
    with own_ledger.open("a") as stream:
        stream.write(f"\n{damage}")
    book.add(replace(BOND, key=Key("b" * 64)))

    for _ in range(2):
        bonds = book.bonds()
        assert bonds.hold(KEY, BOND.digest)
        assert bonds.hold(Key("b" * 64), BOND.digest)
    assert len(said) == bool(damage)


def test_a_link_in_the_place_of_the_record(own_ledger: Path, tmp_path: Path) -> None:
    """Nothing is read through it."""
    said: list[str] = []
    Ledger(tmp_path).add(BOND)
    own_ledger.rename(tmp_path / "elsewhere")
    own_ledger.symlink_to(tmp_path / "elsewhere")

    book = Ledger(tmp_path, warn=said.append)
    assert not book.bonds().of(KEY)
    assert len(said) == 1
    with pytest.raises(OSError, match=FILE):  # nor is anything written through it
        book.add(replace(BOND, key=Key("b" * 64)))
    assert len((tmp_path / "elsewhere").read_text().split()) == 1


def test_what_another_process_adds(tmp_path: Path) -> None:
    """Is known at the next look-up."""
    book = Ledger(tmp_path)
    book.add(BOND)
    assert book.bonds().of(KEY)
    Ledger(tmp_path).add(replace(BOND, key=Key("b" * 64)))
    assert book.bonds().of(Key("b" * 64))


def test_a_record_that_grew(own_ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loses its older half."""
    monkeypatch.setattr(ledger, "_MOST_BYTES", 10_000)
    book = Ledger(tmp_path)
    for number in range(200):
        book.add(replace(BOND, key=Key(f"{number:064}")))
    bonds = Ledger(tmp_path).bonds()

    assert own_ledger.stat().st_size <= 10_000
    assert bonds.of(Key(f"{199:064}"))
    assert not bonds.of(Key(f"{0:064}"))
    assert all(json.loads(line) for line in own_ledger.read_text().splitlines() if line)


def test_a_home_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkout has the record instead."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("IMAGEMATRIX_STATE_DIR", str(tmp_path / "file/state"))
    assert Ledger(tmp_path).path == tmp_path / FILE


def test_where_the_record_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the XDG base directories have it; in the checkout for a user without a home."""
    assert ledger.folder({"IMAGEMATRIX_STATE_DIR": "/srv/state"}) == Path("/srv/state")
    assert ledger.folder({"XDG_STATE_HOME": "/home/ada/state"}) == Path("/home/ada/state/imagematrix")
    monkeypatch.setenv("HOME", "/home/ada")
    assert ledger.folder({}) == Path("/home/ada/.local/state/imagematrix")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("IMAGEMATRIX_STATE_DIR")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert Ledger(tmp_path).path == tmp_path / FILE
