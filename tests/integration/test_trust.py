"""Somebody else on the engine, or in the registry: what bears a right name is not what was built."""

import io
import json
import shutil
import subprocess
import time
from typing import Any

import pytest
from tests.integration.monorepo import Monorepo, outcomes, until
from tests.integration.test_push import CHECK, publish_in, tags
from tests.integration.test_store import forget, keep_in

from imagematrix.model import Key, Site, node_ref
from imagematrix.registry import Client, signatures


@pytest.fixture
def image(monorepo: Monorepo) -> Monorepo:
    """One row, with a check of its last layer; nothing is built yet."""
    monorepo.edit("matrix.toml", 'app = ["1.1", "1.2", "1.3"]', 'app = ["1.1"]')
    (monorepo.root / "common/layers/boot/test_boot.py").write_text(CHECK)
    return monorepo


def keys(monorepo: Monorepo) -> dict[str, Key]:
    """Return the key of each layer's node."""
    return {node["layer"]: Key(node["key"]) for node in planned(monorepo)}


def planned(monorepo: Monorepo) -> Any:
    return monorepo.run("plan", "--json").json()["nodes"]


def forge(monorepo: Monorepo, name: str, key: Key) -> str:
    """Put an image that is nothing but labels under a name; return its id."""
    recipe = f"FROM scratch\nLABEL imagematrix.key={key} imagematrix.versions=\nENV EVIL={monorepo.family}\n"
    made, _ = monorepo.client.images.build(fileobj=io.BytesIO(recipe.encode()), tag=name, rm=True)
    return str(made.id)


def test_a_forged_image_on_the_engine(image: Monorepo) -> None:
    """It is neither reused nor built upon: it is built again, and the plan says why."""
    done, _ = image.build()
    assert done.code == 0, done.out + done.err
    key = keys(image)["boot"]
    real = image.engine.image_id(node_ref(key))
    forged = forge(image, node_ref(key), key)

    [(verdict, reason)] = [(node["verdict"], node["reason"]) for node in planned(image) if node["layer"] == "boot"]
    assert verdict == "build"
    assert f"imagematrix/node:{key[:12]}" in reason
    [row] = image.run("list", "--json").json()["rows"]
    assert row["state"] == "stale"
    done = image.run("verify", "--matrix")
    assert done.code == 1
    assert "not built" in done.out

    done, report = image.build()
    assert done.code == 0, done.out + done.err
    assert outcomes(report) == {"base": ["reused"], "tools": ["reused"], "app": ["reused"], "boot": ["built"]}
    assert image.engine.image_id(node_ref(key)) == real != forged
    assert image.output(f"{image.family}:1.0-1.1") == "1.0\n1.1\n"
    image.client.images.remove(forged, force=True)


def test_a_tip_that_is_replaced_between_verify_and_push(image: Monorepo, registry: str) -> None:
    """It is refused by name, and nothing of it is published; nor is it by `build --push`."""
    [repository] = publish_in(image, registry)
    done, _ = image.build()
    assert done.code == 0, done.out + done.err
    assert image.run("verify", "--matrix").code == 0
    key = keys(image)["boot"]
    forged = forge(image, node_ref(key), key)

    done = image.run("push", "--matrix")
    assert done.code == 1
    assert f"imagematrix/node:{key[:12]}" in done.out
    assert tags(repository) == {}

    done, _ = image.build("--push")
    assert done.code == 0, done.out + done.err
    published = tags(repository)
    assert published == dict.fromkeys(("immutable", "1.0-1.1", "1.0-1.1-latest"), published["immutable"])
    assert Client(Site()).manifest(repository, "1.0-1.1").config == image.engine.image_id(node_ref(key)) != forged
    image.client.images.remove(forged, force=True)


def test_a_parent_that_is_replaced_in_mid_build(monorepo: Monorepo) -> None:
    """What is built afterwards is built on the parent that the plan was made for."""
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN cat", "RUN sleep 8 && cat")
    key = keys(monorepo)["tools"]
    with monorepo.start("build", "--matrix", "--jobs", "1", "--report", str(monorepo.root / "report")) as process:
        until(lambda: bool(list(monorepo.root.glob(".imagematrix/logs/app-*.log"))))
        time.sleep(2)  # by then the first app is built upon the real one, for some seconds more
        real = monorepo.engine.image_id(node_ref(key))
        forged = forge(monorepo, node_ref(key), key)
        out, _ = process.communicate()
        assert process.returncode == 0, out
    assert monorepo.engine.image_id(node_ref(key)) == real != forged
    for version in ("1.1", "1.2", "1.3"):
        assert monorepo.output(f"{monorepo.family}:1.0-{version}") == f"1.0\n{version}\n"
    monorepo.client.images.remove(forged, force=True)


