"""An engine on another machine: one tunnel by ssh, and whose disk that is."""

import hashlib
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

from imagematrix.engine import connect, contexts, tunnel
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


def context(folder: Path, name: str, host: str) -> None:
    """Write a context as `docker context create` does."""
    file = folder / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    file.parent.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": False}
    file.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))


@pytest.fixture
def configuration(engine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of docker's configuration, with the context `here` of an engine."""
    folder = engine / "config"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("IMAGEMATRIX_ENGINE_DIR", str(engine / "none"))
    (folder / "config.json").write_text("{}")
    context(folder, "here", f"unix://{engine}/e.sock")
    return folder


def test_docker_contexts(engine: Path, configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is that of the context in use, as for docker: DOCKER_CONTEXT before `docker context use`."""
    context(configuration, "away", "unix:///nowhere/docker.sock")
    (configuration / "config.json").write_text(json.dumps({"currentContext": "here"}))
    assert connect().environment == {"DOCKER_HOST": f"unix://{engine}/e.sock"}
    assert connect().storage() == engine / "data"
    monkeypatch.setenv("DOCKER_CONTEXT", "away")
    with pytest.raises(NoEngineError, match=r"unix:///nowhere/docker\.sock: No such file"):
        connect()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine}/e.sock")
    assert connect().environment == {}


def test_a_context_with_certificates(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context(configuration, "tls", "tcp://127.0.0.1:1")
    certificates = configuration / "contexts/tls" / hashlib.sha256(b"tls").hexdigest() / "docker"
    certificates.mkdir(parents=True)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (certificates / name).touch()
    monkeypatch.setenv("DOCKER_CONTEXT", "tls")
    wanted = {"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)}
    assert contexts.chosen() == wanted


def test_ssh_context(engine: Path, configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context(configuration, "far", f"ssh://me@build.example.com{engine}/e.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    assert connect().answers()
    assert "me@build.example.com" in (engine / "ssh.log").read_text()


@pytest.mark.parametrize("text", [None, "[]", "{", '{"Name": 1}'])
def test_no_such_context(text: str | None, engine: Path, configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private engine does not stand in for the context that was asked for."""
    (engine / "none").mkdir()
    (engine / "none/docker.sock").symlink_to(engine / "e.sock")
    assert connect().answers()
    monkeypatch.setenv("DOCKER_CONTEXT", "typo")
    if text is not None:
        context(configuration, "typo", "")
        (found,) = (file for file in configuration.rglob("meta.json") if "typo" in file.read_text())
        found.write_text(text)
    with pytest.raises(NoEngineError, match="context 'typo'"):
        connect()
