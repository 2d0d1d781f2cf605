"""Which engine answers, and which docker clients reach it."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imagematrix.engine import contexts, tunnel
from imagematrix.engine.answering import answering
from imagematrix.engine.build_cache import EngineCache
from imagematrix.engine.client import open_client, private_folder
from imagematrix.engine.containers import EngineContainers
from imagematrix.engine.images import EngineImages
from imagematrix.errors import NoEngineError

_PLUGINS: Final = tuple(
    Path(folder, "docker/cli-plugins")
    for folder in ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")
)
"""Where docker's own client looks for plugins (docker/cli, cli-plugins/manager)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What an engine says of itself."""

    version: str
    is_private: bool
    """It is the one that scripts/engine started."""
    data: str
    """The directory on its machine that it keeps images in."""
    has_blobs: bool
    """It keeps images in containerd's store: compressed, as registries have them."""
    platform: str
    """The Docker platform that it builds for, `linux/amd64`."""


class Engine(EngineImages, EngineContainers, EngineCache):
    """One engine that answered: its images, containers and build cache."""

    def facts(self) -> EngineFacts:
        """Return what it says of itself."""
        with answering():
            said: Any = self._client.info()
            version: Any = self._client.version()
        return EngineFacts(
            version=str(said["ServerVersion"]),
            is_private=self.environment.get("DOCKER_HOST", "").startswith(f"unix://{private_folder()}/"),
            data=str(said["DockerRootDir"]),
            has_blobs=any("containerd" in value for _, value in said["DriverStatus"] or ()),
            platform=f"{version['Os']}/{version['Arch']}",
        )

    def has_gpus(self) -> bool:
        """Whether containers can be given a GPU: what `nvidia-ctk runtime configure` does to an engine."""
        with answering():
            return "nvidia" in self._client.info()["Runtimes"]

    def answers(self) -> bool:
        """Whether it exists."""
        try:
            with answering():
                return bool(self._client.ping())
        except NoEngineError:
            return False

    def storage(self) -> Path | None:
        """Return the folder in which the engine keeps its images; None when that is on another machine.

        A socket here may be the end of a tunnel: the folder is the engine's if it has the engine's own id.
        """
        host = self.environment.get("DOCKER_HOST") or os.environ.get("DOCKER_HOST") or "unix://"
        with answering():
            said: Any = self._client.info()
        folder = Path(str(said["DockerRootDir"]))
        is_here = host.startswith("unix://") and folder.is_dir() and _is_of(folder, said)
        return folder if is_here else None


def _is_of(folder: Path, said: Mapping[str, Any]) -> bool:
    """Whether a folder is that of an engine, by what the engine says of itself."""
    try:
        return (folder / "engine-id").read_text(encoding="utf-8").strip() == str(said["ID"])
    except OSError:  # only root may look
        return bool(said["Name"] == platform.node())


def connect() -> Engine:
    """Return the engine that docker itself would use, else the one that scripts/engine started.

    Raises NoEngineError, saying how to get one.
    """
    tried: list[str] = []
    for candidate in _candidates():
        try:
            environment = candidate()
            return Engine(open_client(environment), environment)
        except NoEngineError as error:
            tried.append(str(error))
    raise NoEngineError(
        "no Docker Engine answers. Start docker, or point DOCKER_HOST at a running engine; on a Debian or Ubuntu "
        "machine as root, `invoke engine start` sets up a private one.\n    " + "\n    ".join(tried)
    )


def _candidates() -> Iterator[Callable[[], Mapping[str, str]]]:
    """Yield what leads docker's clients to each engine that may answer; each may raise NoEngineError."""
    yield _usual
    private = private_folder() / "docker.sock"
    if "DOCKER_HOST" not in os.environ and not contexts.named() and private.exists():
        yield lambda: {"DOCKER_HOST": f"unix://{private}"}


def _usual() -> Mapping[str, str]:
    """Return what leads to the engine that docker itself would use; one tunnel where that takes ssh."""
    chosen = contexts.chosen()
    host = chosen.get("DOCKER_HOST") or os.environ.get("DOCKER_HOST", "")
    return {"DOCKER_HOST": tunnel.opened(host)} if tunnel.is_remote(host) else chosen


def docker_command(engine: Engine) -> str:
    """Return the docker client that reaches an engine: the private engine's own, or the one on the PATH."""
    own = private_folder() / "bin" / "docker"
    return str(own) if own.exists() and (engine.environment or not shutil.which("docker")) else "docker"


def buildx_command(engine: Engine | None = None) -> str:
    """Return the buildx program itself: calling it through `docker` costs a second start-up per node.

    Without an engine it can only query registries. Raises NoEngineError when there is none.
    """
    own = private_folder() / "bin" / "docker-buildx"
    home = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"), "cli-plugins")
    installed = [folder / "docker-buildx" for folder in (home, *_PLUGINS)]
    for path in (own, *installed) if engine and engine.environment else (*installed, own):
        if path.exists():
            return str(path)
    on_path = shutil.which("docker-buildx")
    if on_path:
        return on_path
    raise NoEngineError(
        "the docker client has no buildx plugin, which builds and look-ups in registries need (0.13 or newer). "
        "Install docker-buildx-plugin (Docker's packages) or docker-buildx (Debian 13's)."
    )
