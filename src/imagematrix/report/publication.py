"""What was published, in report.json."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from imagematrix.planning.publication import Publication
from imagematrix.report import verification
from imagematrix.report.record import retry_documents


def merged(report: str, images: Sequence[Publication], *, started: datetime, seconds: float) -> str:
    """Put a `published` list into each leaf of a report.json, or into one of our own when there is none yet.

    Raises ValueError when the text is not a report.
    """
    document = verification.document(report, [image.row for image in images], started=started, seconds=seconds)
    leaves: Mapping[str, Any] = {leaf["name"]: leaf for leaf in document["leaves"]}
    for image in images:
        leaves[image.row.name]["published"] = published(image)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def published(image: Publication) -> list[Mapping[str, object]]:
    """Return what a leaf of report.json says of its tags."""
    return [
        {
            "name": tag.target.name,
            "outcome": tag.outcome.value,
            "digest": tag.digest,
            "why": tag.why,
            "retries": retry_documents(tag.retries),
        }
        for tag in image.tags
    ]
