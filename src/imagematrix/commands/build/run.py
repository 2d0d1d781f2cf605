"""The build command: everything is decided in `project`, `schedule` acts, this puts the two together."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from imagematrix import report
from imagematrix.commands import request
from imagematrix.commands.build.decision import BuildDecision, BuildDone, BuildMeans, BuildOptions, all_reused, decide
from imagematrix.commands.build.images import name_leaves, pin
from imagematrix.commands.terminal import note
from imagematrix.compat import catalogue
from imagematrix.engine import Engine
from imagematrix.errors import FlagError, NoClusterError, NoEngineError, did_you_mean
from imagematrix.execution.protocol import Executor
from imagematrix.model import ExecutorWrapper, Plan, PushStatus, Row, Status, Verdict
from imagematrix.planning import lock
from imagematrix.planning.forecast import Forecast
from imagematrix.planning.publication import Publication
from imagematrix.project import Project
from imagematrix.registry.store import Store
from imagematrix.report import Document, Origins, Progress
from imagematrix.shell import stoppable
from imagematrix.text.formatting import count

_MOST_NEW_PLANS: Final = 2
"""How often a run plans again after images were removed from the engine under its hands: not for ever, if someone
removes them at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What came of a run."""

    report: Document
    published: tuple[Publication, ...]
    """What became of the tags of rows."""
    interrupted: bool
    lost: NoEngineError | NoClusterError | None = None
    """Set when the engine stopped answering before the leaves could be named: the report then knows no images. On many
    machines: when the registry lacks images that it had."""

    @property
    def good(self) -> bool:
        """Whether every leaf exists and everything requested was pushed; unverified images are published in part."""
        leaves = all(leaf.outcome in (Status.BUILT, Status.REUSED) for leaf in self.report.leaves)
        pushes = all(pushed.outcome == PushStatus.PUSHED for pushed in self.report.pushes)
        return leaves and pushes and all(image.sound for image in self.published)


def run(
    project: Project,
    rows: Sequence[Row],
    options: BuildOptions,
    *,
    engine: Engine,
    store: Store | None = None,
    wrap: Callable[[Executor], Executor] = lambda executor: executor,
    listen: Callable[[Plan, Forecast], Progress],
    waiting: Callable[[], None],
) -> BuildResult:
    """Build the selected rows on an engine, and push, if requested, what the node cache lacks.

    `wrap` gets the executor of the engine, and returns the one that does the jobs (`wrapper`). `listen` makes the
    listener of the progress; `waiting` is called when another build holds the project.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    with project.state.sole_builder(waiting=waiting), stoppable() as stop:
        means = BuildMeans(engine=engine, store=store, wrap=wrap, listen=listen, stop=stop)
        if options.fresh:
            project = move_epoch(project, now(), options.fresh_layers)
        if options.refresh:
            from imagematrix.commands.build.local_trials import LocalTrials
            from imagematrix.commands.build.refreshing import refresh

            trials = LocalTrials(project=project, rows=rows, options=options, means=means)
            project = refresh(project, rows, options.refresh, trials, stop)
        signs = request.signer(project, store) if options.push and store else None
        decided, done = _done(project, rows, options, replace(means, signer=signs))
        bonds = pin(project, decided)
        facts, sizes, lost = name_leaves(engine, decided, done.outcomes, store, bonds)
    made = report.make(
        decided.plan,
        done.outcomes,
        facts,
        pushes=done.pushes,
        started=started,
        seconds=time.monotonic() - clock,
        bytes_of=sizes,
        origins=origins(project, rows),
    )
    return BuildResult(report=made, published=done.published, interrupted=stop.is_set(), lost=lost)


def _done(
    project: Project, rows: Sequence[Row], options: BuildOptions, means: BuildMeans
) -> tuple[BuildDecision, BuildDone]:
    """Decide and act; once more while images that the plan counted on are removed from the engine by others."""
    began = time.monotonic()
    decided = decide(project, rows, options, engine=means.engine, store=means.store)
    done = _acted(project, decided, options, means)
    for _ in range(_MOST_NEW_PLANS):
        if not done.lost_sources or means.stop.is_set():
            break
        note(
            f"{count(done.lost_sources, 'node')} failed: what they are built on was removed from the engine meanwhile\n"
            "    building it again; `docker image prune --all`, for instance, removes it"
        )
        after = time.monotonic() - began
        decided = decide(project, rows, options, engine=means.engine, store=means.store)
        done = done.followed_by(_acted(project, decided, options, means), after=after)
    return decided, done


def _acted(project: Project, decided: BuildDecision, options: BuildOptions, means: BuildMeans) -> BuildDone:
    if decided.pushes or decided.to_publish or any(step.verdict is Verdict.BUILD for step in decided.plan.steps):
        from imagematrix.commands.build.acting import act  # slow to import, and mostly there is nothing to do

        return act(project, decided, options, means)
    return BuildDone(outcomes=all_reused(decided.plan))


def wrapper(known: Mapping[str, ExecutorWrapper], name: str) -> Callable[[Executor], Executor]:
    """Return what wraps the engine's executor in one of a plugin; without a name, nothing does.

    Raises FlagError for a name that no plugin has; the wrapper itself for what is not an executor.
    """
    if not name:
        return lambda executor: executor
    if name not in known:
        raise FlagError(
            f"no plugin has an executor {name!r} (--executor or IMAGEMATRIX_EXECUTOR)\n    {did_you_mean(name, known)}"
        )

    def wrapped(executor: Executor) -> Executor:
        try:
            made = known[name](executor)
        except Exception as error:  # noqa: BLE001  # foreign code may raise anything
            raise FlagError(
                f"the executor {name!r} of a plugin cannot start: {type(error).__name__}: {error}"
            ) from None
        if missing := [each for each in ("build", "answers", "cancel") if not callable(getattr(made, each, None))]:
            raise FlagError(f"the executor {name!r} of a plugin has no {' and no '.join(missing)}: see docs/plugins.md")
        return made  # type: ignore[no-any-return]  # that it has the methods is all that can be known

    return wrapped


def origins(project: Project, rows: Sequence[Row]) -> Origins:
    """Return where the versions in the images of rows come from."""
    return Origins(
        bases=project.lock.bases,
        locks={row.name: project.locked(row) for row in rows},
        facts=catalogue.days(),
    )


def now() -> str:
    """Return the epoch of a run that begins now."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def move_epoch(project: Project, epoch: str, layers: Collection[str]) -> Project:
    """Move the epoch: stages that install from the network are rebuilt, here and in every checkout with this lock."""
    project = project.refreshed(epoch, layers)
    project.repository.write_lock(lock.dump(project.lock))
    return project
