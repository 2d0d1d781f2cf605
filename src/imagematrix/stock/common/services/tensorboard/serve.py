"""Starts TensorBoard behind the token that JupyterLab asks for. Its arguments are TensorBoard's own.

TensorBoard by itself answers everyone, under any host name: `Guard` decides who gets through to it.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

ASK = Path(__file__).with_name("ask.html").read_text(encoding="utf-8")
PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class Guard:
    """A WSGI application that passes requests on to another one, if they may see it.

    With a token, those may that have it: in the address (`?token=`), in the header `Authorization` as JupyterLab takes
    it, or in the cookie that a browser gets for it. A page whose name was pointed to this machine (DNS rebinding) has
    none of them. Without a token, those may whose host is an IP address, localhost or one of `hosts`, where `*` is any:
    the name of such a page is none of them.
    """

    def __init__(self, app: WSGIApplication, *, token: str | None, hosts: Collection[str]) -> None:
        """Guard `app` by a token; by host names alone where that is None."""
        self._app = app
        self._token = token
        self._hosts = {"localhost", *hosts}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> WSGIApplication:
        if self._token is None:
            return self._app if self._is_known(_host(request)) else _unknown_host()
        if _is_same(_presented(request), self._token):
            return self._let_in(request, self._token) if _is_page(request) else self._app
        cookies = request.cookies.getlist(_cookie(request))
        return self._app if any(_is_same(cookie, _proof(self._token)) for cookie in cookies) else _ask()

    def _is_known(self, host: str) -> bool:
        if "*" in self._hosts or host in self._hosts:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    @staticmethod
    def _let_in(request: Request, token: str) -> Response:
        """Leave a cookie, and take the token out of the address.

        Neither names a path of ours: a proxy may have put the page under another one.
        """
        others = urlencode([(name, value) for name, value in _arguments(request) if name != "token"])
        target = "./" + quote(request.path.rpartition("/")[2]) + (others and f"?{others}")
        answer = Response(status=302, headers={**PRIVATE, "Location": target})
        answer.set_cookie(
            _cookie(request),
            _proof(token),
            path=None,
            secure=request.headers.get("X-Forwarded-Proto") == "https",
            httponly=True,
            samesite="Lax",
        )
        return answer


def _presented(request: Request) -> str:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    in_address = next((value for name, value in _arguments(request) if name == "token"), "")
    return value.strip() if scheme.lower() in {"token", "bearer"} else in_address


def _arguments(request: Request) -> list[tuple[str, str]]:
    """Read them from any bytes: werkzeug's own reader raises an error where they are not UTF-8."""
    return parse_qsl(request.query_string.decode("latin-1"), keep_blank_values=True)


def _is_page(request: Request) -> bool:
    """Whether a browser asks for what it shows, by an address that has the token."""
    in_address = any(name == "token" for name, _ in _arguments(request))
    return request.method == "GET" and in_address and "text/html" in request.headers.get("Accept", "")


def _proof(token: str) -> str:
    """Return what a cookie holds: browsers send it to all ports of a host, and the token opens JupyterLab as well."""
    return hmac.new(token.encode(), b"tensorboard", "sha256").hexdigest()


def _cookie(request: Request) -> str:
    """Name it by host and port: another container may be one port away."""
    return "tensorboard-" + re.sub(r"[^a-z0-9]", "-", request.headers.get("Host", "").lower())


def _host(request: Request) -> str:
    try:
        return urlsplit("//" + request.headers.get("Host", "")).hostname or ""
    except ValueError:  # brackets without an address
        return ""


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _ask() -> Response:
    policy = "default-src 'none'; form-action 'self'; frame-ancestors 'self'"
    return Response(ASK, 403, {**PRIVATE, "Content-Security-Policy": policy}, mimetype="text/html")


def _unknown_host() -> Response:
    return Response("This host name is not in WEB_HOSTS.\n", 403, PRIVATE)


def main() -> None:
    """Run until a signal comes."""
    from absl import app as absl
    from tensorboard import default, main_lib, program

    asks = os.environ["WEB_AUTHENTICATION"] == "token"
    token = Path(os.environ["IMAGE_RUN"], "token").read_text(encoding="utf-8") if asks else None
    hosts = os.environ.get("WEB_HOSTS", "").lower().replace(",", " ").split()

    def serve(app: WSGIApplication, flags: object) -> program.WerkzeugServer:
        return program.WerkzeugServer(Guard(app, token=token, hosts=hosts), flags)

    main_lib.global_init()
    board = program.TensorBoard(plugins=default.get_plugins(), server_class=serve)
    absl.run(board.main, flags_parser=board.configure)


if __name__ == "__main__":
    main()
