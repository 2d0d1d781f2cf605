"""The way to one registry: its address, how it is trusted, and the logins that it wants."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from imagematrix import secrecy, web
from imagematrix.engine.credentials import Login, login
from imagematrix.errors import DeniedError, SilentRegistryError
from imagematrix.model import Site
from imagematrix.registry import answers
from imagematrix.text.names import HUB, is_loopback
from imagematrix.text.visible import printable
from imagematrix.web import NoAnswerError, Reply, Stream, Web

_HUB_API: Final = "registry-1.docker.io"
_ACTIONS: Final[Mapping[str, str]] = {"GET": "pull", "HEAD": "pull", "POST": "push", "PUT": "push"}
"""What a method is called in the scope of a token; all others are named by themselves. A login for one serves another:
a stream cannot be sent twice to find out who may send it."""
_BUSY: Final = (429, 500, 502, 503, 504)
_DENIED: Final = (401, 403)


class Access:
    """Sends requests to one registry, from many threads; the logins of docker's configuration are used, never shown."""

    def __init__(self, name: str, where: Site, *, connections: int) -> None:
        self._name = name
        self._where = where
        self._connections = connections
        self._found: tuple[Web, str] | None = None
        self._logins: dict[str, str] = {}
        """What is allowed -> the header that says so."""
        self._lock = threading.Lock()

    def send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, data: bytes | Stream | None = None
    ) -> Reply:
        """Send a request to `/v2/PATH`; return an answer that is neither a refusal nor a failure.

        Raises SilentRegistryError and DeniedError, and RegistryError for an answer that is not valid.
        """
        action = _action(method, path)
        asking, root = self._way()
        url = f"{root}/v2/{path}"
        held = self._logins.get(action, "")
        answer = self._ask(asking, method, url, {**(headers or {}), **_bearing(held)}, data)
        if answer.status == _DENIED[0]:
            header = self._log_in(asking, action, held, answer)
            answer = self._ask(asking, method, url, {**(headers or {}), **_bearing(header)}, data)
        self._refuse(answer, f"{method} {path}")
        return answer

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[bytes]]:
        """Give the content of `/v2/PATH` as it comes; what `send` with HEAD has been allowed to see.

        Raises SilentRegistryError.
        """
        asking, root = self._way()
        header = self._logins.get(_action("GET", path), "")
        try:
            with asking.stream(f"{root}/v2/{path}", headers=_bearing(header)) as chunks:
                yield chunks
        except NoAnswerError as error:
            raise self._silent(error) from None

    def _way(self) -> tuple[Web, str]:
        """Return its scheme and address; the first thread finds out for all."""
        with self._lock:
            if self._found is None:
                self._found = self._find()
            return self._found

    def _find(self) -> tuple[Web, str]:
        """As docker does: on this machine without a proof of who that is, or without TLS."""
        secure = f"https://{_HUB_API if self._name == HUB else self._name}"
        if not _is_here(self._name):
            proxies = web.proxies_to(secure, self._where.proxies)
            trust = self._where.ca_bundle or True
            return Web(connections=self._connections, verify=trust, proxies=proxies), secure
        asking = Web(connections=self._connections, verify=False)
        try:
            asking.ask("GET", f"{secure}/v2/")
        except NoAnswerError as error:
            if error.speaks_no_tls:
                return asking, f"http://{self._name}"
            raise self._silent(error) from None
        return asking, secure

    def _ask(
        self, asking: Web, method: str, url: str, headers: Mapping[str, str], data: bytes | Stream | None
    ) -> Reply:
        try:
            return asking.ask(method, url, headers=headers, data=data)
        except NoAnswerError as error:
            raise self._silent(error) from None

    def _log_in(self, asking: Web, action: str, held: str, refusal: Reply) -> str:
        """Return the header that a refusal demands; one that another thread got in the meantime will do."""
        with self._lock:
            if self._logins.get(action, "") == held:
                self._logins[action] = self._header(asking, refusal)
            return self._logins[action]

    def _header(self, asking: Web, refusal: Reply) -> str:
        asked = answers.challenge(refusal, self._name)
        known = login(self._name)
        if asked.scheme == "bearer":
            return f"Bearer {self._token(asking, asked, known)}"
        if known is None or not known.name:
            return ""  # it is run once more, and that output is reported
        return web.basic(known.name, known.password)

    def _token(self, asking: Web, asked: answers.Challenge, known: Login | None) -> str:
        """Get a token of those who give them (https://distribution.github.io/distribution/spec/auth/token/)."""
        try:
            if known and known.token:
                form = {**asked.wanted, "grant_type": "refresh_token", "refresh_token": known.token}
                answer = asking.ask("POST", asked.realm, data={**form, "client_id": "imagematrix"})
            else:
                whose = (known.name, known.password) if known else None
                answer = asking.ask("GET", asked.realm, params=asked.wanted, auth=whose)
        except NoAnswerError as error:
            raise self._silent(error) from None
        self._refuse(answer, "a login")
        token = answers.token(answer, self._name)
        secrecy.learn(token)
        return token

    def _refuse(self, answer: Reply, what: str) -> None:
        reason = printable(answer.reason)
        if answer.status in _BUSY:
            raise SilentRegistryError(
                f"registry {self._name} answers {answer.status} {reason} to {what}",
                retry_after=answers.retry_after(answer),
            )
        if answer.status in _DENIED:
            raise DeniedError(
                f"registry {self._name} denies {what}: {answers.complaint(answer) or reason}\n"
                f"    log in with `docker login {self._name}`, as a user with this permission"
            )

    def _silent(self, error: NoAnswerError) -> SilentRegistryError:
        return SilentRegistryError(f"registry {self._name} does not answer: {error}")


def _action(method: str, path: str) -> str:
    """Return what a request is allowed by: a login for an action on a repository."""
    return f"{_ACTIONS.get(method, method)} {path.partition('/manifests/')[0].partition('/blobs/')[0]}"


def _bearing(header: str) -> Mapping[str, str]:
    return {"Authorization": header} if header else {}


def _is_here(name: str) -> bool:
    """Whether a registry, `host[:port]`, is on this machine, as docker sees it."""
    return is_loopback(name.rpartition(":")[0] if not name.endswith("]") and ":" in name else name)
