"""Nodes in a registry: what is asked of it, and how they get there."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests import projects
from tests.projects import PYTORCH
from tests.registry_server import RegistryServer, digest_of, node_config, serving

from imagematrix.errors import NoEngineError, RegistryError, SilentRegistryError
from imagematrix.model import FlakeKind, Key, Pushed, PushStatus, Site
from imagematrix.planning.trust import Bond, Bonds
from imagematrix.registry import Client
from imagematrix.registry.publisher import Publisher
from imagematrix.registry.publishing import Publishing
from imagematrix.registry.store import Store
from imagematrix.registry.vouching import Voucher


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryServer]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving() as state:
        yield state


def image_id(key: str, content: str = "") -> str:
    """Return the id of the image that the engine has of a node."""
    return digest_of(json.dumps(node_config(key, content=content or key)).encode())


@dataclass
class FakeEngine:
    """An engine whose pushes end up in a registry, but for those that fail."""

    server: RegistryServer
    fails: dict[str, list[Exception]] = field(default_factory=dict)
    """Key -> what its next pushes raise."""
    names: set[str] = field(default_factory=set)
    swap: str = ""
    """What someone puts under each name in the moment before it is pushed."""
    endless: bool = False
    reached: threading.Event = field(default_factory=threading.Event)

    def tag(self, source: str, name: str) -> None:
        assert source == image_id(name.rpartition(":")[2])
        self.names.add(name)

    def untag(self, name: str) -> None:
        self.names.discard(name)

    def pull(self, name: str) -> None:
        raise AssertionError(f"{name} is pulled")

    def config(self, name: str) -> Mapping[str, Any]:
        raise AssertionError(f"the configuration of {name} is read")

    def created(self, name: str) -> str:
        raise AssertionError(f"the date of {name} is read")

    def push(self, name: str, *, stopped: Callable[[], bool]) -> str:
        repository, _, key = name.rpartition(":")
        if self.endless:
            self.reached.set()
            while not stopped():
                threading.Event().wait(0.01)
            raise RegistryError(f"{name}: interrupted")
        if self.fails.get(key):
            raise self.fails[key].pop(0)
        return self.server.put_node(repository.partition("/")[2], key, content=self.swap or key)


def voucher(repository: str, *bonds: Bond) -> Voucher:
    return Voucher(repository=repository, bonds=Bonds(bonds), client=Client(Site(), tries=1))


def publisher(
    server: RegistryServer,
    engine: FakeEngine,
    *,
    stop: threading.Event | None = None,
    bonds: Sequence[Bond] = (),
    judge: Voucher | None = None,
) -> Publisher:
    return Publisher(
        engine=engine,
        client=Client(Site(), tries=1),
        voucher=judge or voucher(f"{server.address}/nodes", *bonds),
        doubts={},
        unverified=lambda _row, _image: "",
        stop=stop or threading.Event(),
        sleep=lambda _: None,
    )


def pushing(
    server: RegistryServer,
    engine: FakeEngine,
    *wanted: str,
    stop: threading.Event | None = None,
    bonds: Sequence[Bond] = (),
    judge: Voucher | None = None,
) -> Publishing:
    stop = stop or threading.Event()
    keys = [Key(key) for key in wanted]
    return Publishing(publisher(server, engine, stop=stop, bonds=bonds, judge=judge), 2, keys, stop)


def ended(pushes: Publishing, *keys: str) -> dict[str, Pushed]:
    """Offer nodes, wait for the end; return what became of them."""
    for key in keys:
        pushes.offer_node(Key(key), image_id(key))
    assert all(isinstance(each, Pushed) for each in pushes.rest())
    return {pushed.key: pushed for pushed in pushes.nodes()}


def test_few_questions(tmp_path: Path, server: RegistryServer) -> None:
    """Only for final nodes that the engine lacks; then for everything below those that are nowhere."""
    said: list[str] = []
    store = Store(voucher(f"{server.address}/nodes"), say=said.append)
    dag = projects.dag(projects.project(tmp_path))
    for key in dag.nodes:
        server.put_node("nodes", key)
    final_nodes = {*dag.final_nodes.values()}

    assert store.keys(dag, ()) == {key: digest_of(server.manifests["nodes"][key]) for key in final_nodes}
    assert store.keys(dag, final_nodes) == {}
    assert len([path for method, path, _ in server.asked if method == "HEAD"]) == len(final_nodes)
    assert store.keys(dag, final_nodes, whole=True).keys() == dag.nodes.keys()

    gone = dag.final_nodes[PYTORCH]
    del server.manifests["nodes"][gone]
    assert store.keys(dag, ()).keys() == final_nodes - {gone} | {
        key for key, rows in dag.rows_by_node().items() if PYTORCH in rows and key != gone
    }
    assert said == []


def test_a_registry_that_does_not_answer(tmp_path: Path) -> None:
    """Is told once, and asked no more."""
    said: list[str] = []
    store = Store(voucher("localhost:9/nodes"), say=said.append)
    dag = projects.dag(projects.project(tmp_path))

    assert store.keys(dag, ()) == {}
    assert store.manifests({key: f"sha256:{key}" for key in dag.nodes}) == {}
    assert said == [
        "registry localhost:9 does not answer: Connection refused\n    Continuing with what the engine has."
    ]


def test_pushes(server: RegistryServer) -> None:
    """Each once, only what is wanted; the engine keeps no other name for it."""
    server.put_node("nodes", "there")
    engine = FakeEngine(server)
    found = ended(pushing(server, engine, "a", "b", "there", "later"), "a", "b", "a", "there", "unwanted")

    assert {key: pushed.status for key, pushed in found.items()} == {
        "a": PushStatus.PUSHED,
        "b": PushStatus.PUSHED,
        "there": PushStatus.PUSHED,
    }
    assert found["a"].name == f"{server.address}/nodes:a"
    assert {"a", "b", "there"} == {tag for tag in server.manifests["nodes"] if ":" not in tag}
    assert engine.names == set()


def test_what_fails(server: RegistryServer) -> None:
    """Is retried if that may help, and reported; everything else continues."""
    flake = RegistryError("received unexpected HTTP status: 500 Internal Server Error")
    fails: dict[str, list[Exception]] = {
        "passes": [flake, flake],
        "stays": [flake] * 3,
        "denied": [RegistryError("denied: requested access to the resource is denied")] * 3,
        "gone": [NoEngineError("the engine stopped answering")] * 3,
        "ours": [ZeroDivisionError("oh")] * 3,
    }
    engine = FakeEngine(server, fails)
    found = ended(pushing(server, engine, "good", *fails), *fails, "good")

    assert {key: (pushed.status.value, pushed.attempts) for key, pushed in found.items()} == {
        "passes": ("pushed", 3),
        "stays": ("failed", 3),
        "denied": ("failed", 1),
        "gone": ("failed", 1),
        "ours": ("failed", 1),
        "good": ("pushed", 1),
    }
    noted = [(retry.number, retry.flake.kind, retry.flake.source) for retry in found["passes"].retries]
    assert noted == [(number, FlakeKind.SERVER, server.address) for number in (1, 2)]
    assert [len(found[key].retries) for key in ("stays", "denied", "good")] == [2, 0, 0]
    assert found["ours"].why == "ZeroDivisionError: oh"
    assert "denied" in found["denied"].why
    assert engine.names == set()


def test_an_interrupt(server: RegistryServer) -> None:
    """Ends what is pushed, and what waits for it."""
    stop, engine = threading.Event(), FakeEngine(server, endless=True)
    pushes = pushing(server, engine, "a", "b", "c", stop=stop)
    for key in "abc":
        pushes.offer_node(Key(key), image_id(key))
    assert engine.reached.wait(60)
    stop.set()
    assert {pushed.status for pushed in ended(pushes).values()} == {PushStatus.INTERRUPTED}
    assert engine.names == set()
    assert "nodes" not in server.manifests


@pytest.mark.parametrize("labels", [{}, {"imagematrix.key": "f" * 64}])
def test_an_image_that_does_not_say_that_it_is_the_node(
    tmp_path: Path, server: RegistryServer, labels: Mapping[str, str]
) -> None:
    """A tag that was moved by mistake: the image is rebuilt, and so are those that are built on it."""
    dag = projects.dag(projects.project(tmp_path))
    tip = dag.final_nodes[PYTORCH]
    for key in dag.nodes:
        server.put_node("nodes", key)
    digest = server.put("nodes", tip, config={"Labels": labels})
    store = Store(voucher(f"{server.address}/nodes"), say=print)
    assert tip not in store.keys(dag, ())
    assert store.doubts.keys() == {tip}

    known = Bond(key=tip, digest=digest, place=f"{server.address}/nodes")
    store = Store(voucher(f"{server.address}/nodes", known), say=print)
    assert tip in store.keys(dag, ())  # what is on record is not asked again


def test_a_node_that_was_replaced(tmp_path: Path, server: RegistryServer) -> None:
    """Once its digest is recorded no other one is believed: the reason is given, and it is never overwritten."""
    dag = projects.dag(projects.project(tmp_path), PYTORCH)
    place, tip = f"{server.address}/nodes", dag.final_nodes[PYTORCH]
    digests = {key: server.put_node("nodes", key, content=key) for key in dag.nodes}
    bonds = [Bond(key=key, digest=digest, place=place) for key, digest in digests.items()]
    server.put_node("nodes", tip, content="forged")

    store = Store(voucher(place, *bonds), say=print)
    assert store.keys(dag, ()) == {key: digest for key, digest in digests.items() if key != tip}
    assert store.doubts.keys() == {tip}
    assert digests[tip] in store.doubts[tip]

    engine = FakeEngine(server)
    [pushed] = ended(pushing(server, engine, tip, bonds=bonds), tip).values()
    assert (pushed.status, pushed.digest) == (PushStatus.FAILED, "")
    assert place in pushed.why


def test_a_push_that_somebody_redirects(server: RegistryServer) -> None:
    """What arrived is not the node: the push has failed."""
    engine = FakeEngine(server, swap="forged")
    [pushed] = ended(pushing(server, engine, "a"), "a").values()

    assert (pushed.status, pushed.digest) == (PushStatus.FAILED, "")


def test_what_arrived_is_known_by_its_digest(server: RegistryServer) -> None:
    [pushed] = ended(pushing(server, FakeEngine(server), "a"), "a").values()

    assert pushed.digest == digest_of(server.manifests["nodes"]["a"])


def test_a_registry_that_recovers_is_asked_patiently_again(server: RegistryServer) -> None:
    """While it is silent each push is tried once; after one that arrived, a failure that may pass is tried again."""
    silence = SilentRegistryError("no answer")
    engine = FakeEngine(server, fails={"a": [silence] * 3, "b": [silence], "d": [silence]})
    one = publisher(server, engine)

    found = [one.push(Key(key), image_id(key)) for key in "abcd"]

    outcomes = {pushed.key: (pushed.status, pushed.attempts) for pushed in found}
    assert outcomes == {
        "a": (PushStatus.FAILED, 3),
        "b": (PushStatus.FAILED, 1),
        "c": (PushStatus.PUSHED, 1),
        "d": (PushStatus.PUSHED, 2),
    }
