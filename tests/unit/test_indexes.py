"""Images for several Docker platforms, published as one index: a real registry, and what its tags stand for."""

import json
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import row
from tests.registry_server import RegistryServer, digest_of, serving
from tests.unit.test_publishing import FakeEngine, image_id

from imagematrix.model import Key, Row, Site
from imagematrix.planning import publication
from imagematrix.planning.publication import Publication, PublishOutcome
from imagematrix.registry import Client
from imagematrix.registry.publisher import Publisher
from imagematrix.registry.publishing import beside

AMD, ARM = "linux/amd64", "linux/arm64"


def made(platform: str, versions: str = "torch=2.4", day: str = "22", content: str = "") -> dict[str, Any]:
    """Return what an image says of itself."""
    labels = {"imagematrix.versions": versions, "imagematrix.key": platform, "content": content}
    return {"created": f"2026-11-{day}T03:00:00Z", "config": {"Labels": labels}}


@dataclass
class World:
    """A registry, an engine with an image for each platform, and the rows of them."""

    server: RegistryServer
    engine: FakeEngine
    unverified: Collection[str] = ()
    client: Client = field(default_factory=lambda: Client(Site(), tries=1))

    def build(self, **images: dict[str, Any]) -> None:
        """Let the engine have these images alone: by the name of the processor."""
        self.engine.names = {f"linux/{name}": image for name, image in images.items()}

    def rows(self) -> dict[str, Row]:
        def one(platform: str, variant: str) -> Row:
            made = row(f"torch:2.4{variant}", f"{self.server.address}/x")
            return replace(made, platform=platform, variant=variant, shares=(AMD, ARM))

        return {AMD: one(AMD, ""), ARM: one(ARM, "-arm64")}

    def publisher(self) -> Publisher:
        return Publisher(
            engine=self.engine,
            client=self.client,
            voucher=None,
            doubts={},
            unverified=lambda row, _image: publication.UNVERIFIED if row.platform in self.unverified else "",
            stop=threading.Event(),
            sleep=lambda _: None,
        )

    def publish(self, *platforms: str, optional: Collection[str] = ()) -> dict[str, Publication]:
        """Offer rows; return what became of each."""
        rows, names = self.rows(), self.engine.names
        with beside(self.publisher(), jobs=1, stop=threading.Event()) as publishing:
            for platform in platforms:
                key, image = Key(platform.replace("/", "-") * 2), image_id(names[platform]) if platform in names else ""
                publishing.offer_row(rows[platform], key, image, is_optional=platform in optional)
            done = [each for each in publishing.rest() if isinstance(each, Publication)]
        assert len({each.row.name for each in done}) == len(done)
        return {each.row.platform: each for each in done}

    def tags(self) -> dict[str, str]:
        held = self.server.manifests.get("x/torch", {})
        return {tag: digest_of(manifest) for tag, manifest in held.items() if ":" not in tag}

    def index(self, tag: str) -> dict[str, str]:
        """Return the configurations of the images that a tag stands for, by their processors."""
        held = self.server.manifests["x/torch"]
        entries = json.loads(held[tag])["manifests"]
        assert all(entry["size"] == len(held[entry["digest"]]) for entry in entries)
        return {
            entry["platform"]["architecture"]: json.loads(held[entry["digest"]])["config"]["digest"]
            for entry in entries
        }


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving() as server:
        made_world = World(server=server, engine=FakeEngine(servers=(server,)))
        made_world.build(amd64=made(AMD), arm64=made(ARM, day="23"))
        yield made_world


def outcomes(done: Mapping[str, Publication]) -> dict[str, list[str]]:
    return {platform: [f"{tag.target.tag} {tag.outcome}" for tag in each.tags] for platform, each in done.items()}


OWN = {AMD: "2.4-amd64-20261122-linux-amd64l pushed", ARM: "2.4-arm64-20261123-linux-arm64l pushed"}


def test_one_index_for_all_platforms(world: World) -> None:
    """Each image under a tag of its own, then the index, to which the other tags move; again, nothing is sent."""
    done = world.publish(AMD, ARM)
    [index] = {tag for tag in world.tags() if tag.startswith("2.4-20261123-")}
    shared = [f"{index} pushed", "2.4 moved", "2.4-latest moved"]
    assert outcomes(done) == {platform: [own, *shared] for platform, own in OWN.items()}
    images = {name: image_id(world.engine.names[f"linux/{name}"]) for name in ("amd64", "arm64")}
    assert world.index("2.4") == world.index("2.4-latest") == world.index(index) == images
    assert all(each.good for each in done.values())

    tags, sent = world.tags(), len(world.engine.pushed)
    again = world.publish(ARM, AMD)
    assert {tag.outcome for each in again.values() for tag in each.tags} == {PublishOutcome.KEPT}
    assert {each.since for each in again.values()} == {"2026-11-23"}
    assert (world.tags(), len(world.engine.pushed)) == (tags, sent)


