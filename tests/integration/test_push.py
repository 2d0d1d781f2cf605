"""Images published in real registries: what their tags stand for in the end."""

import io
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from tests.integration.monorepo import Monorepo
from tests.integration.proxy import Fault, before
from tests.integration.test_store import forget

from imagematrix.model import Site
from imagematrix.registry import Client

CHECK = "def test_it_says_hello(host):\n    assert host.run('cat /both.txt').stdout == '1.0\\n1.1\\n'\n"


@pytest.fixture
def image(monorepo: Monorepo) -> Monorepo:
    """One row, whose image is built, and a check of its last layer."""
    monorepo.edit("matrix.toml", 'app = ["1.1", "1.2", "1.3"]', 'app = ["1.1"]')
    (monorepo.root / "common/layers/boot/test_boot.py").write_text(CHECK)
    done, _ = monorepo.build()
    assert done.code == 0, done.out + done.err
    return monorepo


def publish_in(monorepo: Monorepo, *addresses: str) -> list[str]:
    """Let the rows go to registries; return their repositories there."""
    listed = ", ".join(f'"{address}/{monorepo.family}"' for address in addresses)
    monorepo.edit("matrix.toml", "schema = 1\n", f"schema = 1\nregistry = [{listed}]\n")
    return [f"{address}/{monorepo.family}/{monorepo.family}" for address in addresses]


def tags(repository: str) -> Mapping[str, str]:
    """Return the tags of a repository, the immutable one as `immutable`, each with its digest."""
    client = Client(Site())
    found = client.digests(repository, client.tags(repository))
    return {"immutable" if re.fullmatch(r"1.0-1.1-20\d{6}-[0-9a-f]{12}", tag) else tag: it for tag, it in found.items()}


def published(report: Any) -> list[str]:
    (leaf,) = report["leaves"]
    return [tag["outcome"] for tag in leaf["published"]]


def put(monorepo: Monorepo, name: str, versions: str) -> None:
    """Put another image under a name, which says its versions."""
    recipe = f"FROM scratch\nLABEL imagematrix.versions={versions}\nENV A=1\n"
    monorepo.client.images.build(fileobj=io.BytesIO(recipe.encode()), tag=name, rm=True)
    monorepo.client.images.push(name)
    monorepo.client.images.remove(name)


def test_what_is_pushed_and_what_moves(image: Monorepo, registry: str) -> None:
    """Unverified, the immutable tag alone; verified, all; again, nothing. Two registries hold the same."""
    first, second = publish_in(image, registry, registry.replace("localhost", "127.0.0.1") + "/second")
    done, report = image.build("--push")
    assert done.code == 0, done.out + done.err
    assert published(report) == ["pushed"] * 2 + ["waiting"] * 4

    done = image.run("push", "--matrix", "--report", "report")
    assert done.code == 1
    assert published(json.loads((image.root / "report/report.json").read_text())) == ["kept"] * 2 + ["waiting"] * 4
    assert "waiting: 4 tags: not all checks of its layers and its destination have passed" in done.out
    assert f"verify:  invoke verify --only '{image.family}:1.0-1.1'" in done.out
    assert tags(first).keys() == tags(second).keys() == {"immutable"}

    assert image.run("verify", "--matrix").code == 0
    done = image.run("push", "--matrix")
    assert done.code == 0, done.out + done.err
    assert tags(first) == tags(second)
    assert tags(first) == dict.fromkeys(("immutable", "1.0-1.1", "1.0-1.1-latest"), tags(first)["immutable"])

    done = image.run("push", "--matrix")
    assert (done.code, done.out.splitlines()[-1]) == (0, "1 image is published: nothing to do")
    names = [name for each in image.engine.images() for name in each.names if image.family in name]
    assert not [name for name in names if re.search(r"-20\d{6}-", name) or "/second/" in name]


def test_what_only_the_registry_of_nodes_has(image: Monorepo, registry: str) -> None:
    """It is taken over there, and goes elsewhere through the engine, which has nothing of it before or after."""
    nodes = f"{registry}/{image.family}/nodes"
    image.edit("matrix.toml", "schema = 1\n", f'schema = 1\nnodes = "{nodes}"\n')
    assert image.run("build", "--matrix", "--push").code == 0
    forget(image)
    here, there = publish_in(image, registry, registry.replace("localhost", "127.0.0.1") + "/second")

    done = image.run("push", "--matrix")
    assert done.code == 1
    assert "2 pushed, 4 waiting" in done.out
    (row,) = image.run("list", "--json").json()["rows"]
    assert tags(here) == tags(there) == {"immutable": Client(Site()).digest(nodes, row["key"])}
    assert row["state"] == "remote"


def test_tags_that_must_stay(image: Monorepo, registry: str) -> None:
    """One that promises another Python; and all that would move, when the connection breaks before."""
    image.edit("matrix.toml", 'os = "debian12"', 'os = "debian12"\npython = "3.11"')
    image.edit("common/layers/app/Dockerfile.j2", "RUN cat", "ENV PYTHON={{ python }}\nRUN cat")
    with before(registry) as proxy:
        (repository,) = publish_in(image, proxy.address)
        held = repository.replace(proxy.address, registry)
        put(image, f"{held}:1.0-1.1", "python=3.10")
        put(image, f"{held}:1.0-1.1-latest", "python=3.11")
        old = tags(held)
        done, _ = image.build()
        assert done.code == 0, done.out + done.err
        assert image.run("verify", "--matrix").code == 0

        proxy.faults += [Fault(method="PUT", path="/manifests/", times=100)]
        done = image.run("push", "--matrix", "--report", "report")
        assert done.code == 1
        assert "moving tags are moved once every immutable tag exists" in done.out
        assert tags(held) == old

        proxy.faults.clear()
        done = image.run("push", "--matrix", "--report", "report")
        assert done.code == 1
        assert "users of this tag would get other versions: python 3.10 -> 3.11" in done.out
        found = tags(held)
        assert found == {**found, "1.0-1.1": old["1.0-1.1"], "1.0-1.1-latest": found["immutable"]}
