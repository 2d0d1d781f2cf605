"""Builds one node on the engine, or pulls it: the executor of a plan. Everything it does was decided before."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from imagematrix import scratch, site
from imagematrix.engine import KEY_LABEL, Engine, buildx, buildx_command, docker_command, node_ref
from imagematrix.engine.locks import Locks, Told
from imagematrix.engine.log import BuildLog
from imagematrix.errors import InputError, NoEngineError, RegistryError
from imagematrix.model import BASE_LAYER, Attempt, Flake, FlakeKind, Key, Lock, Matrix, Node, Site, Step, Verdict
from imagematrix.planning import failure, publication, transient
from imagematrix.planning.publication import VERSIONS_LABEL
from imagematrix.shell import Shell, Source
from imagematrix.state import State

_OLDEST_BUILDX: Final = (0, 13)
"""The first with --progress rawjson."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Builds steps with one engine, one site and one set of secrets; see `ready`."""

    engine: Engine
    shell: Shell
    site: Site
    lock: Lock
    platform: str
    state: State
    repository: str
    """Where nodes are pulled from; empty: none is."""
    buildx: str
    docker: str
    secrets: Mapping[str, str]
    revision: str
    names: Mapping[Key, Sequence[str]]
    """What else a node's image is called: the leaves that end in it."""
    images: dict[Key, str]
    """The id of each node's image, if it exists; nodes that are built or pulled are added."""
    folder: Path
    """Where builds write what they made."""
    time_limit: float
    """Seconds that a try may take."""
    said: Callable[[Key, str], None]
    """Told each line a build prints, from the thread that builds."""
    locks: Locks

    def build(self, step: Step) -> Attempt:
        """Try once to build a step's node. Raises nothing that a build can cause."""
        node = step.node
        with self.state.log(f"{node.layer}-{node.key[:12]}.log") as stream:
            locks = self.locks.of(node.key)
            log = BuildLog(stream, functools.partial(self.said, node.key), locks)
            attempt = self._attempt(step, log)
            waited = locks.left()
        return replace(attempt, waited=waited, tail=() if attempt.ok else log.tail(), log=stream.path)

    def _attempt(self, step: Step, log: BuildLog) -> Attempt:
        node = step.node
        try:
            if why := self._point_to_parent(step):
                return Attempt(ok=False, why=why)
            code, image = self._make(step, log)
            if code == 0:
                return self._kept(step, image)
        except TimeoutError:
            return Attempt(ok=False, why=f"took longer than {self.time_limit / 60:g} minutes (--time-limit)")
        except InputError as error:
            return Attempt(ok=False, why=str(error))
        except NoEngineError as error:
            return Attempt(ok=False, flake=Flake(kind=FlakeKind.ENGINE), why=str(error))
        cause, said = log.judged()
        # The exit codes of the bootstrap script are apt's and its own, not buildx's.
        flake = transient.flake(code if node.layer != BASE_LAYER else 1, said)
        if flake and not self.answers():  # what breaks with the engine may look like any broken connection
            flake = Flake(kind=FlakeKind.ENGINE)
        return Attempt(ok=False, flake=flake, why=log.why(cause, code) + failure.remedy(said))

    def answers(self) -> bool:
        """Whether the engine answers."""
        return self.engine.answers()

    def cancel(self) -> None:
        """Stop all builds; the engine drops what their clients asked for within moments."""
        self.shell.cancel()

    def _point_to_parent(self, step: Step) -> str:
        """See that the parent's name stands for the parent's image; return why it cannot.

        Builds name their parent, because no builder takes the id of a local image; a name may be moved by anyone.
        """
        parent = step.node.parent
        if step.verdict is Verdict.PULL or not parent:
            return ""
        image = self.images.get(parent, "")
        if not image or not self.engine.image_id(image):
            return f"the image of its parent is gone from the engine ({node_ref(parent)}): run the build again"
        self.engine.tag(image, node_ref(parent))
        return ""

    def _kept(self, step: Step, image: str) -> Attempt:
        """Record the built image and tag it; an image that is not built on its parent is not the node."""
        node = step.node
        if not image:
            return Attempt(ok=False, why="buildx does not say which image it made")
        if step.verdict is Verdict.BUILD and node.parent:
            below = self.engine.diff_ids(self.images[node.parent])
            if self.engine.diff_ids(image)[: len(below)] != below:
                return Attempt(
                    ok=False,
                    why=f"it was built on an image that is not its parent: someone moved {node_ref(node.parent)} "
                    "to another image during the build. Check who can use this engine, and run the build again",
                )
        self.images[node.key] = image
        for name in (node_ref(node.key), *self.names.get(node.key, ()), *_base_names(node)):
            self.engine.tag(image, name)
        return Attempt(ok=True, image=image)

    def _make(self, step: Step, log: BuildLog) -> tuple[int, str]:
        """Build or pull a node; return the exit code and the id of its image."""
        if step.verdict is Verdict.PULL:
            return self._pull(step, log)
        return self._bootstrap(step.node, log) if step.node.layer == BASE_LAYER else self._solve(step.node, log)

    def _solve(self, node: Node, log: BuildLog) -> tuple[int, str]:
        metadata = self.folder / f"{node.key}.json"
        metadata.unlink(missing_ok=True)  # of the last try
        argv = buildx.argv(
            node,
            program=self.buildx,
            site=self.site,
            platform=self.platform,
            secrets=self.secrets,
            epoch=self.lock.epoch_of(node.layer),
            labels=self._labels(node),
            metadata=str(metadata),
        )
        environment = {**buildx.ENVIRONMENT, **self.site.proxies, **self.engine.environment}
        code = self._run(argv, environment, log.feed, log, stdin=functools.partial(buildx.write_context, node))
        return code, buildx.image_id(metadata.read_text(encoding="utf-8")) if metadata.exists() else ""

    def _bootstrap(self, node: Node, log: BuildLog) -> tuple[int, str]:
        """Make a base with the very script that its leaves carry."""
        said: list[bytes] = []

        def feed(chunk: bytes) -> None:
            said.append(chunk)
            log.feed(chunk)

        with scratch.folder("bootstrap") as folder:
            script = folder / "bootstrap.sh"
            script.write_bytes(node.stage.inputs[0].content)
            argv = buildx.bootstrap_argv(node, script=str(script))
            code = self._run(argv, {"DOCKER": self.docker, **self.engine.environment}, feed, log)
        return code, buildx.imported_id(b"".join(said).decode(errors="replace"))

    def _run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        feed: Callable[[bytes], None],
        log: BuildLog,
        stdin: Source = b"",
    ) -> int:
        try:
            return self.shell.run(argv, env=environment, stdin=stdin, sink=feed, seconds=self.time_limit)
        finally:
            log.close()

    def _pull(self, step: Step, log: BuildLog) -> tuple[int, str]:
        """Pull a node by the digest that was decided upon: its tag may stand for something else by now."""
        name = f"{self.repository}@{step.digest}"
        try:
            self.engine.pull(name)
            return 0, self._taken_over(name, step.node)
        except RegistryError as error:
            log.feed(f"ERROR: {error}\n".encode())
            log.close()
            return 1, ""

    def _taken_over(self, name: str, node: Node) -> str:
        """Keep what was pulled as if it was built here, under no other name; return its id."""
        image, labels = self.engine.image_id(name), self.engine.config(name).get("Labels") or {}
        if labels.get(KEY_LABEL) == node.key:
            self.engine.tag(image, node_ref(node.key))
        self.engine.untag(name)
        if labels.get(KEY_LABEL) != node.key:
            raise RegistryError(
                f"{self.repository}:{node.key} is not the node of that key ({name}): remove it from the registry"
            )
        return image

    def _labels(self, node: Node) -> Mapping[str, str]:
        base = node.leaf.row.base
        digest = self.engine.image_id(node.leaf.base_image) if base.bootstrap else self.lock.bases.get(base.image, "")
        labels = {"org.opencontainers.image.revision": self.revision, "org.opencontainers.image.base.digest": digest}
        said = {name: value for name, value in labels.items() if value}
        # Of an image of rows, not of a node below: it says what their tags promise, be that nothing.
        return {**said, VERSIONS_LABEL: publication.label(node.leaf.row)} if node.key in self.names else said


