"""How docker is logged in to registries: by its configuration file, or a credential helper that this names."""

import warnings
from dataclasses import dataclass, field
from typing import Final

from imagematrix import secrecy
from imagematrix.errors import DeniedError
from imagematrix.shell import Shell
from imagematrix.text import documents
from imagematrix.text.documents import DamagedError
from imagematrix.text.names import HUB
from imagematrix.text.visible import printable

_HELPER_SECONDS: Final = 20.0
"""How long a credential helper may take: some query a service."""
_HUB_KEY: Final = "https://index.docker.io/v1/"
"""What docker calls its own registry where logins are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A login to a registry: a name and a password, or a token in place of both."""

    name: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


def login(registry: str) -> Login | None:
    """Return how docker is logged in to a registry; the login is hidden in all output from then on.

    Raises DeniedError when docker's configuration, or the credential helper that it names, gives no valid answer, or
    not in time.
    """
    found = _configured_login(registry)
    if found:
        secrecy.learn_login(found.name, found.password)
        secrecy.learn(found.token)
    return found


def _configured_login(registry: str) -> Login | None:
    """Return how docker is logged in to a registry: by its configuration, or the credential helper that it names."""
    from docker import auth
    from docker.errors import DockerException

    try:
        with warnings.catch_warnings(action="ignore"):
            config = auth.load_config()
        helper = config.get_credential_store(registry)
        if helper:
            return _login_of_helper(str(helper), registry)
        found = config.resolve_authconfig(registry) or {}
        # Of a configuration file the SDK makes other names than of a helper's answer.
        said = {str(name).lower(): str(value) for name, value in found.items() if value}
    # The SDK takes the file's shape on trust.
    except (DockerException, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise DeniedError(f"{registry}: docker's configuration is not valid: {error.__cause__ or error}") from None
    if said.get("identitytoken"):
        return Login(token=said["identitytoken"])
    return Login(name=said["username"], password=said.get("password", "")) if said.get("username") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Credentials:
    """What a credential helper prints (https://docs.docker.com/reference/cli/docker/login/, its protocol)."""

    Username: str
    Secret: str


def _login_of_helper(name: str, registry: str) -> Login | None:
    """Ask docker's credential helper; the SDK would wait for one that sleeps."""
    program, asked = f"docker-credential-{name}", _HUB_KEY if registry == HUB else registry
    said: list[bytes] = []
    try:
        code = Shell().run(
            (program, "get"),
            stdin=asked.encode(),
            sink=said.append,
            seconds=_HELPER_SECONDS,
        )
    except FileNotFoundError:
        raise DeniedError(f"{registry}: docker's configuration names {program}, which is not installed") from None
    except (TimeoutError, OSError) as error:
        raise DeniedError(f"{registry}: docker's configuration gives no login: {error}") from None
    text = b"".join(said).decode(errors="replace")
    if code:
        if "credentials not found" in text:
            return None
        raise DeniedError(f"{registry}: {program} failed with exit code {code}: {printable(text.strip())[:200]}")
    try:
        found = documents.read(text, _Credentials)
    except DamagedError:  # whatever it printed may hold a secret
        raise DeniedError(f"{registry}: {program} printed no valid answer") from None
    if found.Username == "<token>":
        return Login(token=found.Secret)
    return Login(name=found.Username, password=found.Secret)
