"""Docker's two stores of images: what works with that of the tests' engine works with the other one."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import pytest
from tests.integration.engines import hand_over, own_engine
from tests.integration.monorepo import Done, Monorepo, outcomes
from tests.integration.test_push import published, tags
from tests.integration.test_store import forget, keep_in, pushes

from imagematrix.engine import Engine
from imagematrix.engine.client import open_client

CHECK: Final = "def test_it_says_hello(host):\n    assert host.run('cat /tools.txt').stdout == '1.0\\n'\n"
NIGHTS: Final = 10
PACKAGE_BYTES: Final = 8_000_000


@pytest.fixture(scope="module")
def other(engine: Engine) -> Iterator[Engine]:
    """An engine that keeps images in the other store, with the base of all images."""
    store = "classic" if engine.facts().has_blobs else "containerd"
    with own_engine(store=store) as where, closing(open_client(where)) as client:
        hand_over("imagematrix/base:bookworm", engine, where)
        yield Engine(client, where)


@dataclass(frozen=True)
class Elsewhere(Monorepo):
    """A monorepo whose commands use an engine of a test's own."""

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> Done:
        return super().run(*words, env={**self.engine.environment, **(env or {})})


@pytest.fixture
def elsewhere(monorepo: Monorepo, other: Engine) -> Elsewhere:
    monorepo.edit("matrix.toml", 'bootstrap = "bookworm"', 'image = "imagematrix/base:bookworm"')
    return Elsewhere(root=monorepo.root, family=monorepo.family, engine=other)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_the_way_of_an_image(elsewhere: Elsewhere, registry: str, compression: str) -> None:
    """Built, reused, pushed, verified, published, found in the registry by an empty engine, built upon, removed."""
    elsewhere.edit("matrix.toml", '["1.1", "1.2", "1.3"]', '["1.1"]')
    (elsewhere.root / "common/layers/tools/test_tools.py").write_text(CHECK)
    keep_in(elsewhere, registry)
    place = f"{registry}/{elsewhere.family}"
    elsewhere.edit("matrix.toml", "schema = 1\n", f'schema = 1\nregistry = "{place}"\ncompression = "{compression}"\n')

    done, report = elsewhere.build("--push")
    assert done.code == 0, done.out + done.err
    assert pushes(report) == ["pushed"] * 3
    assert published(report) == ["pushed", "waiting", "waiting"]
    [leaf] = report["leaves"]
    done, report = elsewhere.build("--push")
    assert (done.code, report["pushes"]) == (0, []), done.out + done.err
    assert published(report) == ["kept", "waiting", "waiting"]

    assert (done := elsewhere.run("verify", "--matrix")).code == 0, done.out + done.err
    assert (done := elsewhere.run("push", "--matrix")).code == 0, done.out + done.err
    assert len({*tags(f"{place}/{elsewhere.family}").values()}) == 1

    forget(elsewhere)
    done, report = elsewhere.build()
    assert done.code == 0, done.out + done.err
    assert {node["outcome"] for node in report["nodes"]} == {"reused"}
    assert report["leaves"][0]["digest"] == leaf["digest"]
    elsewhere.edit("matrix.toml", '["1.1"]', '["1.2"]')
    done, report = elsewhere.build()
    assert done.code == 0, done.out + done.err
    assert outcomes(report) == {"tools": ["reused"], "app": ["built"], "boot": ["built"]}
    assert elsewhere.output(f"{place}/{elsewhere.family}:1.0-1.2") == "1.0\n1.2\n"

    elsewhere.edit("matrix.toml", '["1.2"]', '["1.3"]')
    assert (done := elsewhere.run("gc", "--keep", "0")).code == 0, done.out + done.err
    there = {name for image in elsewhere.engine.images() for name in image.names}
    assert f"{place}/{elsewhere.family}:1.0-1.2" not in there


def test_the_disk_does_not_grow_from_night_to_night(elsewhere: Elsewhere) -> None:
    """One package moves each night. What the images of a night took is freed by the next, from the build cache too."""
    elsewhere.edit("matrix.toml", '["1.1", "1.2", "1.3"]', '["1.1"]')
    package = f"RUN : {{{{ tools }}}} && head -c {PACKAGE_BYTES} /dev/urandom > /package\nRUN echo"
    elsewhere.edit("common/layers/tools/Dockerfile.j2", "RUN echo", package)
    held = [_night(elsewhere, night) for night in range(NIGHTS)]
    assert held[0] > PACKAGE_BYTES
    assert max(held) - held[0] < PACKAGE_BYTES / 2, held


def _night(monorepo: Monorepo, night: int) -> int:
    """Let a package move, build and clean up; return how many bytes the engine holds."""
    if night:
        monorepo.edit("matrix.toml", f'tools = ["1.{night - 1}"]', f'tools = ["1.{night}"]')
    for words in (("build", "--matrix"), ("gc", "--keep", "0")):
        done = monorepo.run(*words)
        assert done.code == 0, done.out + done.err
    return monorepo.engine.disk_bytes()
