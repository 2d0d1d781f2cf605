"""The distribution API: what is asked, how one logs in, what is tried again."""

import base64
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.registry_server import RegistryServer, serving

from imagematrix.engine.credentials import login
from imagematrix.errors import DeniedError, MissingError, SilentRegistryError
from imagematrix.model import Site
from imagematrix.registry import Client

LOGIN = "robot:s3cret"


class Impatient(Client):
    """Notes how long it would wait."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        super().__init__(Site(), sleep=self.waits.append)


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody is logged in anywhere, and no proxy knows the way."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with serving() as state:
        yield state


@pytest.fixture
def client() -> Impatient:
    return Impatient()


def log_in(config: Path, address: str, who: str = LOGIN) -> None:
    config.write_text(json.dumps({"auths": {address: {"auth": base64.b64encode(who.encode()).decode()}}}))


def test_what_exists(server: RegistryServer, client: Client) -> None:
    """Of many tags those that are there, with what they stand for."""
    repository = f"{server.address}/team/nodes"
    digests = {f"k{number}": server.put("team/nodes", f"k{number}") for number in range(40)}

    assert client.digests(repository, [*digests, "k40", "k41"]) == digests
    assert client.digests(f"{server.address}/nothing", ["a"]) == {}
    assert client.digests(repository, []) == {}
    assert client.tags(repository) == tuple(sorted(digests))
    assert client.tags(f"{server.address}/nothing") == ()


def test_an_image(server: RegistryServer, client: Client) -> None:
    """Its manifest, how big it is, what it says of itself."""
    repository = f"{server.address}/a"
    digest = server.put("a", "1", created="today", config={"Labels": {"x": "y"}})

    found = client.manifest(repository, "1")
    assert found.digest == digest
    assert found.bytes == sum(map(len, server.blobs["a"].values()))
    assert client.config(found).created == "today"
    assert client.config(found).labels == {"x": "y"}
    with pytest.raises(MissingError, match=f"registry {server.address} has no 2 in {repository}"):
        client.manifest(repository, "2")


def test_tags_move_by_digest(server: RegistryServer, client: Client) -> None:
    """Also into another repository of the registry, which takes over the layers; and go."""
    repository = f"{server.address}/a"
    digest = server.put("a", "1")
    server.put("a", "latest")
    client.tag(client.manifest(repository, "1"), "latest")
    assert client.digest(repository, "latest") == digest

    client.tag(client.manifest(repository, digest), "new", repository=f"{server.address}/b")
    assert client.digest(f"{server.address}/b", "new") == digest
    assert server.blobs["b"].items() <= server.blobs["a"].items()

    client.delete(repository, digest)
    client.delete(repository, digest)
    assert client.digests(repository, ["1", "latest"]) == {}


def test_images_are_copied_to_another_registry(server: RegistryServer, client: Client, docker_config: Path) -> None:
    """With a login for each of them, and streams that are sent once; what is there is not sent again."""
    big = "x" * 3_000_000
    server.login, server.tokens = "me:s3cret", True
    with serving() as other:
        other.login = "you:0ther"
        logins = {server.address: "me:s3cret", other.address: "you:0ther"}
        auths = {name: {"auth": base64.b64encode(login.encode()).decode()} for name, login in logins.items()}
        docker_config.write_text(json.dumps({"auths": auths}))
        digest = server.put("a", "1", layer=big)
        found = client.manifest(f"{server.address}/a", "1")
        client.tag(found, "new", repository=f"{other.address}/b")
        assert client.digest(f"{other.address}/b", "new") == digest
        assert other.blobs["b"] == server.blobs["a"]

        other.asked.clear()
        client.tag(found, "newer", repository=f"{other.address}/b")
        assert [method for method, _, _ in other.asked if method == "POST"] == []


def test_layers_that_are_gone(server: RegistryServer, client: Client) -> None:
    """No tag is set on what would not be whole."""
    server.put("a", "1")
    found = client.manifest(f"{server.address}/a", "1")
    server.blobs.clear()
    with pytest.raises(MissingError):
        client.tag(found, "1", repository=f"{server.address}/b")
    assert "b" not in server.manifests


@pytest.mark.parametrize("tokens", [False, True], ids=["basic", "bearer"])
def test_logins(server: RegistryServer, client: Client, docker_config: Path, tokens: bool) -> None:
    """Those of docker's configuration, used again; a wrong or missing one is reported, never shown."""
    server.login, server.tokens = LOGIN, tokens
    server.put("a", "1")
    with pytest.raises(DeniedError, match=f"docker login {server.address}"):
        client.digest(f"{server.address}/a", "1")

    log_in(docker_config, server.address, "robot:wr0ng")
    with pytest.raises(DeniedError) as refusal:
        Impatient().digest(f"{server.address}/a", "1")
    assert "wr0ng" not in str(refusal.value)

    log_in(docker_config, server.address)
    server.asked.clear()
    once = Impatient()
    assert len(once.digests(f"{server.address}/a", ["1", "2", "3", "4"])) == 1
    assert [header for *_, header in server.asked].count("") <= 2  # its first words, and one refusal
    assert once.waits == []


