"""A job in, the `docker buildx build` that makes it out: command line, build context, nothing executed."""

import re
import tarfile
from collections.abc import Iterable, Mapping
from typing import IO, Final

from imagematrix import tree
from imagematrix.model import (
    WHEELHOUSE,
    BaseBootstrap,
    BaseImage,
    BuildJob,
    DockerfileBuild,
    File,
    ParentImage,
    Site,
    node_ref,
)
from imagematrix.planning.site_files import mirrored
from imagematrix.text import documents
from imagematrix.text.documents import DamagedError
from imagematrix.text.names import is_digest

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
    job: BuildJob,
    work: DockerfileBuild,
    *,
    program: str,
    site: Site,
    secrets: Mapping[str, str],
    compression: str,
    metadata: str,
) -> tuple[str, ...]:
    """Return the command that builds a stage from the context on its standard input.

    `secrets`: id -> path of the file that holds it. `compression`: gzip, zstd, or empty for the engine's own way.
    `metadata` is the path of the file that is to say what was made (`image_id`).
    """
    options = [
        ("--progress", "rawjson"),
        ("--provenance", "false"),
        ("--platform", job.platform),
        ("--target", work.target),
        ("--tag", node_ref(job.key)),
        ("--metadata-file", metadata),
        *_compressed(compression, node_ref(job.key)),
        *_source(work.source, site),
        *(_context(work.packages) if work.packages else ()),
        *(("--label", f"{name}={value}") for name, value in work.labels.items()),
        *(("--build-arg", f"{name}={value}") for name, value in work.arguments.items()),
        *_site(site, secrets),
    ]
    return (program, "build", *(word for option in options for word in option), "-")


def output_argv(
    *,
    program: str,
    folder: str,
    platform: str,
    arguments: Mapping[str, str],
    site: Site,
    secrets: Mapping[str, str],
) -> tuple[str, ...]:
    """Return the command that builds the Dockerfile on its standard input, and writes the image's files to a folder."""
    options = [
        ("--progress", "plain"),
        ("--platform", platform),
        ("--output", f"type=local,dest={folder}"),
        *(("--build-arg", f"{name}={value}") for name, value in arguments.items()),
        *_site(site, secrets),
    ]
    return (program, "build", *(word for option in options for word in option), "-")


def exporting(argv: tuple[str, ...], path: str) -> tuple[str, ...]:
    """Return the command that builds the same without BuildKit's cache, and writes it to a tar."""
    *command, context = argv
    return (*command, "--no-cache", "--output", f"type=tar,dest={path}", context)


def write_context(work: DockerfileBuild, stream: IO[bytes]) -> None:
    """Write the build context as a tar: the Dockerfile and exactly the files that the key was made from.

    The engine compares a folder's files by size and mtime, but a tar's by content, so there are no false cache hits.
    Raises InputError for a big file that is no longer what was hashed.
    """
    files = (File(path="Dockerfile", content=work.dockerfile.encode()), *work.files)
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


def bootstrap_argv(job: BuildJob, work: BaseBootstrap, *, script: str) -> tuple[str, ...]:
    """Return the command that makes a base image from a distribution's packages."""
    labels = (f"LABEL {name}={value}" for name, value in work.labels.items())
    return ("sh", script, "--platform", job.platform, work.suite, node_ref(job.key), *labels)


def _source(source: ParentImage | BaseImage, site: Site) -> Iterable[tuple[str, str]]:
    """Put the parent's image in the place of the parent's stage; a base is named by the build argument.

    A base may come from a mirror.
    """
    if isinstance(source, BaseImage):
        pulled = mirrored(source.name, site)
        if source.digest:
            yield ("--build-arg", f"BASE_IMAGE={pulled.partition('@')[0]}@{source.digest}")
        elif pulled != source.name:
            yield ("--build-arg", f"BASE_IMAGE={pulled}")
    elif source.stage:
        yield from _context(source)
        # BuildKit asks the base's registry for it though the stages on it are replaced.
        yield ("--build-arg", "BASE_IMAGE=scratch")
    else:
        yield ("--build-arg", f"BASE_IMAGE={node_ref(source.key)}")


def _compressed(compression: str, name: str) -> Iterable[tuple[str, str]]:
    """Say how an engine that keeps compressed layers makes them: once, in the build.

    Measured with 2.06 GB of wheels on 2 busy cores: gzip's usual level 6 takes 137 s for 1.15 GB, level 1 takes 27 s
    for 1.23 GB, zstd 25 s for 0.97 GB.
    """
    if compression:
        options = {"gzip": "compression-level=1", "zstd": "oci-mediatypes=true"}[compression]
        yield ("--output", f"type=image,name={name},compression={compression},{options}")


def _context(image: ParentImage) -> Iterable[tuple[str, str]]:
    """Put the image of a node in the place of its stage."""
    yield ("--build-context", f"{image.stage}=docker-image://{node_ref(image.key)}")


def _site(site: Site, secrets: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    yield from (("--secret", f"id={name},src={path}") for name, path in secrets.items())
    # Without their values, which may hold a password: buildx takes them from its environment.
    yield from (("--build-arg", name) for name in site.proxies)
    if site.wheelhouse:
        yield ("--build-context", f"{WHEELHOUSE}={site.wheelhouse}")
    if site.network:
        yield ("--network", site.network)
