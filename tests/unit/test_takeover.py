"""Two machines that build one key: the one that is later uses what the other one pushed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.fakes import job_of, plan_of
from tests.registry_server import RegistryServer, digest_of, node_config, serving

from imagematrix.commands.build.takeover import TakingOver
from imagematrix.errors import NoEngineError
from imagematrix.model import Attempt, BuildJob, Key, NodePull, Site
from imagematrix.planning.trust import Bond, Bonds
from imagematrix.registry import Client
from imagematrix.registry.vouching import Voucher

MINE = digest_of(json.dumps(node_config("a", made="here")).encode())
"""The id of the image that this machine builds."""
LOCAL = "sha256:taken over"


@dataclass
class Machine:
    """Builds images, and pulls them."""

    jobs: list[BuildJob] = field(default_factory=list)
    pulls: Attempt = field(default_factory=lambda: Attempt(ok=True, image=LOCAL))

    def build(self, job: BuildJob) -> Attempt:
        self.jobs.append(job)
        return self.pulls if isinstance(job.work, NodePull) else Attempt(ok=True, image=MINE, log="a.log")

    def answers(self) -> bool:
        return True

    def cancel(self) -> None:
        raise AssertionError("nobody stops this")


@dataclass
class Pair:
    """A machine, and a registry that another one pushes to."""

    server: RegistryServer
    machine: Machine = field(default_factory=Machine)
    bonds: tuple[Bond, ...] = ()
    removed: list[str] = field(default_factory=list)
    gone: bool = False

    @property
    def repository(self) -> str:
        return f"{self.server.address}/nodes"

    def build(self, *, push: bool = True) -> str:
        """Build node `a`; return the id of its image."""
        taking = self.taking()
        plan = plan_of({"a": None})
        job = job_of(plan)(plan.steps[0], {})
        return taking.build(replace(job, push_to=self.repository if push else "")).image

    def taking(self) -> TakingOver:
        client = Client(Site(), tries=1)
        voucher = Voucher(repository=self.repository, bonds=Bonds(self.bonds), client=client)
        return TakingOver(executor=self.machine, client=client, voucher=voucher, remove=self._remove)

    def _remove(self, image: str) -> None:
        if self.gone:
            raise NoEngineError("the engine stopped answering")
        self.removed.append(image)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving() as server:
        yield Pair(server)


def test_what_another_machine_pushed_meanwhile_is_taken_over(pair: Pair) -> None:
    """By its digest; the image of this machine is removed. The pull has a log of its own."""
    digest = pair.server.put_node("nodes", "a", made="elsewhere")

    assert pair.build() == LOCAL
    built, pulled = pair.machine.jobs
    assert pulled.work == NodePull(repository=pair.repository, digest=digest)
    assert pulled.layer != built.layer
    assert pair.removed == [MINE]
    pair.gone = True
    assert pair.build() == LOCAL


def test_one_own_image_stays(pair: Pair) -> None:
    """Where the registry has none, the same, or none that is believed; where nothing is pushed; where a pull fails."""
    assert pair.build() == MINE
    pair.server.put_node("nodes", "a", made="here")
    assert pair.build() == MINE

    pair.server.put_node("nodes", "a", made="elsewhere")
    pair.bonds = (Bond(key=Key("a"), digest=f"sha256:{'0' * 64}", place=pair.repository),)
    assert pair.build() == MINE
    pair.bonds = ()
    assert pair.build(push=False) == MINE
    assert not any(isinstance(job.work, NodePull) for job in pair.machine.jobs)
    pair.machine.pulls = Attempt(ok=False, why="the connection broke")
    assert pair.build() == MINE
    assert pair.removed == []


def test_a_silent_registry_is_asked_once(pair: Pair) -> None:
    """Each question would take seconds of every build."""
    pair.server.faults += [(503, {}), (503, {})]
    taking, plan = pair.taking(), plan_of({"a": None})
    job = replace(job_of(plan)(plan.steps[0], {}), push_to=pair.repository)

    assert [taking.build(job).image for _ in range(3)] == [MINE] * 3
    assert len(pair.server.faults) == 1
