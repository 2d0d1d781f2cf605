"""What is settled of checks, kept in the registry: another machine publishes what was verified here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import projects
from tests.projects import PYTORCH
from tests.registry_server import RegistryServer, serving
from tests.unit.test_signing import OURS, THEIRS, public

from imagematrix import signing
from imagematrix.commands.push import run as publishing
from imagematrix.model import KEY_LABEL, Key, Site
from imagematrix.planning import publication
from imagematrix.planning.checks import CheckOutcome, CheckResult, Settled, Subject
from imagematrix.planning.trust import Bonds
from imagematrix.project import Project
from imagematrix.registry import Client
from imagematrix.registry.settlements import Settlements
from imagematrix.registry.vouching import Voucher
from imagematrix.signing import Signer
from imagematrix.verify.judge import Judge


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryServer]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving() as state:
        yield state


@pytest.fixture
def opened(tmp_path: Path) -> Project:
    (tmp_path / "common/layers/torch").mkdir(parents=True)
    (tmp_path / "common/layers/torch/test_torch.py").write_text("def test_it(): pass\n")
    return projects.project(tmp_path)


def settlements(server: RegistryServer, *, signs: Signer | None = None, is_signed: bool = False) -> Settlements:
    return Settlements(
        Voucher(
            repository=f"{server.address}/nodes",
            bonds=Bonds(),
            client=Client(Site(), tries=1),
            verifier=signing.verifier(public(OURS), "nodes.pub") if is_signed else None,
            signer=signs,
        )
    )


def passed(subject: Subject) -> list[Settled]:
    """Return that all of a subject's suites are settled."""
    return [
        Settled(
            key=subject.key,
            image=subject.image,
            owner=suite.owner,
            fingerprint=suite.fingerprint,
            checks=(CheckResult(owner=suite.owner, name="test_it", outcome=CheckOutcome.PASSED),),
            whole=True,
        )
        for suite in subject.suites
    ]


def test_what_was_verified_elsewhere(opened: Project, server: RegistryServer) -> None:
    """Exactly that image, by either of its digests; what was settled of it before stays settled."""
    dag = projects.dag(opened, PYTORCH)
    row, key = dag.rows[PYTORCH], dag.final_nodes[PYTORCH]
    digest = server.put("nodes", key, config={"Labels": {KEY_LABEL: key}})
    manifest = Client(Site()).manifest(f"{server.address}/nodes", digest)
    told = publishing.unverified(opened, dag, settlements(server))
    assert told(row, [manifest.config]) == publication.UNVERIFIED

    suites = passed(Judge(opened).subject(row, key, manifest.config))
    assert suites
    for one in suites:
        settlements(server).add(key, digest, [one])
    settlements(server).add(Key("e" * 64), digest, suites)
    assert len(settlements(server).of(key, manifest)) == 2 * len(suites)
    assert told(row, [manifest.config]) == told(row, [digest]) == ""
    assert told(row, ["sha256:1"]) == publication.UNVERIFIED
    assert opened.state.settled() == []

    server.manifests["nodes"][key] = server.manifests["nodes"][server.put("nodes", "x", layer="another")]
    assert told(row, [manifest.config]) == publication.UNVERIFIED


@pytest.mark.parametrize(("signs", "found"), [(OURS.sign, True), (THEIRS.sign, False), (None, False)])
def test_where_nodes_are_signed_only_what_is_signed_is_believed(
    signs: Signer | None, found: bool, opened: Project, server: RegistryServer
) -> None:
    dag = projects.dag(opened, PYTORCH)
    row, key = dag.rows[PYTORCH], dag.final_nodes[PYTORCH]
    manifest = Client(Site()).manifest(f"{server.address}/nodes", server.put("nodes", key))
    settlements(server, signs=signs).add(key, manifest.digest, passed(Judge(opened).subject(row, key, manifest.config)))

    assert bool(settlements(server, is_signed=True).of(key, manifest)) is found
    assert settlements(server).of(key, manifest)


def test_what_is_not_ours_settles_nothing(server: RegistryServer) -> None:
    """Damaged lines, and whatever else has the tag."""
    digest = server.put("nodes", "a" * 64)
    manifest = Client(Site()).manifest(f"{server.address}/nodes", digest)
    tag = f"{digest.replace(':', '-')}.checks"
    server.put("nodes", tag)
    assert settlements(server).of(Key("a" * 64), manifest) == ()


@pytest.mark.parametrize(("label", "found"), [("a" * 64, 2), ("b" * 64, 0), ("", 0)])
def test_only_what_is_believed_to_be_the_node_is_settled(server: RegistryServer, label: str, found: int) -> None:
    """Who may write there could put another image under the key, with checks that passed."""
    key = Key("a" * 64)
    digest = server.put("nodes", key, config={"Labels": {KEY_LABEL: label}})
    one = Settled(key=key, image=digest, owner="torch", fingerprint=Key("f" * 64), checks=(), whole=True)
    settlements(server).add(key, digest, [one])
    assert len(settlements(server).of_key(key)) == found
    assert settlements(server).of_key(Key("c" * 64)) == ()
