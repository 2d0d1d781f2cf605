"""Checks of an image for somebody else: what arrives as bytes is checked with this machine's engine."""

import pickle
import threading
from dataclasses import replace

from imagematrix import scratch
from imagematrix.engine import Engine
from imagematrix.planning.checks import Settled, Verified
from imagematrix.verify.runner import Runner
from imagematrix.verify.task import CheckKit, CheckTask, PackedKit, packed, unpacked

Checked = tuple[Verified, tuple[Settled, ...]]


def pack(kit: CheckKit) -> bytes:
    """Return a kit as bytes."""
    return pickle.dumps(packed(kit))


def pack_task(task: CheckTask) -> bytes:
    """Return the checks of one image as bytes."""
    return pickle.dumps(task)


def read(data: bytes) -> Checked:
    """Return what a machine of the cluster found, and what is settled by it."""
    found: Checked = pickle.loads(data)  # noqa: S301  (mutual TLS: only who may build sends)
    return found


class RemoteChecker:
    """Checks images with an engine. Its methods may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._runners: list[Runner] = []
        self._lock = threading.Lock()

    def check(self, kit: bytes, task: bytes, image: str) -> bytes:
        """Check an image, by its id here; return what `read` reads. Raises NoEngineError."""
        sent: PackedKit = pickle.loads(kit)  # noqa: S301  (as above)
        given: CheckTask = pickle.loads(task)  # noqa: S301
        settled: list[Settled] = []
        with scratch.folder("verify") as folder:
            here = unpacked(sent, folder / "project")
            runner = Runner(here, self._engine, folder=folder, remember=settled.append)
            with self._lock:
                self._runners.append(runner)
            try:
                verified = runner.verify(replace(given, subject=replace(given.subject, image=image)))
            finally:
                with self._lock:
                    self._runners.remove(runner)
                runner.close()
        return pickle.dumps((verified, tuple(settled)))

    def cancel(self) -> None:
        """Make all checks end soon."""
        with self._lock:
            runners = tuple(self._runners)
        for runner in runners:
            runner.close()
