"""Docker's contexts: which engine `docker context use` chose."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagematrix.errors import NoEngineError

if TYPE_CHECKING:
    from docker.context import Context

_DEFAULT: Final = "default"
"""Docker's name for its default socket, or what DOCKER_HOST says."""


def named() -> str:
    """Return the context that the environment names; empty: none that counts."""
    return "" if "DOCKER_HOST" in os.environ else os.environ.get("DOCKER_CONTEXT", "")


def chosen() -> Mapping[str, str]:
    """Return the variables that lead docker's clients to the engine of the context in use; none: the default one.

    DOCKER_HOST comes first, then DOCKER_CONTEXT, then docker's configuration, as for docker itself. Raises
    NoEngineError for a context that does not exist or cannot be read.
    """
    if "DOCKER_HOST" in os.environ:
        return {}
    found = _context(named())
    if found is None or not found.Host:
        return {}
    certificates = Path(found.tls_path, "docker")
    tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)} if found.tls_cfg else {}
    return {"DOCKER_HOST": found.Host, **tls}


def _context(name: str) -> "Context | None":
    """Return a context, without a name the one of docker's configuration; None: the default one."""
    from docker.context import ContextAPI
    from docker.context.config import get_current_context_name

    try:
        name = name or get_current_context_name()
        found = None if name == _DEFAULT else ContextAPI.get_context(name)
    except Exception as error:  # noqa: BLE001  # the SDK takes the files' shape on trust, and raises Exception itself
        raise NoEngineError(f"docker's context {name!r} cannot be read: {error}") from None
    if found is None and name != _DEFAULT:
        raise NoEngineError(f"docker has no context {name!r}: `docker context ls` lists them")
    return found
