"""The page for the users of the images."""

from dataclasses import replace

import pytest
from tests import nights

from imagematrix import compat
from imagematrix.model import Row
from imagematrix.report import catalogue, html, runs

GRID = nights.grid(12)


def rows(**values: str) -> list[Row]:
    return [replace(row, values=values, axes={"python": "3.9"}) for row in GRID.rows.values()]


CHECKED = frozenset(rows()[0].family.layers)


def published(count: int, *, refused: frozenset[str] = frozenset()) -> tuple[runs.PastRun, ...]:
    return tuple(runs.read(nights.with_published(text, refused=refused)) for text in nights.nights(GRID, count))


def test_an_image_is_had_by_its_own_tag_and_its_digest() -> None:
    """The other names are reported as well."""
    first, *_ = catalogue.make(rows(), published(1), CHECKED)

    name = f"registry.example.com/team/{first.row.name}"
    assert first.names == (name, f"{name}-20261101-0123456789ab")
    assert first.pull == f"docker pull registry.example.com/team/{first.row.family.name}@sha256:2026-11-01T01:00:00Z"
    assert first.run == f"docker run --rm --interactive --tty --shm-size 8g {name}"


def test_an_image_that_no_moving_tag_stands_for_is_marked() -> None:
    """It is published under its immutable name alone: it waits for its checks, or has failed them."""
    refused = rows()[0].name
    made = catalogue.make(rows(), published(1, refused=frozenset({refused})), CHECKED)
    entries = [replace(entry, unchecked=False) for entry in made]  # which would be said instead

    assert [entry.row.name for entry in entries if entry.unverified] == [refused]
    page = html.catalogue(entries, published(1)[0].started)
    assert page.count(">not verified</span>") == 1


def test_a_tag_that_was_refused_is_none_to_pull() -> None:
    """The immutable one is there all the same."""
    row = rows()[0]

    (entry,) = catalogue.make([row], published(1, refused=frozenset({row.name})), CHECKED)

    assert entry.names == (f"registry.example.com/team/{row.name}-20261101-0123456789ab",)


def test_what_changed_last_is_what_moved_when_the_digest_did() -> None:
    """Later runs that found nothing new do not hide it; unpublished rows are not images to use."""
    past = published(3)
    unpublished = runs.read(list(nights.nights(GRID, 4))[3])
    strange = replace(rows()[0], tag="never-published")

    first, *others = catalogue.make([*rows(), strange], (*past, unpublished), CHECKED)

    assert len(others) == len(GRID.final_nodes) - 1
    assert first.since == past[2].started
    assert [(change.what, change.old, change.new) for change in first.changes] == [("numpy", "1.26.0", "1.26.1")]
    assert first.update_bytes == 400_000_000
    alone, *_ = catalogue.make(rows(), past[:1], CHECKED)
    assert alone.update_bytes == 0


@pytest.mark.parametrize(
    ("values", "cuda", "driver"),
    [
        ({"cuda": "12.4.1"}, "12.4.1", "525.60.13"),
        ({"torch": "2.3.0", "torch_build": "cu118", "cuda": "12.1.1"}, "11.8", "450.80.02"),
        ({"torch": "2.3.0", "torch_build": "cpu"}, "", ""),
        ({"tensorflow_package": "tensorflow[and-cuda]", "tensorflow": "2.15.1"}, "12.2", "525.60.13"),
        ({"tensorflow_package": "tensorflow[and-cuda]", "tensorflow": "99"}, "", ""),
    ],
)
def test_cuda_and_the_oldest_driver_for_it(values: dict[str, str], cuda: str, driver: str) -> None:
    """Of a base, or of the wheel that brings it."""
    entry = catalogue.make([replace(rows()[0], values=values)], published(1), CHECKED)[0]

    assert (entry.cuda, entry.driver) == (cuda, driver)
    assert ("--gpus all" in entry.run) is (compat.cuda_of(values) is not None)


def test_the_page_is_one_file_with_all_that_can_be_copied() -> None:
    """Names, digests, commands, packages."""
    past = published(2)
    entries = catalogue.make(rows(cuda="12.4.1"), past, CHECKED)

    text = html.catalogue(entries, past[-1].started)

    assert all(entry.pull in text and entry.run in text for entry in entries)
    assert "driver 525.60.13 or newer" in text
    assert "requests 2.32.0" in text
    assert "400 MB to pull" in text
    assert 'id="plotly"' not in text
