"""The way to one registry: its address, how it is trusted, and the logins that it wants."""

import ipaddress
import threading
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Final
from urllib.request import parse_http_list, parse_keqv_list

from imagematrix.engine import Login, login
from imagematrix.errors import DeniedError, SilentRegistryError
from imagematrix.model import Site
from imagematrix.text.names import HUB

if TYPE_CHECKING:
    import requests

SECONDS: Final = 10.0
"""How long a registry may take to answer."""
_HUB_API: Final = "registry-1.docker.io"
_ACTIONS: Final[Mapping[str, str]] = {"GET": "pull", "HEAD": "pull"}
"""What a method is called in the scope of a token; all others are named by themselves."""
_BUSY: Final = (429, 500, 502, 503, 504)
_DENIED: Final = (401, 403)


class Access:
    """Sends requests to one registry, from many threads; the logins of docker's configuration are used, never shown."""

    def __init__(self, name: str, where: Site, *, connections: int) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        self._name = name
        self._session = requests.Session()
        # The site says it all; and netrc's passwords are not for registries.
        self._session.trust_env = False
        # Whoever is logged in is so by each request: some registries would remember another one by a cookie.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections))
        self._where = where
        self._root = ""
        self._logins: dict[str, str] = {}
        """What is allowed -> the header that says so."""
        self._lock = threading.Lock()

    def send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, data: bytes | None = None
    ) -> "requests.Response":
        """Send a request to `/v2/PATH`; return an answer that is neither a refusal nor a failure.

        Raises SilentRegistryError and DeniedError.
        """
        action = f"{_ACTIONS.get(method, method)} {path.partition('/manifests/')[0].partition('/blobs/')[0]}"
        url = path if "://" in path else f"{self._address()}/v2/{path}"
        held = self._logins.get(action, "")
        answer = self._ask(method, url, {**(headers or {}), **_bearing(held)}, data)
        if answer.status_code == _DENIED[0]:
            header = self._log_in(action, held, answer)
            answer = self._ask(method, url, {**(headers or {}), **_bearing(header)}, data)
        self._refuse(answer, f"{method} {path}")
        return answer

    def _address(self) -> str:
        with self._lock:
            if not self._root:
                self._root = self._find()
        return self._root

    def _find(self) -> str:
        """Return where it answers; as docker does, on this machine without a proof of who that is, or without TLS."""
        import requests
        import urllib3

        secure = f"https://{_HUB_API if self._name == HUB else self._name}"
        if not _is_here(self._name):
            self._session.verify = self._where.ca_bundle or True
            self._session.proxies.update(_proxies(secure, self._where.proxies))
            return secure
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._session.verify = False
        try:
            self._session.get(f"{secure}/v2/", timeout=SECONDS)
        except requests.exceptions.SSLError:
            return f"http://{self._name}"
        except requests.RequestException as error:
            raise self._silent(error) from None
        return secure

    def _ask(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> "requests.Response":
        import requests

        try:
            return self._session.request(method, url, headers=headers, data=data, timeout=SECONDS)
        except requests.RequestException as error:
            raise self._silent(error) from None

    def _log_in(self, action: str, held: str, refusal: "requests.Response") -> str:
        """Return the header that a refusal asks for; what another thread got in the meantime is as good."""
        with self._lock:
            if self._logins.get(action, "") == held:
                self._logins[action] = self._header(refusal)
            return self._logins[action]

    def _header(self, refusal: "requests.Response") -> str:
        import urllib3

        scheme, _, said = refusal.headers.get("WWW-Authenticate", "").partition(" ")
        known = login(self._name)
        if scheme.lower() == "bearer":
            return f"Bearer {self._token(parse_keqv_list(parse_http_list(said)), known)}"
        if known is None or not known.name:
            return ""  # it is asked once more, and what it says then is told
        return urllib3.make_headers(basic_auth=f"{known.name}:{known.password}")["authorization"]

    def _token(self, asked: Mapping[str, str], known: Login | None) -> str:
        """Get a token of those who give them (https://distribution.github.io/distribution/spec/auth/token/)."""
        import requests

        wanted = {name: asked[name] for name in ("service", "scope") if name in asked}
        url = asked.get("realm", "")
        try:
            if known and known.token:
                form = {
                    **wanted,
                    "grant_type": "refresh_token",
                    "refresh_token": known.token,
                    "client_id": "imagematrix",
                }
                answer = self._session.post(url, data=form, timeout=SECONDS)
            else:
                whose = (known.name, known.password) if known else None
                answer = self._session.get(url, params=wanted, auth=whose, timeout=SECONDS)
        except requests.RequestException as error:
            raise self._silent(error) from None
        self._refuse(answer, "a login")
        said = answer.json()
        return str(said.get("token") or said.get("access_token") or "")

    def _refuse(self, answer: "requests.Response", what: str) -> None:
        if answer.status_code in _BUSY:
            after = answer.headers.get("Retry-After", "")
            raise SilentRegistryError(
                f"registry {self._name} answers {answer.status_code} {answer.reason} to {what}",
                retry_after=float(after) if after.isdecimal() else 0.0,
            )
        if answer.status_code in _DENIED:
            raise self._denied(answer, what)

    def _denied(self, answer: "requests.Response", what: str) -> DeniedError:
        said = complaint(answer) or answer.reason
        return DeniedError(
            f"registry {self._name} denies {what}: {said}\n"
            f"    log in with `docker login {self._name}`, as somebody who may"
        )

    def _silent(self, error: Exception) -> SilentRegistryError:
        return SilentRegistryError(f"registry {self._name} does not answer: {_root_cause(error)}")


def _root_cause(error: BaseException) -> str:
    """Return what the system said, from under the wrapping of two libraries."""
    import requests

    if isinstance(error, requests.Timeout):
        return f"nothing within {SECONDS:.0f} s"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        inner = (each for each in (*cause.args, getattr(cause, "reason", None)) if isinstance(each, BaseException))
        cause = cause.__cause__ or cause.__context__ or next(inner, None)
    return str(error)


def complaint(answer: "requests.Response") -> str:
    """Return what a registry says is wrong, in its own words; empty when it says nothing."""
    try:
        errors = answer.json()["errors"]
        return "; ".join(str(error.get("message") or error["code"]) for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def _bearing(header: str) -> Mapping[str, str]:
    return {"Authorization": header} if header else {}


def _is_here(name: str) -> bool:
    """Whether a registry is on this machine, as docker sees it: localhost, 127.0.0.0/8 and ::1."""
    bare = name.rpartition(":")[0] if not name.endswith("]") and ":" in name else name
    if bare == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare.strip("[]")).is_loopback
    except ValueError:
        return False


def _proxies(url: str, said: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies to a host that is not this machine."""
    from requests.utils import should_bypass_proxies

    lower = {name.lower(): value for name, value in said.items()}
    if should_bypass_proxies(url, lower.get("no_proxy", "")):
        return {}
    return {scheme: lower[f"{scheme}_proxy"] for scheme in ("http", "https") if f"{scheme}_proxy" in lower}
