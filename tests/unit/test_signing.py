"""Signed nodes: what is signed, by what, and that nothing else is believed."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests import projects
from tests.projects import PYTORCH
from tests.registry_server import RegistryServer, digest_of, serving
from tests.unit.test_store import FakeEngine, ended, pushing

from imagematrix import signing
from imagematrix.cluster.images import ClusterImages
from imagematrix.cluster.messages import RemoteResult
from imagematrix.cluster.pushes import ClusterPushes
from imagematrix.commands.build.signed_pushes import signed
from imagematrix.errors import FlagError, RegistryError
from imagematrix.model import Attempt, BuildJob, Key, NodePull, Pushed, PushStatus, Signing, Site
from imagematrix.planning.trust import Bond, Bonds
from imagematrix.registry import Client, signatures
from imagematrix.registry.signatures import Signature
from imagematrix.registry.store import Store
from imagematrix.registry.vouching import Voucher
from imagematrix.shell import Shell

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DIGEST = f"sha256:{'d' * 64}"
KEY = Key("a" * 64)


def private(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public(key: PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


OURS = ed25519.Ed25519PrivateKey.generate()
THEIRS = ed25519.Ed25519PrivateKey.generate()
CURVE = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(signing.KEY_VARIABLE, raising=False)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryServer]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving() as state:
        yield state


def signer(root: Path, declared: Signing, *trusted: PrivateKey) -> signing.Signer:
    verifier = signing.verifier("".join(map(public, trusted)), "nodes.pub")
    return signing.signer(declared, root, Shell(), verifier)


def voucher(server: RegistryServer, *bonds: Bond, signs: bool = False) -> Voucher:
    return Voucher(
        repository=f"{server.address}/nodes",
        bonds=Bonds(bonds),
        client=Client(Site(), tries=1),
        verifier=signing.verifier(public(OURS), "nodes.pub"),
        signer=OURS.sign if signs else None,
    )


def sign(server: RegistryServer, key: str, digest: str, *, by: PrivateKey = OURS, about: str = "") -> None:
    """Sign what the registry has as a node; `about` is another digest that the signature speaks of."""
    text = signatures.text(f"{server.address}/nodes", Key(key), about or digest)
    assert isinstance(by, ed25519.Ed25519PrivateKey)
    Client(Site()).sign(f"{server.address}/nodes", digest, Signature(text=text, signature=by.sign(text)))


def test_what_machines_pushed_is_signed_here(server: RegistryServer) -> None:
    """Only what a machine has built: not what somebody put under its key in the meantime."""
    images = ClusterImages({}, ())
    built = {name: server.put("nodes", name * 64, layer=name) for name in "ab"}
    other = server.put("nodes", "b" * 64, layer="another")
    for name, digest in {"a": built["a"], "b": other}.items():
        key = Key(name * 64)
        attempt = Attempt(ok=True, image=built[name])
        job = BuildJob(
            key=key, layer=name, work=NodePull(repository="", digest=""), platform="", names=(), push_to="", seconds=1
        )
        images.add(job, RemoteResult(attempt=attempt, machine="m", slot=0))
        images.pushed(Pushed(key=key, name="", status=PushStatus.PUSHED, attempts=1, digest=digest))

    with signed(ClusterPushes(images, lambda _machine: True), voucher(server, signs=True)) as pushes:
        assert {push.key[0]: push.status for push in pushes.rest()} == {  # type: ignore[union-attr]
            "a": PushStatus.PUSHED,
            "b": PushStatus.FAILED,
        }
        assert {push.key[0]: push.status for push in pushes.nodes()} == {"a": "pushed", "b": "failed"}

    assert voucher(server).doubt(Key("a" * 64), built["a"]) == ""
    assert "not signed" in voucher(server).doubt(Key("b" * 64), other)


@pytest.mark.parametrize("key", [OURS, CURVE])
def test_a_key_in_a_file(tmp_path: Path, key: PrivateKey) -> None:
    """Ed25519 or P-256; while one key replaces another, both are trusted."""
    (tmp_path / "nodes.pem").write_text(private(key))
    signature = signer(tmp_path, Signing(public="", key="nodes.pem"), THEIRS, key)(b"text")

    assert signing.verifier(public(THEIRS) + public(key), "").accepts(b"text", signature)
    assert not signing.verifier(public(key), "").accepts(b"another", signature)
    assert not signing.verifier(public(THEIRS), "").accepts(b"text", signature)


def test_the_environment_names_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ci.pem").write_text(private(OURS))
    monkeypatch.setenv(signing.KEY_VARIABLE, str(tmp_path / "ci.pem"))
    assert signer(tmp_path, Signing(public="", key="missing.pem"), OURS)(b"text") == OURS.sign(b"text")


def test_a_program_that_signs(tmp_path: Path) -> None:
    """It reads the text, and prints the signature in base64, in lines if it likes."""
    (tmp_path / "nodes.pem").write_text(private(CURVE))
    script = f"openssl dgst -sha256 -sign {tmp_path}/nodes.pem | base64 -w 20"
    signature = signer(tmp_path, Signing(public="", command=("sh", "-c", script)), CURVE)(b"text")

    assert signing.verifier(public(CURVE), "").accepts(b"text", signature)


@pytest.mark.parametrize(
    "script",
    ["exit 3", "echo no key", "true", "printf AAAA", "cat >/dev/null; printf '%s' '\\377\\376'", "kill $$"],
)
def test_a_program_that_does_not_sign(tmp_path: Path, script: str) -> None:
    """Nothing that it prints is a signature: the push fails and names the program."""
    with pytest.raises(RegistryError):
        signer(tmp_path, Signing(public="", command=("sh", "-c", script)), OURS)(b"text")


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no-such-program"):
        signer(tmp_path, Signing(public="", command=("no-such-program",)), OURS)(b"text")


@pytest.mark.parametrize(
    "text", ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", private(RSA)]
)
def test_a_file_that_holds_no_private_key(tmp_path: Path, text: str) -> None:
    (tmp_path / "nodes.pem").write_text(text)
    with pytest.raises(FlagError, match=r"nodes\.pem"):
        signer(tmp_path, Signing(public="", key="nodes.pem"), OURS)


def test_no_way_to_sign(tmp_path: Path) -> None:
    with pytest.raises(FlagError, match=signing.KEY_VARIABLE):
        signer(tmp_path, Signing(public=""), OURS)
    with pytest.raises(FlagError, match="No such file"):
        signer(tmp_path, Signing(public="", key="nodes.pem"), OURS)


def test_a_key_that_nobody_trusts(tmp_path: Path) -> None:
    """What it signs would be believed by no machine."""
    (tmp_path / "nodes.pem").write_text(private(THEIRS))
    with pytest.raises(RegistryError, match="no public key"):
        signer(tmp_path, Signing(public="", key="nodes.pem"), OURS)(b"text")


@pytest.mark.parametrize("text", ["", "x", private(OURS), public(RSA), public(ec.generate_private_key(ec.SECP384R1()))])
def test_a_file_that_holds_no_public_keys(text: str) -> None:
    with pytest.raises(FlagError, match=r"nodes\.pub"):
        signing.verifier(text, "nodes.pub")
    with pytest.raises(FlagError, match=r"nodes\.pub"):
        signing.verifier(text + public(OURS) if "KEY" in text else text, "nodes.pub")


def test_what_is_signed_is_believed(tmp_path: Path, server: RegistryServer) -> None:
    """A push signs; other machines, whose records are empty, believe exactly that."""
    dag = projects.dag(projects.project(tmp_path), PYTORCH)
    tip = dag.final_nodes[PYTORCH]
    [pushed] = ended(pushing(server, FakeEngine(server), tip, judge=voucher(server, signs=True)), tip).values()
    assert pushed.status is PushStatus.PUSHED

    store = Store(voucher(server), say=print)
    assert store.keys(dag, ()) == {tip: pushed.digest}
    assert store.doubts == {}


@pytest.mark.parametrize("forgery", ["unsigned", "by another key", "of another digest", "of another node", "damaged"])
def test_what_is_not_signed_is_not_believed(tmp_path: Path, server: RegistryServer, forgery: str) -> None:
    dag = projects.dag(projects.project(tmp_path), PYTORCH)
    tip = dag.final_nodes[PYTORCH]
    digest = server.put_node("nodes", tip, content="forged")
    match forgery:
        case "by another key":
            sign(server, tip, digest, by=THEIRS)
        case "of another digest":
            sign(server, tip, digest, about=DIGEST)
        case "of another node":
            sign(server, KEY, digest)
        case "damaged":
            sign(server, tip, digest)
            server.manifests["nodes"][signatures.tag(digest)] = b'{"config":{"digest":"%s","size":1}}' % digest.encode()
        case _:
            pass

    store = Store(voucher(server), say=print)
    assert store.keys(dag, ()) == {}
    assert store.doubts.keys() == {tip}
    recorded = Bond(key=tip, digest=digest, place=f"{server.address}/nodes")
    assert Store(voucher(server, recorded), say=print).keys(dag, ()) == {tip: digest}


def test_a_forged_node_is_replaced_by_who_can_sign(server: RegistryServer) -> None:
    """And by no other key: it would not be accepted either."""
    forged = server.put_node("nodes", "a", content="forged")
    [refused] = ended(pushing(server, FakeEngine(server), "a", judge=voucher(server)), "a").values()
    assert refused.status is PushStatus.FAILED
    assert forged in refused.why

    [pushed] = ended(pushing(server, FakeEngine(server), "a", judge=voucher(server, signs=True)), "a").values()
    assert pushed.status is PushStatus.PUSHED
    assert voucher(server).doubt(Key("a"), pushed.digest) == ""
    assert voucher(server).doubt(Key("a"), forged) != ""


def test_a_push_that_cannot_be_signed(server: RegistryServer) -> None:
    """Has failed: no other machine would believe it."""

    def fails(_: bytes) -> bytes:
        raise RegistryError("[signing] command: sign ended with exit code 1")

    judge = replace(voucher(server), signer=fails)
    [pushed] = ended(pushing(server, FakeEngine(server), "a", judge=judge), "a").values()
    assert (pushed.status, pushed.digest) == (PushStatus.FAILED, "")
    assert "exit code 1" in pushed.why


def test_the_format_is_cosigns() -> None:
    """https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md."""
    text = signatures.text("registry.example.com/nodes", KEY, DIGEST)
    assert json.loads(text) == {
        "critical": {
            "identity": {"docker-reference": "registry.example.com/nodes"},
            "image": {"docker-manifest-digest": DIGEST},
            "type": "cosign container image signature",
        },
        "optional": {"imagematrix.key": KEY},
    }
    attached = signatures.attached(text, b"signature")
    manifest = json.loads(attached.manifest)
    assert signatures.tag(DIGEST) == f"sha256-{'d' * 64}.sig"
    [layer] = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    assert layer["annotations"]["dev.cosignproject.cosign/signature"] == base64.b64encode(b"signature").decode()
    assert [manifest["config"]["digest"], layer["digest"]] == [digest_of(blob) for blob in attached.blobs]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"null",
        b'{"critical":{}}',
        b'{"critical":{"image":[],"type":1}}',
        b"[" * 100_000,
        json.dumps({"critical": {"image": {"docker-manifest-digest": DIGEST}, "type": "other"}}).encode(),
        json.dumps(
            {
                "critical": {"image": {"docker-manifest-digest": DIGEST}, "type": "cosign container image signature"},
                "optional": {"imagematrix.key": [KEY]},
            }
        ).encode(),
    ],
)
def test_a_text_that_says_nothing_of_a_node(text: bytes) -> None:
    """Is about no node, whatever key signed it."""
    assert not signatures.is_about(text, KEY, DIGEST)


@pytest.mark.parametrize(
    "layers",
    [
        None,
        {},
        [1],
        [{"digest": "x", "size": 1}],
        [{"digest": DIGEST, "size": -1}],
        [{"digest": DIGEST, "size": 10**9, "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json"}],
        [{"digest": DIGEST, "size": 1, "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json"}],
        [
            {
                "digest": DIGEST,
                "size": 1,
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "annotations": {"dev.cosignproject.cosign/signature": "é"},
            }
        ],
    ],
)
def test_a_manifest_without_signatures(layers: object) -> None:
    assert signatures.listed(json.dumps({"layers": layers}).encode()) == ()


def test_where_an_upload_goes_on(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same repository, or nowhere: what a registry says is not an order."""
    from tests import registry_server

    answer = registry_server._Handler._answer
    for place in (
        "",
        "/v2/other/blobs/uploads/1",
        "/v2/nodes/blobs/uploads/../../x",
        "/admin",
        "http://[",
        "/v2/nodes/x",
    ):

        def elsewhere(self: object, status: int, *rest: object, place: str = place, **more: object) -> None:
            more = {"headers": {"Location": place}} if status == 202 else more
            answer(self, status, *rest, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(registry_server._Handler, "_answer", elsewhere)
        with pytest.raises(RegistryError, match="invalid answer"):
            sign(server, "a", DIGEST)