@contextmanager
def ready(  # noqa: PLR0913  (what a builder is made of)
    *,
    engine: Engine,
    shell: Shell,
    where: Site,
    lock: Lock,
    matrix: Matrix,
    root: Path,
    state: State,
    names: Mapping[Key, Sequence[str]],
    images: Mapping[Key, str],
    time_limit: float,
    said: Callable[[Key, str], None],
    waiting: Told,
) -> Iterator[Builder]:
    """Give a builder whose secrets lie in a private directory that is gone afterwards.

    `images` are the ids of the nodes that the engine has. Raises NoEngineError when buildx is missing or too old.
    """
    program = buildx_command(engine)
    buildx_version(shell, program)
    with scratch.folder("site") as folder:
        yield Builder(
            engine=engine,
            shell=shell,
            site=where,
            lock=lock,
            platform=matrix.platform,
            state=state,
            repository=matrix.nodes,
            buildx=program,
            docker=docker_command(engine),
            secrets=_secrets(where, folder),
            revision=_revision(shell, root),
            names=names,
            images=dict(images),
            folder=folder,
            time_limit=time_limit,
            said=said,
            locks=Locks(waiting),
        )


def _base_names(node: Node) -> tuple[str, ...]:
    """Return the name by which a leaf that is built alone finds the base that the matrix made."""
    return (node.leaf.base_image,) if node.layer == BASE_LAYER else ()


def buildx_version(shell: Shell, program: str) -> str:
    """Return the version of buildx. Raises NoEngineError when it is too old, or none."""
    code, text = shell.capture([program, "version"])
    found = re.search(r"\bv?(\d+)\.(\d+)\.\d", text)
    if code or not found:
        raise NoEngineError(f"`{program} version` does not behave like buildx: {text.strip()[:200]}")
    if (int(found[1]), int(found[2])) < _OLDEST_BUILDX:
        raise NoEngineError(f"buildx {found[0]} is too old: builds need 0.13 or newer")
    return found[0]


def _secrets(where: Site, folder: Path) -> Mapping[str, str]:
    """Write the site's configuration files; return secret id -> path."""
    paths = {"ca": where.ca_bundle} if where.ca_bundle else {}
    for name, text in site.secret_files(where).items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        paths[name] = str(path)
    return paths


def _revision(shell: Shell, root: Path) -> str:
    """Return the commit the project is at, `-dirty` if it has changes; empty outside a repository."""
    code, text = shell.capture(["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--match=-"])
    return "" if code else text.strip()
