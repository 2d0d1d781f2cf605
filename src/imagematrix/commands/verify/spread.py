"""The verify command on many machines: each image is pulled and checked on one of them."""

import functools
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from imagematrix import __version__
from imagematrix.cluster import ClusterChecks, Link, went_away
from imagematrix.cluster.messages import RemoteParent
from imagematrix.commands.verify.cache import KeptImages
from imagematrix.commands.verify.run import VerifyResult, destination_of
from imagematrix.errors import NoClusterError
from imagematrix.execution import parallel
from imagematrix.model import Destination, Key, Row
from imagematrix.planning import checks
from imagematrix.planning.checks import Running, Subject, Verified
from imagematrix.planning.graph import Dag
from imagematrix.project import Project
from imagematrix.registry.store import Store
from imagematrix.report.console.verify import CheckListener
from imagematrix.shell import stoppable
from imagematrix.signing import Signer
from imagematrix.text.formatting import count
from imagematrix.verify import remote
from imagematrix.verify.judge import Judge
from imagematrix.verify.task import CheckTask, kit, task

_POLL_SECONDS: Final = 0.5
_WITH_GPU: Final = re.compile(r"^(async )?def test_\w+\([^)]*\bgpu\b", re.MULTILINE)
"""A check that asks for the fixture `gpu`."""


def run(
    project: Project,
    rows: Sequence[Row],
    *,
    link: Link,
    store: Store | None,
    signer: Signer | None,
    destination: str = "",
    listen: Callable[[int], CheckListener],
) -> VerifyResult:
    """Check the selected rows' images, as the node cache has them, on the machines of a cluster.

    What is settled is remembered here, and kept beside the nodes. Raises NoClusterError, and FlagError when there is no
    destination of that name.
    """
    assert store  # noqa: S101  (`request.cluster` has seen to it)
    asked = destination_of(project, destination)
    started, clock = datetime.now(UTC), time.monotonic()
    leaves = project.leaves(rows)
    dag = project.dag(leaves)
    cache = KeptImages.opened(project, store, signer)
    cache.look(frozenset(dag.final_nodes.values()))
    if store.is_silent:
        raise NoClusterError(f"{store.repository} does not answer (above), and machines pull images from it")
    judge = Judge(project).knowing(cache.settled)
    found = {name: _subject(judge, dag, name, cache, asked) for name, tip in dag.final_nodes.items() if cache.has(tip)}
    missing = [Verified(row=row, checks=(), built=False) for name, row in dag.rows.items() if name not in found]
    known = [Verified(row=one.row, checks=checks.joined(one, ())) for one in found.values() if not one.open]
    tasks = [task(project, subject, leaves[name]) for name, subject in found.items() if subject.open]
    ran, gone = list[Verified](), ""
    with stoppable() as stop, closing(link):
        if tasks:
            checking = _Checking(project, cache, link, {each.subject.row.platform for each in tasks})
            ran = checking.run(tasks, listen, stopped=stop.is_set)
            gone = checking.cluster.gone()
    images = sorted([*missing, *known, *ran], key=lambda image: image.row.name)
    return VerifyResult(
        started=started,
        seconds=time.monotonic() - clock,
        images=tuple(images),
        interrupted=stop.is_set(),
        lost=_lost(images, gone) if gone else None,
    )


def _lost(images: Sequence[Verified], gone: str) -> NoClusterError | None:
    """Return that the cluster went away, where that alone is wrong."""
    bad = [image for image in images if not image.good]
    if not bad or not all(image.interruption for image in bad):
        return None
    return went_away(f"{count(len(bad), 'image')} not checked", gone, kept="checked")


def _subject(judge: Judge, dag: Dag, name: str, cache: KeptImages, also: Destination | None) -> Subject:
    """Return the checks of an image: it is known by two digests, and settled if it is by one of them."""
    found = [
        judge.subject(dag.rows[name], dag.final_nodes[name], id_, also=also)
        for id_ in cache.both(dag.final_nodes[name])
    ]
    return min(found, key=lambda subject: len(subject.open))


class _Checking:
    """Sends images to machines, and takes in what they found."""

    def __init__(self, project: Project, cache: KeptImages, link: Link, platforms: Collection[str]) -> None:
        self._project = project
        self._cache = cache
        self._texts = project.repository.common.checks()
        self.cluster = ClusterChecks(
            link,
            version=__version__,
            platforms=platforms,
            repository=cache.store.repository,
            kit=remote.pack(kit(project)),
        )

    def run(
        self, tasks: Sequence[CheckTask], listen: Callable[[int], CheckListener], *, stopped: Callable[[], bool]
    ) -> list[Verified]:
        """Check images; what is not begun when it is stopped is left out."""
        done: list[Verified] = []
        rows, running = {task.subject.key: task.subject.row for task in tasks}, dict[Key, Row]()
        slots = self.cluster.open()
        with parallel.pool(2 * slots, name="verify") as pool, listen(len(tasks)) as listener:
            waiting = [pool.submit(functools.partial(self._check, task)) for task in tasks]
            while waiting and not stopped():
                finished, waiting = parallel.ended(waiting, seconds=_POLL_SECONDS)
                running |= {key: rows[key] for key, _machine in self.cluster.begun()}
                for future in finished:
                    key, verified = future.result()
                    running.pop(key, None)
                    done.append(verified)
                    listener.finished(verified)
                listener.running([Running(row=row) for row in running.values()])
            if stopped():
                pool.shutdown(wait=False, cancel_futures=True)
                self.cluster.cancel()
        return done

    def _check(self, task: CheckTask) -> tuple[Key, Verified]:
        subject = task.subject
        manifest = self._cache.manifests[subject.key]
        image = RemoteParent(
            key=subject.key, ids=(manifest.config, manifest.digest), digest=manifest.digest, bytes=manifest.bytes
        )
        result = self.cluster.check(
            image,
            remote.pack_task(task),
            platform=subject.row.platform,
            needs_gpu=_needs_gpu(subject, self._texts),
            priority=manifest.bytes,
        )
        if not result.checked:
            why = result.attempt.why or "its machine went away"
            return subject.key, Verified(row=subject.row, checks=checks.joined(subject, ()), interruption=why)
        verified, settled = remote.read(result.checked)
        for one in settled:
            self._project.state.remember_settled(one)
        self._cache.keep(subject.key, manifest.digest, settled)
        return subject.key, verified


def _needs_gpu(subject: Subject, texts: Mapping[str, str]) -> bool:
    """Whether one of the checks that must run asks for a GPU."""
    return any(_WITH_GPU.search(texts.get(suite.owner, "")) for suite in subject.open)
