"""A proxy before the real package index that fails on demand."""

import http.server
import re
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any

import requests

Fault = Callable[["Handler"], None]


class FaultyIndex:
    """The index that this machine's clients ask, one request after another wrong until the faults are used up."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.rstrip("/")
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        """What was asked for, and how it was answered: `502 /simple/six/`."""
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.index = self  # type: ignore[attr-defined]
        self._ended = threading.Event()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/simple"

    def stall(self) -> None:
        """Say nothing until the end of the test."""
        self._ended.wait()

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request: wrongly, or with what the real index says."""

    def do_GET(self) -> None:
        if self.index.faults:
            self.index.faults.pop(0)(self)
            return
        if self.path.startswith("/file/"):
            self._pass(requests.get(urllib.parse.unquote(self.path.partition("?")[2]), timeout=600))
            return
        where = self.index.upstream + self.path.removeprefix("/simple")
        page = requests.get(where, headers={"Accept": "text/html"}, timeout=600)

        def through_us(link: "re.Match[str]") -> str:
            url, _, fragment = urllib.parse.urljoin(page.url, link[1]).partition("#")
            return f'href="http://{self.index.host}/file/{url.rpartition("/")[2]}?{urllib.parse.quote(url)}#{fragment}"'

        self._pass(page, re.sub(r'href="([^"]+)"', through_us, page.text).encode())

    do_HEAD = do_GET  # noqa: N815  (http.server's name)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.index.asked.append(f"{status} {self.path}")
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: `asked` has it."""

    @property
    def index(self) -> FaultyIndex:
        server: Any = self.server
        found: FaultyIndex = server.index
        return found

    def _pass(self, got: requests.Response, body: bytes | None = None) -> None:
        self.answer(
            got.status_code, got.content if body is None else body, Content_Type=got.headers.get("Content-Type", "")
        )


def bad_gateway(handler: Handler) -> None:
    """Answer as a mirror does whose own source is away."""
    handler.answer(502, b"Bad Gateway")


def too_many(handler: Handler) -> None:
    """Answer as an index does that is asked too often."""
    handler.answer(429, b"Too Many Requests", Retry_After="1")


def stall(handler: Handler) -> None:
    """Take the request and never answer."""
    handler.index.stall()