def test_a_platform_that_is_not_there_yet(world: World) -> None:
    """Its image is published by another run: until then the tags stay, which is nothing wrong; then all move."""
    arm = world.engine.names.pop(ARM)
    done = world.publish(AMD, ARM, optional=[ARM])
    assert outcomes(done) == {AMD: [OWN[AMD], "2.4 waiting", "2.4-latest waiting"]}
    assert (done[AMD].good, done[AMD].awaits) == (True, (ARM,))
    assert world.tags().keys() == {"2.4-amd64-20261122-linux-amd64l"}

    world.build(arm64=arm, amd64=made(AMD))
    assert {each.good for each in world.publish(AMD, ARM).values()} == {True}
    assert set(world.index("2.4")) == {"amd64", "arm64"}


def test_a_platform_that_has_no_image(world: World) -> None:
    """It was asked for: that is a failure, and the tags stay."""
    del world.engine.names[ARM]
    done = world.publish(AMD, ARM)
    assert not done[ARM].built
    assert (done[AMD].good, done[AMD].awaits) == (False, ())
    assert "2.4" not in world.tags()


def test_a_row_that_is_offered_alone(world: World) -> None:
    """As a build of one platform does."""
    done = world.publish(ARM)
    assert outcomes(done) == {ARM: [OWN[ARM], "2.4 waiting", "2.4-latest waiting"]}
    assert (done[ARM].good, done[ARM].awaits) == (True, (AMD,))


def test_a_platform_that_is_not_verified(world: World) -> None:
    """No tag moves to half of what it should be."""
    world.publish(AMD, ARM)
    before = world.index("2.4")
    world.build(amd64=made(AMD, day="24"), arm64=made(ARM, day="24"))
    world.unverified = [ARM]
    done = world.publish(AMD, ARM)
    assert [tag.outcome for tag in done[AMD].tags[-2:]] == [PublishOutcome.WAITING] * 2
    assert all(tag.why == f"{ARM}: {publication.UNVERIFIED}" for tag in done[AMD].tags[-2:])
    assert not done[AMD].good
    assert world.index("2.4") == before
    world.unverified = []
    assert all(each.good for each in world.publish(AMD, ARM).values())
    assert world.index("2.4") != before


def test_tags_of_other_versions_stay(world: World) -> None:
    """What is promised holds for each platform."""
    world.publish(AMD, ARM)
    before = world.tags()["2.4"]
    world.build(amd64=made(AMD, day="24"), arm64=made(ARM, "torch=2.5", day="24"))
    moving = world.publish(AMD, ARM)[ARM].tags[-2:]
    assert [tag.outcome for tag in moving] == [PublishOutcome.REFUSED] * 2
    assert moving[0].why.startswith(f"{ARM}: users of this tag would get other versions: torch 2.4 -> 2.5")
    assert world.tags()["2.4"] == before


@pytest.mark.parametrize("now_alone", [True, False], ids=["fewer platforms", "more platforms"])
def test_a_tag_that_gets_or_loses_a_platform(world: World, now_alone: bool) -> None:
    """The versions of the platform that stays count."""
    alone = replace(world.rows()[AMD], shares=())

    def publish_alone() -> Publication:
        return world.publisher().publish(alone, Key("k" * 64), image_id(world.engine.names[AMD]))

    if now_alone:
        world.publish(AMD, ARM)
        assert publish_alone().good
        assert "manifests" not in json.loads(world.server.manifests["x/torch"]["2.4"])
    else:
        assert publish_alone().good
        assert all(each.good for each in world.publish(AMD, ARM).values())
        assert set(world.index("2.4")) == {"amd64", "arm64"}


def test_a_registry_that_fails(world: World) -> None:
    """Nothing moves before all immutable tags are there."""
    world.engine.fails[world.server.address] = ["denied"]
    done = world.publish(AMD, ARM)
    assert [tag.outcome for tag in done[AMD].tags] == [PublishOutcome.FAILED] * 3
    assert [tag.outcome for tag in done[ARM].tags] == [
        PublishOutcome.PUSHED,
        PublishOutcome.FAILED,
        PublishOutcome.FAILED,
    ]
    assert world.tags().keys() == {"2.4-arm64-20261123-linux-arm64l"}
    assert not any(each.good for each in done.values())


def test_an_index_is_of_the_kind_of_its_images() -> None:
    """Docker's own list of Docker's own manifests; else the index of the OCI."""

    def kind(*media_types: str) -> str:
        members = [
            publication.IndexMember(
                platform=f"linux/arm/v{n}", digest="d", bytes=1, media_type=each, versions={}, why=""
            )
            for n, each in enumerate(media_types)
        ]
        media_type, text = publication.index(members)
        assert json.loads(text)["manifests"][0]["platform"] == {"os": "linux", "architecture": "arm", "variant": "v0"}
        return media_type.rpartition(".")[0]

    docker, oci = "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json"
    assert kind(docker, docker) == "application/vnd.docker.distribution.manifest.list"
    assert kind(docker, oci) == kind(oci) == "application/vnd.oci.image.index"
