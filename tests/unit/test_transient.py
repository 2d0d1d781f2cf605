"""Which failures pass by themselves: messages as they were really seen."""

import pytest

from imagematrix.model import Flake, FlakeKind
from imagematrix.planning.failure import remedy
from imagematrix.planning.transient import flake

PASSES = {
    "engine: a race of its own": "ERROR: failed to solve: failed to get dead record x1y2: no such job x1y2: not found",
    "engine: another": "ERROR: failed to solve: inconsistent graph state in edge",
    "engine: gone for a moment": 'ERROR: rpc error: code = Unavailable desc = connection error: desc = "transport',
    "engine: a registry that is full": "ERROR: failed to copy: httpReadSeeker: failed open: unexpected status code 503",
    "engine: a registry's limit": "toomanyrequests: You have reached your pull rate limit.",
    "engine: a registry too far": "failed to do request: Head: net/http: TLS handshake timeout",
    "engine: a registry that hung up": 'Put "http://registry.example.com/v2/a/manifests/1": EOF',
    "engine: names": "dial tcp: lookup registry.example.com on 127.0.0.53:53: server misbehaving",
    "apt: names": "Err:1 http://deb.example.com bookworm InRelease\n  Temporary failure resolving 'deb.example.com'",
    "apt: a server's fault": "E: Failed to fetch http://deb.example.com/x.deb  503  Service Unavailable [IP: 10.0.0.1]",
    "apt: a mirror half-way through its update": (
        "E: Failed to fetch http://deb.example.com/Packages.xz  File has unexpected size (1 != 2). "
        "Mirror sync in progress? [IP: 10.0.0.1 80]"
    ),
    "apt: the same, found by its hash": "E: Failed to fetch http://deb.example.com/Packages.xz  Hash Sum mismatch",
    "apt: a connection": "E: Failed to fetch http://deb.example.com/x.deb  Connection failed [IP: 10.0.0.1 80]",
    "curl": "curl: (28) Operation timed out after 30001 milliseconds with 0 bytes received",
    "curl: names": "curl: (6) Could not resolve host: example.com",
    "pip: a timeout": (
        "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host='files.example.com', port=443): "
        "Read timed out."
    ),
    "pip: cut short": "ERROR: ('Connection broken: IncompleteRead(1 bytes read)', IncompleteRead(1 bytes read))",
    "pip: after its last retry it takes an index that it cannot reach for an empty one": (
        "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection "
        "broken by 'NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused')': "
        "/simple/uv/\n"
        "ERROR: Could not find a version that satisfies the requirement uv==0.13.9 (from versions: none)\n"
        "ERROR: No matching distribution found for uv==0.13.9"
    ),
    "uv: a request": "error: Failed to fetch: `https://pypi.example.com/torch/`\n  Caused by: error sending request",
    "uv: a body": "error: Failed to download `torch==2.3.0`\n  Caused by: error decoding response body",
    "uv: a limit": "  Caused by: HTTP status client error (429 Too Many Requests) for url (https://pypi.example.com/)",
    "uv: a server's fault": "  Caused by: HTTP status server error (502 Bad Gateway) for url (https://pypi.example.com/)",
}
STAYS = {
    "uv: no such version": (
        "  x No solution found when resolving dependencies:\n  Because there is no version of torch==99 ..."
    ),
    "uv: no such package": "  Because nosuchpackage was not found in the package registry and you require it",
    "pip: no such version": (
        "ERROR: Could not find a version that satisfies the requirement torch==99 (from versions: 2.3.0, 2.4.1)\n"
        "ERROR: No matching distribution found for torch==99"
    ),
    "pip: no such package, and a connection that was mended by a retry": (
        "WARNING: Retrying (Retry(total=4, connect=None, read=None, redirect=None, status=None)) after connection "
        "broken by 'ReadTimeoutError(\"Read timed out.\")': /simple/nosuch/\n"
        "ERROR: No matching distribution found for nosuch"
    ),
    "pip: a wrong hash": "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
    "uv: a wrong hash": "  Caused by: Hash mismatch for `torch==2.3.0`",
    "apt: no such package": "E: Unable to locate package nosuchpackage",
    "apt: a package that is gone": "E: Failed to fetch http://deb.example.com/x.deb  404  Not Found [IP: 10.0.0.1 80]",
    "uv: gone": "  Caused by: HTTP status client error (404 Not Found) for url (https://pypi.example.com/simple/x/)",
    "engine: no such image": "ERROR: failed to solve: nosuch:1: failed to resolve source metadata: nosuch:1: not found",
    "engine: a Dockerfile": "ERROR: failed to solve: dockerfile parse error on line 3: unknown instruction: RUM",
    "engine: a full disk": "ERROR: failed to solve: write /var/lib/x: no space left on device: unexpected EOF",
    "a full disk, and what it broke": "OSError: [Errno 28] No space left on device\nerror: unexpected EOF",
    "a compiler": "gcc: error: unrecognized command-line option '-mfoo'\nerror: command '/usr/bin/gcc' failed",
    "a test": "AssertionError: 3.11 != 3.10",
    "a script": 'ERROR: process "/bin/sh -c false" did not complete successfully: exit code: 1',
    "a number that looks like a status": "Successfully installed 503 packages in error-free 502 seconds",
}


