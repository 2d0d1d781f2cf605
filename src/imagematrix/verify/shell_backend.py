"""What testinfra needs to run commands in a container."""

from testinfra.backend.base import BaseBackend, CommandResult

from imagematrix.shell import OpenShell


class ShellBackend(BaseBackend):  # type: ignore[misc]  # testinfra has no types
    """A running container, through one shell that stays open: checks run a hundred commands in it."""

    NAME = "docker"

    def __init__(self, container: str) -> None:
        super().__init__(container)
        # The client on the PATH is the one that reaches our engine: `verify` sees to it.
        self._shell = OpenShell(("docker", "exec", "--interactive", container, "/bin/sh"))

    def run(self, command: str, *args: str, **_: object) -> CommandResult:
        """Run a command, in which each `%s` stands for an argument to be quoted."""
        text = self.get_command(command, *args)
        answer = self._shell.run(text)
        return self.result(answer.code, text.encode(), answer.stdout, answer.stderr)

    def close(self) -> None:
        """Leave the container."""
        self._shell.close()

    def get_encoding(self) -> str:
        """Return that of all images; testinfra would start a Python to ask."""
        return "UTF-8"
