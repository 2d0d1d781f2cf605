"""Checks images by running them, some at once."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from imagematrix.commands import foreign
from imagematrix.commands.verify.cache import KeptImages
from imagematrix.engine import Engine
from imagematrix.errors import FlagError, NoClusterError, NoEngineError, RegistryError, did_you_mean
from imagematrix.execution import parallel
from imagematrix.model import Destination, Key, Leaf, Row
from imagematrix.planning import checks
from imagematrix.planning.checks import Settled, Subject, Verified
from imagematrix.planning.graph import Dag
from imagematrix.planning.trust import doubts, nodes
from imagematrix.project import Project
from imagematrix.registry.store import Store
from imagematrix.report.console.verify import CheckListener
from imagematrix.shell import stoppable
from imagematrix.signing import Signer
from imagematrix.text import formatting
from imagematrix.verify.judge import Judge
from imagematrix.verify.runner import Runner, run_label
from imagematrix.verify.task import CheckTask, kit, task

_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """What came of a run, in the order of the rows' names."""

    started: datetime
    seconds: float
    images: tuple[Verified, ...]
    interrupted: bool
    lost: NoEngineError | NoClusterError | None = None
    """Set when the engine, or the cluster, went away and nothing else is wrong: some images are not checked."""

    @property
    def good(self) -> bool:
        """Whether every image exists and passed."""
        return not self.interrupted and all(image.good for image in self.images)


def run(
    project: Project,
    rows: Sequence[Row],
    *,
    engine: Engine,
    store: Store | None = None,
    signer: Signer | None = None,
    jobs: int,
    destination: str = "",
    listen: Callable[[int], CheckListener],
) -> VerifyResult:
    """Check the selected rows' images on an engine; `listen` gives who hears of those that have something to check.

    What only the node cache has is pulled, if it must be checked. What is settled is kept there too, beside the nodes,
    and what is settled there is not checked again. An image obeys the rules of its family's destination, and of the one
    that is named. Raises FlagError when there is none of that name.
    """
    asked = destination_of(project, destination)
    started, clock = datetime.now(UTC), time.monotonic()
    leaves = project.leaves(rows)
    dag = project.dag(leaves)
    listed, bonds = engine.images(), project.state.bonds()
    there, doubted = nodes(listed, bonds), doubts(listed, bonds)
    images = {key: image.id for key, image in there.items()}
    cache = KeptImages.opened(project, store, signer) if store else None
    if cache:
        cache.look(_open(project, dag, images, asked))
        images = {**cache.ids(has_blobs=engine.facts().has_blobs), **images}
    judge = Judge(project).knowing(cache.settled if cache else ())
    found = [
        judge.subject(dag.rows[name], tip, images[tip], also=asked)
        for name, tip in dag.final_nodes.items()
        if tip in images
    ]
    missing = [
        Verified(row=dag.rows[name], checks=(), built=False, doubt=doubted.get(tip, ""))
        for name, tip in dag.final_nodes.items()
        if tip not in images
    ]
    known = [_known(subject) for subject in found if not subject.open]
    sizes = {key: there[key].bytes if key in there else cache.bytes(key) if cache else 0 for key in images}
    # The biggest take longest: begun last, they would run alone at the end.
    waiting = sorted((subject for subject in found if subject.open), key=lambda one: -sizes[one.key])
    foreign.refuse([subject.row for subject in waiting], engine, project.matrix.site)
    with stoppable() as stop:
        ran = _act(project, waiting, leaves, cache, engine=engine, jobs=jobs, listen=listen, stop=stop)
    verified = sorted([*missing, *known, *ran], key=lambda image: image.row.name)
    return VerifyResult(
        started=started,
        seconds=time.monotonic() - clock,
        images=tuple(verified),
        interrupted=stop.is_set(),
        lost=_lost(verified),
    )


def _open(project: Project, dag: Dag, images: Mapping[Key, str], also: Destination | None) -> frozenset[Key]:
    """Return the final nodes that are not known to be verified here."""
    judge = Judge(project)
    return frozenset(
        tip
        for name, tip in dag.final_nodes.items()
        if tip not in images or judge.subject(dag.rows[name], tip, images[tip], also=also).open
    )


def _lost(images: Sequence[Verified]) -> NoEngineError | None:
    """Return that the engine went away, where that alone is wrong."""
    bad = [image for image in images if not image.good]
    is_lost = all(image.interruption for image in bad) and any(
        image.interruption in checks.ENGINE_LOST for image in bad
    )
    return (
        NoEngineError(f"{formatting.count(len(bad), 'image')} not checked: {bad[0].interruption}") if is_lost else None
    )


def destination_of(project: Project, name: str) -> Destination | None:
    """Return the destination of a name, if there is one. Raises FlagError for an unknown one."""
    if name and name not in project.matrix.destinations:
        hint = did_you_mean(name, project.matrix.destinations)
        raise FlagError(f"--destination {name}: unknown destination\n    {hint}")
    return project.matrix.destinations.get(name)


def _known(subject: Subject) -> Verified:
    return Verified(row=subject.row, checks=checks.joined(subject, ()))


def _act(
    project: Project,
    subjects: Sequence[Subject],
    leaves: Mapping[str, Leaf],
    cache: KeptImages | None,
    *,
    engine: Engine,
    jobs: int,
    listen: Callable[[int], CheckListener],
    stop: threading.Event,
) -> list[Verified]:
    """Run the open suites of subjects, `jobs` images at once; what is not begun when it is stopped is left out."""
    if not subjects:
        return []
    done: list[Verified] = []
    left = threading.Event()
    with (
        project.state.run_folder(
            killed=lambda name: engine.remove_containers(run_label(name)), clean=lambda: not left.is_set()
        ) as folder,
        parallel.pool(jobs, name="verify") as pool,
        listen(len(subjects)) as listener,
    ):
        checker = _Checker(project, engine, cache, folder)
        waiting = [pool.submit(checker.check, task(project, subject, leaves[subject.row.name])) for subject in subjects]
        try:
            while waiting and not stop.is_set():
                finished, waiting = parallel.ended(waiting, seconds=_POLL_SECONDS)
                listener.running(checker.runner.running())
                for future in finished:
                    done.append(future.result())
                    listener.finished(done[-1])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            try:
                checker.runner.close()
            except NoEngineError:  # the next run removes its containers
                left.set()
    return done


class _Checker:
    """Checks images from several threads: pulls those that are not here, and keeps what is settled."""

    def __init__(self, project: Project, engine: Engine, cache: KeptImages | None, folder: Path) -> None:
        self._project = project
        self._engine = engine
        self._cache = cache
        self._settled: dict[Key, list[Settled]] = {}
        self.runner = Runner(kit(project), engine, folder=folder, remember=self._remember)

    def check(self, task: CheckTask) -> Verified:
        subject = task.subject
        try:
            if self._cache and not self._engine.image_id(subject.image):
                self._project.state.bind(*self._cache.pull(self._engine, subject.key))
        except (RegistryError, NoEngineError) as error:
            return Verified(row=subject.row, checks=checks.joined(subject, ()), interruption=str(error))
        verified = self.runner.verify(task)
        if self._cache:
            self._cache.keep(subject.key, subject.image, self._settled.pop(subject.key, []))
        return verified

    def _remember(self, settled: Settled) -> None:
        self._settled.setdefault(settled.key, []).append(settled)
        self._project.state.remember_settled(settled)
