"""A mirror that is broken, or not the one that it says it is: no base is made without security updates."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from imagematrix.repository import STOCK

SCRIPT: Final = STOCK / "common/bootstrap/debian.sh"


@contextmanager
def mirror(*, status: int, path: str = "debian", reason: str = "Not Found") -> Iterator[str]:
    """Serve a mirror that has the suites themselves, and answers this status for their updates."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # its name is the library's
            is_there = not any(word in self.path for word in ("-updates", "-security"))
            self.send_response(200 if is_there else status, "OK" if is_there else reason)
            self.end_headers()
            self.wfile.write(b"Date: Sat, 01 Nov 2025 00:00:00 UTC\n" if is_there else b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/{path}"
        finally:
            server.shutdown()
            thread.join()


def bootstrap(folder: Path, suite: str, url: str) -> subprocess.CompletedProcess[str]:
    """Make a base with an engine that would take anything, and an mmdebstrap that does nothing."""
    made = folder / "made"
    for name, text in {"docker": f"echo $* >>{made}", "mmdebstrap": "exit 0"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "DEBIAN_MIRROR": url,
        "DEBIAN_SECURITY_MIRROR": url,
        "no_proxy": "127.0.0.1",
    }
    argv = ["sh", str(SCRIPT), suite, "base:test"]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=120)


def imported(folder: Path) -> str:
    made = folder / "made"
    return next((line for line in made.read_text().splitlines() if line.startswith("import")), "")


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "unheard-of"])
@pytest.mark.parametrize(
    ("status", "reason", "path"),
    [
        pytest.param(404, "Not Found", "debian", id="a real 404"),
        pytest.param(500, "Internal Server Error", "debian", id="an error"),
        pytest.param(500, "Internal Server Error", "404  Not Found/debian", id="an address that looks like a 404"),
        pytest.param(403, "404", "debian-404", id="words that look like a 404"),
    ],
)
def test_a_supported_suite_needs_its_updates(tmp_path: Path, suite: str, status: int, reason: str, path: str) -> None:
    with mirror(status=status, reason=reason, path=path.replace(" ", "%20")) as url:
        ended = bootstrap(tmp_path, suite, url)

    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("bootstrap: ")
    assert imported(tmp_path) == ""


def test_a_suite_that_has_ended_may_lack_them(tmp_path: Path) -> None:
    """A warning says so, and the image names what it got."""
    with mirror(status=404) as url:
        ended = bootstrap(tmp_path, "buster", url)

    assert ended.returncode == 0, ended.stderr
    assert "buster-security: left out, since the support of buster has ended" in ended.stderr
    assert 'imagematrix.suites="buster"' in imported(tmp_path)


def test_an_ended_suite_whose_mirror_is_broken_is_not_made(tmp_path: Path) -> None:
    """No answer is not a 404."""
    with mirror(status=500) as url:
        ended = bootstrap(tmp_path, "buster", url)
    assert ended.returncode == 1
    assert imported(tmp_path) == ""


def test_what_a_base_got_is_in_its_label(tmp_path: Path) -> None:
    with mirror(status=200) as url:
        ended = bootstrap(tmp_path, "trixie", url)
    assert ended.returncode == 0, ended.stderr
    assert 'imagematrix.suites="trixie trixie-updates trixie-security"' in imported(tmp_path)
