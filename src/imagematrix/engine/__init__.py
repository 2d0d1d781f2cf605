"""The Docker Engine: which one answers, its images, tags and containers. The only home of the docker SDK.

The SDK cannot build with BuildKit; builds are `buildx`'s. Both must talk to one engine, so `environment`
says what a docker client has to be given to reach the same one.
"""

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagematrix.errors import LostEngineError, NoEngineError, RegistryError, SilentRegistryError
from imagematrix.model import Key
from imagematrix.planning import garbage, trust
from imagematrix.planning.trust import Bonds

if TYPE_CHECKING:
    from docker import APIClient, DockerClient
    from docker.models.containers import Container as SdkContainer

    _Transfer = Callable[[APIClient], Callable[..., Iterable[Any]]]

KEY_LABEL: Final = "imagematrix.key"
ROW_LABEL: Final = "imagematrix.row"
_NODES: Final = "imagematrix/node"
_API_VERSION: Final = "1.44"
"""Named, because without a version the SDK connects before it can be told to leave proxies alone;
engines from 25 to 29 speak it (https://docs.docker.com/reference/api/engine/)."""
_TIMEOUT_SECONDS: Final = 30
_TRANSFER_SECONDS: Final = 600
"""How long a push or a pull may be silent: registries take their time to take in a layer of gigabytes."""
_PRUNED_AT_ONCE: Final = 500
_KILLED: Final = frozenset({128 + 9, 255})
"""The exit codes that engines give to containers that ended with them: SIGKILL, or not known."""
_PLUGINS: Final = tuple(
    Path(folder, "docker/cli-plugins")
    for folder in ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")
)
"""Where docker's own client looks for plugins (docker/cli, cli-plugins/manager)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImage:
    """An image we built: its id (`sha256:…`), its size in bytes as the engine counts it, and all its names."""

    id: str
    key: Key
    bytes: int
    names: tuple[str, ...]
    row: str = ""
    """The row whose leaf it is, or is built on; empty for a node that is no leaf's last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a container is started."""

    image: str
    command: Sequence[str] = ()
    """Instead of what the image runs by itself."""
    entrypoint: str = ""
    """Instead of the image's."""
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    files: Mapping[str, str]
    """Path -> text of executable files that are put in before it starts."""
    user: str = ""
    read_only: bool = False
    """Its root cannot be written to; /tmp and /run are in memory."""
    gpus: bool = False
    """It is given all GPUs of the engine's machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What an engine says of itself."""

    version: str
    is_private: bool
    """It is the one that scripts/engine started."""
    data: str
    """The directory on its machine that it keeps images in."""


class Container:
    """A container that was started; whoever started it removes it."""

    def __init__(self, container: "SdkContainer") -> None:
        self._container = container

    @property
    def id(self) -> str:
        """Return its id, as docker's own client takes it."""
        return str(self._container.id)

    def address(self) -> str:
        """Return its address in the engine's network, empty when it has none (any more)."""
        return next((str(network["IPAddress"]) for network in self._state("NetworkSettings")["Networks"].values()), "")

    def running(self) -> bool:
        """Whether it runs."""
        return bool(self._state("State")["Running"])

    def was_killed(self) -> bool:
        """Whether it was ended from outside, as an engine that restarts does with what it finds running."""
        state = self._state("State")
        return not (state["Running"] or state["OOMKilled"]) and state["ExitCode"] in _KILLED

    def logs(self) -> str:
        """Return all that it has said so far, on both of its streams."""
        with _answering():
            return str(self._container.logs().decode(errors="replace"))

    def stop(self) -> None:
        """Do what `docker stop` does: ask, and kill what has not obeyed after a minute, which is long."""
        with _answering():
            self._container.stop(timeout=60)

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        with _answering():
            return int(self._container.wait()["StatusCode"])

    def remove(self) -> None:
        """Remove it, whether it runs or not."""
        with _answering():
            self._container.remove(force=True, v=True)

    def _state(self, part: str) -> Mapping[str, Any]:
        with _answering():
            self._container.reload()
        return dict(self._container.attrs[part])


