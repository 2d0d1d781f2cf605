"""Containers of one image of the quickstart, started as users start them."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.integration.monorepo import REPOSITORY, until

from imagematrix.engine import Engine


class Room:
    """A container in which commands run."""

    def __init__(self, container: Any) -> None:
        self.container = container

    def run(self, command: str) -> tuple[int, str]:
        """Run a command in it as `docker exec` does."""
        code, output = self.container.exec_run(["bash", "-c", command])
        return code, output.decode()

    def output(self, command: str) -> str:
        code, output = self.run(command)
        assert code == 0, output
        return output

    def wait_until_healthy(self) -> None:
        until(lambda: self.run("/init/boot/health.sh")[0] == 0)

    @property
    def address(self) -> str:
        self.container.reload()
        return str(next(iter(self.container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"])


@contextmanager
def rooms_of(image: str, engine: Engine) -> Iterator[Any]:
    """Build an image as the quickstart does; give what starts containers of it, with the SDK's options."""
    command = [sys.executable, "-m", "imagematrix", "build", "--only", image]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    made, built = [], engine.image_id(image)

    def start(**options: Any) -> Room:
        name = f"room-{uuid.uuid4().hex[:8]}"
        made.append(engine._client.containers.run(built, detach=True, name=name, **options))
        return Room(made[-1])

    try:
        yield start
    finally:
        for container in made:
            container.remove(force=True)
