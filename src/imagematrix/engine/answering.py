"""What an engine that does not answer, or refuses, raises: our own errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from imagematrix.errors import LostEngineError, NoEngineError, RegistryError, SilentRegistryError

TRANSFER_SECONDS: Final = 600
"""How long a push or a pull may be silent: registries take their time to take in a layer of gigabytes."""


@contextmanager
def transferring(name: str) -> Iterator[None]:
    """Tell an engine that went away from one that could not do what it was asked, or could not in time."""
    import urllib3
    from docker.errors import APIError, DockerException
    from requests import RequestException

    try:
        yield
    except APIError as error:
        raise RegistryError(f"{name}: {error.explanation}") from None
    except urllib3.exceptions.ReadTimeoutError:
        raise SilentRegistryError(f"{name}: no answer for {TRANSFER_SECONDS} s") from None
    except (RequestException, urllib3.exceptions.HTTPError) as error:
        raise NoEngineError(f"the engine stopped answering: {root_cause(error)}") from error
    except DockerException as error:  # the SDK's own: of the credential helper
        raise RegistryError(f"{name}: {error}") from None


@contextmanager
def answering() -> Iterator[None]:
    """Turn what an engine that stopped answering makes of a request into our own error."""
    import requests
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as error:
        raise NoEngineError(f"the engine stopped answering: {root_cause(error)}") from error
    except (DockerException, requests.RequestException) as error:
        raise LostEngineError(f"the engine stopped answering: {root_cause(error)}") from error


def root_cause(error: BaseException) -> str:
    """Return what the system said, from under the SDK's layers of wrapping."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PermissionError):
            return "permission denied (is your user in the group `docker`?)"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        reasons = [argument for argument in cause.args if isinstance(argument, BaseException)]
        cause = cause.__cause__ or cause.__context__ or (reasons[0] if reasons else None)
    return str(error)
