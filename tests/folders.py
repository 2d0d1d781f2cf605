"""An executor of machines that are folders: what a job must hold for machines that share nothing with ours."""

import hashlib
import json
import pickle
import queue
import shutil
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagematrix.model import (
    Attempt,
    BaseBootstrap,
    BaseImage,
    BuildJob,
    DockerfileBuild,
    Flake,
    FlakeKind,
    Key,
    NodePull,
    ParentImage,
)


@dataclass
class FolderExecutor:
    """Makes an image as a folder: the parent's files, the job's, and `TARGET.json` with what a builder gets.

    A package layer's files are those of its job alone. Jobs reach a machine as bytes. Whichever is idle takes the next
    one; an image that it lacks comes from the registry.
    """

    root: Path
    """Has a folder for each machine, and one for the registry."""
    machines: Sequence[str]
    faults: Mapping[str, deque[Attempt]] = field(default_factory=dict)
    """Layer -> how the first attempts at its nodes end."""
    absent: int = 0
    """How often it does not answer."""
    sent: list[bytes] = field(default_factory=list)
    done: list[tuple[str, Key]] = field(default_factory=list)
    """Which machine made which image, in order."""
    fetched: list[Key] = field(default_factory=list)
    """Parents that a machine took from the registry."""
    cancelled: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._idle: queue.SimpleQueue[str] = queue.SimpleQueue()
        for machine in self.machines:
            (self.root / machine).mkdir(parents=True, exist_ok=True)
            self._idle.put(machine)

    def build(self, job: BuildJob) -> Attempt:
        """Do a job on a machine."""
        data = pickle.dumps(job)
        self.sent.append(data)
        machine = self._idle.get()
        try:
            return self._attempt(machine, pickle.loads(data))  # noqa: S301  (our own)
        finally:
            self._idle.put(machine)

    def answers(self) -> bool:
        """Come back after having been asked so many times."""
        self.absent -= 1
        return self.absent < 0

    def cancel(self) -> None:
        """Let nothing begin any more."""
        self.cancelled.set()

    def _attempt(self, machine: str, job: BuildJob) -> Attempt:
        if self.cancelled.is_set():
            return Attempt(ok=False, why="cancelled")
        if faults := self.faults.get(job.layer):
            return faults.popleft()
        here = self.root / machine
        match job.work:
            case NodePull() as pull:
                if why := self._fetch(here, job.key, pull.repository, pull.digest):
                    return Attempt(ok=False, why=why)
            case BaseBootstrap() as base:
                _write(here / job.key, {"bootstrap.sh": base.script}, "base", {"suite": base.suite, **base.labels})
            case DockerfileBuild() as build:
                if why := self._made(here, job.key, build):
                    return Attempt(ok=False, why=why)
        if job.push_to:
            shutil.copytree(here / job.key, self.root / job.push_to / job.key, dirs_exist_ok=True)
        self.done.append((machine, job.key))
        return Attempt(ok=True, image=digest(here / job.key))

    def _made(self, here: Path, key: Key, build: DockerfileBuild) -> str:
        """Make an image; return why that is not possible."""
        for source in (build.source, *([build.packages] if build.packages else ())):
            if why := self._stand_on(here, key, source):
                return why
        told = {**build.arguments, **build.labels}
        _write(here / key, {file.path: file.content for file in build.files}, build.target, told)
        return ""

    def _stand_on(self, here: Path, key: Key, source: ParentImage | BaseImage) -> str:
        """Begin an image with the files of its parent; return why it cannot."""
        if isinstance(source, BaseImage):
            _write(here / key, {}, "from", {source.name: source.digest})
            return ""
        if not (here / source.key).exists():
            self.fetched.append(source.key)
            if why := self._fetch(here, source.key, source.repository, source.image):
                return why
        shutil.copytree(here / source.key, here / key, dirs_exist_ok=True)
        return ""

    def _fetch(self, here: Path, key: Key, repository: str, wanted: str) -> str:
        """Take an image over from the registry, if its digest is the expected one; return why not."""
        held = self.root / repository / key
        if not repository or not held.exists():
            return f"{key} is nowhere"
        if digest(held) != wanted:
            return f"{repository} has another image under {key}"
        shutil.copytree(held, here / key, dirs_exist_ok=True)
        return ""


def passing(kind: FlakeKind) -> Attempt:
    """Return an attempt that failed in passing."""
    return Attempt(ok=False, why="it passes", flake=Flake(kind=kind))


def digest(folder: Path) -> str:
    """Return what identifies the content of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashed = hashlib.sha256(b"".join(bytes(path.relative_to(folder)) + path.read_bytes() for path in files))
    return f"sha256:{hashed.hexdigest()}"


def _write(folder: Path, files: Mapping[str, bytes], target: str, told: Mapping[str, str]) -> None:
    for path, content in {**files, f"{target}.json": json.dumps(told, sort_keys=True).encode()}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
