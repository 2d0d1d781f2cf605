"""Carries out what a build is going to do: imported only where there is something to do."""

import shutil
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache

from imagematrix import git, site
from imagematrix.commands.build.decision import BuildDecision, BuildDone, BuildMeans, BuildOptions
from imagematrix.commands.build.recorder import BuildRecorder
from imagematrix.commands.build.takeover import TakingOver
from imagematrix.engine import Engine, builder, disk
from imagematrix.execution import schedule
from imagematrix.model import Key, Step
from imagematrix.planning import estimates, jobs
from imagematrix.planning.forecast import Forecast
from imagematrix.planning.jobs import JobFactory
from imagematrix.project import Project
from imagematrix.registry import Client
from imagematrix.registry.publisher import Publisher
from imagematrix.registry.publishing import beside
from imagematrix.shell import Shell


def act(project: Project, decided: BuildDecision, options: BuildOptions, means: BuildMeans) -> BuildDone:
    """Carry out what was decided."""
    engine, store, stop = means.engine, means.store, means.stop
    plan, repository, shell = decided.plan, project.matrix.nodes, Shell()
    where = site.discover(project.matrix.site, root=project.repository.root)
    history, sizes = project.state.history(), project.node_sizes(plan)
    seconds = estimates.seconds(plan.steps, history=history, sizes=sizes)
    client = Client(where, tries=1)  # what is published is tried again as a whole
    publisher = Publisher(
        engine=engine,
        client=client,
        voucher=replace(store.voucher, signer=means.signer) if store else None,
        doubts={},  # what was doubted has been rebuilt
        unverified=decided.unverified,
        retries=options.retries,
        stop=stop,
    )
    there = {key: image.bytes for key, image in decided.images.items()}
    needs = estimates.added_bytes(plan.steps, history=history, sizes=sizes, images=there)
    with (
        means.listen(plan, Forecast(plan.steps, seconds, jobs=options.jobs)) as progress,
        builder.ready(
            engine=engine,
            shell=shell,
            where=where,
            compression=project.matrix.compression,
            logs=project.state.log,
            said=progress.output,
            waiting=progress.waiting,
        ) as of_engine,
        beside(publisher, jobs=options.push_jobs, stop=stop, nodes=decided.pushes) as publishing,
    ):
        executor = means.wrap(of_engine)
        listener = BuildRecorder(progress, project.state, decided, publishing, repository=repository)
        images = {key: image.id for key, image in decided.images.items()}
        listener.push(images)
        outcomes = schedule.run(
            plan,
            TakingOver(executor=executor, client=client, voucher=store.voucher, remove=engine.untag)
            if store
            else executor,
            listener,
            job=job_factory(project, decided, options, shell).job,
            images=images,
            jobs=options.jobs,
            retries=options.retries,
            fail_fast=options.fail_fast,
            seconds=seconds,
            refuses=_guard(project, engine, needs, stop),
            stop=stop,
            tick=progress.tick,
        )
        pushes, published = listener.published()
        return BuildDone(outcomes=outcomes, pushes=pushes, published=published)


def job_factory(project: Project, decided: BuildDecision, options: BuildOptions, shell: Shell) -> JobFactory:
    """Return what makes the jobs of a run."""
    return jobs.factory(
        decided.plan,
        lock=project.lock,
        repository=project.matrix.nodes,
        pushed=decided.pushes,
        kept=decided.in_registry,
        revision=git.revision(shell, project.repository.root),
        seconds=options.time_limit,
    )


def _guard(
    project: Project, engine: Engine, needs: Mapping[Key, int], stop: threading.Event
) -> Callable[[Step, Collection[Key]], str]:
    """Watch the engine's disk, where that is this machine's."""
    folder = engine.storage()
    if not folder:
        return schedule.anything

    @cache  # each refusal asks, and the answer takes seconds on a busy engine
    def reclaimable(nights: int | None) -> int:
        from imagematrix.commands.gc import run as gc  # rarely needed, and slow to import

        options = gc.GcOptions(dry=True) if nights is None else gc.GcOptions(dry=True, nights=nights)
        return gc.run(project, options, engine=engine, waiting=lambda: None)[""].freed

    def free() -> int:
        return shutil.disk_usage(folder).free

    return disk.Guard(needs=needs, free=free, reclaimable=reclaimable, pause=stop.wait).refusal
