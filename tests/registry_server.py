"""A registry under the control of tests: the distribution API over real connections, with faults on order."""

import base64
import hashlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from imagematrix.model import KEY_LABEL

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
PAGE = 2
"""How many tags it lists at once."""


@dataclass
class RegistryServer:
    """What is in it, and how it behaves; `address` is `127.0.0.1:PORT`."""

    address: str = ""
    manifests: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Repository -> tag or digest -> manifest."""
    blobs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    faults: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    """Status and headers of the next answers, used up one by one; status 0: the connection is dropped."""
    login: str = ""
    """`name:password` that it requires; empty: no login."""
    tokens: bool = False
    """It wants tokens, which it gives for the login."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, path, Authorization) of all requests."""

    def put(self, repository: str, tag: str, *, layer: str = "", **config: Any) -> str:
        """Put an image of one layer in; return its digest."""
        blobs = self.blobs.setdefault(repository, {})
        parts = []
        for content in (json.dumps(config).encode(), (layer or f"layer {tag}").encode()):
            blobs[digest_of(content)] = content
            parts.append({"digest": digest_of(content), "size": len(content)})
        manifest = json.dumps({"mediaType": MANIFEST_TYPE, "config": parts[0], "layers": parts[1:]}).encode()
        self.manifests.setdefault(repository, {}).update({tag: manifest, digest_of(manifest): manifest})
        return digest_of(manifest)

    def put_node(self, repository: str, key: str, **config: Any) -> str:
        """Put the image of a node in; return its digest."""
        return self.put(repository, key, **node_config(key, **config))

    def wants(self, header: str) -> str:
        """Return the challenge to a request, empty when it may pass."""
        if not self.login:
            return ""
        if self.tokens:
            challenge = f'Bearer realm="http://{self.address}/token",service="tests",scope="repository:a:pull,push"'
            return "" if header == "Bearer t0ken" else challenge
        return "" if header == basic(self.login) else 'Basic realm="tests"'


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def node_config(key: str, **config: Any) -> dict[str, Any]:
    """Return the configuration of a node's image."""
    return {**config, "config": {"Labels": {KEY_LABEL: key}}}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextmanager
def serving(*, certificate: Path | None = None, name: str = "127.0.0.1") -> Iterator[RegistryServer]:
    """Serve an empty registry on a port of its own; with TLS if there is a certificate and its key, in one file."""
    state = RegistryServer()

    class Handler(_Handler):
        registry = state

    with ThreadingHTTPServer((name, 0), Handler) as server:
        state.address = f"{name}:{server.server_address[1]}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    registry: RegistryServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        return

    def _handle(self) -> None:
        header = self.headers.get("Authorization", "")
        self.registry.asked.append((self.command, self.path, header))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/token"):
            ok = header == basic(self.registry.login)
            return self._answer(200 if ok else 401, json.dumps({"token": "t0ken"} if ok else {}).encode())
        if self.registry.faults:
            status, headers = self.registry.faults.pop(0)
            if status:
                return self._answer(status, headers=headers)
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return None
        challenge = self.registry.wants(header)
        if challenge:
            said = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).encode()
            return self._answer(401, said, {"WWW-Authenticate": challenge})
        return self._serve(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815  (http.server's names)

    def _serve(self, body: bytes) -> None:
        path = urlsplit(self.path)
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs|tags)/(.+)", path.path)
        if not found:
            return self._answer(200)
        repository, what, name = found.groups()
        held = self.registry.manifests.get(repository, {})
        if what == "tags":
            return self._tags(held, parse_qs(path.query))
        if self.command == "PUT" and what == "blobs":
            self.registry.blobs.setdefault(repository, {})[parse_qs(path.query)["digest"][0]] = body
            return self._answer(201)
        if self.command == "PUT":
            self.registry.manifests.setdefault(repository, {}).update({name: body, digest_of(body): body})
            return self._answer(201)
        if self.command == "POST" and not path.query:
            return self._answer(202, headers={"Location": f"{path.path}1?_state=a%3D"})
        if self.command == "POST":
            return self._mount(repository, **{key: value[0] for key, value in parse_qs(path.query).items()})
        if self.command == "DELETE":
            gone = [tag for tag, manifest in held.items() if digest_of(manifest) == name]
            for tag in gone:
                del held[tag]
            return self._answer(202 if gone else 404)
        content = (held if what == "manifests" else self.registry.blobs.get(repository, {})).get(name)
        if content is None:
            return self._answer(404)
        return self._answer(200, content, {"Docker-Content-Digest": digest_of(content), "Content-Type": MANIFEST_TYPE})

    def _tags(self, held: Mapping[str, bytes], query: Mapping[str, list[str]]) -> None:
        last = query.get("last", [""])[0]
        tags = sorted(tag for tag in held if ":" not in tag and tag > last)
        link = {"Link": f'</v2/x/tags/list?last={tags[PAGE - 1]}&n={PAGE}>; rel="next"'} if len(tags) > PAGE else {}
        self._answer(200 if held else 404, json.dumps({"tags": tags[:PAGE]}).encode(), link)

    def _mount(self, repository: str, *, mount: str, **query: str) -> None:
        content = self.registry.blobs.get(query["from"], {}).get(mount)
        if content is not None:
            self.registry.blobs.setdefault(repository, {})[mount] = content
        self._answer(202 if content is None else 201)

    def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status, HTTPStatus(status).phrase)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
