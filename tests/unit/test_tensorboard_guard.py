"""Who gets through to TensorBoard: the guard in its service's serve.py, called as a web server calls it."""

import importlib.util
from collections.abc import Collection
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Response

from imagematrix.repository import STOCK

TOKEN, OTHER = "sesame", "another"
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


def load() -> ModuleType:
    path = STOCK / "common/services/tensorboard/serve.py"
    spec = importlib.util.spec_from_file_location("tensorboard_serve", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SERVE = load()


def client(*, token: str | None = TOKEN, hosts: Collection[str] = ()) -> Client:
    """Return a browser before a board that answers everyone: what it shows is 'board'."""
    return Client(SERVE.Guard(Response("board"), token=token, hosts=hosts), use_cookies=False)


def ask(browser: Client, url: str = "/monitor/", host: str = "localhost:6006", **headers: str) -> TestResponse:
    return browser.get(url, headers={"Host": host, **{name.replace("_", "-"): text for name, text in headers.items()}})


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("/monitor/?token=sesame", {}),
        ("/monitor/data/runs?tag=a&token=sesame", {}),
        ("/monitor/", {"Authorization": "token sesame"}),
        ("/monitor/", {"Authorization": "Bearer sesame"}),
        ("/monitor/?token=sesame", {"Host": "anywhere.example"}),
    ],
)
def test_who_has_the_token_is_let_in(url: str, headers: dict[str, str]) -> None:
    """Under any host name: a page that points its name to this machine does not have it."""
    assert client().get(url, headers=headers).text == "board"


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("/monitor/", {}),
        ("/monitor/data/runs", {}),
        ("/monitor/?token=", {}),
        ("/monitor/?token=sesam", {}),
        ("/monitor/?token=wrong&token=sesame", {}),
        ("/monitor/?token=%ff%00", {}),
        ("/monitor/?TOKEN=sesame", {}),
        ("/monitor/", {"Authorization": "Basic sesame"}),
        ("/monitor/", {"Authorization": "sesame"}),
        ("/monitor/", {"Cookie": "tensorboard-localhost=sesame"}),
        ("/monitor/", {"Cookie": "tensorboard-localhost="}),
    ],
)
def test_everyone_else_is_asked_for_it(url: str, headers: dict[str, str]) -> None:
    answer = client().get(url, headers=headers)
    assert (answer.status_code, "password" in answer.text, "board" in answer.text) == (403, True, False)


@given(
    query=st.binary(max_size=60),
    cookie=st.text(st.characters(max_codepoint=255), max_size=60),
    host=st.text(max_size=30),
)
def test_nothing_that_one_can_guess_opens_it_or_breaks_it(query: bytes, cookie: str, host: str) -> None:
    environ = {"QUERY_STRING": query.decode("latin-1"), "HTTP_COOKIE": cookie, "HTTP_HOST": host}
    assert client().open("/monitor/", environ_overrides=environ).status_code == 403


def test_a_link_with_the_token_opens_it_for_the_browser() -> None:
    """The cookie does the rest, and the address that one may pass on has no token."""
    entered = ask(client(), "/monitor/?token=sesame&tab=hparams", **BROWSER)
    assert (entered.status_code, entered.headers["Location"]) == (302, "./?tab=hparams")
    cookie = entered.headers["Set-Cookie"]
    assert [part for part in ("HttpOnly", "SameSite=Lax") if part not in cookie] == []
    assert (TOKEN in cookie, "Secure" in cookie, "Path" in cookie) == (False, False, False)
    sent = {"Cookie": cookie.partition(";")[0]}
    assert ask(client(), "/monitor/data/runs", **sent).text == "board"
    assert ask(client(), "/monitor/data/runs", host="localhost:6007", **sent).status_code == 403
    assert ask(client(token=OTHER), "/monitor/data/runs", **sent).status_code == 403


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/monitor", "./monitor"),
        ("/", "./"),
        ("//evil.example", "./evil.example"),
        ("/a/javascript:b", "./javascript%3Ab"),
    ],
)
def test_the_way_on_never_leads_elsewhere(path: str, target: str) -> None:
    """It names no host and no path of ours: a proxy may have rewritten both."""
    answer = client().get("/", query_string={"token": TOKEN}, headers=BROWSER, environ_overrides={"PATH_INFO": path})
    assert answer.headers["Location"] == target


def test_behind_tls_the_cookie_is_for_tls_only() -> None:
    answer = ask(client(), "/monitor/?token=sesame", X_Forwarded_Proto="https", **BROWSER)
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("host", "hosts", "status"),
    [
        ("localhost", (), 200),
        ("LOCALHOST:6006", (), 200),
        ("127.0.0.1:6006", (), 200),
        ("[::1]:6006", (), 200),
        ("10.1.2.3", (), 200),
        ("evil.example", (), 403),
        ("evil.example:6006", ("board.example",), 403),
        ("localhost.evil.example", (), 403),
        ("localhost@evil.example", (), 403),
        ("127.0.0.1.evil.example", (), 403),
        ("[evil", (), 403),
        ("", (), 403),
        ("board.example", ("board.example",), 200),
        ("sub.board.example", ("board.example",), 403),
        ("evil.example", ("*",), 200),
    ],
)
def test_without_a_token_only_known_hosts_are_answered(host: str, hosts: Collection[str], status: int) -> None:
    """A page whose name was pointed to this machine comes with that name."""
    answer = client(token=None, hosts=hosts).open("/monitor/", environ_overrides={"HTTP_HOST": host})
    assert answer.status_code == status