@pytest.mark.parametrize("output", PASSES.values(), ids=PASSES)
def test_what_passes(output: str) -> None:
    """Is worth another try, whatever was said before it."""
    assert flake(1, f"Get:1 http://deb.example.com bookworm InRelease\n{output}\n")


@pytest.mark.parametrize("output", STAYS.values(), ids=STAYS)
def test_what_stays(output: str) -> None:
    """Costs no second try."""
    assert not flake(1, f"Get:1 http://deb.example.com bookworm InRelease\n{output}\n")


@pytest.mark.parametrize("name", ["engine: a full disk", "a full disk, and what it broke"])
def test_a_full_disk_has_a_remedy(name: str) -> None:
    """Which nothing else has."""
    assert "`invoke gc`" in remedy(STAYS[name])
    assert not any(remedy(output) for other, output in STAYS.items() if "disk" not in other)


def test_a_missing_package_decides() -> None:
    """Also where something else failed on the way, and whatever the exit code."""
    assert not flake(1, f"{PASSES['curl']}\n{STAYS['apt: no such package']}")
    assert not flake(100, STAYS["apt: no such package"])


def test_the_engines_own_error() -> None:
    """Buildx ends with 100 when the engine, not the build, is at fault."""
    assert flake(100, "ERROR: something of the engine's own")
    assert not flake(1, "ERROR: something of the engine's own")


SAID_BY = {
    "engine: a race of its own": Flake(kind=FlakeKind.ENGINE),
    "engine: names": Flake(kind=FlakeKind.NETWORK, source="registry.example.com"),
    "engine: a registry's limit": Flake(kind=FlakeKind.LIMIT),
    "apt: names": Flake(kind=FlakeKind.NETWORK, source="deb.example.com"),
    "apt: a server's fault": Flake(kind=FlakeKind.SERVER, source="deb.example.com"),
    "curl: names": Flake(kind=FlakeKind.NETWORK, source="example.com"),
    "pip: a timeout": Flake(kind=FlakeKind.NETWORK, source="files.example.com"),
    "uv: a request": Flake(kind=FlakeKind.NETWORK, source="pypi.example.com"),
    "uv: a limit": Flake(kind=FlakeKind.LIMIT, source="pypi.example.com"),
    "uv: a server's fault": Flake(kind=FlakeKind.SERVER, source="pypi.example.com"),
}


@pytest.mark.parametrize(("name", "expected"), SAID_BY.items(), ids=SAID_BY)
def test_whose_fault_it_was(name: str, expected: Flake) -> None:
    """A ledger counts by source, so a host is what was asked, not what else the output speaks of."""
    assert flake(1, f"Get:1 http://deb.example.com bookworm InRelease\n\n\n\n{PASSES[name]}\n") == expected


def test_a_source_is_told_without_what_logs_in_to_it() -> None:
    """An index may have its password in its address; reports are read by many."""
    found = flake(1, "error: Failed to fetch: `https://me:secret@index.example.com:8443/x`\n  error sending request")
    assert found == Flake(kind=FlakeKind.NETWORK, source="index.example.com")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("HTTP/1.1 429 Too Many Requests\nRetry-After: 90", 90.0),
        ("toomanyrequests: retry-after: 290.604ms, allowed: 44000/minute", 0.290604),
        ("toomanyrequests: retry-after: 2m", 120.0),
        ("HTTP/1.1 503 Service Unavailable\nretry-after: 7\nHTTP/1.1 503 Service Unavailable\nretry-after: 30", 30.0),
        ("429 Too Many Requests\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT", 0.0),
    ],
)
def test_a_source_says_how_long_to_leave_it_alone(said: str, seconds: float) -> None:
    """As its header, or as registries put it into their message; of a date nothing is made."""
    found = flake(1, said)
    assert found is not None
    assert found.retry_after == pytest.approx(seconds)


def test_a_refused_connection_is_the_engines_when_it_is_its_socket() -> None:
    """And a source's, when it is not."""
    refused = "ERROR: Cannot connect to the Docker daemon at unix:///run/docker.sock. Is the docker daemon running?"
    assert flake(1, refused) == Flake(kind=FlakeKind.ENGINE)
    index = "Failed to fetch: `http://127.0.0.1:8080/simple/`\n  Caused by: Connection refused (os error 111)"
    assert flake(1, index) == Flake(kind=FlakeKind.NETWORK, source="127.0.0.1")
