"""Does one job on the engine: builds a node, or pulls it. Everything it does was decided before."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from imagematrix import scratch
from imagematrix.engine import Engine, buildx, buildx_command, docker_command
from imagematrix.engine.locks import Locks, Told
from imagematrix.engine.log import BuildLog, LogFile
from imagematrix.errors import InputError, NoEngineError, RegistryError
from imagematrix.model import (
    APT_LOCK,
    BASE_LAYER,
    KEY_LABEL,
    TOOL_LABEL,
    Attempt,
    BaseBootstrap,
    BuildJob,
    DockerfileBuild,
    Flake,
    FlakeKind,
    Key,
    NodePull,
    ParentImage,
    Site,
    node_ref,
)
from imagematrix.planning import failure, jobs, site_files, transient
from imagematrix.shell import Shell, Source

_PULLS: Final = 3
"""How often a node is pulled whose name another process takes away."""
_OLDEST_BUILDX: Final = (0, 13)
"""The first with --progress rawjson."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Does jobs with one engine, one site and one set of secrets; see `ready`."""

    engine: Engine
    shell: Shell
    site: Site
    """What this machine brings to every job: mirrors, proxies, wheels."""
    secrets: Mapping[str, str]
    """Id -> path of the file that holds it."""
    compression: str
    """How builds compress filesystem layers; empty: the engine does so at each push."""
    buildx: str
    docker: str
    folder: Path
    """Where builds write what they made."""
    logs: Callable[[str], AbstractContextManager[LogFile]]
    """Opens the log of a name."""
    said: Callable[[Key, str], None]
    """Takes each line that a build prints, from the thread that builds."""
    locks: Locks
    export: Path | None = None
    """Where to write what is built as a tar, anew and without BuildKit's cache, instead of keeping an image."""

    def build(self, job: BuildJob) -> Attempt:
        """Try once to do a job. Raises nothing that a build can cause."""
        with self.logs(f"{job.layer}-{job.key[:12]}.log") as stream:
            locks = self.locks.of(job.key)
            log = BuildLog(stream, functools.partial(self.said, job.key), locks)
            attempt = self._attempt(job, log)
            waited = locks.left()
        tail = () if attempt.ok else log.tail()
        return replace(attempt, waited=waited, tail=tail, log=stream.path, drifted=tuple(log.drifted))

    def answers(self) -> bool:
        """Whether the engine answers."""
        return self.engine.answers()

    def cancel(self) -> None:
        """Stop all builds; the engine drops the requests of their clients within moments."""
        self.shell.cancel()

    def _attempt(self, job: BuildJob, log: BuildLog) -> Attempt:
        try:
            if why := self._lost_source(job):
                return Attempt(ok=False, why=why, lost_source=True)
            self._point_to_sources(job)
            code, image = self._make(job, log)
            # Since then: buildx says only that it cannot pull it, and what it made cannot be compared with it.
            if why := self._lost_source(job):
                return Attempt(ok=False, why=why, lost_source=True)
            if code == 0:
                return self._kept(job, image)
        except TimeoutError:
            return Attempt(ok=False, why=f"took longer than {job.seconds / 60:g} minutes (--time-limit)")
        except InputError as error:
            return Attempt(ok=False, why=str(error))
        except NoEngineError as error:
            return Attempt(ok=False, flake=Flake(kind=FlakeKind.ENGINE), why=str(error))
        return self._failed(job, code, log)

    def _failed(self, job: BuildJob, code: int, log: BuildLog) -> Attempt:
        cause, said = log.judged()
        # The exit codes of the bootstrap script are apt's and its own, not buildx's.
        flake = transient.flake(1 if isinstance(job.work, BaseBootstrap) else code, said)
        if flake and not self.answers():  # what breaks with the engine may look like any broken connection
            flake = Flake(kind=FlakeKind.ENGINE)
        return Attempt(ok=False, flake=flake, why=log.why(cause, code) + failure.remedy(said))

    def _lost_source(self, job: BuildJob) -> str:
        """Say which node that a build reads is not on the engine; empty: all are."""
        for role, image in _sources(job):
            if not image.image or not self.engine.image_id(image.image):
                return f"the image of its {role} was removed from the engine ({node_ref(image.key)})"
        return ""

    def _point_to_sources(self, job: BuildJob) -> None:
        """See that the names of the nodes that a build reads stand for their images.

        Builds name them, because no builder takes the id of a local image; a name may be moved by anyone.
        """
        for _, image in _sources(job):
            self.engine.tag(image.image, node_ref(image.key))

    def _kept(self, job: BuildJob, image: str) -> Attempt:
        """Tag the built image; an image that is not built on its parent is not the node."""
        if self.export:
            return Attempt(ok=True)
        if not image:
            return Attempt(ok=False, why="buildx does not say which image it made")
        if parent := _parent(job):
            below = self.engine.diff_ids(parent.image)
            if self.engine.diff_ids(image)[: len(below)] != below:
                return Attempt(ok=False, why=_moved("built on an image that is not its parent", parent))
        # Not by diff ids: Docker's overlay2 writes the same files in one of two orders.
        if (linked := _linked(job)) and self.engine.image_id(node_ref(linked.key)) != linked.image:
            return Attempt(ok=False, why=_moved("linked to an image that is not its package layer", linked))
        for name in (node_ref(job.key), *job.names):
            self.engine.tag(image, name)
        return Attempt(ok=True, image=image)

    def _make(self, job: BuildJob, log: BuildLog) -> tuple[int, str]:
        """Build or pull a node; return the exit code and the id of its image."""
        match job.work:
            case NodePull() as pull:
                return self._pull(job, pull, log)
            case BaseBootstrap() as bootstrap:
                return self._bootstrap(job, bootstrap, log)
            case DockerfileBuild() as build:
                return self._solve(job, build, log)

    def _solve(self, job: BuildJob, work: DockerfileBuild, log: BuildLog) -> tuple[int, str]:
        if work.packages:
            labels = self.engine.config(work.packages.image).get("Labels") or {}
            work = jobs.linked(work, tool=labels.get(TOOL_LABEL, ""))
        metadata = self.folder / f"{job.key}.json"
        metadata.unlink(missing_ok=True)  # of the last try
        argv = buildx.argv(
            job,
            work,
            program=self.buildx,
            site=self.site,
            secrets=self.secrets,
            compression="" if self.export else self.compression,
            metadata=str(metadata),
        )
        if self.export:
            argv = buildx.exporting(argv, str(self.export))
        environment = {**buildx.ENVIRONMENT, **self.site.proxies, **self.engine.environment}
        context = functools.partial(buildx.write_context, work)
        code = self._run(job, argv, environment, log.feed, log, stdin=context)
        return code, buildx.image_id(metadata.read_text(encoding="utf-8")) if metadata.exists() else ""

    def _bootstrap(self, job: BuildJob, work: BaseBootstrap, log: BuildLog) -> tuple[int, str]:
        """Make a base with the very script that its leaves carry."""
        said: list[bytes] = []

        def feed(chunk: bytes) -> None:
            said.append(chunk)
            log.feed(chunk)

        with scratch.folder("bootstrap") as folder:
            script = folder / "bootstrap.sh"
            script.write_bytes(work.script)
            if work.packages:
                (folder / BASE_LAYER).mkdir()
                (folder / BASE_LAYER / APT_LOCK).write_bytes(work.packages)
            argv = buildx.bootstrap_argv(job, work, script=str(script))
            code = self._run(job, argv, {"DOCKER": self.docker, **self.engine.environment}, feed, log)
        return code, buildx.imported_id(b"".join(said).decode(errors="replace"))

    def _run(
        self,
        job: BuildJob,
        argv: Sequence[str],
        environment: Mapping[str, str],
        feed: Callable[[bytes], None],
        log: BuildLog,
        stdin: Source = b"",
    ) -> int:
        try:
            return self.shell.run(argv, env=environment, stdin=stdin, sink=feed, seconds=job.seconds)
        finally:
            log.close()

    def _pull(self, job: BuildJob, work: NodePull, log: BuildLog) -> tuple[int, str]:
        """Pull a node by the digest that was decided upon: its tag may stand for something else by now."""
        try:
            return 0, pulled(self.engine, job.key, work)
        except RegistryError as error:
            log.feed(f"ERROR: {error}\n".encode())
            log.close()
            return 1, ""


