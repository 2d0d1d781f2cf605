"""One node in, the `docker buildx build` that makes it out: command line, build context, nothing executed."""

import re
import tarfile
from collections.abc import Iterable, Mapping
from typing import IO, Final

from imagematrix import tree
from imagematrix.engine import KEY_LABEL, node_ref
from imagematrix.model import BASE_LAYER, EPOCH, WHEELHOUSE, File, Node, Site
from imagematrix.site import mirrored
from imagematrix.text import documents
from imagematrix.text.documents import DamagedError
from imagematrix.text.names import is_digest

LAYER_LABEL: Final = "imagematrix.layer"
_MADE: Final = ("containerimage.digest", "containerimage.config.digest")
"""Where the metadata of a build has the image's id: with containerd's image store that is the manifest's digest, else
that of the configuration, which both fields hold then."""
_ID: Final = re.compile(r"sha256:[0-9a-f]{64}")
ENVIRONMENT: Final = {
    # The engine's own builder: only it sees local, unpushed images as named contexts.
    "BUILDX_BUILDER": "default",
    "BUILDX_METADATA_PROVENANCE": "disabled",
}


def argv(
    node: Node,
    *,
    program: str,
    site: Site,
    platform: str,
    secrets: Mapping[str, str],
    epoch: str,
    labels: Mapping[str, str],
    metadata: str,
) -> tuple[str, ...]:
    """Return the command that builds a node from the context on its standard input.

    `secrets`: id -> path of the file that holds it. `epoch` reaches the stages that install from the
    network, whose cached steps it makes void. `labels` are added to our own. `metadata` is the path of the file
    that is to say what was made (`image_id`).
    """
    options = [
        ("--progress", "rawjson"),
        ("--provenance", "false"),
        ("--platform", platform),
        ("--target", node.layer),
        ("--tag", node_ref(node.key)),
        ("--metadata-file", metadata),
        *_parent(node, site),
        *(("--label", f"{name}={value}") for name, value in _all_labels(node, labels).items()),
        *([("--build-arg", f"{EPOCH}={epoch}")] if epoch and node.stage.network else []),
        *_site(site, secrets),
    ]
    return (program, "build", *(word for option in options for word in option), "-")


def write_context(node: Node, stream: IO[bytes]) -> None:
    """Write the build context as a tar: the leaf's Dockerfile and exactly the files that the key was made from.

    The engine compares a folder's files by size and mtime, but a tar's by content, so there are no false cache hits.
    Raises InputError for a big file that is no longer what was hashed.
    """
    files = (File(path="Dockerfile", content=node.leaf.dockerfile.encode()), *node.stage.inputs)
    # BuildKit does not read Python's default format (PAX headers).
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for file in files:
            entry = tarfile.TarInfo(file.path)
            entry.mode = 0o755 if file.executable else 0o644
            with tree.reading(file) as (content, entry.size):
                archive.addfile(entry, content)


def image_id(metadata: str) -> str:
    """Return the id of the image that a build made, by its metadata; empty where that does not say it."""
    try:
        found = documents.read(metadata, dict[str, object])
    except DamagedError:
        return ""
    return next((value for name in _MADE if isinstance(value := found.get(name), str) and is_digest(value)), "")


def imported_id(output: str) -> str:
    """Return the id of the image that `docker import` made: it prints it last."""
    return next((line for line in reversed(output.splitlines()) if _ID.fullmatch(line)), "")


def bootstrap_argv(node: Node, *, script: str) -> tuple[str, ...]:
    """Return the command that makes a base image from a distribution's packages."""
    labels = {KEY_LABEL: node.key, LAYER_LABEL: BASE_LAYER}
    return ("sh", script, node.stage.text, node_ref(node.key), *(f"LABEL {n}={v}" for n, v in labels.items()))


def _parent(node: Node, site: Site) -> Iterable[tuple[str, str]]:
    """Put the parent's image in the place of the parent's stage; a base is named by the build argument.

    A pulled base is the one that the key was made from: its tag may point elsewhere by now. It may come from a mirror.
    """
    if node.parent is None:
        image, digest = node.leaf.base_image, node.inputs["base"]
        pulled = mirrored(image, site)
        if digest.startswith("sha256:"):
            yield ("--build-arg", f"BASE_IMAGE={pulled.partition('@')[0]}@{digest}")
        elif pulled != image:
            yield ("--build-arg", f"BASE_IMAGE={pulled}")
        return
    below = node.leaf.stages[0].layer
    if node.layer == below:
        yield ("--build-arg", f"BASE_IMAGE={node_ref(node.parent)}")
    else:
        yield ("--build-context", f"{_parent_layer(node)}=docker-image://{node_ref(node.parent)}")
        # BuildKit asks the base's registry for it though the stages on it are replaced.
        yield ("--build-arg", "BASE_IMAGE=scratch")


def _parent_layer(node: Node) -> str:
    layers = node.leaf.row.family.layers
    return layers[layers.index(node.layer) - 1]


def _all_labels(node: Node, labels: Mapping[str, str]) -> Mapping[str, str]:
    return {KEY_LABEL: node.key, LAYER_LABEL: node.layer, **labels}


def _site(site: Site, secrets: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    yield from (("--secret", f"id={name},src={path}") for name, path in secrets.items())
    # Without their values, which may hold a password: buildx takes them from its environment.
    yield from (("--build-arg", name) for name in site.proxies)
    if site.wheelhouse:
        yield ("--build-context", f"{WHEELHOUSE}={site.wheelhouse}")
    if site.network:
        yield ("--network", site.network)
