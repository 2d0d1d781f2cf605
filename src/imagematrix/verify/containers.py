"""The containers of one image that checks run in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from imagematrix.engine import Container, ContainerSpec, Engine
from imagematrix.errors import LostEngineError
from imagematrix.planning import checks
from imagematrix.verify.given import Ended
from imagematrix.verify.shell_backend import ShellBackend


@dataclass(slots=True)
class Containers:
    """Starts containers of one image, and removes them when the session ends."""

    engine: Engine
    image: str
    labels: Mapping[str, str]
    made: list[Container] = field(default_factory=list)
    idle: list[Container] = field(default_factory=list)
    """Those of them that only sleep: nothing in them ends them."""
    opened: list[ShellBackend] = field(default_factory=list)

    def start(
        self,
        *command: str,
        entrypoint: str = "",
        environment: Mapping[str, str] | None = None,
        user: str = "",
        read_only: bool = False,
        gpus: bool = False,
    ) -> Container:
        """Start a container that lives as long as the session."""
        made = self.started(
            command, environment or {}, {}, entrypoint=entrypoint, user=user, read_only=read_only, gpus=gpus
        )
        self.made.append(made)
        if entrypoint == "sleep":
            self.idle.append(made)
        return made

    def loss(self, error: BaseException | None) -> str:
        """Return why a check that failed proves nothing of the image: its engine went away; empty where it did not."""
        if isinstance(error, LostEngineError) or not self.engine.answers():
            return checks.ENGINE_STOPPED
        return checks.ENGINE_RESTARTED if any(container.was_killed() for container in self.idle) else ""

    def job(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        user: str = "",
        read_only: bool = False,
    ) -> Ended:
        container = self.started(command, environment or {}, {}, user=user, read_only=read_only)
        try:
            return Ended(code=container.wait(), output=container.logs())
        finally:
            container.remove()

    def shell(self, container: Container) -> Host:
        self.opened.append(ShellBackend(container.id))
        return Host(self.opened[-1])

    def started(
        self,
        command: tuple[str, ...],
        environment: Mapping[str, str],
        files: Mapping[str, str],
        *,
        entrypoint: str = "",
        user: str = "",
        read_only: bool = False,
        gpus: bool = False,
    ) -> Container:
        return self.engine.start(
            ContainerSpec(
                image=self.image,
                command=command,
                entrypoint=entrypoint,
                environment=environment,
                labels=self.labels,
                files=files,
                user=user,
                read_only=read_only,
                gpus=gpus,
            )
        )
