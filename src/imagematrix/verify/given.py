"""What checks are given: the image, containers of it, and a wait."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from testinfra.host import Host

from imagematrix.compat import CudaUse
from imagematrix.engine import Container

_POLL_SECONDS: Final = 0.25
_MAX_POLL_SECONDS: Final = 2.0
"""Asking takes a `docker exec`, so it slows down what is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The image under test."""

    name: str
    layers: tuple[str, ...]
    config: Mapping[str, Any]
    """What it says of itself, as `docker inspect` shows it under Config."""
    locked: Mapping[str, str]
    """The Python packages that its locks name, with their exact versions."""
    cuda: Mapping[str, CudaUse | None]
    """The CUDA that `check` takes each framework of its row to use; None: a build for CPUs."""
    services: Mapping[str, bool]
    """The services that its containers start; whether each needs root."""
    driver_requirement: str
    """The host driver that it requires; empty: its wheels bring no CUDA, or an unknown one."""

    @property
    def services_of_any_user(self) -> tuple[str, ...]:
        """The services that do not need root."""
        return tuple(name for name, needs_root in self.services.items() if not needs_root)

    @property
    def environment(self) -> Mapping[str, str]:
        """What it sets for every process."""
        return dict(text.split("=", 1) for text in self.config.get("Env") or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A job that ran to its end."""

    code: int
    output: str
    """Both streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A container as users start it: with its services."""

    container: Container
    host: Host
    """Commands run in it as with `docker exec`."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """The environment that it was started with."""

    @property
    def address(self) -> str:
        """Where other containers reach it."""
        return self.container.address()

    def logs(self) -> str:
        """Return what `docker logs` shows."""
        return self.container.logs()


class Job(Protocol):
    """Runs `IMAGE command` to its end, in a container of its own."""

    def __call__(
        self, *command: str, environment: Mapping[str, str] = ..., user: str = ..., read_only: bool = ...
    ) -> Ended: ...


class Starter(Protocol):
    """Starts one more machine; it is removed when the module's checks are done."""

    def __call__(self, *, environment: Mapping[str, str], files: Mapping[str, str] = ...) -> Machine: ...


def eventually(true: Callable[[], object], *, seconds: float = 120) -> bool:
    """Wait until something is true; return whether it became so."""
    deadline, pause = time.monotonic() + seconds, _POLL_SECONDS
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, _MAX_POLL_SECONDS)
    return True
