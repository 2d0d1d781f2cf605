"""What holds for all tests."""

import os
from collections.abc import Iterator
from http.server import HTTPServer
from threading import Thread

import pytest
from hypothesis import settings
from tests.chat import Chat

from imagematrix import secrecy
from imagematrix.commands import spelling
from imagematrix.compat import catalogue

# Speed is measured by benchmarks, never asserted: a busy machine made tests fail by hypothesis' deadline.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def chat() -> Iterator[tuple[str, type[Chat]]]:
    """Listen on a port of this machine."""
    handler = type("_Chat", (Chat,), {"refusals": [], "heard": [], "asked": [], "answers": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook/s3cret", handler
        server.shutdown()


@pytest.fixture(scope="session", autouse=True)
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests build out of the record of the user who runs them."""
    before = os.environ.get("IMAGEMATRIX_STATE_DIR")
    os.environ["IMAGEMATRIX_STATE_DIR"] = str(tmp_path_factory.mktemp("ledger"))
    yield
    if before is None:
        del os.environ["IMAGEMATRIX_STATE_DIR"]
    else:
        os.environ["IMAGEMATRIX_STATE_DIR"] = before


@pytest.fixture(scope="session", autouse=True)
def _called_invoke() -> None:
    """Call commands in messages what they are called in the code, whatever runs the tests."""
    os.environ[spelling.VARIABLE] = "invoke"


@pytest.fixture(autouse=True)
def _unknown_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test hides the secrets of another one."""
    monkeypatch.setattr(secrecy._KNOWN, "_forms", ())


@pytest.fixture(autouse=True)
def _uncorrected_catalogue() -> Iterator[None]:
    """No test leaves the corrections of its project to the next one."""
    yield
    catalogue.use(catalogue.Corrections())
