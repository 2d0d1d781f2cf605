"""Nodes in a registry: what one machine made and pushed, no other makes again."""

import base64
import io
import json
import os
import signal
import time

import pytest
from tests import node_images
from tests.integration.monorepo import Monorepo, SecureRegistry, built, outcomes, until
from tests.integration.proxy import Fault, before

from imagematrix.model import Key, Site, node_ref
from imagematrix.registry import Client


def keep_in(monorepo: Monorepo, address: str) -> str:
    """Let the nodes of a monorepo be kept in a repository of its own; return that."""
    repository = f"{address}/{monorepo.family}/nodes"
    monorepo.edit("matrix.toml", "schema = 1\n", f'schema = 1\nnodes = "{repository}"\n')
    return repository


def forget(monorepo: Monorepo) -> None:
    """Make of the engine another machine's, for all that is the monorepo's: it has none of its images.

    The base stays: it is the node of many a test.
    """
    keys = {row["key"] for row in monorepo.run("plan", "--json").json()["nodes"] if row["layer"] != "base"}
    for image in monorepo.engine.images():
        for name in image.names:
            if name.startswith(monorepo.family) or name in {node_ref(Key(key)) for key in keys}:
                monorepo.engine.untag(name)
    (monorepo.root / ".imagematrix/built.jsonl").unlink(missing_ok=True)


def pushes(report: dict[str, list[dict[str, object]]]) -> list[str]:
    return sorted(str(pushed["outcome"]) for pushed in report["pushes"])


def test_another_machine(monorepo: Monorepo, registry: str) -> None:
    """Builds nothing and pulls nothing of what is up to date; of the rest, it pulls only what something is built on."""
    repository = keep_in(monorepo, registry)
    done, report = monorepo.build("--push")
    assert done.code == 0, done.out + done.err
    assert pushes(report) == ["pushed"] * 8  # base, tools, three apps and boots
    assert "8 of 8 pushed" in done.out
    assert Client(Site()).tags(repository) == tuple(sorted(node["key"] for node in report["nodes"]))
    sizes = {leaf["name"]: leaf["digest"] for leaf in report["leaves"]}

    done, report = monorepo.build("--push")
    assert (done.code, report["pushes"]) == (0, [])
    assert "3 images are up to date" in done.out

    forget(monorepo)
    assert {row["state"] for row in monorepo.run("list", "--json").json()["rows"]} == {"remote"}
    done, report = monorepo.build()
    assert done.code == 0, done.out + done.err
    assert {node["outcome"] for node in report["nodes"]} == {"reused"}
    assert {leaf["name"]: leaf["digest"] for leaf in report["leaves"]} == sizes
    assert {row["state"] for row in monorepo.run("list", "--json").json()["rows"]} == {"remote"}

    monorepo.edit("matrix.toml", '"1.1", "1.2", "1.3"', '"1.1", "1.2", "1.4"')
    planned = monorepo.run("plan", "--json").json()["nodes"]
    assert sorted((node["layer"], node["verdict"]) for node in planned if node["verdict"] != "reuse") == [
        ("app", "build"),
        ("boot", "build"),
        ("tools", "pull"),
    ]
    done, report = monorepo.build()
    assert done.code == 0, done.out + done.err
    assert outcomes(report)["tools"] == ["reused"]
    assert sorted(outcomes(report)["app"]) == ["built", "reused", "reused"]
    assert monorepo.output(f"{monorepo.family}:1.0-1.4") == "1.0\n1.4\n"
    there = {image.key for image in monorepo.engine.images()}
    assert sorted(node["layer"] for node in planned if node["key"] in there) == ["app", "base", "boot", "tools"]

    done, report = monorepo.build("--push")  # what was built without --push is pushed as well
    assert (done.code, pushes(report)) == (0, ["pushed"] * 2)


ONCE_IT_IS_THERE = """\
RUN bash -c 'until {{ exec 3<>/dev/tcp/127.0.0.1/{port} && printf "HEAD /v2/{path}/manifests/go HTTP/1.0\\r\\nAccept: \\
application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json\\r\\n\\r\\n" >&3 && \\
head -n 1 <&3 | grep " 200 "; }}; do sleep 0.5; done'
RUN"""
"""A step that ends when a tag is in the registry."""


