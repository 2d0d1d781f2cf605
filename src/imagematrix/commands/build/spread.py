"""The build command on many machines: the plan is made here, the machines of a cluster do its jobs."""

import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from imagematrix import report
from imagematrix.cluster import Link, security, went_away
from imagematrix.commands import request
from imagematrix.commands.build import run as local
from imagematrix.commands.build.decision import BuildDecision, BuildOptions
from imagematrix.commands.build.images import pin
from imagematrix.commands.build.refreshing import refresh
from imagematrix.commands.build.run import BuildResult
from imagematrix.commands.build.spread_acting import MachinesDone, SpreadMeans, act, decided_for_machines
from imagematrix.commands.build.spread_trials import SpreadTrials
from imagematrix.errors import NoClusterError
from imagematrix.model import Outcome, Plan, Row, Status
from imagematrix.planning.forecast import Forecast
from imagematrix.planning.publication import Publication
from imagematrix.project import Project
from imagematrix.registry import Manifest
from imagematrix.registry.publisher import Publisher
from imagematrix.registry.publishing import beside
from imagematrix.registry.store import Store
from imagematrix.report import ImageFact, Progress
from imagematrix.shell import stoppable
from imagematrix.text.formatting import count

_READY: Final = (Status.BUILT, Status.REUSED)


def link(project: Project, address: str, certificates: str) -> Link:
    """Return a connection that is not open yet. Raises FlagError for an address that is not valid."""
    who = f"{project.repository.root} on {platform.node()}"
    return Link(security.address(address), certificates, who=who)


def run(
    project: Project,
    rows: Sequence[Row],
    options: BuildOptions,
    *,
    link: Link,
    store: Store | None,
    listen: Callable[[Plan, Forecast], Progress],
    waiting: Callable[[], None],
) -> BuildResult:
    """Build the selected rows on the machines of a cluster; each node that they build is pushed to the node cache.

    What is published is copied from there to the registries of rows; no machine is needed for it. `listen` makes the
    listener of the progress; `waiting` is called when another build holds the project. Raises NoClusterError if the
    cluster cannot take the builds.
    """
    assert store  # noqa: S101  (`request.cluster` has seen to it)
    started, clock = datetime.now(UTC), time.monotonic()
    signer = request.signer(project, store)
    with project.state.sole_builder(waiting=waiting), stoppable() as stop, closing(link):
        means = SpreadMeans(link=link, store=store, signer=signer, listen=listen, stop=stop)
        if options.fresh:
            project = local.move_epoch(project, local.now(), options.fresh_layers)
        if options.refresh:
            trials = SpreadTrials(rows=rows, options=options, means=means)
            project = refresh(project, rows, options.refresh, trials, stop)
        decided = decided_for_machines(project, rows, options, store)
        done = act(project, decided, options, means)
        pin(project, decided)
        published = _published(project, decided, done.outcomes, options, store=store, stop=stop)
        facts, missing = _facts(decided, done, store)
    made = report.make(
        decided.plan,
        done.outcomes,
        facts,
        pushes=done.pushes,
        started=started,
        seconds=time.monotonic() - clock,
        origins=local.origins(project, rows),
    )
    lost = _lost(done, store.repository, missing) if not stop.is_set() else None
    return BuildResult(
        report=report.with_machines(made, done.machines), published=published, interrupted=stop.is_set(), lost=lost
    )


def _published(
    project: Project,
    decided: BuildDecision,
    outcomes: Sequence[Outcome],
    options: BuildOptions,
    *,
    store: Store,
    stop: threading.Event,
) -> tuple[Publication, ...]:
    """Publish the rows that are in the node cache by now."""
    ready = {outcome.key for outcome in outcomes if outcome.status in _READY}
    wanted = {key: row for key, row in decided.to_publish.items() if key in ready}
    if not wanted or stop.is_set():
        return ()
    publisher = Publisher(
        engine=None,
        client=store.client,
        voucher=request.voucher(project, store.client),  # with the records of this run
        doubts={},
        unverified=decided.unverified,
        retries=options.retries,
        stop=stop,
    )
    with beside(publisher, jobs=options.push_jobs, stop=stop) as publishing:
        for key, row in wanted.items():
            publishing.offer_row(row, key, "")
        return tuple(ended for ended in publishing.rest() if isinstance(ended, Publication))


def _facts(decided: BuildDecision, done: MachinesDone, store: Store) -> tuple[Mapping[str, ImageFact], Sequence[str]]:
    """Return what the registry has of the rows' images, by row name, and the rows whose images it should have."""
    plan = decided.plan
    ready = {outcome.key for outcome in done.outcomes if outcome.status in _READY}
    digests = {**decided.in_registry, **done.digests}
    finals = {key: digests[key] for key in ready & {*plan.final_nodes.values()} if key in digests}
    manifests = store.manifests(finals) if finals else {}
    rows = {name: manifests[key] for name, key in plan.final_nodes.items() if key in manifests}
    missing = [name for name, key in plan.final_nodes.items() if key in ready and key not in manifests]
    return {name: _fact(plan.rows[name], manifest) for name, manifest in rows.items()}, missing


def _fact(row: Row, manifest: Manifest) -> ImageFact:
    return ImageFact(image=row.image, digest=manifest.config, bytes=manifest.bytes)


def _lost(done: MachinesDone, repository: str, missing: Sequence[str]) -> NoClusterError | None:
    """Return that the cluster went away before all was built, or that its registry lacks what was."""
    failed = [outcome for outcome in done.outcomes if outcome.status is Status.FAILED]
    if done.gone and failed:
        return went_away(f"{count(len(failed), 'node')} not built", done.gone, kept="pushed")
    if not missing:
        return None
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return NoClusterError(
        f"{repository} lacks the image of {missing[0]}{more}, which a machine has built and pushed\n"
        "    someone removed it, or the registry lost it: run the same command again"
    )
