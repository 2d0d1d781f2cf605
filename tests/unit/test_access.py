"""How a registry is reached: which ones need no certificate, one login for all threads, and no cookies."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import pytest
from tests.registry_server import digest_of, serving
from tests.unit.test_registry import LOGIN, log_in

from imagematrix.errors import SilentRegistryError
from imagematrix.model import Site
from imagematrix.registry import BaseDigests, Client, access, answers
from imagematrix.registry.access import Access
from imagematrix.web import NoAnswerError, Web

INDEX = json.dumps(
    {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {"digest": f"sha256:{'1' * 64}", "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": f"sha256:{'2' * 64}", "platform": {"os": "unknown", "architecture": "unknown"}},
        ],
    }
).encode()


class Unreachable:
    """Nobody answers."""

    def ask(self, *_: object, **__: object) -> None:
        raise NoAnswerError("no route to host")


@pytest.mark.parametrize(
    ("registry", "is_here"),
    [
        *((name, True) for name in ("localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000")),
        *(
            (name, False)
            for name in ("10.0.0.1:5000", "192.168.1.1", "172.16.0.1:443", "169.254.1.1", "[fd00::1]:5000")
        ),
        *((name, False) for name in ("registry.example.com", "localhost.example.com:5000", "127.0.0.1.example.com")),
    ],
)
def test_only_this_machine_needs_no_certificate(registry: str, is_here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private network is not this machine: others in it could answer."""
    asked: list[Mapping[str, Any]] = []

    def made(**options: Any) -> Unreachable:
        asked.append(options)
        return Unreachable()

    monkeypatch.setattr(access, "Web", made)

    with pytest.raises(SilentRegistryError):
        Access(registry, Site(), connections=1).send("GET", "a/tags/list")

    assert [options["verify"] for options in asked] == [not is_here]


def test_one_login_for_all_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many that are refused at once the first asks for a token, and the others wait for it."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    token = answers.token

    def slow(*arguments: Any) -> str:
        sleep(0.3)
        return token(*arguments)

    monkeypatch.setattr(answers, "token", slow)
    with serving() as server, ThreadPoolExecutor(8) as pool:
        log_in(tmp_path / "config.json", server.address)
        server.login, server.tokens = LOGIN, True
        server.put("a", "1")
        asking = Access(server.address, Site(), connections=8)
        found = list(pool.map(lambda _: asking.send("GET", "a/manifests/1").status, range(8)))

    assert found == [200] * 8
    assert len([path for _, path, _ in server.asked if path.startswith("/token")]) == 1


class Forgetful(BaseHTTPRequestHandler):
    """Gives each visitor a cookie."""

    seen: list[str]

    def do_GET(self) -> None:  # its name is the library's
        self.seen.append(self.headers.get("Cookie", ""))
        self.send_response(200)
        self.send_header("Set-Cookie", "session=robot; Path=/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def forgetful() -> Iterator[tuple[str, list[str]]]:
    class Handler(Forgetful):
        seen: list[str] = []  # noqa: RUF012  # of this server

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", Handler.seen
        server.shutdown()


def test_no_cookie_is_kept(forgetful: tuple[str, list[str]]) -> None:
    """A server that remembers a login by one would take the next request for another user's."""
    url, seen = forgetful
    asking = Web()
    for _ in range(3):
        asking.ask("GET", url)

    assert seen == [""] * 3


@pytest.mark.parametrize(
    ("platform", "why"), [("linux/arm64", ""), ("linux/amd64", "is not for linux/amd64: only for linux/arm64")]
)
def test_a_base_for_another_platform(platform: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused when it is locked, not by the first step that cannot run."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving() as server:
        server.manifests["library/base"] = {"1": INDEX}
        site = Site(mirrors={"docker.io": server.address})
        found = BaseDigests(Client(site, tries=1), site).digest("base:1", {platform})

    assert (found.digest, found.why) == ("" if why else digest_of(INDEX), why)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"linux/amd64"}, ""),
        ({"linux/arm64"}, ""),
        ({"linux/amd64", "linux/arm64"}, "is not for linux/amd64: only for linux/arm64"),
    ],
)
def test_a_base_that_is_one_image(wanted: set[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its configuration says what it is for; a digest that is locked is judged whatever its name stands for by now."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving() as server:
        first = server.put("library/base", "1", os="linux", architecture="arm64")
        server.put("library/base", "1", os="linux", architecture="s390x")
        site = Site(mirrors={"docker.io": server.address})
        found = BaseDigests(Client(site, tries=1), site).digest("base:1", wanted, known=first)

    assert (found.digest, found.why) == ("" if why else first, why)
    assert found.lacking == (("linux/amd64",) if why else ())


def test_bases_that_cannot_be_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry without the image answered; one that nobody serves, or that is busy, did not."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving() as server:
        bases = BaseDigests(Client(Site(), tries=1), Site())
        missing = bases.digest(f"{server.address}/base", "linux/amd64")
        server.faults.append((429, {}))
        busy = bases.digest(f"{server.address}/base:1", "linux/amd64")
    silent = bases.digest("localhost:9/base:1", "linux/amd64")

    assert [found.is_silent for found in (missing, busy, silent)] == [False, True, True]
    assert missing.why == "not found"
    assert silent.why == "Connection refused"