def pulled(engine: Engine, key: Key, work: NodePull) -> str:
    """Pull a node, and keep it as if it was built here, under no other name; return its id.

    Raises RegistryError, also for an image that is another node.
    """
    name = f"{work.repository}@{work.digest}"
    image = next(filter(None, (_tried(engine, name) for _ in range(_PULLS))), "")
    labels = engine.config(image).get("Labels") or {} if image else {}
    if labels.get(KEY_LABEL) == key:
        engine.tag(image, node_ref(key))
    engine.untag(name)
    if not image:
        raise RegistryError(f"{name} was pulled, and something removed it from the engine at once")
    if labels.get(KEY_LABEL) != key:
        raise RegistryError(
            f"{work.repository}:{key} is not the node of that key ({name}): remove it from the registry"
        )
    return image


def _tried(engine: Engine, name: str) -> str:
    """Pull an image; return its id, or nothing if another process, which pulled it too, has taken away its name."""
    engine.pull(name)
    return engine.image_id(name)


@contextmanager
def ready(
    *,
    engine: Engine,
    shell: Shell,
    where: Site,
    compression: str,
    logs: Callable[[str], AbstractContextManager[LogFile]],
    said: Callable[[Key, str], None],
    waiting: Told,
) -> Iterator[Builder]:
    """Give a builder whose secrets lie in a private directory that is gone afterwards.

    `where` is the site of this machine; `compression` is gzip or zstd. Raises NoEngineError when buildx is
    missing or too old.
    """
    program = buildx_command(engine)
    buildx_version(shell, program)
    with scratch.folder("site") as folder:
        yield Builder(
            engine=engine,
            shell=shell,
            site=where,
            secrets=secrets(where, folder),
            compression=compression if engine.facts().has_blobs else "",
            buildx=program,
            docker=docker_command(engine),
            folder=folder,
            logs=logs,
            said=said,
            locks=Locks(waiting),
        )


