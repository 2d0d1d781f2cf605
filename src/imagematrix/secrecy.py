"""Hides secrets in all output of a run: what it prints, logs, remembers, reports and sends.

Builds, checks and tools print what they like, so secrets are hidden where text comes in (build output, uv, checks) and
again where it leaves (files of the state and of reports, the terminal, the webhook). Two kinds are hidden: the values
that this process knows to be secret, in each form in which a document may hold them, and what has a secret's shape.
"""

import base64
import html
import json
import netrc
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, Final, TextIO, cast
from urllib.parse import quote, unquote, urlsplit

from imagematrix.text import documents

HIDDEN: Final = "****"
"""What stands in a secret's place, as in pip's output."""
_SHORTEST: Final = 6
"""In characters: a shorter value is part of too many words; in an address it is hidden by its place."""
_TOKEN: Final = 16
"""In characters: a name of an address that is longer and has no password is taken for a token."""
_NAMES: Final = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?|WEBHOOK|HEARTBEAT)(?:_|$)"
    r"(?!.*(?:FILE|PATH|SOCK)$)",
    re.IGNORECASE,
)
"""The environment's variables that hold secrets, by their names; not those that say where one lies."""
_NO_SECRET: Final = re.compile(r"(?i:true|false|none|disabled|enabled|required)|\d+|/.*")
"""A switch, a number or a path: the value of such a variable that is not secret."""

_SCHEME: Final = "(?:basic|bearer|token) +"
_SHAPES: Final = (
    # a login in an address of HTTP, FTP or SOCKS: all of it, because a name alone may be a token
    ("://", re.compile(r"(?<=[ps5]://)[^\s/?#'\"<>\\]+@"), f"{HIDDEN}@"),
    (
        "uthorization",
        re.compile(rf"(?i)(authorization['\"]?\s*[:=]\s*['\"]?(?:{_SCHEME})?)(?!{_SCHEME})[^\s'\",*]{{6,}}"),
        rf"\1{HIDDEN}",
    ),
    # signed addresses, and those with a token
    ("=", re.compile(r"([?&](?:[\w-]*token|X-Amz-(?:Signature|Credential)|sig|password)=)[^&\s'\"]+"), rf"\1{HIDDEN}"),
    ("gh", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})"), HIDDEN),
    ("glpat-", re.compile(r"\bglpat-[\w-]{20,}"), HIDDEN),
    ("hf_", re.compile(r"\bhf_[A-Za-z0-9]{20,}"), HIDDEN),
    ("npm_", re.compile(r"\bnpm_[A-Za-z0-9]{30,}"), HIDDEN),
    ("pypi-", re.compile(r"\bpypi-AgE[\w-]{20,}"), HIDDEN),
    ("dckr_pat_", re.compile(r"\bdckr_pat_[\w-]{20,}"), HIDDEN),
    ("xox", re.compile(r"\bxox[abeprs]-[\w-]{10,}"), HIDDEN),
    ("eyJ", re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+"), HIDDEN),
)
"""A part of each, by which it is looked for cheaply; its shape; what takes its place."""


class Secrets:
    """The values that are known to be secret; any thread may add to them."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()
        """All forms of all values, the longest first. Replaced, never changed in place."""

    def learn(self, *values: str) -> None:
        """Hide these values from now on; of several lines, each one."""
        lines = [line.strip() for value in values for line in value.splitlines()]
        found = {form for line in lines if len(line) >= _SHORTEST for form in _forms(line)}
        if not found <= set(self._forms):
            self._forms = tuple(sorted({*self._forms, *found}, key=lambda form: (-len(form), form)))

    def learn_login(self, name: str, password: str) -> None:
        """Hide a password, and the header that holds it with its name."""
        self.learn(password)
        if len(password) >= _SHORTEST:
            self.learn(base64.b64encode(f"{name}:{password}".encode()).decode())

    def learn_addresses(self, *addresses: str) -> None:
        """Hide the passwords that addresses hold, and a name without a password, which is a token."""
        for address in addresses:
            with suppress(ValueError):  # it is not a valid address, so it cannot be a login
                login = urlsplit(address).netloc.rpartition("@")[0]
                name, _, password = login.partition(":")
                self.learn_login(unquote(name), unquote(password))
                self.learn(name if not password and len(name) >= _TOKEN else "")

    def learn_hook(self, value: str) -> None:
        """Hide a value; of an address that is itself a secret also its end, and each part that may be a token."""
        self.learn(value)
        if "://" in value:
            path = value.partition("://")[2].partition("/")[2]
            parts = [part for part in re.split(r"[/?&=#]", path) if part]
            self.learn(path.rpartition("/")[2], *filter(_is_token, parts))

    def hidden(self, text: str) -> str:
        """Return a text without its secrets."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        for part, shape, instead in _SHAPES:
            if part in text:
                text = shape.sub(instead, text)
        return text


def _is_token(part: str) -> bool:
    """Whether a part of an address may be a token, and not a word such as `services`."""
    return len(part) >= _TOKEN or (len(part) >= _SHORTEST and any(letter.isdigit() for letter in part))


def _forms(value: str) -> Iterator[str]:
    """Yield a value as documents and addresses hold it."""
    yield from (value, quote(value, safe=""), quote(value), unquote(value))
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    yield from (html.escape(value), html.escape(value, quote=False), value.replace("|", "\\|"))
    yield html.escape(value, quote=False).replace("'", "&#39;").replace('"', "&#34;")  # as Jinja does


_KNOWN: Final = Secrets()
"""Those of this process."""

learn = _KNOWN.learn
learn_login = _KNOWN.learn_login
learn_hook = _KNOWN.learn_hook
learn_addresses = _KNOWN.learn_addresses
hidden = _KNOWN.hidden


def learn_environment() -> None:
    """Hide what this process was given: by its environment, netrc (which uv reads), and docker's configuration."""
    for name, value in os.environ.items():
        learn_addresses(*value.split())
        if _NAMES.search(name) and not _NO_SECRET.fullmatch(value):
            learn_hook(value)
    with suppress(OSError, netrc.NetrcParseError):
        for name, _, password in netrc.netrc(os.environ.get("NETRC") or None).hosts.values():
            learn_login(name, password or "")
    for login in _docker_logins():
        learn(login)
        with suppress(ValueError):
            name, _, password = base64.b64decode(login).decode().partition(":")
            learn_login(name, password)


def _docker_logins() -> Iterable[str]:
    path = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker", "config.json")
    try:
        config = documents.read(path.read_text(encoding="utf-8"), dict[str, Any])
    except (OSError, ValueError):  # the login that uses it reports what is wrong with it
        return []
    logins = config.get("auths")
    found = list(logins.values()) if isinstance(logins, Mapping) else []
    values = [login.get(key) for login in found if isinstance(login, Mapping) for key in ("auth", "identitytoken")]
    return [value for value in values if isinstance(value, str)]


class _Stream:
    """A stream of text that hides secrets in what is written to it; in all else it is the one behind it."""

    def __init__(self, stream: TextIO, reworded: Callable[[str], str]) -> None:
        self._stream = stream
        self._reworded = reworded

    def write(self, text: str) -> int:
        """Write text without its secrets."""
        self._stream.write(hidden(self._reworded(text)))
        return len(text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a stream has
        return getattr(self._stream, name)


@contextmanager
def guarded_output(reworded: Callable[[str], str]) -> Iterator[None]:
    """Hide secrets in everything that is printed meanwhile, after it was `reworded`."""
    out, errors = (cast("TextIO", _Stream(stream, reworded)) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(errors):
        yield
