"""Publishing: real registries' answers, an engine of our own, and what tags stand for in the end."""

import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import row
from tests.registry_server import RegistryServer, digest_of, serving

from imagematrix.errors import RegistryError, SilentRegistryError
from imagematrix.model import Key, Row, Site
from imagematrix.planning import publication
from imagematrix.planning.publication import Publication, PublishOutcome
from imagematrix.planning.trust import Bond, Bonds
from imagematrix.registry import Client, Manifest
from imagematrix.registry.publisher import Publisher
from imagematrix.registry.publishing import beside
from imagematrix.registry.vouching import Voucher

KEY = Key("a" * 64)
TAG = f"2.4-20261122-{'a' * 12}"
VERSIONS = "python=3.11 torch=2.4"


def made(versions: str, *, content: str = "") -> dict[str, Any]:
    """Return what an image says of itself."""
    labels = {"imagematrix.versions": versions, "imagematrix.key": KEY, "content": content}
    return {"created": "2026-11-22T03:00:00Z", "config": {"Labels": labels}}


def image_id(image: Mapping[str, Any]) -> str:
    return digest_of(json.dumps(image).encode())


@dataclass
class FakeEngine:
    """Images by name; pushes go to real servers."""

    servers: Collection[RegistryServer]
    names: dict[str, dict[str, Any]] = field(default_factory=dict)
    fails: dict[str, list[str]] = field(default_factory=dict)
    """Registry -> what its next pushes fail with."""
    pushed: list[str] = field(default_factory=list)
    layer: str = ""
    """The content of the one layer that pushed images have; empty: each has its own."""
    swap: dict[str, Any] = field(default_factory=dict)
    """The image that someone puts under each name in the moment before it is pushed."""

    @property
    def id(self) -> str:
        """The id of the image of the row's node."""
        return image_id(self.names[f"imagematrix/node:{KEY}"])

    def config(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._image(name)["config"]
        return found

    def created(self, name: str) -> str:
        return str(self._image(name)["created"])

    def tag(self, source: str, name: str) -> None:
        self.names[name] = self._image(source)

    def _image(self, name: str) -> dict[str, Any]:
        """Return an image by its name or its id."""
        return self.names.get(name) or next(image for image in self.names.values() if image_id(image) == name)

    def untag(self, name: str) -> None:
        del self.names[name]

    def push(self, name: str, *, stopped: Callable[[], bool]) -> str:
        assert not stopped()
        address, _, path = name.partition("/")
        if self.fails.get(address):
            raise RegistryError(f"{name}: {self.fails[address].pop(0)}")
        self.pushed.append(name)
        if self.swap:
            self.names[name] = self.swap
        repository, _, tag = path.rpartition(":")
        return self._server(address).put(repository, tag, layer=self.layer, **self.names[name])

    def _server(self, address: str) -> RegistryServer:
        return next(server for server in self.servers if server.address == address)


@dataclass
class World:
    """Two registries, an engine that has one image, and its row, which goes to both."""

    one: RegistryServer
    two: RegistryServer
    engine: FakeEngine
    row: Row
    nodes: str = ""
    client: Client = field(default_factory=lambda: Client(Site(), tries=1))

    bonds: tuple[Bond, ...] = ()
    doubts: Mapping[Key, str] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    """Seconds between tries."""

    def publish(self, *, verified: bool = True) -> Publication:
        image = self.engine.id if f"imagematrix/node:{KEY}" in self.engine.names and not self.doubts else ""
        return self.publisher(verified=verified).publish(self.row, KEY, image)

    def publisher(self, *, verified: bool = True) -> Publisher:
        return Publisher(
            engine=self.engine,
            client=self.client,
            voucher=Voucher(repository=self.nodes, bonds=Bonds(self.bonds), client=self.client) if self.nodes else None,
            doubts=self.doubts,
            unverified=lambda _row, _image: "" if verified else publication.UNVERIFIED,
            stop=threading.Event(),
            sleep=self.waits.append,
        )

    def tags(self, server: RegistryServer) -> dict[str, str]:
        """Return the tags of the row in a registry, each with the digest that it stands for."""
        held = server.manifests.get("x/torch", {})
        return {tag: digest_of(manifest) for tag, manifest in held.items() if ":" not in tag}


def outcomes(publication: Publication) -> list[str]:
    return [f"{tag.target.tag} {tag.outcome}" for tag in publication.tags]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with ExitStack() as stack:
        one, two = (stack.enter_context(serving()) for _ in range(2))
        config = made(VERSIONS)
        name = f"imagematrix/node:{KEY}"
        repositories = tuple(f"{server.address}/x/torch" for server in (one, two))
        yield World(
            one=one,
            two=two,
            engine=FakeEngine(servers=(one, two), names={name: config}),
            row=replace(row("torch:2.4"), repositories=repositories),
        )


def test_all_is_published_once(world: World) -> None:
    """In each registry three tags, all of one digest; again, nothing is sent. The engine keeps no name of them."""
    made = world.publish()
    assert outcomes(made) == [f"{TAG} pushed"] * 2 + ["2.4 moved", "2.4-latest moved"] * 2
    assert made.good
    for server in (world.one, world.two):
        tags = world.tags(server)
        assert tags.keys() == {TAG, "2.4", "2.4-latest"}
        assert len({*tags.values()}) == 1
    assert [*world.engine.names] == [f"imagematrix/node:{KEY}"]

    sent = len(world.engine.pushed)
    world.one.asked.clear()
    assert {tag.outcome for tag in world.publish().tags} == {PublishOutcome.KEPT}
    assert len(world.engine.pushed) == sent
    assert {method for method, _, _ in world.one.asked} <= {"GET", "HEAD"}


def test_an_image_that_a_new_build_kept(world: World) -> None:
    """It has another key, and the same content: no tag is new, none moves, nothing is sent, and its day is known."""
    assert world.publish().since == ""
    before, sent = world.tags(world.one), len(world.engine.pushed)
    world.one.asked.clear()
    found = world.publisher().publish(world.row, Key("b" * 64), world.engine.id)

    assert outcomes(found) == ["2.4 kept", "2.4-latest kept"] * 2
    assert (found.good, found.since) == (True, "2026-11-22")
    assert (world.tags(world.one), len(world.engine.pushed)) == (before, sent)
    assert {method for method, _, _ in world.one.asked} == {"GET"}

    world.two.manifests.clear()
    again = world.publisher().publish(world.row, Key("b" * 64), world.engine.id)
    assert (again.good, again.since) == (True, "")
    assert world.tags(world.two).keys() == {TAG.replace("a" * 12, "b" * 12), "2.4", "2.4-latest"}


def test_what_a_user_of_the_image_before_downloads(world: World) -> None:
    """The filesystem layers that are new, and the configuration; without an image before, all of it."""
    first = world.publish()
    whole = world.client.manifest(world.row.repositories[0], "2.4").blobs
    assert [tag.update_bytes for tag in first.tags[:4]] == [0, 0, sum(whole.values()), sum(whole.values())]

    layer = next(content for content in world.one.blobs["x/torch"].values() if content.startswith(b"layer"))
    world.engine.names[f"imagematrix/node:{KEY}"] = made(VERSIONS, content="newer")
    world.engine.layer = layer.decode()
    found = world.publisher().publish(world.row, Key("b" * 64), world.engine.id)
    config = len(json.dumps(world.engine.names[f"imagematrix/node:{KEY}"]))
    assert [tag.update_bytes for tag in found.tags[:4]] == [0, 0, config, config]


def test_what_is_not_verified(world: World) -> None:
    """Is there under its immutable tag, and moves none: not until it is verified."""
    made = world.publish(verified=False)
    assert outcomes(made) == [f"{TAG} pushed"] * 2 + ["2.4 waiting", "2.4-latest waiting"] * 2
    assert (made.good, made.sound) == (False, True)
    assert world.tags(world.one).keys() == {TAG}

    assert world.publish().good
    assert world.tags(world.one).keys() == {TAG, "2.4", "2.4-latest"}


def test_tags_of_other_versions_stay(world: World) -> None:
    """Users who pull them keep the versions that they had; the same versions may be replaced."""
    old = world.one.put("x/torch", "2.4", **made("python=3.10 torch=2.4"))
    world.one.put("x/torch", "2.4-latest", **made(VERSIONS, content="older"))

    found = world.publish()
    assert outcomes(found)[:4] == [f"{TAG} pushed", f"{TAG} pushed", "2.4 refused", "2.4-latest moved"]
    assert "python 3.10 -> 3.11" in found.tags[2].why
    assert (found.good, found.sound) == (False, False)
    assert world.tags(world.one)["2.4"] == old
    assert world.tags(world.one)["2.4-latest"] == world.tags(world.one)[TAG]


def test_an_immutable_tag_is_never_another_image(world: World) -> None:
    """What stands there stays, and no tag moves anywhere."""
    other = world.two.put("x/torch", TAG, **made(VERSIONS, content="elsewhere"))

    found = world.publish()
    assert outcomes(found) == [f"{TAG} pushed", f"{TAG} refused"] + ["2.4 failed", "2.4-latest failed"] * 2
    assert world.tags(world.two) == {TAG: other}
    assert world.tags(world.one).keys() == {TAG}


def test_a_connection_that_breaks(world: World) -> None:
    """What passes is tried again; what does not costs the tags that would move, in all registries."""
    broken = "write tcp 127.0.0.1: connection reset by peer"
    world.engine.fails[world.one.address] = [broken, broken]
    assert world.publish().good

    world.one.manifests.clear()
    world.two.manifests.clear()
    world.one.put("x/torch", "2.4", **made(VERSIONS, content="old"))
    before = world.tags(world.one)
    world.engine.fails[world.two.address] = [broken, broken, broken]
    found = world.publish()
    assert outcomes(found) == [f"{TAG} pushed", f"{TAG} failed"] + ["2.4 failed", "2.4-latest failed"] * 2
    assert broken in found.tags[1].why
    assert [retry.flake.source for retry in found.tags[1].retries] == [world.two.address] * 2
    assert found.tags[0].retries == ()
    assert world.row.repositories[1] in found.tags[2].why
    assert world.tags(world.one)["2.4"] == before["2.4"]

    world.engine.fails[world.two.address] = ["denied: no such project"]
    assert not world.publish().good
    assert world.engine.fails[world.two.address] == []


class Cut(Client):
    """Loses the connection whenever one tag is about to move."""

    def tag(self, manifest: Manifest, tag: str, *, repository: str = "") -> None:
        if tag == "2.4-latest":
            raise SilentRegistryError("registry does not answer: Connection reset by peer")
        super().tag(manifest, tag, repository=repository)


def test_a_connection_that_breaks_at_a_moving_tag(world: World) -> None:
    """It stays where it was; the next run moves it."""
    old = world.one.put("x/torch", "2.4-latest", **made(VERSIONS, content="old"))
    world.client = Cut(Site(), tries=1)
    assert outcomes(world.publish())[2:4] == ["2.4 moved", "2.4-latest failed"]
    assert world.tags(world.one)["2.4-latest"] == old

    world.client = Client(Site(), tries=1)
    assert outcomes(world.publish())[2:4] == ["2.4 kept", "2.4-latest moved"]


def test_a_registry_that_is_silent(world: World) -> None:
    """Is asked a few times, and then by no other image for a minute."""
    world.row = replace(world.row, repositories=("localhost:9/x/torch",))
    publisher = world.publisher()
    first, second = (publisher.publish(world.row, KEY, world.engine.id) for _ in range(2))
    assert outcomes(first) == [f"{TAG} failed", "2.4 failed", "2.4-latest failed"]
    assert "does not answer" in second.tags[0].why
    waits = tuple(world.waits)
    assert sum(waits) >= 2.0
    publisher.publish(world.row, KEY, world.engine.id)
    assert tuple(world.waits) == waits


def test_an_image_that_only_the_registry_has(world: World) -> None:
    """It is taken over within its registry, and copied to another one: no engine is needed."""
    world.nodes = f"{world.one.address}/team/nodes"
    digest = world.one.put("team/nodes", KEY, **world.engine.names.pop(f"imagematrix/node:{KEY}"))

    made = world.publish()
    assert outcomes(made) == [f"{TAG} pushed"] * 2 + ["2.4 moved", "2.4-latest moved"] * 2
    assert world.tags(world.one) == dict.fromkeys((TAG, "2.4", "2.4-latest"), digest)
    assert world.tags(world.two) == dict.fromkeys((TAG, "2.4", "2.4-latest"), digest)
    assert world.two.blobs["x/torch"] == world.one.blobs["team/nodes"]
    assert world.engine.pushed == []


def test_an_unforeseen_failure(world: World) -> None:
    """It is the failure of that image's tags: a run waits for every image that it offered."""
    stop = threading.Event()
    with beside(world.publisher(), jobs=1, stop=stop) as publishing:
        publishing.offer_row(world.row, KEY, "an id that nothing has")
        publishing.offer_row(world.row, KEY, world.engine.id)
        failed, good = publishing.rest()

    assert isinstance(failed, Publication)
    assert isinstance(good, Publication)
    assert outcomes(failed) == ["2.4 failed", "2.4-latest failed"] * 2
    assert "StopIteration" in failed.tags[0].why
    assert good.good


def test_an_image_that_is_nowhere(world: World) -> None:
    """Has nothing to publish."""
    world.engine.names.clear()
    assert world.publish() == Publication(row=world.row, tags=(), built=False)
    world.nodes = f"{world.one.address}/team/nodes"
    assert not world.publish().built


def test_an_image_that_somebody_put_in_the_place_of_the_node(world: World) -> None:
    """Is not published, not even under an immutable tag; the reason is in every tag."""
    why = "the image named imagematrix/node:… is not the one that was built or pulled here"
    world.doubts = {KEY: why}
    found = world.publish()

    assert {(tag.outcome, tag.why) for tag in found.tags} == {(PublishOutcome.REFUSED, why)}
    assert (found.good, found.sound) == (False, False)
    assert world.tags(world.one) == world.tags(world.two) == {}


def test_a_tag_that_is_moved_in_the_moment_before_the_push(world: World) -> None:
    """What arrived is not what was verified: no tag moves, and the immutable one is reported."""
    world.engine.swap = made(VERSIONS, content="FROM scratch")
    found = world.publish()

    assert outcomes(found) == [f"{TAG} failed"] * 2 + ["2.4 failed", "2.4-latest failed"] * 2
    assert all(tag.digest in tag.why for tag in found.tags[:2])
    assert world.tags(world.one).keys() == {TAG}


@pytest.mark.parametrize("forged", [made(VERSIONS, content="forged"), {"created": "2026-11-22T03:00:00Z"}])
def test_a_node_that_was_replaced_in_its_registry(world: World, forged: dict[str, Any]) -> None:
    """By one with the same labels, where another was recorded; and by one that is not labelled so: both stay there."""
    world.nodes = f"{world.one.address}/team/nodes"
    whole = world.engine.names.pop(f"imagematrix/node:{KEY}")
    world.bonds = (Bond(key=KEY, digest=world.one.put("team/nodes", KEY, **whole), place=world.nodes),)
    assert world.publish().good

    world.one.put("team/nodes", KEY, **forged)
    world.row = replace(world.row, repositories=(f"{world.two.address}/x/other",))
    found = world.publish()
    assert {tag.outcome for tag in found.tags} == {PublishOutcome.REFUSED}
    assert "x/other" not in world.two.manifests
