"""The engine's containers."""

import io
import tarfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from imagematrix.engine.answering import answering
from imagematrix.engine.client import EngineClient
from imagematrix.model import CheckContainer

if TYPE_CHECKING:
    from docker import APIClient
    from docker.models.containers import Container as SdkContainer

    _Transfer = Callable[[APIClient], Callable[..., Iterable[Any]]]


_KILLED: Final = frozenset({128 + 9, 255})
"""The exit codes that engines give to containers that ended with them: SIGKILL, or not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """How a container is started."""

    image: str
    command: Sequence[str] = ()
    """Replaces the command of the image."""
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


class Container:
    """A container that was started; its starter removes it."""

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
        """Return everything that it has printed so far, on both streams."""
        with answering():
            return str(self._container.logs().decode(errors="replace"))

    def stop(self) -> None:
        """Do what `docker stop` does: ask, and kill what has not obeyed after a minute, which is long."""
        with answering():
            self._container.stop(timeout=60)

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        with answering():
            return int(self._container.wait()["StatusCode"])

    def remove(self) -> None:
        """Remove it, whether it runs or not."""
        with answering():
            self._container.remove(force=True, v=True)

    def _state(self, part: str) -> Mapping[str, Any]:
        with answering():
            self._container.reload()
        return dict(self._container.attrs[part])


def _container_name(listed: Mapping[str, Any]) -> str:
    return str((listed["Names"] or [listed["Id"][:12]])[0]).removeprefix("/")


def _archive(files: Mapping[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(text.encode()), 0o755
            archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def moment(text: str) -> float:
    """Return what the engine writes of a moment as seconds since 1970; it knows nanoseconds, Python does not."""
    year = int(text[:4])
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp() if year > 1 else 0.0


class EngineContainers(EngineClient):
    """The part of an engine that is about its containers."""

    def start(self, spec: ContainerSpec) -> Container:
        """Start a container; one that does not start is removed again."""
        from docker.types import DeviceRequest

        with answering():
            made = self._client.containers.create(
                spec.image,
                list(spec.command) or None,
                entrypoint=spec.entrypoint or None,
                environment=dict(spec.environment),
                labels=dict(spec.labels),
                user=spec.user or None,
                read_only=spec.read_only,
                tmpfs={"/tmp": "", "/run": ""} if spec.read_only else None,  # noqa: S108  # the container's
                device_requests=[DeviceRequest(count=-1, capabilities=[["gpu"]])] if spec.gpus else None,
            )
            try:
                if spec.files:
                    made.put_archive("/", _archive(spec.files))
                made.start()
            except BaseException:
                made.remove(force=True, v=True)
                raise
        return Container(made)

    def users(self, *, but: Collection[str]) -> Mapping[str, str]:
        """Return for each image (by id) that has a container, running or not, the name of one; `but` do not count."""
        with answering():
            found = self._client.api.containers(all=True)
        return {one["ImageID"]: _container_name(one) for one in found if one["Id"] not in but}

    def check_containers(self, label: str) -> tuple[CheckContainer, ...]:
        """Return the containers that carry a label, whatever its value."""
        with answering():
            found = self._client.api.containers(all=True, filters={"label": label})
            return tuple(made for one in found if (made := self._check_container(one)))

    def _check_container(self, listed: Mapping[str, Any]) -> CheckContainer | None:
        from docker.errors import NotFound

        try:
            said = self._client.api.inspect_container(listed["Id"])
        except NotFound:  # its run ends just now
            return None
        runs = bool(said["State"]["Running"])
        # One that never ran says that it stopped in the year 1.
        stopped = 0.0 if runs else moment(said["State"]["FinishedAt"])
        return CheckContainer(
            id=listed["Id"], name=_container_name(listed), runs=runs, since=max(moment(said["Created"]), stopped)
        )

    def remove_container(self, id_: str) -> None:
        """Remove a container, whether it runs or not, with its anonymous volumes."""
        with answering():
            self._client.api.remove_container(id_, force=True, v=True)

    def remove_containers(self, label: str) -> None:
        """Remove all containers that carry a label, `name=value`, except those that are already being removed."""
        from docker.errors import APIError

        with answering():
            for found in self._client.api.containers(all=True, filters={"label": label}):
                try:
                    self._client.api.remove_container(found["Id"], force=True, v=True)
                except APIError as error:
                    if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                        raise
