"""Under which names images are published, and which tags may stand for them."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.fakes import row

from imagematrix.model import Key, Row
from imagematrix.planning import publication
from imagematrix.planning.publication import Held, Publication, Published, PublishOutcome, Target

KEY = Key("0123456789abcdef" * 4)
TARGET = Target(repository="a.io/x/torch", tag="2.4")
NEW = Held(digest="sha256:new", config="sha256:id", versions={"python": "3.11", "torch": "2.4"})


def published(**values: str) -> Row:
    """Make a row with two registries, and some values."""
    return replace(row("torch:2.4", "a.io/x"), repositories=("a.io/x/torch", "b.io/torch"), values=values)


def held(versions: Mapping[str, str] | None) -> Held:
    return Held(digest="sha256:old", config="sha256:other", versions=versions)


def test_names() -> None:
    """The immutable tag in each registry, by the day the image was made; then those that move."""
    names = [target.name for target in publication.immutable(published(), KEY, created="2026-11-22T23:59:59.1Z")]
    assert names == ["a.io/x/torch:2.4-20261122-0123456789ab", "b.io/torch:2.4-20261122-0123456789ab"]

    names = [target.name for target in publication.moving(published())]
    assert names == ["a.io/x/torch:2.4", "a.io/x/torch:2.4-latest", "b.io/torch:2.4", "b.io/torch:2.4-latest"]


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (None, PublishOutcome.PUSHED),
        (replace(NEW, digest="sha256:any"), PublishOutcome.KEPT),
        (Held(digest="sha256:id", config="sha256:any"), PublishOutcome.KEPT),
        (held({}), PublishOutcome.REFUSED),
    ],
)
def test_an_immutable_tag(found: Held | None, outcome: PublishOutcome) -> None:
    """It is pushed once. Engines know an image by its configuration, or by its manifest; another image stays."""
    made = publication.decide_immutable(TARGET, found, ["sha256:id"])
    assert made.outcome is outcome
    assert made.good == (outcome is not PublishOutcome.REFUSED) == (not made.why)


@pytest.mark.parametrize("found", [None, held({"python": "3.11", "torch": "2.4"})])
def test_a_tag_that_moves(found: Held | None) -> None:
    """To its first image, and between those with the same versions."""
    made = publication.decide_moving(TARGET, found, NEW, verified=True)
    assert made == Published(target=TARGET, outcome=PublishOutcome.MOVED, digest="sha256:new")


@pytest.mark.parametrize(
    ("versions", "why"),
    [
        ({"python": "3.10", "torch": "2.4"}, "other versions: python 3.10 -> 3.11. Put"),
        ({"python": "3.11", "torch": "2.4", "cuda": "12.1"}, "other versions: cuda 12.1 -> none. Put"),
        ({"python": "3.11"}, "other versions: torch none -> 2.4. Put"),
        (None, "does not declare its versions (no label imagematrix.versions)"),
    ],
)
def test_a_tag_that_would_break_its_promise(versions: Mapping[str, str] | None, why: str) -> None:
    """It is left unchanged, and what it would have become is reported."""
    made = publication.decide_moving(TARGET, held(versions), NEW, verified=True)
    assert (made.outcome, made.digest) == (PublishOutcome.REFUSED, "sha256:old")
    assert why in made.why


def test_an_image_that_does_not_say_its_versions() -> None:
    """No moving tag would be able to leave it."""
    made = publication.decide_moving(TARGET, None, replace(NEW, versions=None), verified=True)
    assert made.outcome is PublishOutcome.REFUSED
    assert made.why == "this image does not declare its versions (no label imagematrix.versions): rebuild it"


def test_an_image_that_is_not_verified() -> None:
    """Its tags wait; one that is right already is right, and one that could not move either way is reported."""
    made = publication.decide_moving(TARGET, held(NEW.versions), NEW, verified=False)
    assert (made.outcome, made.digest) == (PublishOutcome.WAITING, "sha256:old")
    assert made.why == "not all checks of its layers and its destination have passed"
    assert publication.decide_moving(TARGET, NEW, NEW, verified=False).outcome is PublishOutcome.KEPT
    assert publication.decide_moving(TARGET, held(None), NEW, verified=False).outcome is PublishOutcome.REFUSED


def test_moving_tags_wait_for_all_immutable_ones() -> None:
    """In whichever registry one is missing."""
    there, missing = publication.immutable(published(), KEY, created="2026-11-22")
    tags = (
        Published(target=there, outcome=PublishOutcome.PUSHED),
        Published(target=missing, outcome=PublishOutcome.FAILED, why="no route"),
    )
    made = publication.held_back([TARGET], tags)
    assert [(tag.target, tag.outcome) for tag in made] == [(TARGET, PublishOutcome.FAILED)]
    assert missing.name in made[0].why


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"torch": "2.4.1", "python": "3.11", "cuda": "12.1.0", "base": "x"}, "cuda=12.1 python=3.11 torch=2.4"),
        ({"python": "3.11.9", "paddle": "2.6.2"}, "paddle=2.6 python=3.11"),
        ({"cuda": "9", "python": "system"}, "cuda=9"),
        ({}, ""),
    ],
)
def test_what_an_image_says_of_its_versions(values: Mapping[str, str], label: str) -> None:
    """The minor versions of what tags promise; other values promise nothing."""
    made = publication.label(published(**values))
    assert made == label
    assert publication.labelled({"imagematrix.versions": made}) == dict(word.split("=") for word in label.split())
    assert publication.labelled({"imagematrix.row": "torch:2.4"}) is None


@pytest.mark.parametrize(
    ("outcome", "built", "awaits", "is_good", "is_sound"),
    [
        (PublishOutcome.KEPT, True, (), True, True),
        (PublishOutcome.WAITING, True, (), False, True),
        (PublishOutcome.WAITING, True, ("linux/arm64",), True, True),
        (PublishOutcome.REFUSED, True, ("linux/arm64",), False, False),
        (PublishOutcome.MOVED, False, (), False, False),
    ],
)
def test_what_is_wrong_with_a_publication(
    outcome: PublishOutcome, built: bool, awaits: tuple[str, ...], is_good: bool, is_sound: bool
) -> None:
    """A build has done its part where a tag waits; a push has not, unless the run of another platform moves it."""
    tags = (Published(target=TARGET, outcome=outcome),)
    made = Publication(row=published(), tags=tags, built=built, awaits=awaits)
    assert (made.good, made.sound) == (is_good, is_sound)
