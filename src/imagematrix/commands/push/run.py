"""Publishes the images of rows: first every immutable tag, then those that move. `publication` says which may."""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from imagematrix.commands import request
from imagematrix.errors import FlagError, RegistryError
from imagematrix.model import EngineImage, Row
from imagematrix.planning import publication
from imagematrix.planning.graph import Dag
from imagematrix.planning.publication import Publication
from imagematrix.planning.trust import doubts, nodes
from imagematrix.project import Project
from imagematrix.registry import Client
from imagematrix.registry.publisher import Publisher, PublishingEngine, Unverified
from imagematrix.registry.publishing import beside
from imagematrix.registry.settlements import Settlements
from imagematrix.shell import stoppable
from imagematrix.verify.judge import Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """What came of a run, in the order of the rows' names."""

    started: datetime
    seconds: float
    images: tuple[Publication, ...]
    without_registry: tuple[str, ...]
    """Rows that have no registry."""
    interrupted: bool

    @property
    def good(self) -> bool:
        """Whether every tag stands for its image."""
        return not self.interrupted and all(image.good for image in self.images)


class ListingEngine(PublishingEngine, Protocol):
    """Who also says which images there are."""

    def images(self) -> Sequence[EngineImage]: ...


def run(
    project: Project,
    rows: Sequence[Row],
    *,
    engine: Callable[[], ListingEngine] | None,
    client: Client,
    jobs: int,
    listen: Callable[[Publication], None],
) -> PublishResult:
    """Publish the selected rows' images, `jobs` at once; `listen` hears of each when it is done.

    The engine is opened when there is something to publish; None: only what the node cache has is published. Raises
    FlagError when none of the rows has a registry.
    """
    if not any(row.repositories for row in rows):
        raise FlagError(
            'no selected row has a registry\n    say where images go: registry = "host/path" in matrix.toml'
        )
    started, clock = datetime.now(UTC), time.monotonic()
    asked_for = {row.name for row in rows}
    dag = project.dag(project.leaves([*rows, *_beside(project, rows)]))
    images: list[Publication] = []
    with stoppable() as stop:
        asked = engine() if engine else None
        listed, bonds = asked.images() if asked else (), project.state.bonds()
        present = nodes(listed, bonds)
        voucher = request.voucher(project, client) if project.matrix.nodes else None
        publisher = Publisher(
            engine=asked,
            client=client,
            voucher=voucher,
            doubts=doubts(listed, bonds),
            unverified=unverified(project, dag, Settlements(voucher) if voucher else None),
            stop=stop,
        )
        with beside(publisher, jobs=jobs, stop=stop) as publishing:
            for name, tip in dag.final_nodes.items():
                if dag.rows[name].repositories:
                    id_ = present[tip].id if tip in present else ""
                    publishing.offer_row(dag.rows[name], tip, id_, is_optional=name not in asked_for)
            for image in publishing.rest():
                if isinstance(image, Publication):
                    images.append(image)
                    listen(image)
    return PublishResult(
        started=started,
        seconds=time.monotonic() - clock,
        images=tuple(sorted(images, key=lambda image: image.row.name)),
        without_registry=tuple(row.name for row in rows if not row.repositories),
        interrupted=stop.is_set(),
    )


def _beside(project: Project, rows: Sequence[Row]) -> list[Row]:
    """Return the rows for other Docker platforms that some rows are published with."""
    wanted = {(row.family.name, row.published_tag) for row in rows if row.shares}
    here = {row.name for row in rows}
    others = (row for row in project.obtainable if (row.family.name, row.published_tag) in wanted)
    return [row for row in others if row.shares and row.name not in here and not project.impossible(row)]


def unverified(project: Project, dag: Dag, settlements: Settlements | None = None) -> Unverified:
    """Return who says why a row's image is not verified: which checks passed on exactly that image.

    What was not verified here may have been elsewhere: `settlements` are what the node cache says of that.
    """
    judge = Judge(project)

    def why(judge: Judge, row: Row, image: str) -> str:
        subject = judge.subject(row, dag.final_nodes[row.name], image)
        if subject.open:
            return publication.UNVERIFIED
        return "" if subject.verified else publication.UNCHECKED

    def best(judge: Judge, row: Row, image: Collection[str]) -> str:
        reasons = {why(judge, row, digest) for digest in image}
        return next(best for best in ("", publication.UNCHECKED, publication.UNVERIFIED) if best in reasons)

    def of_any(row: Row, image: Collection[str]) -> str:
        found = best(judge, row, image)
        if found != publication.UNVERIFIED or settlements is None:
            return found
        with suppress(RegistryError):
            found = best(judge.knowing(settlements.of_key(dag.final_nodes[row.name])), row, image)
        return found

    return of_any
