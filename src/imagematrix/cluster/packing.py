"""A job as bytes, and back: what is sent to machines, with the content of its big files."""

import pickle
from dataclasses import replace
from typing import Final, cast

from imagematrix import tree
from imagematrix.cluster.messages import RemoteChecks, RemoteJob
from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError
from imagematrix.model import BuildJob, DockerfileBuild, File, Key, ParentImage
from imagematrix.text.formatting import size

MOST_BYTES: Final = 64_000_000
"""Of the big files of one job: the scheduler holds a job in its memory until it ends."""


def pack(remote: RemoteJob) -> bytes:
    """Return a job as bytes. Raises InputError if its big files are too big to travel, or have changed since."""
    return pickle.dumps(replace(remote, job=_self_contained(remote.job)))


def pack_checks(remote: RemoteChecks) -> bytes:
    """Return checks as bytes."""
    return pickle.dumps(remote)


def unpack(data: bytes) -> RemoteJob | RemoteChecks:
    """Return the job of such bytes; they come from a coordinator of the same version, which is trusted."""
    return cast("RemoteJob | RemoteChecks", pickle.loads(data))  # noqa: S301  (mutual TLS: only who may build sends)


def parents(job: BuildJob) -> tuple[ParentImage, ...]:
    """Return the images of nodes that a job reads: what it is built on, and the files that it links."""
    if not isinstance(job.work, DockerfileBuild):
        return ()
    return tuple(each for each in (job.work.source, job.work.packages) if isinstance(each, ParentImage))


def with_images(job: BuildJob, images: dict[Key, str]) -> BuildJob:
    """Return a job whose parents' images have the ids that this machine's engine knows them by."""
    work = job.work
    if not isinstance(work, DockerfileBuild):
        return job
    source, packages = work.source, work.packages
    if isinstance(source, ParentImage):
        source = replace(source, image=images[source.key])
    if packages:
        packages = replace(packages, image=images[packages.key])
    return replace(job, work=replace(work, source=source, packages=packages))


def _self_contained(job: BuildJob) -> BuildJob:
    if not isinstance(job.work, DockerfileBuild):
        return job
    big = [file for file in job.work.files if file.stored]
    if sum(file.stored.bytes for file in big if file.stored) > MOST_BYTES:
        raise InputError(map(_too_big, big))
    return replace(job, work=replace(job.work, files=tuple(map(_read, job.work.files))))


def _read(file: File) -> File:
    if not file.stored:
        return file
    with tree.reading(file) as (content, _):
        return File(path=file.path, content=content.read(), executable=file.executable)


def _too_big(file: File) -> Diagnostic:
    found = file.stored.bytes if file.stored else 0
    return Diagnostic(
        file=file.path,
        line=0,
        message=f"this file of {size(found)} is too big to be sent to machines: "
        f"the big files of a layer may have {size(MOST_BYTES)} together",
        hint="download it in the layer's Dockerfile, or build this row without --workers",
        code="too_big_for_machines",
    )
