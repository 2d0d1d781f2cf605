"""The connection to an engine."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagematrix.engine.answering import root_cause
from imagematrix.errors import NoEngineError

if TYPE_CHECKING:
    from docker import APIClient, DockerClient

    _Transfer = Callable[[APIClient], Callable[..., Iterable[Any]]]


_API_VERSION: Final = "1.44"
"""Named, because without a version the SDK connects before it can be configured to ignore proxies; engines from 25 to
29 speak it (https://docs.docker.com/reference/api/engine/)."""
_TIMEOUT_SECONDS: Final = 30


def open_client(environment: Mapping[str, str], *, seconds: int = _TIMEOUT_SECONDS) -> "DockerClient":
    import docker
    import requests
    from docker.errors import DockerException

    client = None
    try:
        client = docker.from_env(
            version=_API_VERSION,
            timeout=seconds,
            environment={**os.environ, **environment},
        )
        # REQUESTS_CA_BUNDLE, usual behind company proxies, would override the engine's own certificate.
        client.api.trust_env = False
        client.ping()
    except (DockerException, requests.RequestException, OSError) as error:
        if client:
            client.close()
        place = environment.get("DOCKER_HOST") or os.environ.get("DOCKER_HOST") or "docker's default socket"
        raise NoEngineError(f"{place}: {root_cause(error)}") from error
    return client


def private_folder() -> Path:
    """Return the directory of the engine that scripts/engine keeps."""
    return Path(os.environ.get("IMAGEMATRIX_ENGINE_DIR", "/var/lib/imagematrix/engine"))


class EngineClient:
    """An engine that answered."""

    def __init__(self, client: "DockerClient", environment: Mapping[str, str]) -> None:
        self._client = client
        self.environment = environment
        """Added to the environment of docker clients so that they reach this engine."""
