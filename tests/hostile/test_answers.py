"""Registries, token services, credential helpers and chats that answer anything at all: a clear error, in time."""

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from imagematrix import web
from imagematrix.engine import credentials
from imagematrix.engine.credentials import login
from imagematrix.errors import DeniedError, RegistryError
from imagematrix.model import Site
from imagematrix.planning.keys import digest_of
from imagematrix.registry import Client, Manifest
from imagematrix.report import webhook

SECRET: Final = "s3cret"  # noqa: S105  (a word that must not be shown)
DEADLINE: Final = 15.0
"""In seconds."""

Answer = Callable[[int], bytes]
"""The number of the request, from 0, in; what a server sends out."""


def http(status: str, body: bytes = b"", **headers: str) -> bytes:
    said = {
        "Content-Length": str(len(body)),
        "Connection": "close",
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body


def always(answer: bytes) -> Answer:
    return lambda _: answer


MANIFEST: Final = json.dumps({"config": {"digest": f"sha256:{'a' * 64}", "size": 1}, "layers": []}).encode()
TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
HTML: Final = http("200 OK", b"<html>log in</html>", Content_Type="text/html")


def challenge(header: str) -> bytes:
    return http("401 Unauthorized", WWW_Authenticate=header)


def token(said: bytes, status: str = "200 OK") -> Answer:
    """Want a token, whose service says this; the service is the same server."""
    return lambda number: (
        challenge('Bearer realm="http://127.0.0.1:{port}/t",service="x"') if number == 0 else http(status, said)
    )


ANYTHING: Final = {
    "nothing": b"",
    "garbage": b"\x00\xff\xfe garbage \r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a status that is not a number": b"HTTP/1.1 abc OK\r\n\r\n",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "less than it promises": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    "a length that is not a number": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nx",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\nConnection: close\r\n\r\nx",
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "gzip that is none": http("200 OK", b"no gzip", Content_Encoding="gzip", Content_Type=TYPE),
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    "a long header": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    "HTML": HTML,
    "an empty answer": http("200 OK"),
    "null": http("200 OK", b"null", Content_Type=TYPE),
    "a number": http("200 OK", b"7", Content_Type=TYPE),
    "a list": http("200 OK", b"[]", Content_Type=TYPE),
    "deep JSON": http("200 OK", b"[" * 100_000, Content_Type=TYPE),
    "not UTF-8": http("200 OK", b'{"tags": ["\xff"]}', Content_Type=TYPE),
    "control characters": http("500 \x1b[2J", b'{"errors": [{"message": "\\u001b[2J"}]}'),
    "errors of another shape": http("400 Bad Request", b'{"errors": "no"}'),
    "errors without words": http("400 Bad Request", b'{"errors": [{}]}'),
    "a redirect to itself": http("307 Temporary Redirect", Location="/v2/a/manifests/1"),
    "a redirect to nowhere": http("307 Temporary Redirect", Location="http://[::1"),
    "a redirect to a file": http("307 Temporary Redirect", Location="file:///etc/passwd"),
    "a wait without end": http("429 Too Many Requests", Retry_After="9" * 400),
    "a wait that is none": http("429 Too Many Requests", Retry_After="soon"),
    "a status of its own": http("999 Odd"),
}
"""What any server may say to any question."""

CHALLENGES: Final = {
    "no words": "",
    "an odd scheme": "Negotiate",
    "no realm": 'Bearer service="x"',
    "no values": "Bearer realm",
    "quotes that do not end": 'Bearer realm="http://x',
    "a realm in the clear": 'Bearer realm="http://tokens.example.com/t"',
    "a realm that is a file": 'Bearer realm="file:///etc/passwd"',
    "a realm that is none": 'Bearer realm="http://[::1"',
    "an empty realm": 'Bearer realm=""',
}

TOKENS: Final = {
    "HTML": b"<html>",
    "nothing": b"",
    "null": b"null",
    "a list": b'["t"]',
    "a token that is a number": b'{"token": 7}',
    "a token that is empty": b'{"token": ""}',
    "no token": b"{}",
    "a token with a line end": b'{"token": "a\\r\\nX: y"}',
    "a token with letters of another script": '{"token": "тoken"}'.encode(),
}

MANIFESTS: Final = {
    "no digest": http("200 OK", MANIFEST, Content_Type=TYPE),
    "zzz": http("200 OK", MANIFEST, Docker_Content_Digest="zzz", Content_Type=TYPE),
    "another digest": http("200 OK", MANIFEST, Docker_Content_Digest=f"sha256:{'b' * 64}", Content_Type=TYPE),
    "no media type": http("200 OK", MANIFEST, Docker_Content_Digest=digest_of(MANIFEST)),
    "an odd media type": http("200 OK", MANIFEST, Content_Type="a\tb"),
    "layers that are no list": http("200 OK", b'{"layers": 7}', Content_Type=TYPE),
    "a layer that is none": http("200 OK", b'{"layers": [null]}', Content_Type=TYPE),
    "a layer without a size": http("200 OK", b'{"layers": [{"digest": "x"}]}', Content_Type=TYPE),
    "a size without end": http("200 OK", b'{"layers": [{"digest": "x", "size": 1e400}]}', Content_Type=TYPE),
    "a configuration that is text": http("200 OK", b'{"config": "x"}', Content_Type=TYPE),
    "a digest that is a path": http("200 OK", b'{"config": {"digest": "../../x", "size": 1}}', Content_Type=TYPE),
}

TAGS: Final = {
    "tags that are text": always(http("200 OK", b'{"tags": "abc"}')),
    "tags that are numbers": always(http("200 OK", b'{"tags": [1, 2]}')),
    "a tag with a line end": always(http("200 OK", b'{"tags": ["a\\nb"]}')),
    "a tag that is a path": always(http("200 OK", b'{"tags": ["../x"]}')),
    "a next page that is this one": always(
        http("200 OK", b'{"tags": ["a"]}', Link='</v2/a/tags/list?n=1&last=a>; rel="next"')
    ),
    "a link that is none": always(http("200 OK", b'{"tags": ["\\u0000"]}', Link='<<>>; rel="next')),
}


@pytest.fixture(autouse=True)
def logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is logged in everywhere."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(credentials, "_HELPER_SECONDS", 1.0)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a deadline of a second, which a busy machine may miss of itself: for what would never end."""
    monkeypatch.setattr(web, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(web, "TOTAL_SECONDS", 1.0)


@contextmanager
def serving(answer: Answer, *, each_byte: float = 0.0) -> Iterator[str]:
    """Serve on a port of its own: whatever is asked, the next answer is sent, byte by byte if it is to take long."""
    numbers = itertools.count()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

        def talk(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                asked = connection.recv(65536)
                if asked.startswith(b"\x16"):  # TLS: we have none
                    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    return
                said = answer(next(numbers)).replace(b"{port}", str(port).encode())
                for at in range(len(said)) if each_byte else ():
                    connection.sendall(said[at : at + 1])
                    time.sleep(each_byte)
                if not each_byte:
                    connection.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{port}"
        server.shutdown(socket.SHUT_RDWR)


def refused(ask: Callable[[], object], registry: str) -> str:
    """Return the words of the error that a question ends in, in time."""
    begun = time.monotonic()
    with pytest.raises(RegistryError) as caught:
        ask()
    words = str(caught.value)
    assert time.monotonic() - begun < DEADLINE
    assert registry in words
    assert SECRET not in words
    assert all(line.isprintable() for line in words.split("\n"))
    return words


def log_in(config: Path, registry: str) -> None:
    config.write_text(json.dumps({"auths": {registry: {"username": "robot", "password": SECRET}}}))


@pytest.mark.parametrize("what", ANYTHING)
@pytest.mark.parametrize("question", ["digest", "manifest", "tags", "config"])
def test_any_answer_to_any_question(question: str, what: str) -> None:
    with serving(always(ANYTHING[what])) as address:
        client = Client(Site(), tries=1)
        held = Manifest(
            repository=f"{address}/a",
            digest=f"sha256:{'a' * 64}",
            media_type=TYPE,
            text=b"",
            blobs={},
            config=f"sha256:{'b' * 64}",
        )
        asking: dict[str, Callable[[], object]] = {
            "digest": lambda: client.digest(f"{address}/a", "1"),
            "manifest": lambda: client.manifest(f"{address}/a", "1"),
            "tags": lambda: client.tags(f"{address}/a"),
            "config": lambda: client.config(held),
        }
        refused(asking[question], address)


@pytest.mark.parametrize("what", CHALLENGES)
def test_odd_challenges(tmp_path: Path, what: str) -> None:
    """A login is sent only to services that the registry may name."""
    with serving(always(challenge(CHALLENGES[what]))) as address:
        log_in(tmp_path / "config.json", address)
        refused(lambda: Client(Site(), tries=1).digest(f"{address}/a", "1"), address)


@pytest.mark.parametrize(
    "realm",
    ["http://tokens.example.com/t", "http://10.0.0.1/t", "http://localhost.example.com/t", "file:///etc/passwd", ""],
)
def test_no_login_goes_to_a_machine_in_the_clear(tmp_path: Path, realm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a request: it would be of no use without the login."""
    asked: list[str] = []
    ask = web.Web.ask

    def recorded(self: web.Web, method: str, url: str, **more: Any) -> web.Reply:
        asked.append(url)
        return ask(self, method, url, **more)

    monkeypatch.setattr(web.Web, "ask", recorded)
    with serving(always(challenge(f'Bearer realm="{realm}"'))) as address:
        log_in(tmp_path / "config.json", address)
        refused(lambda: Client(Site(), tries=1).digest(f"{address}/a", "1"), address)
        assert {urlsplit(url).netloc for url in asked} == {address}


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "404 Not Found"])
@pytest.mark.parametrize("what", TOKENS)
def test_odd_tokens(tmp_path: Path, what: str, status: str) -> None:
    with serving(token(TOKENS[what], status)) as address:
        log_in(tmp_path / "config.json", address)
        refused(lambda: Client(Site(), tries=1).digest(f"{address}/a", "1"), address)


@pytest.mark.parametrize("what", [name for name in MANIFESTS if name not in {"no digest", "zzz"}])
def test_odd_manifests(what: str) -> None:
    with serving(always(MANIFESTS[what])) as address:
        refused(lambda: Client(Site(), tries=1).manifest(f"{address}/a", "1"), address)


@pytest.mark.parametrize("what", ["no digest", "zzz"])
def test_odd_digests(what: str) -> None:
    """Where the content is not asked for, the header must tell; where it is, the content does."""
    with serving(always(MANIFESTS[what])) as address:
        refused(lambda: Client(Site(), tries=1).digest(f"{address}/a", "1"), address)
        assert Client(Site(), tries=1).manifest(f"{address}/a", "1").digest == digest_of(MANIFEST)


def test_content_that_is_not_what_was_asked_for() -> None:
    """By its digest: someone put another image in its place."""
    with serving(always(http("200 OK", MANIFEST, Content_Type=TYPE))) as address:
        refused(lambda: Client(Site(), tries=1).manifest(f"{address}/a", f"sha256:{'c' * 64}"), address)


@pytest.mark.parametrize("what", TAGS)
def test_odd_tags(what: str) -> None:
    with serving(TAGS[what]) as address:
        refused(lambda: Client(Site(), tries=1).tags(f"{address}/a"), address)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http("200 OK", MANIFEST, Content_Type=TYPE), id="a byte at a time"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 90, id="headers a byte at a time"),
        pytest.param(
            http("401 Unauthorized", WWW_Authenticate='Bearer realm="http://127.0.0.1:{port}/t"'), id="a challenge"
        ),
    ],
)
@pytest.mark.usefixtures("hurry")
def test_a_question_has_one_deadline(answer: bytes) -> None:
    """Each byte comes before the library would give up; all of them never would."""
    with serving(always(answer), each_byte=0.2) as address:
        words = refused(lambda: Client(Site(), tries=1).manifest(f"{address}/a", "1"), address)
    assert "no whole answer within 1 s" in words


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MOST_BYTES", 10_000)
    with serving(always(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)) as address:
        assert "more than" in refused(lambda: Client(Site(), tries=1).manifest(f"{address}/a", "1"), address)


HELPERS: Final = {
    "prints nothing": "exit 0",
    "prints HTML": "echo '<html>'",
    "prints a list": "echo '[]'",
    "prints numbers": """echo '{"Username": 1, "Secret": 2}'""",
    "prints no secret": """echo '{"Username": "robot"}'""",
    "fails": "echo 'the keychain is locked' >&2; exit 1",
    "prints bytes": "printf '\\377\\376'",
    "kills itself": "kill -9 $$",
    "sleeps": "sleep 60",
    "prints control characters": "printf '\\033[2J'; exit 3",
}


@pytest.mark.parametrize("what", HELPERS)
def test_odd_credential_helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "odd"}')
    helper = tmp_path / "docker-credential-odd"
    helper.write_text(f"#!/bin/sh\n{HELPERS[what]}\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    refused(lambda: login("registry.example.com"), "registry.example.com")


@pytest.mark.parametrize(
    "text",
    [
        *(
            '{"auths": 7}',
            '{"auths": {"r.example": 7}}',
            '{"auths": {"r.example": {"auth": 7}}}',
            "[]",
            "7",
            '"x"',
            "null",
        ),
        *(
            '{"auths": {"r.example": {"auth": "!!"}}}',
            '{"auths": {"r.example": {"auth": "YQ=="}}}',
            "{",
            "\0",
            "[" * 10_000,
        ),
        *('{"credHelpers": 7}', '{"credHelpers": {"r.example": 7}}', '{"credsStore": 7}', '{"credsStore": ""}'),
    ],
)
def test_odd_configurations_of_docker(tmp_path: Path, text: str) -> None:
    """No login, or a clear error: never a traceback."""
    (tmp_path / "config.json").write_text(text)
    with suppress(DeniedError):
        assert login("r.example") is None


@pytest.mark.parametrize("what", [name for name in ANYTHING if not ANYTHING[name].startswith(b"HTTP/1.1 200")])
def test_odd_chats(what: str) -> None:
    """One warning without the address, which may hold a secret."""
    with serving(always(ANYTHING[what])) as address:
        begun = time.monotonic()
        said = webhook.post(f"http://{address}/{SECRET}", {"text": "\udce9"}, sleep=lambda _: None)
        assert time.monotonic() - begun < DEADLINE
    assert said.startswith("warning: the webhook")
    assert SECRET not in said
    assert said.isprintable()


@pytest.mark.parametrize(
    "url", [f"ftp://x/{SECRET}", f"http://[{SECRET}", f"http:///{SECRET}", SECRET, "", f"http://x y/{SECRET}"]
)
def test_addresses_of_chats_that_are_none(url: str) -> None:
    said = webhook.post(url, {}, sleep=lambda _: None)
    assert said.startswith("warning: the webhook")
    assert SECRET not in said


@pytest.mark.usefixtures("hurry")
def test_a_chat_that_never_ends() -> None:
    with serving(always(http("200 OK", b"ok" * 100)), each_byte=0.2) as address:
        said = webhook.post(f"http://{address}/", {}, sleep=lambda _: None)
    assert "no whole answer within" in said
