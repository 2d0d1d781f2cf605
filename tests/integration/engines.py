"""An engine of a test's own, to be killed, or filled."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.integration.monorepo import REPOSITORY
from tests.integration.turns import PORTS

from imagematrix.engine import Engine, docker_command

ENGINE = REPOSITORY / "scripts/engine"


@contextmanager
def own_engine(*, megabytes: int = 0, store: str = "") -> Iterator[Mapping[str, str]]:
    """Start an engine; give the environment that leads clients and scripts/engine to it.

    With `megabytes`, what it holds lies on a file system of that size. `store` is where it keeps images: `classic` or
    `containerd`, by default what scripts/engine takes.
    """
    # Sockets' paths are short.
    folder = Path(tempfile.mkdtemp(prefix="imx-", dir="/var/tmp"))
    where = {
        "IMAGEMATRIX_ENGINE_DIR": str(folder),
        "IMAGEMATRIX_ENGINE_STORE": store,
        "DOCKER_HOST": f"unix://{folder}/docker.sock",
    }
    environment = {**os.environ, **where}
    try:
        prepare(folder)
        if megabytes:
            mount(folder, megabytes)
        start(where)
        yield where
    finally:
        subprocess.run([ENGINE, "stop", "--purge"], env=environment, check=True, capture_output=True)


def kill(where: Mapping[str, str]) -> None:
    """Kill a test's own engine in the middle of whatever it does."""
    os.kill(int((Path(where["IMAGEMATRIX_ENGINE_DIR"]) / "docker.pid").read_text()), signal.SIGKILL)


def kill_and_restart(where: Mapping[str, str]) -> None:
    """Kill a test's own engine in the middle of whatever it does, then start it again as a person would."""
    kill(where)
    start(where)


def start(where: Mapping[str, str]) -> None:
    """Start an engine, for the first time or again."""
    with PORTS:
        subprocess.run([ENGINE, "start"], env={**os.environ, **where}, check=True, capture_output=True)


def prepare(folder: Path) -> None:
    """Make the folder an engine's, with the programs of the private one that is there: they are 120 MB to download."""
    (folder / ".imagematrix-engine").write_text(f"imx{folder.name[-8:]}\n")
    if programs().is_dir():
        subprocess.run(["cp", "-a", programs(), folder / "root"], check=True)


def programs() -> Path:
    """Return where the private engine's programs are unpacked."""
    return Path(os.environ.get("IMAGEMATRIX_ENGINE_DIR", "/var/lib/imagematrix/engine")) / "root"


def mount(folder: Path, megabytes: int) -> None:
    """Put what an engine holds on a file system of its own size."""
    disk = folder / "disk"
    (folder / "data").mkdir()
    subprocess.run(["truncate", "--size", f"{megabytes}M", disk], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, folder / "data"], check=True)


def hand_over(image: str, source: Engine, target: Mapping[str, str]) -> None:
    """Bring an image from one engine to another, as no registry is between them."""
    docker = docker_command(source)
    with subprocess.Popen(
        [docker, "save", image], env={**os.environ, **source.environment}, stdout=subprocess.PIPE
    ) as saved:
        subprocess.run([docker, "load", "--quiet"], env={**os.environ, **target}, stdin=saved.stdout, check=True)
    assert saved.returncode == 0
