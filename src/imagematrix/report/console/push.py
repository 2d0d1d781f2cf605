"""What `push` prints: a line for each finished image, then the summary."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from imagematrix.planning.publication import UNCHECKED, UNVERIFIED, Publication, Published, PublishOutcome
from imagematrix.text.formatting import abbreviate, count, duration, size

_NAMES_SHOWN: Final = 12


def event(image: Publication, *, seconds: float) -> str:
    """Say what became of an image's tags the moment it is known, `seconds` after the run began."""
    return f"[{seconds:6.1f}s] {image.row.name}  ({_tally(image)})"


def text(images: Sequence[Publication], without_registry: Sequence[str], *, seconds: float) -> str:
    """Write each tag that is new or moved, what stands in the way of the others, and what to do about it."""
    if images and all(image.good for image in images) and not _changed(images):
        told = f"{count(len(images), 'image')} {'is' if len(images) == 1 else 'are'} published: nothing to do"
        return "\n".join([*_unchanged(images), *_without_registry(without_registry), told]) + "\n"
    lines = [
        *_lines(images),
        *_unchanged(images),
        *_obstacles(images),
        *_missing(images),
        *_without_registry(without_registry),
        _last(images, seconds),
    ]
    return "\n".join(lines) + "\n"


def _tags(images: Sequence[Publication]) -> list[tuple[str, Published]]:
    """Return each tag once, with a row that it is of: rows for several platforms share some."""
    found: dict[str, tuple[str, Published]] = {}
    for image in images:
        for tag in image.tags:
            found.setdefault(tag.target.name, (image.row.name, tag))
    return [*found.values()]


def _changed(images: Sequence[Publication]) -> list[Published]:
    done = (PublishOutcome.PUSHED, PublishOutcome.MOVED)
    return [tag for _, tag in _tags(images) if tag.outcome in done]


def _tally(image: Publication) -> str:
    counts = Counter(tag.outcome for tag in image.tags)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in PublishOutcome if counts[outcome]) or "not built"


def _lines(images: Sequence[Publication]) -> Iterator[str]:
    changed = _changed(images)
    width = max((len(tag.target.name) for tag in changed), default=0)
    for tag in changed:
        update = f"   {size(tag.update_bytes)} to pull" if tag.update_bytes else ""
        yield f"{tag.target.name:<{width}}   {tag.outcome:<6}   {tag.digest}{update}"
    if changed:
        yield ""


def _unchanged(images: Sequence[Publication]) -> Iterator[str]:
    days = Counter(image.since for image in images if image.since)
    yield from (f"{count(days[day], 'image')} unchanged since {day}" for day in sorted(days))


def _obstacles(images: Sequence[Publication]) -> Iterator[str]:
    """Say why tags stay as they are, alike reasons together."""
    found: dict[tuple[PublishOutcome, str], list[tuple[str, Published]]] = {}
    for row, tag in _tags(images):
        if not tag.good:
            found.setdefault((tag.outcome, tag.why), []).append((row, tag))
    for (outcome, why), tags in found.items():
        yield f"{outcome}: {count(len(tags), 'tag')}: {why}"
        yield f"  {abbreviate([tag.target.name for _, tag in tags], _NAMES_SHOWN)}"
        if why == UNVERIFIED:
            yield f"  verify:  invoke verify --only '{tags[0][0]}'"
        elif why == UNCHECKED:
            yield "  write:   a check for one of its layers, common/layers/LAYER/test_LAYER.py (docs/checks.md)"
        elif outcome is PublishOutcome.FAILED:
            yield f"  repeat:  invoke push --only '{tags[0][0]}'"
        yield ""


def _missing(images: Sequence[Publication]) -> Iterator[str]:
    names = [image.row.name for image in images if not image.built]
    if names:
        yield f"missing: {count(len(names), 'image')} not built: {abbreviate(names, _NAMES_SHOWN)}"
        yield f"  build:   invoke build --only '{names[0]}'"
        yield ""


def _without_registry(names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"{count(len(names), 'row')} without a registry: {abbreviate(names, _NAMES_SHOWN)}"


def _last(images: Sequence[Publication], seconds: float) -> str:
    counts = Counter(tag.outcome for _, tag in _tags(images))
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in PublishOutcome if counts[outcome])
    tags = count(sum(counts.values()), "tag")
    return f"{count(len(images), 'image')}, {tags}{': ' if told else ''}{told} in {duration(seconds)}"
