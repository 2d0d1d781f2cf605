"""What verification found: for a reader, and for report.json."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from imagematrix.model import Row
from imagematrix.planning.checks import UNCHECKED, Check, CheckOutcome, ImageOutcome, Verified
from imagematrix.text.words import count, duration, some

_NAMES_SHOWN: Final = 12


def event(image: Verified, *, seconds: float) -> str:
    """Say how an image did the moment it is known, `seconds` after the run began."""
    return f"[{seconds:6.1f}s] {image.outcome:<7} {image.row.name}  ({_tally(image)}, {duration(image.seconds)})"


def text(images: Sequence[Verified], *, seconds: float) -> str:
    """Write a line for each image, each failure with what there is to read, and what to do about missing images."""
    if images and all(image.good and _is_known(image) for image in images):
        verb = "is" if len(images) == 1 else "are"
        return f"{count(len(images), 'image')} {verb} verified: nothing has changed since the checks passed\n"
    return (
        "\n".join(
            [*_lines(images), "", *_failures(images), *_unchecked(images), *_missing(images), _last(images, seconds)]
        )
        + "\n"
    )


def _is_known(image: Verified) -> bool:
    return all(check.known for check in image.checks)


def _tally(image: Verified) -> str:
    counts = Counter(check.outcome for check in image.checks)
    known = sum(check.known for check in image.checks)
    parts = [f"{counts[outcome]} {outcome}" for outcome in CheckOutcome if counts[outcome]]
    return ", ".join([*(parts or ["no checks"]), *([f"{known} of them before"] if known else [])])


def _lines(images: Sequence[Verified]) -> Iterator[str]:
    width = max((len(image.row.image) for image in images), default=0)
    wide = max((len(image.outcome) for image in images), default=0)
    for image in images:
        told = _tally(image) if image.built else "not built"
        yield f"{image.row.image:<{width}}   {image.outcome:<{wide}}   {told}"


def _failures(images: Sequence[Verified]) -> Iterator[str]:
    for image in images:
        for check in image.failed:
            yield f"failed: {image.row.name}  {check.owner}: {check.name}"
            yield from (f"  {line}" for line in check.why.splitlines())
            yield from (f"  | {line}" for line in check.tail)
            yield f"  repeat:  invoke verify --only '{image.row.name}'"
            yield ""


def _unchecked(images: Sequence[Verified]) -> Iterator[str]:
    names = [image.row.name for image in images if image.outcome is ImageOutcome.UNCHECKED]
    if names:
        layer = next(image.row.family.layers[-1] for image in images if image.row.name == names[0])
        yield f"unchecked: {count(len(names), 'image')} {UNCHECKED}: {some(names, _NAMES_SHOWN)}"
        yield f"  write:   checks, for instance common/layers/{layer}/test_{layer}.py (CONTRIBUTING.md)"
        yield ""


def _missing(images: Sequence[Verified]) -> Iterator[str]:
    names = [image.row.name for image in images if not image.built]
    if names:
        yield f"missing: {count(len(names), 'image')} not built: {some(names, _NAMES_SHOWN)}"
        yield f"  build:   invoke build --only '{names[0]}'"
        yield ""


def _last(images: Sequence[Verified], seconds: float) -> str:
    counts = Counter(image.outcome for image in images)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ImageOutcome if counts[outcome])
    ran = sum(not check.known for image in images for check in image.checks)
    return f"{count(len(images), 'image')}: {told}; {count(ran, 'check')} ran in {duration(seconds)}"


def merged(report: str, images: Sequence[Verified], *, started: datetime, seconds: float) -> str:
    """Put a `checks` list into each leaf of a report.json, or into one of our own when there is none yet.

    Raises ValueError when the text is not a report.
    """
    made = document(report, [image.row for image in images], started=started, seconds=seconds)
    leaves = {leaf["name"]: leaf for leaf in made["leaves"]}
    for image in images:
        leaves[image.row.name] |= {
            "is_built": image.built,
            "verification": image.outcome.value,
            "checks": [_check(check) for check in image.checks],
        }
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def document(report: str, rows: Iterable[Row], *, started: datetime, seconds: float) -> dict[str, Any]:
    """Return a report.json to put something into: the one that is there, or a new one, with a leaf for each row.

    Raises ValueError when the text is not a report.
    """
    made: Any = json.loads(report) if report else _empty(started, seconds)
    if not isinstance(made, dict) or not isinstance(made.get("leaves"), list):
        raise ValueError("not a report of imagematrix")  # noqa: TRY004  # as json does, of text that is no report
    known = {leaf["name"] for leaf in made["leaves"]}
    made["leaves"] += [_leaf(row) for row in rows if row.name not in known]
    return made


def _empty(started: datetime, seconds: float) -> dict[str, Any]:
    moment = started.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"started": moment, "seconds": round(seconds, 3), "nodes": [], "leaves": []}


def _leaf(row: Row) -> dict[str, object]:
    return {"name": row.name, "family": row.family.name, "tag": row.tag, "image": row.image}


def _check(check: Check) -> Mapping[str, object]:
    return {
        "owner": check.owner,
        "name": check.name,
        "outcome": check.outcome.value,
        "seconds": round(check.seconds, 3),
        "why": check.why,
        "tail": list(check.tail),
        "known": check.known,
    }
