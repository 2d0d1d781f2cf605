"""The way to an engine on another machine: `DOCKER_HOST=ssh://…`, as one tunnel that everything here goes through.

Docker's own clients open a connection by ssh for each request. A server refuses many that begin at once (MaxStartups),
and each costs a login: 24 builds took 62 s so, and 14 s through a tunnel.
"""

import atexit
import functools
from contextlib import ExitStack
from urllib.parse import urlsplit

from imagematrix import scratch
from imagematrix.errors import NoEngineError
from imagematrix.shell import EndedError, OpenProgram

SCHEME = "ssh://"
_SOCKET = "/var/run/docker.sock"


def is_remote(host: str) -> bool:
    """Whether an address of an engine leads to another machine by ssh."""
    return host.startswith(SCHEME)


@functools.cache
def opened(host: str) -> str:
    """Open a tunnel to `ssh://[USER@]HOST[:PORT][/SOCKET]`, which ends with this process; return where it begins.

    Raises NoEngineError with what ssh said.
    """
    resources = ExitStack()
    folder = resources.enter_context(scratch.folder("tunnel"))
    program = OpenProgram(_argv(host, f"{folder}/docker.sock"))
    resources.callback(program.close)
    atexit.register(resources.close)
    try:
        program.ask(b"ready")
    except (EndedError, OSError, ValueError) as error:
        words = error.words.decode(errors="replace").strip() if isinstance(error, EndedError) else ""
        raise NoEngineError(
            f"{host}: ssh opens no tunnel: {words or error}\n"
            f"    try `ssh {urlsplit(host).netloc} docker version`: it must work without a password"
        ) from None
    return f"unix://{folder}/docker.sock"


def _argv(host: str, socket: str) -> tuple[str, ...]:
    """Return the command of a tunnel: what runs at its other end says nothing, and ends when we do."""
    there = urlsplit(host)
    port = ("-p", str(there.port)) if there.port else ()
    user = f"{there.username}@" if there.username else ""
    options = ("BatchMode=yes", "ConnectTimeout=10", "ExitOnForwardFailure=yes", "ServerAliveInterval=15")
    return (
        *("ssh", "-T", *(word for option in options for word in ("-o", option))),
        *("-L", f"{socket}:{there.path if there.path not in ('', '/') else _SOCKET}"),
        *(*port, f"{user}{there.hostname}", "cat"),
    )