class Engine:
    """One engine that answered."""

    def __init__(self, client: "DockerClient", environment: Mapping[str, str]) -> None:
        self._client = client
        self.environment = environment
        """Added to the environment of docker clients so that they reach this engine."""

    def facts(self) -> EngineFacts:
        """Return what it says of itself."""
        with _answering():
            said: Any = self._client.info()
        return EngineFacts(
            version=str(said["ServerVersion"]),
            is_private=bool(self.environment),
            data=str(said["DockerRootDir"]),
        )

    def has_gpus(self) -> bool:
        """Whether containers can be given a GPU: what `nvidia-ctk runtime configure` does to an engine."""
        with _answering():
            return "nvidia" in self._client.info()["Runtimes"]

    def answers(self) -> bool:
        """Whether it is there."""
        try:
            with _answering():
                return bool(self._client.ping())
        except NoEngineError:
            return False

    def images(self) -> tuple[EngineImage, ...]:
        """Return all images that carry a key: one request, whatever their number."""
        with _answering():
            found = self._client.api.images(filters={"label": [KEY_LABEL]})
        return tuple(
            EngineImage(
                id=image["Id"],
                key=Key(image["Labels"][KEY_LABEL]),
                bytes=image["Size"],
                names=tuple(image["RepoTags"] or ()),
                row=image["Labels"].get(ROW_LABEL, ""),
            )
            for image in found
        )

    def image_id(self, name: str) -> str:
        """Return the id of a local image by a name or its id, empty when there is none."""
        from docker.errors import ImageNotFound

        with _answering():
            try:
                return str(self._client.images.get(name).id)
            except ImageNotFound:
                return ""

    def tag(self, source: str, name: str) -> None:
        """Give an image, by a name or its id, one more name."""
        repository, _, tag = name.rpartition(":")
        with _answering():
            self._client.api.tag(source, repository, tag)

    def untag(self, name: str) -> None:
        """Take a name from an image, and remove it if that was its last; nothing happens when there is none."""
        from docker.errors import ImageNotFound

        with _answering():
            try:
                self._client.api.remove_image(name, noprune=True)
            except ImageNotFound:
                return

    def push(self, name: str, *, stopped: Callable[[], bool] = lambda: False) -> str:
        """Push an image to the registry that its name leads to; return the digest it is known by there.

        It is given up when `stopped` becomes true. Raises RegistryError with what the registry said.
        """
        said = self._transfer(name, lambda api: api.push, stopped)
        return next((str(line["aux"]["Digest"]) for line in said if "Digest" in line.get("aux", {})), "")

    def pull(self, name: str) -> None:
        """Pull an image by its tag, or by its digest (`name@sha256:…`). Raises RegistryError with what was said."""
        self._transfer(name, lambda api: api.pull, lambda: False)

    def _transfer(self, name: str, transfer: "_Transfer", stopped: Callable[[], bool]) -> Sequence[Mapping[str, Any]]:
        """Let the engine push or pull; return what it said of the results."""
        repository, at, tag = name.partition("@")
        if not at:
            repository, _, tag = name.rpartition(":")
        lasting: list[Mapping[str, Any]] = []
        # A client of its own: for an answer that takes its time, and logged in as docker is by now.
        client = _client(self.environment, seconds=_TRANSFER_SECONDS)
        with closing(client), _transferring(name):
            for line in transfer(client.api)(repository, tag, stream=True, decode=True):
                if "error" in line:
                    raise RegistryError(f"{name}: {line['error']}")
                if "aux" in line:
                    lasting.append(line)
                if stopped():
                    raise RegistryError(f"{name}: interrupted")
        return lasting

    def storage(self) -> Path | None:
        """Return the folder in which the engine keeps its images; None when that is on another machine."""
        host = self.environment.get("DOCKER_HOST") or os.environ.get("DOCKER_HOST") or "unix://"
        folder = Path(self.facts().data)
        return folder if host.startswith("unix://") and folder.is_dir() else None

    def config(self, name: str) -> Mapping[str, Any]:
        """Return what a local image says of itself: environment, entry point, health check."""
        with _answering():
            return dict(self._client.images.get(name).attrs["Config"])

    def created(self, name: str) -> str:
        """Return when a local image was made, in UTC as RFC 3339 writes it."""
        with _answering():
            return str(self._client.images.get(name).attrs["Created"])

    def diff_ids(self, name: str) -> tuple[str, ...]:
        """Return the ids of a local image's filesystem layers, lowest first."""
        with _answering():
            return tuple(self._client.images.get(name).attrs["RootFS"]["Layers"] or ())

    def saved(self, name: str) -> Iterator[bytes]:
        """Yield what `docker save` writes of a local image, as it comes."""
        # A client of its own: before it says a byte, the engine writes all of an image to its disk.
        with closing(_client(self.environment, seconds=_TRANSFER_SECONDS)) as client, _answering():
            yield from client.api.get_image(name)

    def start(self, start: Start) -> Container:
        """Start a container; one that does not start is removed again."""
        from docker.types import DeviceRequest

        with _answering():
            made = self._client.containers.create(
                start.image,
                list(start.command) or None,
                entrypoint=start.entrypoint or None,
                environment=dict(start.environment),
                labels=dict(start.labels),
                user=start.user or None,
                read_only=start.read_only,
                tmpfs={"/tmp": "", "/run": ""} if start.read_only else None,  # noqa: S108  # the container's
                device_requests=[DeviceRequest(count=-1, capabilities=[["gpu"]])] if start.gpus else None,
            )
            try:
                if start.files:
                    made.put_archive("/", _archive(start.files))
                made.start()
            except BaseException:
                made.remove(force=True, v=True)
                raise
        return Container(made)

    def layers(self) -> Mapping[str, garbage.Layers]:
        """Return the filesystem layers of all images, by the image's id."""
        from docker.errors import ImageNotFound

        found: dict[str, garbage.Layers] = {}
        with _answering():
            for image in self._client.api.images():
                with suppress(ImageNotFound):  # others remove images too
                    said: Any = self._client.images.get(image["Id"]).attrs
                    found[image["Id"]] = garbage.Layers(
                        ids=tuple(said["RootFS"].get("Layers") or ()), bytes=image["Size"]
                    )
        return found

    def users(self, *, but: Collection[str]) -> Mapping[str, str]:
        """Return for each image (by id) that has a container, running or not, the name of one; `but` do not count."""
        with _answering():
            found = self._client.api.containers(all=True)
        return {one["ImageID"]: _container_name(one) for one in found if one["Id"] not in but}

    def check_containers(self, label: str) -> tuple[garbage.CheckContainer, ...]:
        """Return the containers that carry a label, whatever its value."""
        with _answering():
            found = self._client.api.containers(all=True, filters={"label": label})
            return tuple(made for one in found if (made := self._check_container(one)))

    def _check_container(self, listed: Mapping[str, Any]) -> garbage.CheckContainer | None:
        from docker.errors import NotFound

        try:
            said = self._client.api.inspect_container(listed["Id"])
        except NotFound:  # its run ends just now
            return None
        runs = bool(said["State"]["Running"])
        # One that never ran says that it stopped in the year 1.
        stopped = 0.0 if runs else _moment(said["State"]["FinishedAt"])
        return garbage.CheckContainer(
            id=listed["Id"], name=_container_name(listed), runs=runs, since=max(_moment(said["Created"]), stopped)
        )

    def remove_container(self, id_: str) -> None:
        """Remove a container, whether it runs or not, with its anonymous volumes."""
        with _answering():
            self._client.api.remove_container(id_, force=True, v=True)

    def build_cache(self) -> tuple[garbage.CacheRecord, ...]:
        """Return what BuildKit keeps."""
        with _answering():
            found = self._client.df()["BuildCache"] or ()
        return tuple(
            garbage.CacheRecord(
                id=one["ID"],
                description=one["Description"],
                bytes=one["Size"],
                shared=one["Shared"],
                in_use=one["InUse"],
                last_used=_moment(one.get("LastUsedAt") or one["CreatedAt"]),
            )
            for one in found
        )

    def prune_cache(self, ids: Sequence[str]) -> None:
        """Remove these pieces of BuildKit's cache; one that something stands on stays."""
        for at in range(0, len(ids), _PRUNED_AT_ONCE):
            # The filter is a regular expression (moby, builder-next: `id~=`), and takes one value.
            chosen: Any = {"id": f"^({'|'.join(ids[at : at + _PRUNED_AT_ONCE])})$"}
            with _answering():
                self._client.api.prune_builds(filters=chosen, all=True)

    def disk_bytes(self) -> int:
        """Return how much the engine keeps on its disk: images and build cache, what they share counted once."""
        with _answering():
            found: Any = self._client.df()
        cache = (int(one["Size"]) for one in found["BuildCache"] or () if not one["Shared"])
        return int(found["LayersSize"]) + sum(cache)

    def remove_containers(self, label: str) -> None:
        """Remove all containers that carry a label, `name=value`, but for those that somebody else is removing."""
        from docker.errors import APIError

        with _answering():
            for found in self._client.api.containers(all=True, filters={"label": label}):
                try:
                    self._client.api.remove_container(found["Id"], force=True, v=True)
                except APIError as error:
                    if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                        raise


