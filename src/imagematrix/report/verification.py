"""What verification found, in report.json."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from imagematrix.model import Row
from imagematrix.planning.checks import Check, Verified


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
            "cut_off": image.cut_off,
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
