"""Asks servers over HTTP: each question has one deadline and one bound on the answer, whatever the other side does.

A library's time-out is one for each read: a server that sends a byte every few seconds is waited for without end. So a
watchdog closes the connection of a question that takes too long as a whole.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Final, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, should_bypass_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

from imagematrix.execution import parallel
from imagematrix.text import documents
from imagematrix.text.visible import printable

SILENCE_SECONDS: Final = 10.0
"""How long a server may say nothing."""
TOTAL_SECONDS: Final = 30.0
"""How long a question may take as a whole."""
MOST_BYTES: Final = 32 * 2**20
"""No valid answer is bigger: the distribution spec bounds manifests at 4 MiB."""
_CHUNK: Final = 64 * 1024
_SLOWEST: Final = 100_000
"""Bytes a second: what is sent more slowly takes too long."""

_T = TypeVar("_T")


class NoAnswerError(Exception):
    """A server did not answer, not in time, or without end. The words hold neither address nor login."""

    def __init__(self, why: str, *, speaks_no_tls: bool = False) -> None:
        super().__init__(why)
        self.speaks_no_tls = speaks_no_tls


class _EndlessError(Exception):
    """An answer is bigger than any valid one."""


_FAILURES: Final = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, _EndlessError)
"""What a question ends in that has no answer; ValueError: an address or a header is not valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, whole."""

    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    """Their names in any case."""
    content: bytes = field(repr=False)
    next: str = ""
    """Where the next page is."""

    @property
    def good(self) -> bool:
        """Whether the server did what it was asked."""
        return self.status < 400  # noqa: PLR2004  (RFC 9110: errors begin here)

    def read(self, kind: type[_T]) -> _T:
        """Return the JSON of an answer as a noun of some kind. Raises DamagedError."""
        return documents.read(self.content.decode(errors="replace"), kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What is sent while it is read: too big for memory."""

    open: Callable[[], AbstractContextManager[Iterator[bytes]]]
    """Gives all of it, from the beginning, each time."""
    bytes: int


class _Sized:
    """An iterator whose length is known: `requests` then sends it as one body, not in chunks."""

    def __init__(self, chunks: Iterator[bytes], length: int) -> None:
        self._chunks = chunks
        self._length = length

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def __len__(self) -> int:
        return self._length


