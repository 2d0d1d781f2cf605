"""An engine on another machine: one tunnel by ssh, and whose disk that is."""

import json
import os
import platform
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from imagematrix.engine import connect, tunnel
from imagematrix.errors import NoEngineError

SSH = """\
#!{python}
import socket, sys, threading
words = sys.argv[1:]
open({log!r}, "a").write(" ".join(words) + "\\n")
if "refused.example.com" in " ".join(words):
    sys.exit("Permission denied (publickey).")
here, _, there = words[words.index("-L") + 1].partition(":")
server = socket.socket(socket.AF_UNIX)
server.bind(here)
server.listen()
def pump(source, target):
    while chunk := source.recv(65536):
        target.sendall(chunk)
    target.shutdown(socket.SHUT_WR)
def serve():
    while True:
        client, _ = server.accept()
        target = socket.socket(socket.AF_UNIX)
        target.connect(there)
        threading.Thread(target=pump, args=(client, target), daemon=True).start()
        threading.Thread(target=pump, args=(target, client), daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
for line in sys.stdin:
    print(line, end="", flush=True)
"""


class _Engine(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    info: Any = None

    def do_GET(self) -> None:
        body = b"OK" if self.path.endswith("_ping") else json.dumps(self.info).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  (http.server's name)

    def address_string(self) -> str:
        return ""

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An engine at a socket; its folder is `data`."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/engine-id").write_text("its-id\n")
    info = {"DockerRootDir": str(tmp_path / "data"), "ID": "its-id", "Name": platform.node()}
    handler = type("Handler", (_Engine,), {"info": info})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(SSH.format(python=sys.executable, log=str(tmp_path / "ssh.log")))
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tunnel.opened.cache_clear()
    with ThreadingUnixStreamServer(str(tmp_path / "e.sock"), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path
        server.shutdown()


def test_one_tunnel_for_all(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's own clients go through it too."""
    monkeypatch.setenv("DOCKER_HOST", f"ssh://me@build.example.com:2222{engine}/e.sock")
    found, again = connect(), connect()
    host = found.environment["DOCKER_HOST"]
    assert found.answers()
    assert host == again.environment["DOCKER_HOST"]
    assert socket.socket(socket.AF_UNIX).connect_ex(host.removeprefix("unix://")) == 0
    (words,) = (engine / "ssh.log").read_text().splitlines()
    assert words.endswith(f"{host.removeprefix('unix://')}:{engine}/e.sock -p 2222 me@build.example.com cat")


def test_what_ssh_says(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://refused.example.com")
    with pytest.raises(NoEngineError, match="Permission denied") as refused:
        connect()
    assert (engine / "ssh.log").exists()
    assert "ssh refused.example.com docker version" in str(refused.value)


@pytest.mark.parametrize(("id_", "here"), [("its-id", True), ("other", False), (None, True)])
def test_whose_disk_it_is(id_: str | None, here: bool, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket here may be the end of a tunnel: then a folder of the same name is not the engine's."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine}/e.sock")
    file = engine / "data/engine-id"
    file.unlink()
    if id_ is not None:
        file.write_text(id_)
    assert (connect().storage() is not None) is here
