"""Checks of images on machines: which machine gets them, and what happens when it goes away."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.clusters import REGISTRY, FolderMachine, LocalCluster, until

from imagematrix import __version__
from imagematrix.cluster import ClusterChecks, Link
from imagematrix.cluster.messages import CHECKS, GPU, RemoteParent
from imagematrix.cluster.security import address
from imagematrix.errors import NoClusterError, NoEngineError
from imagematrix.model import Key

KEY = Key("a" * 64)
IMAGE = RemoteParent(key=KEY, ids=("sha256:1",), digest="sha256:2")


class CheckingMachine(FolderMachine):
    """A machine that has every image."""

    faulty = False
    waits = threading.Event()
    """Checks end when it is set."""

    def image(self, ids: tuple[str, ...]) -> str:
        return ids[0]

    def check(self, kit: bytes, task: bytes, image: str) -> bytes:
        self.begun.set()
        if self.faulty:
            raise NoEngineError("the engine went away")
        self.waits.wait(30)
        return b" ".join((self.name.encode(), kit, task, image.encode()))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    CheckingMachine.waits.set()
    made = LocalCluster(tmp_path / "dask")
    yield made
    made.close()


@contextmanager
def checking(cluster: LocalCluster) -> Iterator[ClusterChecks]:
    link = Link(address(cluster.address), "", who="a test")
    try:
        made = ClusterChecks(link, version=__version__, platforms={"linux/amd64"}, repository=REGISTRY, kit=b"kit")
        made.open()
        yield made
    finally:
        link.close()


def test_who_checks(cluster: LocalCluster, tmp_path: Path) -> None:
    """Whoever can; what asks for a GPU goes to a machine that has one, as long as there is one."""
    cluster.add(CheckingMachine(tmp_path, "builds"))
    with pytest.raises(NoClusterError, match="verify"), checking(cluster):
        pass
    cluster.add(CheckingMachine(tmp_path, "plain"), labels=(CHECKS,))
    cluster.add(CheckingMachine(tmp_path, "gpu"), labels=(CHECKS, GPU))
    with checking(cluster) as checks:
        found = [
            checks.check(IMAGE, b"task", platform="linux/amd64", needs_gpu=True, priority=0).checked for _ in range(4)
        ]
        assert found == [b"gpu kit task sha256:1"] * 4
        assert {machine for _, machine in checks.begun()} == {"gpu"}
        cluster.kill("gpu")
        until(
            lambda: checks.check(IMAGE, b"task", platform="linux/amd64", needs_gpu=True, priority=0).checked.startswith(
                b"plain"
            )
        )


def test_a_machine_that_fails_or_goes_away(cluster: LocalCluster, tmp_path: Path) -> None:
    """The image is checked on the other one."""
    ill = cluster.add(CheckingMachine(tmp_path, "ill"), labels=(CHECKS, GPU))
    cluster.add(CheckingMachine(tmp_path, "well"), labels=(CHECKS,))
    setattr(ill, "faulty", True)  # noqa: B010  (of this machine alone)
    with checking(cluster) as checks:
        assert checks.check(IMAGE, b"task", platform="linux/amd64", needs_gpu=True, priority=0).checked.startswith(
            b"well"
        )

    setattr(ill, "faulty", False)  # noqa: B010
    CheckingMachine.waits.clear()
    with checking(cluster) as checks:
        found: list[bytes] = []
        thread = threading.Thread(
            target=lambda: found.append(
                checks.check(IMAGE, b"t", platform="linux/amd64", needs_gpu=True, priority=0).checked
            )
        )
        ill.begun.clear()
        thread.start()
        assert ill.begun.wait(30)
        until(lambda: bool(checks.begun()))
        cluster.kill("ill")
        CheckingMachine.waits.set()
        thread.join(30)
    assert [each.split()[0] for each in found] == [b"well"]


def test_a_scheduler_that_goes_away(cluster: LocalCluster, tmp_path: Path) -> None:
    """No check waits for it, and it is known that the cluster is the reason."""
    machine = cluster.add(CheckingMachine(tmp_path, "only"), labels=(CHECKS,))
    CheckingMachine.waits.clear()
    with checking(cluster) as checks:
        found: list[bytes] = []
        thread = threading.Thread(
            target=lambda: found.append(
                checks.check(IMAGE, b"t", platform="linux/amd64", needs_gpu=False, priority=0).checked
            )
        )
        thread.start()
        assert machine.begun.wait(30)
        assert checks.gone() == ""
        cluster.restart_scheduler()
        thread.join(30)
        CheckingMachine.waits.set()
        assert found == [b""]
        assert "broke" in checks.gone()