class Web:
    """Sends requests from many threads: no cookies, no netrc, no proxies but those that are given."""

    def __init__(
        self,
        *,
        connections: int = 1,
        verify: str | bool = True,
        proxies: Mapping[str, str] | None = None,
        total: float | None = None,
    ) -> None:
        self._total = TOTAL_SECONDS if total is None else total
        self._session = requests.Session()
        # The site says it all; and netrc's passwords are not for these servers.
        self._session.trust_env = False
        self._session.verify = verify
        if verify is False:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._session.proxies.update(proxies or {})
        # Each request carries its own login: some servers would remember another one by a cookie.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(pool_maxsize=connections))

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        data: bytes | Stream | Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Reply:
        """Send a request; return its answer. Raises NoAnswerError, whose words hold neither address nor login."""
        seconds = self._total + (data.bytes / _SLOWEST if isinstance(data, Stream) else 0.0)
        with self._watchdog(seconds) as late:
            try:
                with (
                    _body(data) as body,
                    self._session.request(
                        method,
                        url,
                        headers={"Accept-Encoding": "identity", **(headers or {})},
                        params=params,
                        data=body,
                        auth=auth,
                        timeout=SILENCE_SECONDS,
                        stream=True,
                    ) as answer,
                ):
                    content = _received(answer)
            except _FAILURES as error:
                why = f"no whole answer within {seconds:g} s" if late.is_set() else _why(error)
                speaks_no_tls = isinstance(error, requests.exceptions.SSLError)
                raise NoAnswerError(why, speaks_no_tls=speaks_no_tls) from error
        return Reply(
            url=answer.url,
            status=answer.status_code,
            reason=answer.reason or "",
            headers=answer.headers,
            content=content,
            next=_next(answer),
        )

    @contextmanager
    def stream(self, url: str, *, headers: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """Give the content behind an address as it comes; its bytes are not bounded. Raises NoAnswerError.

        What fails after the first bytes is raised by the iterator, as one of the library's errors.
        """
        try:
            answer = self._session.get(
                url, headers={"Accept-Encoding": "identity", **headers}, timeout=SILENCE_SECONDS, stream=True
            )
        except _FAILURES as error:
            raise NoAnswerError(_why(error)) from error
        with answer:
            if not answer.ok:
                raise NoAnswerError(f"{answer.status_code} {printable(answer.reason or '')}")
            yield answer.iter_content(_CHUNK)

    @contextmanager
    def _watchdog(self, seconds: float) -> Iterator[threading.Event]:
        """Close this thread's connection when its question takes too long; the event says that it did."""
        late, mine = threading.Event(), vars(_used)

        def close() -> None:
            late.set()
            _close(mine.get("connection"), mine.get("socket"))

        timer = parallel.after(seconds, close)
        try:
            yield late
        finally:
            timer.cancel()
            _used.connection = _used.socket = None


class _Used(threading.local):
    """The connection that a thread's question uses."""

    def __init__(self) -> None:
        self.connection: HTTPConnection | None = None
        self.socket: socket.socket | None = None


_used: Final = _Used()


class _Watched(HTTPConnection):
    """A connection that records which request uses it: the watchdog has no other way to it."""

    def connect(self) -> None:
        _used.connection = self
        super().connect()
        _used.socket = self.sock

    def request(self, *args: object, **kwargs: object) -> None:
        _used.connection, _used.socket = self, self.sock
        super().request(*args, **kwargs)  # type: ignore[arg-type]


class _WatchedTls(_Watched, HTTPSConnection):
    """The same with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched  # type: ignore[mutable-override]


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls  # type: ignore[mutable-override]


class _Adapter(HTTPAdapter):
    """What `requests` sends by."""

    def init_poolmanager(self, *args: object, **kwargs: object) -> None:
        super().init_poolmanager(*args, **kwargs)  # type: ignore[arg-type]
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, proxy: str, **kwargs: object) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager


def _close(connection: HTTPConnection | None, used: socket.socket | None) -> None:
    """Wake up the reader of a connection: it forgets its socket before the answer is read to its end."""
    for sock in (used, connection.sock if connection else None):
        if sock is not None:
            with suppress(OSError):
                # Not the method of a TLS socket, which would say goodbye first.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


def basic(name: str, password: str) -> str:
    """Return the header that logs in."""
    return str(urllib3.make_headers(basic_auth=f"{name}:{password}")["authorization"])


def of_the_environment(url: str) -> "Web":
    """Return a way to a server outside of any site: proxies and certificates as the environment says."""
    trusted = ssl.get_default_verify_paths()
    return Web(verify=trusted.cafile or True, proxies=get_environ_proxies(url))


def proxies_to(url: str, said: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies on the way to a host, by the variables of a site; none where they are not for it."""
    lower = {name.lower(): value for name, value in said.items()}
    if should_bypass_proxies(url, lower.get("no_proxy", "")):
        return {}
    return {scheme: lower[f"{scheme}_proxy"] for scheme in ("http", "https") if f"{scheme}_proxy" in lower}


@contextmanager
def _body(data: bytes | Stream | Mapping[str, str] | None) -> Iterator[bytes | _Sized | Mapping[str, str] | None]:
    if not isinstance(data, Stream):
        yield data
        return
    with data.open() as chunks:
        yield _Sized(chunks, data.bytes)


def _received(answer: requests.Response) -> bytes:
    """Return the content of an answer. Raises _EndlessError for one without end."""
    parts: list[bytes] = []
    received = 0
    for chunk in answer.iter_content(_CHUNK):
        received += len(chunk)
        if received > MOST_BYTES:
            raise _EndlessError(f"it sends more than {MOST_BYTES:,} bytes")
        parts.append(chunk)
    return b"".join(parts)


def _next(answer: requests.Response) -> str:
    try:
        return str(answer.links.get("next", {}).get("url", ""))
    except (ValueError, IndexError):
        return ""


def _why(error: Exception) -> str:
    """Return what the system said, from under the wrapping of two libraries, whose own words hold the address."""
    if isinstance(error, _EndlessError):
        return str(error)
    if isinstance(error, requests.Timeout):
        return f"nothing within {SILENCE_SECONDS:.0f} s"
    if isinstance(error, requests.TooManyRedirects):
        return "it redirects endlessly"
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema | ValueError):
        return "an address or a header is not valid"
    innermost = list(_causes(error))[-1]
    if isinstance(innermost, OSError) and innermost.strerror:
        return innermost.strerror
    is_systems = isinstance(innermost, OSError | HTTPException)
    return printable(str(innermost))[:200] if is_systems else type(innermost).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what is wrapped in it, outermost first, down to what the system said."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        if isinstance(cause, OSError) and cause.strerror:
            return
        inner = (each for each in (*cause.args, getattr(cause, "reason", None)) if isinstance(each, BaseException))
        cause = cause.__cause__ or cause.__context__ or next(inner, None)
