"""What is printed of publishing, and what report.json keeps of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from tests.fakes import row

from imagematrix.model import Status
from imagematrix.planning.publication import UNVERIFIED, Publication, Published, PublishOutcome, Target
from imagematrix.report import document
from imagematrix.report.console import push as console

STARTED = datetime(2026, 11, 22, 3, tzinfo=UTC)


def tag(name: str, outcome: PublishOutcome, why: str = "") -> Published:
    target = Target(repository="a.io/x/torch", tag=name)
    return Published(target=target, outcome=outcome, digest="" if why else "sha256:1", why=why)


NEW = Publication(
    row=row("torch:2.4", "a.io/x"),
    tags=(
        tag("2.4-20261122-abc", PublishOutcome.PUSHED),
        replace(tag("2.4", PublishOutcome.MOVED), update_bytes=1_200_000_000),
        tag("2.4-latest", PublishOutcome.KEPT),
    ),
)
WAITING = Publication(
    row=row("torch:2.5", "a.io/x"),
    tags=(
        tag("2.5-20261122-abc", PublishOutcome.KEPT),
        tag("2.5", PublishOutcome.WAITING, UNVERIFIED),
        tag("2.5-latest", PublishOutcome.WAITING, UNVERIFIED),
    ),
)
FAILED = Publication(row=row("torch:2.6", "a.io/x"), tags=(tag("2.6", PublishOutcome.FAILED, "no route to host"),))
MISSING = Publication(row=row("torch:2.7", "a.io/x"), tags=(), built=False)


def test_the_summary() -> None:
    """What is new; why the rest is not, alike reasons together; what to do."""
    assert console.text([NEW, WAITING, FAILED, MISSING], ["plain:1"], seconds=2.0) == (
        "a.io/x/torch:2.4-20261122-abc   pushed   sha256:1\n"
        "a.io/x/torch:2.4                moved    sha256:1   1.2 GB to pull\n"
        "\n"
        "waiting: 2 tags: not all checks of its layers and its destination have passed\n"
        "  a.io/x/torch:2.5, a.io/x/torch:2.5-latest\n"
        "  verify:  invoke verify --only 'torch:2.5'\n"
        "\n"
        "failed: 1 tag: no route to host\n"
        "  a.io/x/torch:2.6\n"
        "  repeat:  invoke push --only 'torch:2.6'\n"
        "\n"
        "missing: 1 image not built: torch:2.7\n"
        "  build:   invoke build --only 'torch:2.7'\n"
        "\n"
        "1 row without a registry: plain:1\n"
        "4 images, 7 tags: 1 pushed, 1 moved, 2 kept, 2 waiting, 1 failed in 2.0s\n"
    )
    assert console.event(NEW, seconds=1.0) == "[   1.0s] torch:2.4  (1 pushed, 1 moved, 1 kept)"
    assert console.event(MISSING, seconds=1.0).endswith("(not built)")


def test_nothing_to_do() -> None:
    """Since when images are as they are, and one line."""
    kept = Publication(row=NEW.row, tags=(tag("2.4", PublishOutcome.KEPT),), since="2026-11-22")
    older = replace(kept, since="2026-11-20")
    assert console.text([kept, older, kept], [], seconds=2.0) == (
        "1 image unchanged since 2026-11-20\n"
        "2 images unchanged since 2026-11-22\n"
        "3 images are published: nothing to do\n"
    )
    written = document.write(document.with_names(document.begun(STARTED, 2), [kept]))
    assert [leaf["unchanged_since"] for leaf in json.loads(written)["leaves"]] == ["2026-11-22"]


def test_report_json() -> None:
    """Leaves of a build's report say what was published; one that is not there yet is made."""
    built = document.LeafEntry(name="torch:2.4", image="a.io/x/torch:2.4", outcome=Status.BUILT)
    before = replace(document.begun(STARTED, 9), leaves=(built,))
    found = json.loads(document.write(document.with_names(before, [NEW, WAITING])))
    assert found["seconds"] == 9
    assert [leaf["name"] for leaf in found["leaves"]] == ["torch:2.4", "torch:2.5"]
    assert found["leaves"][0]["outcome"] == "built"
    assert found["leaves"][0]["published"][1] == {
        "name": "a.io/x/torch:2.4",
        "outcome": "moved",
        "digest": "sha256:1",
        "update_bytes": 1_200_000_000,
        "why": "",
        "retries": [],
    }
    assert found["leaves"][1]["published"][1]["why"] == UNVERIFIED

    alone = json.loads(document.write(document.with_names(document.begun(STARTED, 2), [NEW])))
    assert (alone["started"], alone["leaves"][0]["tag"]) == ("2026-11-22T03:00:00Z", "2.4")
