"""What goes wrong between an engine and its registry: a relay of requests, except of those that a test names."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOPS = {"connection", "transfer-encoding", "keep-alive"}


@dataclass
class Fault:
    """What the next requests of a kind meet instead of an answer."""

    method: str
    path: str
    """A pattern somewhere in the path."""
    status: int = 0
    """0: the connection is dropped, half-way through what is sent."""
    retry_after: int = 0
    times: int = 1


@dataclass
class Proxy:
    """Passes on to a registry without TLS; `address` is where it listens."""

    registry: str
    address: str = ""
    faults: list[Fault] = field(default_factory=list)
    met: list[str] = field(default_factory=list)
    """The faults that happened, `METHOD path`."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, path: str) -> Fault | None:
        """Take the fault that a request meets, if one does."""
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    self.met.append(f"{method} {path}")
                    return fault
        return None


@contextmanager
def before(registry: str) -> Iterator[Proxy]:
    """Serve a proxy before a registry."""
    state = Proxy(registry=registry)

    class Handler(_Handler):
        proxy = state

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.address = f"localhost:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return

    def _pass(self) -> None:
        fault = self.proxy.fault(self.command, self.path)
        if fault and not fault.status:
            self.rfile.read(1)
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        body = self._body()
        if fault:
            self.send_response(fault.status)
            if fault.retry_after:
                self.send_header("Retry-After", str(fault.retry_after))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._forward(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _pass  # noqa: N815  (http.server's names)

    def _forward(self, body: bytes) -> None:
        connection = HTTPConnection(self.proxy.registry, timeout=60)
        # Its own address is in what the registry sends back: where an upload goes on.
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOPS}
        connection.request(self.command, self.path, body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {*_HOPS, "content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)