def _parent(job: BuildJob) -> ParentImage | None:
    """Return what a job's image is built upon, where that is a node."""
    source = job.work.source if isinstance(job.work, DockerfileBuild) else None
    return source if isinstance(source, ParentImage) else None


def _sources(job: BuildJob) -> Iterator[tuple[str, ParentImage]]:
    """Yield the nodes that a job reads, each with what it is to the job's."""
    if not isinstance(job.work, DockerfileBuild):
        return
    if isinstance(job.work.source, ParentImage):
        yield "parent", job.work.source
    if linked := _linked(job):
        yield "package layer", linked


def _linked(job: BuildJob) -> ParentImage | None:
    """Return the files of the package layer that a job's image links."""
    return job.work.packages if isinstance(job.work, DockerfileBuild) else None


def _moved(what: str, image: ParentImage) -> str:
    return (
        f"it was {what}: someone moved {node_ref(image.key)} to another image during the build. "
        "Check who can use this engine, and run the build again"
    )


def buildx_version(shell: Shell, program: str) -> str:
    """Return the version of buildx. Raises NoEngineError when it is too old, or none."""
    code, text = shell.capture([program, "version"])
    found = re.search(r"\bv?(\d+)\.(\d+)\.\d", text)
    if code or not found:
        raise NoEngineError(f"`{program} version` does not behave like buildx: {text.strip()[:200]}")
    if (int(found[1]), int(found[2])) < _OLDEST_BUILDX:
        raise NoEngineError(f"buildx {found[0]} is too old: builds need 0.13 or newer")
    return found[0]


def secrets(where: Site, folder: Path) -> Mapping[str, str]:
    """Write the site's configuration files; return secret id -> path."""
    paths = {"ca": where.ca_bundle} if where.ca_bundle else {}
    for name, text in site_files.secret_files(where).items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        paths[name] = str(path)
    return paths