def _container_name(listed: Mapping[str, Any]) -> str:
    return str((listed["Names"] or [listed["Id"][:12]])[0]).removeprefix("/")


def _moment(text: str) -> float:
    """Return what the engine writes of a moment as seconds since 1970; it knows nanoseconds, Python does not."""
    year = int(text[:4])
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp() if year > 1 else 0.0


def node_ref(key: Key) -> str:
    """Return the name under which the engine keeps a node; named contexts accept no image ids, so each has one."""
    return f"{_NODES}:{key}"


def named(images: Collection[EngineImage]) -> Mapping[Key, EngineImage]:
    """Return the images that bear the name and the label of a node, which anyone may have given them."""
    return {image.key: image for image in images if node_ref(image.key) in image.names}


def nodes(images: Collection[EngineImage], bonds: Bonds) -> Mapping[Key, EngineImage]:
    """Return the nodes among images: those that are named so, and whose content is known to be the node's."""
    return {key: image for key, image in named(images).items() if bonds.hold(key, image.id)}


def doubts(images: Collection[EngineImage], bonds: Bonds) -> Mapping[Key, str]:
    """Return why images that bear the name of a node are not believed to be it."""
    return trust.doubts({key: image.id for key, image in named(images).items()}, bonds)


def connect() -> Engine:
    """Return the engine that docker itself would use, else the one that scripts/engine started.

    Raises NoEngineError, saying how to get one.
    """
    tried: list[str] = []
    for environment in _candidates():
        try:
            return Engine(_client(environment), environment)
        except NoEngineError as error:
            tried.append(str(error))
    raise NoEngineError(
        "no Docker Engine answers. Start docker, or point DOCKER_HOST at a running engine; on a Debian or Ubuntu "
        "machine as root, `scripts/engine start` sets up a private one.\n    " + "\n    ".join(tried)
    )