def test_a_token_that_is_outdated(server: RegistryServer, client: Client, docker_config: Path) -> None:
    """The client then gets another one."""
    server.login, server.tokens = LOGIN, True
    log_in(docker_config, server.address)
    server.put("a", "1")
    assert client.digest(f"{server.address}/a", "1")
    server.faults.append((401, {"WWW-Authenticate": server.wants("")}))
    assert client.digest(f"{server.address}/a", "1")


def test_what_may_pass_is_tried_again(server: RegistryServer, client: Impatient) -> None:
    """After waits that grow, or that the registry asks for."""
    digest = server.put("a", "1")
    client.digest(f"{server.address}/a", "1")
    server.faults += [(503, {}), (429, {"Retry-After": "7"})]
    assert client.digest(f"{server.address}/a", "1") == digest
    assert client.waits[0] < 7 <= client.waits[1] < 60

    server.faults.append((0, {}))
    assert client.digest(f"{server.address}/a", "1") == digest


def test_what_does_not_pass(server: RegistryServer, client: Impatient) -> None:
    """Is told after some tries, with how long the registry wants to be left alone."""
    client.digest(f"{server.address}/a", "1")
    server.faults += [(500, {})] * 3
    with pytest.raises(SilentRegistryError, match=f"registry {server.address} answers 500 Internal Server Error"):
        client.digest(f"{server.address}/a", "1")
    assert len(client.waits) == 2

    server.faults.append((429, {"Retry-After": "3600"}))
    with pytest.raises(SilentRegistryError) as busy:
        client.digest(f"{server.address}/a", "1")
    assert busy.value.retry_after == 3600
    assert server.faults == []


def test_nobody_there(client: Impatient) -> None:
    """One question finds out for all."""
    with pytest.raises(SilentRegistryError, match=r"registry localhost:9 does not answer: Connection refused"):
        client.digests("localhost:9/a", [str(number) for number in range(300)])
    assert len(client.waits) == 2


def test_whom_one_trusts(tmp_path: Path) -> None:
    """Elsewhere than on this machine whom the site trusts, here anyone."""
    name, path = socket.gethostname(), tmp_path / "both.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tests"]
    argv += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", str(path), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(argv, check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "cert.pem").read_text())

    with serving(certificate=path, name=name) as server:
        digest = server.put("a", "1")
        trusting = Client(Site(ca_bundle=str(tmp_path / "cert.pem")), tries=1)
        assert trusting.digest(f"{server.address}/a", "1") == digest
        with pytest.raises(SilentRegistryError, match="certificate"):
            Client(Site(), tries=1).digest(f"{server.address}/a", "1")
    with serving(certificate=path) as server:
        digest = server.put("a", "1")
        assert Client(Site(), tries=1).digest(f"{server.address}/a", "1") == digest
    with serving(name=name) as server, pytest.raises(SilentRegistryError):
        Client(Site(), tries=1).digest(f"{server.address}/a", "1")


def test_proxies(server: RegistryServer) -> None:
    """Are those of the site; they are not on the way to this machine, nor to whom they are not for."""
    said = {"HTTPS_PROXY": "http://localhost:9", "http_proxy": "http://localhost:9"}
    server.put("a", "1")
    assert Client(Site(proxies=said), tries=1).digest(f"{server.address}/a", "1")
    with pytest.raises(SilentRegistryError, match="Connection refused"):
        Client(Site(proxies=said), tries=1).digest("registry.invalid/a", "1")
    with pytest.raises(SilentRegistryError, match=r"registry\.invalid does not answer") as unknown:
        Client(Site(proxies={**said, "no_proxy": ".invalid"}), tries=1).digest("registry.invalid/a", "1")
    assert "refused" not in str(unknown.value)


def test_a_credential_helper(docker_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is called as docker calls it; a missing one is reported."""
    docker_config.write_text('{"credHelpers": {"registry.example.com": "tests"}}')
    with pytest.raises(DeniedError, match="names docker-credential-tests, which is not installed"):
        login("registry.example.com")

    helper = tmp_path / "docker-credential-tests"
    helper.write_text('#!/bin/sh\necho \'{"Username": "robot", "Secret": "s3cret"}\'\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = login("registry.example.com")
    assert found is not None
    assert (found.name, found.password) == ("robot", "s3cret")
    assert "s3cret" not in repr(found)
    assert login("other.example.com") is None