def test_two_machines_that_build_one_key(monorepo: Monorepo, registry: str) -> None:
    """What another one pushed meanwhile is used for all that is built on it, and this machine's image is gone."""
    repository = keep_in(monorepo, registry)
    monorepo.edit("matrix.toml", '["1.1", "1.2", "1.3"]', '["1.1"]')
    monorepo.edit("matrix.toml", "schema = 1\n", 'schema = 1\nsite = { network = "host" }\n')
    port, path = registry.partition(":")[2], repository.partition("/")[2]
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN", ONCE_IT_IS_THERE.format(port=port, path=path))
    keys = {node["layer"]: node["key"] for node in monorepo.run("plan", "--json").json()["nodes"]}
    process = monorepo.start("build", "--matrix", "--push", "--report", "report")
    until(lambda: keys["tools"] in built(monorepo))
    recipe = f"FROM {node_ref(keys['tools'])}\nRUN echo other > /both.txt\nLABEL imagematrix.key={keys['app']}\n"
    for tag in (keys["app"], "go"):
        monorepo.client.images.build(fileobj=io.BytesIO(recipe.encode()), tag=f"{repository}:{tag}", rm=True)
        monorepo.engine.push(f"{repository}:{tag}")
        monorepo.engine.untag(f"{repository}:{tag}")
    out, _ = process.communicate(timeout=300)

    assert process.returncode == 0, out
    assert monorepo.output(f"{monorepo.family}:1.0-1.1") == "other\n"
    assert [image.names for image in monorepo.engine.images() if image.key == keys["app"]] == [(node_ref(keys["app"]),)]
    done, report = monorepo.build("--push")
    assert (done.code, report["pushes"]) == (0, []), done.out + done.err


def test_an_empty_engine_and_a_full_registry(monorepo: Monorepo, registry: str) -> None:
    """Of 300 leaves that are there nothing is built or pulled, on an engine that has none of them."""
    repository = keep_in(monorepo, registry)
    versions = ", ".join(f'"1.{number}"' for number in range(300))
    monorepo.edit("matrix.toml", '"1.1", "1.2", "1.3"', versions)
    planned = monorepo.run("plan", "--json").json()["nodes"]
    client, image = Client(Site()), f"{repository}:any"
    monorepo.client.images.build(fileobj=io.BytesIO(b"FROM scratch\nENV A=1\n"), tag=image, rm=True)
    monorepo.engine.push(image)
    monorepo.engine.untag(image)
    manifest = client.manifest(repository, "any")
    configs = node_images.put(client, manifest, [node["key"] for node in planned if node["layer"] == "boot"])

    done, report = monorepo.build()
    assert done.code == 0, done.out + done.err
    assert done.out == "300 images are up to date\n"
    assert {leaf["outcome"] for leaf in report["leaves"]} == {"reused"}
    digests = {leaf["digest"] for leaf in report["leaves"]}
    assert digests == configs or (monorepo.engine.facts().has_blobs and len(digests) == len(configs))
    assert {node["key"] for node in planned if node["layer"] != "base"}.isdisjoint(
        image.key for image in monorepo.engine.images()
    )


def test_a_registry_that_is_not_there(monorepo: Monorepo) -> None:
    """Causes one warning; what could not be pushed is reported, and the images exist."""
    keep_in(monorepo, "localhost:9")
    done, report = monorepo.build("--push", "--retries=0")
    assert done.code == 1
    assert done.err == (
        "registry localhost:9 does not answer: Connection refused\n    Continuing with what the engine has.\n"
    )
    assert pushes(report) == ["failed"] * 8
    assert "not pushed: 8 nodes: registry localhost:9 does not answer: Connection refused\n" in done.out
    assert {leaf["outcome"] for leaf in report["leaves"]} == {"built"}