def test_a_node_that_is_replaced_in_the_registry(image: Monorepo, registry: str) -> None:
    """By one of the same key and label: it is not pulled, published or reused, and the plan says why."""
    nodes = keep_in(image, registry)
    done, _ = image.build("--push")
    assert done.code == 0, done.out + done.err
    made = keys(image)
    digests = {layer: Client(Site()).digest(nodes, key) for layer, key in made.items()}
    forget(image)
    for layer in ("boot", "tools"):
        name = f"{nodes}:{made[layer]}"
        forge(image, name, made[layer])
        image.engine.push(name)
        image.engine.untag(name)

    [repository] = publish_in(image, registry)
    done = image.run("push", "--matrix")
    assert done.code == 1
    assert digests["boot"] in done.out
    assert tags(repository) == {}

    found = {node["layer"]: (node["verdict"], node["reason"]) for node in planned(image)}
    assert [found[layer][0] for layer in ("base", "tools", "app", "boot")] == ["reuse", "reuse", "pull", "build"]
    assert digests["boot"] in found["boot"][1]
    done, report = image.build()
    assert done.code == 0, done.out + done.err
    assert outcomes(report)["boot"] == ["built"]
    assert image.output(f"{repository}:1.0-1.1") == "1.0\n1.1\n"


def test_what_a_machine_relied_upon_once(image: Monorepo, registry: str) -> None:
    """It relies upon from then on: the registry's word is taken for what no record knows, and once."""
    nodes = keep_in(image, registry)
    record = image.root / "ledger"
    here = {"IMAGEMATRIX_STATE_DIR": str(record)}
    done, _ = image.build("--push")
    assert done.code == 0, done.out + done.err
    tip = keys(image)["boot"]
    forget(image)

    assert [row["state"] for row in image.run("list", "--json", env=here).json()["rows"]] == ["remote"]
    done, _ = image.build(env=here)
    assert done.code == 0, done.out + done.err
    bonds = [json.loads(line) for line in (record / "images.jsonl").read_text().splitlines() if line]
    assert {"key": tip, "digest": Client(Site()).digest(nodes, tip), "place": nodes} in bonds

    forge(image, f"{nodes}:{tip}", tip)
    image.engine.push(f"{nodes}:{tip}")
    image.engine.untag(f"{nodes}:{tip}")
    assert [row["state"] for row in image.run("list", "--json", env=here).json()["rows"]] == ["missing"]


def test_signed_nodes(image: Monorepo, registry: str) -> None:
    """Are pulled by a machine that has no record of them; what is not signed is built instead, and gc takes both."""
    nodes = keep_in(image, registry)
    for argv in (
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", "nodes.pem"],
        ["openssl", "pkey", "-in", "nodes.pem", "-pubout", "-out", "nodes.pub"],
    ):
        subprocess.run(argv, cwd=image.root, check=True)
    matrix = image.root / "matrix.toml"
    matrix.write_text(matrix.read_text() + '\n[signing]\npublic = "nodes.pub"\nkey = "nodes.pem"\n')
    done, _ = image.build("--push")
    assert done.code == 0, done.out + done.err
    (image.root / "nodes.pem").unlink()
    made, client = keys(image), Client(Site())
    assert len(client.tags(nodes)) == 2 * len(made)
    forget(image)
    here = {"IMAGEMATRIX_STATE_DIR": str(image.root / "ledger")}

    assert [row["state"] for row in image.run("list", "--json", env=here).json()["rows"]] == ["remote"]
    tip = f"{nodes}:{made['boot']}"
    forge(image, tip, made["boot"])
    image.engine.push(tip)
    image.engine.untag(tip)
    found = {node["layer"]: node for node in json.loads(image.run("plan", "--json", env=here).out)["nodes"]}
    assert [found[layer]["verdict"] for layer in ("app", "boot")] == ["pull", "build"]
    assert "is not signed" in found["boot"]["reason"]
    done, report = image.build(env=here)
    assert done.code == 0, done.out + done.err
    assert outcomes(report)["boot"] == ["built"]
    assert image.output(f"{image.family}:1.0-1.1") == "1.0\n1.1\n"

    done = image.run("build", "--matrix", "--push", env=here)
    assert done.code == 2
    assert "nodes.pem" in done.err


def test_gc_removes_signatures_with_their_nodes(image: Monorepo, registry: str) -> None:
    nodes = keep_in(image, registry)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", "nodes.pem"], cwd=image.root, check=True)
    subprocess.run(["openssl", "pkey", "-in", "nodes.pem", "-pubout", "-out", "nodes.pub"], cwd=image.root, check=True)
    matrix = image.root / "matrix.toml"
    signing = '\n[signing]\npublic = "nodes.pub"\ncommand = ["sh", "sign.sh"]\n'
    matrix.write_text(matrix.read_text() + signing)
    # As a key service would: the text comes in, the signature goes out.
    script = "cat >text\nopenssl pkeyutl -sign -rawin -inkey nodes.pem -in text | base64 -w 0\n"
    (image.root / "sign.sh").write_text(script)
    done, _ = image.build("--push", "--push-jobs", "1")
    assert done.code == 0, done.out + done.err
    image.edit("matrix.toml", 'app = ["1.1"]', 'app = ["1.2"]')
    done, _ = image.build("--push", "--push-jobs", "1")
    assert done.code == 0, done.out + done.err
    client = Client(Site())
    assert len(client.tags(nodes)) == 12  # base, tools, two apps and boots

    shutil.rmtree(image.root / ".imagematrix/runs")
    done = image.run("gc", "--registry", "--keep", "0")
    assert done.code == 0, done.out + done.err
    left = {*keys(image).values()}
    assert {*client.tags(nodes)} == left | {signatures.tag(client.digest(nodes, key)) for key in left}
