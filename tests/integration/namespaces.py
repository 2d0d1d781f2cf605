"""Machines for tests of a cluster: network namespaces on a bridge with this one, each with an engine of its own.

They share no engine and no loopback with this machine or with each other. A relay in each gives all of them the same
registry at `localhost:PORT`, as its name must be the same everywhere.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.engines import ENGINE, mount, prepare
from tests.integration.turns import CLUSTER

from imagematrix.engine.client import open_client

BRIDGE = "imxcluster"
NETWORK = "10.198.77"
HOST = f"{NETWORK}.1"
PROGRAM = (sys.executable, "-m", "imagematrix")
DISK_MEGABYTES = 3000
"""What the engine of a machine has for itself."""

_RELAY = """\
import asyncio, sys

async def pump(source, target):
    try:
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
    finally:
        target.close()

async def serve(reader, writer):
    try:
        back, forth = await asyncio.open_unix_connection(sys.argv[2])
    except OSError:
        return writer.close()
    await asyncio.gather(pump(reader, forth), pump(back, writer), return_exceptions=True)

async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()

asyncio.run(main())
"""


_AWAIT = """\
import socket, sys, time

for _ in range(600):
    try:
        sys.exit(socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close())
    except ConnectionRefusedError:
        time.sleep(0.05)
sys.exit("no relay")
"""


@dataclass
class Machine:
    """A namespace with an engine, and the processes that a test starts there."""

    name: str
    folder: Path
    environment: Mapping[str, str]
    """What leads clients to its engine; its socket is reached from this machine too."""
    registry: str
    way: Path
    """Leads to the registry."""
    number: int
    relay: "subprocess.Popen[bytes] | None" = None
    worker: "subprocess.Popen[str] | None" = None
    reader: threading.Thread | None = None
    log: list[str] = field(default_factory=list)
    """What the worker prints."""

    def start_engine(self) -> None:
        self.run(str(ENGINE), "start")

    def kill_engine(self) -> None:
        os.kill(int((self.folder / "docker.pid").read_text()), signal.SIGKILL)

    def start_worker(self, address: str, certificates: Path, *words: str, program: Sequence[str] = PROGRAM) -> None:
        argv = [*program, "worker", address, "--jobs", "1", "--name", self.name, "--free-disk", "0", *words]
        self.worker = subprocess.Popen(
            [*self._inside(), *argv, "--certificates", str(certificates)],
            env={**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, args=(self.worker,), daemon=True)
        self.reader.start()
        self.await_line("takes jobs")

    def stop_worker(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.worker:
            self.worker.send_signal(number)
            self.worker.wait(30)
            self.worker = None
        if self.reader:
            self.reader.join(30)
            self.reader = None

    def cut(self) -> None:
        """Pull its network cable."""
        _ip("link", "set", f"imxv{self.number}", "down")

    def plug_in(self) -> None:
        _ip("link", "set", f"imxv{self.number}", "up")

    def reach_registry(self, way: Path | None = None) -> None:
        """Let it reach the registry, by another way if one is given."""
        port = self.registry.rpartition(":")[2]
        self.relay = subprocess.Popen([*self._inside(), sys.executable, "-c", _RELAY, port, str(way or self.way)])
        self.run(sys.executable, "-c", _AWAIT, port)

    def lose_registry(self) -> None:
        if self.relay:
            self.relay.kill()
            self.relay.wait()
            self.relay = None

    def nodes(self) -> set[str]:
        """Return the keys of the nodes on its engine."""
        with closing(open_client(self.environment)) as client:
            names = [name for image in client.images.list("imagematrix/node") for name in image.tags]
        return {name.rpartition(":")[2] for name in names}

    def fill_disk(self) -> None:
        """Leave room on the disk of its engine for what the engine itself writes, and for no image."""
        ballast = self.folder / "data/ballast"
        free = shutil.disk_usage(self.folder / "data").free
        subprocess.run(["fallocate", "--length", str(free - 12 * 2**20), ballast], check=True)

    def empty_disk(self) -> None:
        (self.folder / "data/ballast").unlink()

    def await_line(self, text: str, *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not any(text in line for line in self.log):
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)

    def run(self, *argv: str) -> None:
        done = subprocess.run(
            [*self._inside(), *argv],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _inside(self) -> list[str]:
        return ["ip", "netns", "exec", self.name]

    def _read(self, worker: "subprocess.Popen[str]") -> None:
        if worker.stdout:
            with worker.stdout as lines:
                for line in lines:
                    self.log.append(line)


@contextmanager
def pair(registry: str) -> Iterator[tuple[Machine, Machine]]:
    """Give two machines that reach this one at `HOST`, and its registry at the same name as here."""
    with ExitStack() as stack:
        stack.enter_context(CLUSTER)
        stack.enter_context(_bridge())
        way = stack.enter_context(way_to(int(registry.rpartition(":")[2])))
        first, second = (stack.enter_context(_machine(number, registry, way)) for number in (11, 12))
        yield first, second


@contextmanager
def _bridge() -> Iterator[None]:
    _ip("link", "add", BRIDGE, "type", "bridge")
    try:
        _ip("address", "add", f"{HOST}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        yield
    finally:
        _ip("link", "delete", BRIDGE)


@contextmanager
def _machine(number: int, registry: str, way: Path) -> Iterator[Machine]:
    name, folder = f"imxcl{number}", Path(tempfile.mkdtemp(prefix="imx-", dir="/var/tmp"))
    environment = {"IMAGEMATRIX_ENGINE_DIR": str(folder), "DOCKER_HOST": f"unix://{folder}/docker.sock"}
    machine = Machine(name=name, folder=folder, environment=environment, registry=registry, way=way, number=number)
    _ip("netns", "add", name)
    try:
        _connect(name, number)
        machine.reach_registry()
        prepare(folder)
        mount(folder, DISK_MEGABYTES)
        machine.start_engine()
        yield machine
    finally:
        machine.stop_worker(signal.SIGKILL)
        machine.run(str(ENGINE), "stop", "--purge")
        machine.lose_registry()
        _ip("netns", "delete", name)
        shutil.rmtree(folder, ignore_errors=True)


def _connect(name: str, number: int) -> None:
    inside = ("netns", "exec", name, "ip")
    _ip("link", "add", f"imxv{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("link", "set", f"imxv{number}", "master", BRIDGE, "up")
    _ip(*inside, "link", "set", "lo", "up")
    _ip(*inside, "address", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
    _ip(*inside, "link", "set", "eth0", "up")
    _ip(*inside, "route", "add", "default", "via", HOST)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def way_to(port: int) -> Iterator[Path]:
    """Give a socket, reached from all namespaces, that leads to a port of this machine's loopback."""
    folder = Path(tempfile.mkdtemp(prefix="imx-"))
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "way"))
    server.listen(64)

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:  # the end
                return
            target = socket.create_connection(("127.0.0.1", port))
            for source, sink in ((client, target), (target, client)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield folder / "way"
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # the other side has ended
        return