@pytest.mark.parametrize("means", ["auths", "credHelpers"])
def test_logins(
    monorepo: Monorepo, secure_registry: SecureRegistry, tmp_path_factory: pytest.TempPathFactory, means: str
) -> None:
    """Are docker's own, for our questions as for the engine's pushes; and shown nowhere."""
    keep_in(monorepo, secure_registry.address)
    name, _, password = secure_registry.login.partition(":")
    if means == "auths":
        done, report = monorepo.build("--push", "--only", "*1.1")
        assert (done.code, pushes(report)) == (1, ["failed"] * 4)
        assert f"log in with `docker login {secure_registry.address}`" in done.out

    folder = tmp_path_factory.mktemp("docker")
    helper = folder / "docker-credential-tests"
    helper.write_text(f'#!/bin/sh\necho \'{{"Username": "{name}", "Secret": "{password}"}}\'\n')
    helper.chmod(0o755)
    auth = base64.b64encode(secure_registry.login.encode()).decode()
    said = {"auths": {"auth": auth}, "credHelpers": "tests"}[means]
    (folder / "config.json").write_text(json.dumps({means: {secure_registry.address: said}}))
    logged_in = {"DOCKER_CONFIG": str(folder), "PATH": f"{folder}:{os.environ['PATH']}"}

    report_folder = monorepo.root / "report"
    words = ("build", "--matrix", "--push", "--only", "*1.1", "--report", str(report_folder))
    done = monorepo.run(*words, env=logged_in)
    assert done.code == 0, done.out + done.err
    assert pushes(json.loads((report_folder / "report.json").read_text())) == ["pushed"] * 4
    forget(monorepo)
    listed = monorepo.run("list", "--json", "--only", "*1.1", env=logged_in)
    assert [row["state"] for row in listed.json()["rows"]] == ["remote"], listed.err
    shown = done.out + done.err + "".join(path.read_text() for path in monorepo.root.rglob("*") if path.is_file())
    assert password not in shown
    assert auth not in shown


def test_faults_in_mid_push(monorepo: Monorepo, registry: str) -> None:
    """A server's own fault, a dropped connection and one that limits requests: each causes a wait."""
    with before(registry) as proxy:
        repository = keep_in(monorepo, proxy.address)
        proxy.faults += [
            Fault(method="PUT", path="/manifests/", status=500),
            Fault(method="PUT", path="/manifests/", status=429, retry_after=3),
            Fault(method="PUT", path="/manifests/"),
            Fault(method="PATCH", path="/blobs/uploads/"),
        ]
        done, report = monorepo.build("--push", "--push-jobs=1", "--retries=3")
        assert done.code == 0, done.out + done.err
        assert len(proxy.met) == 4
        assert pushes(report) == ["pushed"] * 8
        assert sum(pushed["attempts"] for pushed in report["pushes"]) > 8

        proxy.faults.append(Fault(method="PUT", path="/manifests/", status=500, times=1000))
        monorepo.edit("matrix.toml", '"1.3"]', '"1.3", "1.4"]')
        done, report = monorepo.build("--push", "--retries=0")
        assert done.code == 1
        assert pushes(report) == ["failed"] * 2
        assert {leaf["outcome"] for leaf in report["leaves"]} == {"built", "reused"}
        assert "not pushed: 2 nodes: " in done.out
        assert "500 Internal Server Error" in done.out
        proxy.faults.clear()
        done, report = monorepo.build("--push")
        assert (done.code, pushes(report)) == (0, ["pushed"] * 2)
        assert len(Client(Site()).tags(repository)) == 10


def test_an_interrupt_in_mid_push(monorepo: Monorepo, registry: str) -> None:
    """Ends the run soon; what was built is there, under no name that it has in the registry alone."""
    with before(registry) as proxy:
        repository = keep_in(monorepo, proxy.address)
        proxy.faults.append(
            Fault(method="PATCH", path="/blobs/uploads/", times=1000)
        )  # the engine tries again and again
        with monorepo.start("build", "--matrix", "--push", "--report", str(monorepo.root / "report")) as process:
            deadline = time.monotonic() + 120
            while not proxy.met and time.monotonic() < deadline:
                time.sleep(0.05)
            assert proxy.met
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=600) == 130
        report = json.loads((monorepo.root / "report/report.json").read_text())
        assert set(pushes(report)) <= {"interrupted", "pushed"}
        assert "interrupted" in pushes(report)
        assert not [name for image in monorepo.engine.images() for name in image.names if name.startswith(repository)]
