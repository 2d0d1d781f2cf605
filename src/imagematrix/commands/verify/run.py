"""Checks images by running them, some at once."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from imagematrix.engine import Engine
from imagematrix.errors import FlagError, NoEngineError, did_you_mean
from imagematrix.execution import parallel
from imagematrix.model import Leaf, Platform, Row
from imagematrix.planning import checks
from imagematrix.planning.checks import Subject, Verified
from imagematrix.planning.trust import doubts, nodes
from imagematrix.project import Project
from imagematrix.report.console.verify import CheckListener
from imagematrix.shell import stoppable
from imagematrix.text import formatting
from imagematrix.verify.judge import subjects
from imagematrix.verify.runner import Runner, run_label

_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """What came of a run, in the order of the rows' names."""

    started: datetime
    seconds: float
    images: tuple[Verified, ...]
    interrupted: bool
    lost: NoEngineError | None = None
    """Set when the engine went away and nothing else is wrong: some images are not checked."""

    @property
    def good(self) -> bool:
        """Whether every image exists and passed."""
        return not self.interrupted and all(image.good for image in self.images)


def run(
    project: Project,
    rows: Sequence[Row],
    *,
    engine: Engine,
    jobs: int,
    platform: str = "",
    listen: Callable[[int], CheckListener],
) -> VerifyResult:
    """Check the selected rows' images on an engine; `listen` gives who hears of those that have something to check.

    An image obeys the rules of its family's platform, and of the one that is named. Raises FlagError when there is
    none of that name.
    """
    asked = _platform(project, platform)
    started, clock = datetime.now(UTC), time.monotonic()
    leaves = project.leaves(rows)
    dag = project.dag(leaves)
    listed, bonds = engine.images(), project.state.bonds()
    present, doubted = nodes(listed, bonds), doubts(listed, bonds)
    found = subjects(project, dag, images={key: image.id for key, image in present.items()}, also=asked)
    missing = [
        Verified(row=dag.rows[name], checks=(), built=False, doubt=doubted.get(tip, ""))
        for name, tip in dag.final_nodes.items()
        if tip not in present
    ]
    known = [_known(subject) for subject in found if not subject.open]
    # The biggest take longest: begun last, they would run alone at the end.
    waiting = sorted((subject for subject in found if subject.open), key=lambda one: -present[one.key].bytes)
    with stoppable() as stop:
        ran = _act(
            project,
            waiting,
            leaves,
            engine=engine,
            jobs=jobs,
            listen=listen,
            stop=stop,
        )
    images = sorted([*missing, *known, *ran], key=lambda image: image.row.name)
    return VerifyResult(
        started=started,
        seconds=time.monotonic() - clock,
        images=tuple(images),
        interrupted=stop.is_set(),
        lost=_lost(images),
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


def _platform(project: Project, name: str) -> Platform | None:
    if name and name not in project.matrix.platforms:
        hint = did_you_mean(name, project.matrix.platforms)
        raise FlagError(f"--platform {name}: unknown platform\n    {hint}")
    return project.matrix.platforms.get(name)


def _known(subject: Subject) -> Verified:
    return Verified(row=subject.row, checks=checks.joined(subject, ()))


def _act(
    project: Project,
    subjects: Sequence[Subject],
    leaves: Mapping[str, Leaf],
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
        runner = Runner(project, engine, folder=folder)
        waiting = [pool.submit(runner.verify, subject, leaves[subject.row.name]) for subject in subjects]
        try:
            while waiting and not stop.is_set():
                finished, waiting = parallel.ended(waiting, seconds=_POLL_SECONDS)
                listener.running(runner.running())
                for future in finished:
                    done.append(future.result())
                    listener.finished(done[-1])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            try:
                runner.close()
            except NoEngineError:  # the next run removes its containers
                left.set()
    return done