def docker_command(engine: Engine) -> str:
    """Return the docker client that reaches an engine: the private engine's own, or the one on the PATH."""
    own = _private() / "bin" / "docker"
    return str(own) if own.exists() and (engine.environment or not shutil.which("docker")) else "docker"


def buildx_command(engine: Engine | None = None) -> str:
    """Return the buildx program itself: calling it through `docker` costs a second start-up per node.

    Without an engine it is one that talks to registries. Raises NoEngineError when there is none.
    """
    own = _private() / "bin" / "docker-buildx"
    home = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"), "cli-plugins")
    installed = [folder / "docker-buildx" for folder in (home, *_PLUGINS)]
    for path in (own, *installed) if engine and engine.environment else (*installed, own):
        if path.exists():
            return str(path)
    on_path = shutil.which("docker-buildx")
    if on_path:
        return on_path
    raise NoEngineError(
        "the docker client has no buildx plugin, which builds and questions to registries need (0.13 or newer). "
        "Install docker-buildx-plugin (Docker's packages) or docker-buildx (Debian 13's)."
    )


def _archive(files: Mapping[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(text.encode()), 0o755
            archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def _candidates() -> Iterator[Mapping[str, str]]:
    yield {}
    private = _private() / "docker.sock"
    if "DOCKER_HOST" not in os.environ and private.exists():
        yield {"DOCKER_HOST": f"unix://{private}"}


def _private() -> Path:
    """Return the directory of the engine that scripts/engine keeps."""
    return Path(os.environ.get("IMAGEMATRIX_ENGINE_DIR", "/var/lib/imagematrix/engine"))


def _client(environment: Mapping[str, str], *, seconds: int = _TIMEOUT_SECONDS) -> "DockerClient":
    import docker
    import requests
    from docker.errors import DockerException

    client = None
    try:
        client = docker.from_env(
            version=_API_VERSION,
            timeout=seconds,
            use_ssh_client=True,
            environment={**os.environ, **environment},
        )
        # REQUESTS_CA_BUNDLE, usual behind company proxies, would override the engine's own certificate.
        client.api.trust_env = False
        client.ping()
    except (DockerException, requests.RequestException, OSError) as error:
        if client:
            client.close()
        place = environment.get("DOCKER_HOST") or os.environ.get("DOCKER_HOST") or "docker's default socket"
        raise NoEngineError(f"{place}: {_root_cause(error)}") from error
    return client


@contextmanager
def _transferring(name: str) -> Iterator[None]:
    """Tell an engine that went away from one that could not do what it was asked, or could not in time."""
    import urllib3
    from docker.errors import APIError, DockerException
    from requests import RequestException

    try:
        yield
    except APIError as error:
        raise RegistryError(f"{name}: {error.explanation}") from None
    except urllib3.exceptions.ReadTimeoutError:
        raise SilentRegistryError(f"{name}: nothing was heard of it for {_TRANSFER_SECONDS} s") from None
    except (RequestException, urllib3.exceptions.HTTPError) as error:
        raise NoEngineError(f"the engine stopped answering: {_root_cause(error)}") from error
    except DockerException as error:  # the SDK's own: of the credential helper
        raise RegistryError(f"{name}: {error}") from None


@contextmanager
def _answering() -> Iterator[None]:
    """Turn what an engine that stopped answering makes of a request into our own error."""
    import requests
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as error:
        raise NoEngineError(f"the engine stopped answering: {_root_cause(error)}") from error
    except (DockerException, requests.RequestException) as error:
        raise LostEngineError(f"the engine stopped answering: {_root_cause(error)}") from error


def _root_cause(error: BaseException) -> str:
    """Return what the system said, from under the SDK's layers of wrapping."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PermissionError):
            return "permission denied (is your user in the group `docker`?)"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        reasons = [argument for argument in cause.args if isinstance(argument, BaseException)]
        cause = cause.__cause__ or cause.__context__ or (reasons[0] if reasons else None)
    return str(error)
