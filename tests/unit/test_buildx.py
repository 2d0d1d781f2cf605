"""Command lines and build contexts: exactly what the engine gets."""

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests import projects
from tests.projects import FILES, PLAIN, PYTORCH

from imagematrix import __version__
from imagematrix.engine import buildx
from imagematrix.model import BaseBootstrap, BuildJob, DockerfileBuild, Node, Site, Step, Verdict
from imagematrix.planning import jobs
from imagematrix.planning.jobs import JobFactory

NO_BASE = ("--build-arg", "BASE_IMAGE=scratch")

CUDA = "nvidia/cuda:12.1.0-devel-ubuntu22.04"


@dataclass(frozen=True)
class Made:
    """A node, and how its job is made."""

    node: Node
    factory: JobFactory

    def job(self, **changed: Any) -> BuildJob:
        step = Step(node=self.node, verdict=Verdict.BUILD, reason="", leaves=())
        return replace(self.factory, **changed).job(step, {})


def nodes(root: Path, row: str, lock: str = "", files: Mapping[str, str] = FILES) -> Mapping[str, Made]:
    """Return layer -> node of one row."""
    project = projects.project(root, lock=lock, files=files)
    plan = projects.plan(project, row)
    factory = jobs.factory(plan, lock=project.lock, repository="", pushed=(), kept=(), revision="", seconds=60.0)
    own = replace(factory, names={})
    return {step.node.layer: Made(step.node, own) for step in plan.steps}


def argv(
    made: Made,
    *,
    site: Site | None = None,
    secrets: Mapping[str, str] | None = None,
    compression: str = "",
    **changed: Any,
) -> list[str]:
    job = made.job(**changed)
    assert isinstance(job.work, DockerfileBuild)
    words = buildx.argv(
        job,
        job.work,
        program="/bin/buildx",
        site=site or Site(),
        secrets=secrets or {},
        compression=compression,
        metadata="/private/made.json",
    )
    return list(words)


def command(made: Made, *options: str) -> list[str]:
    """Return what every command has in common, and the options of this one."""
    return [
        *("/bin/buildx", "build", "--progress", "rawjson", "--provenance", "false", "--platform", "linux/amd64"),
        *("--target", made.node.layer, "--tag", f"imagematrix/node:{made.node.key}"),
        *("--metadata-file", "/private/made.json"),
        *options,
        "-",
    ]


def labelled(made: Made, *, base: str = "") -> tuple[str, ...]:
    node = made.node
    return (
        *("--label", f"imagematrix.key={node.key}", "--label", f"imagematrix.layer={node.layer}"),
        *("--label", f"imagematrix.version={__version__}"),
        *(("--label", f"org.opencontainers.image.base.digest={base}") if base else ()),
    )


def test_first_stage_on_a_pulled_base(tmp_path: Path) -> None:
    """The base is what the Dockerfile says."""
    node = nodes(tmp_path, PYTORCH)["system"]
    assert argv(node) == command(node, *labelled(node))


def test_first_stage_on_a_locked_base(tmp_path: Path) -> None:
    """The base is the one whose digest the key has, wherever its tag points by now."""
    node = nodes(tmp_path, PYTORCH, lock=projects.lock({projects.CUDA: "a"}))["system"]
    base = ("--build-arg", f"BASE_IMAGE={CUDA}@sha256:{'a' * 64}")
    assert argv(node) == command(node, *base, *labelled(node, base=f"sha256:{'a' * 64}"))


@pytest.mark.parametrize(("locked", "digest"), [({projects.CUDA: "a"}, f"@sha256:{'a' * 64}"), ({}, "")])
def test_first_stage_on_a_mirrored_base(tmp_path: Path, locked: Mapping[str, str], digest: str) -> None:
    """It comes from the mirror; its key does not know."""
    site = Site(mirrors={"docker.io": "mirror.example.com:5000/hub", "nvidia": "other.example.com"})
    node = nodes(tmp_path, PYTORCH, lock=projects.lock(locked))["system"]
    base = ("--build-arg", f"BASE_IMAGE=mirror.example.com:5000/hub/{CUDA}{digest}")
    assert argv(node, site=site) == command(node, *base, *labelled(node, base=digest.removeprefix("@")))


def test_first_stage_on_a_bootstrapped_base(tmp_path: Path) -> None:
    """The base is the node below."""
    row = nodes(tmp_path, PLAIN)
    base = ("--build-arg", f"BASE_IMAGE=imagematrix/node:{row['base'].node.key}")
    assert argv(row["system"]) == command(row["system"], *base, *labelled(row["system"]))


def test_a_stage_in_the_middle(tmp_path: Path) -> None:
    """The stage below is replaced by the image of its node, and the base is not looked up."""
    row = nodes(tmp_path, PYTORCH)
    context = ("--build-context", f"python=docker-image://imagematrix/node:{row['python'].node.key}")
    assert argv(row["torch"]) == command(row["torch"], *context, *NO_BASE, *labelled(row["torch"]))


@pytest.mark.parametrize(
    ("compression", "options"),
    [("gzip", "compression=gzip,compression-level=1"), ("zstd", "compression=zstd,oci-mediatypes=true")],
)
def test_an_engine_that_keeps_compressed_layers(compression: str, options: str, tmp_path: Path) -> None:
    """The build compresses them; the engine decides otherwise."""
    made = nodes(tmp_path, PYTORCH)["torch"]
    more = [word for word in argv(made, compression=compression) if word not in argv(made)]

    assert more == ["--output", f"type=image,name=imagematrix/node:{made.node.key},{options}"]


def test_everything_that_a_site_adds(tmp_path: Path) -> None:
    """Secrets, proxies, wheels, network and the epoch: as build-time things, none of them in the image."""
    row = nodes(tmp_path, PYTORCH, lock=projects.lock(epoch="2026-11-22T00:00:00Z"))
    site = Site(wheelhouse="/srv/wheels", network="host", proxies={"https_proxy": "http://proxy.example.com:3128"})
    made = argv(
        row["torch"],
        site=site,
        secrets={"ca": "/etc/ca.pem", "uv": "/run/uv.toml"},
        revision="abc",
    )
    assert made == command(
        row["torch"],
        *("--build-context", f"python=docker-image://imagematrix/node:{row['python'].node.key}"),
        *NO_BASE,
        *labelled(row["torch"]),
        *("--label", "org.opencontainers.image.revision=abc"),
        *("--build-arg", "EPOCH=2026-11-22T00:00:00Z"),
        *("--secret", "id=ca,src=/etc/ca.pem", "--secret", "id=uv,src=/run/uv.toml"),
        *("--build-arg", "https_proxy"),
        *("--build-context", "wheelhouse=/srv/wheels", "--network", "host"),
    )


def test_the_epoch_is_for_stages_that_install(tmp_path: Path) -> None:
    """To others it would be a change that their key does not know."""
    row = nodes(tmp_path, PYTORCH, lock=projects.lock(epoch="1"))
    assert not [word for word in argv(row["python"]) if "EPOCH" in word]
    assert [word for word in argv(row["torch"]) if "EPOCH" in word] == ["EPOCH=1"]


def test_making_a_base(tmp_path: Path) -> None:
    """With the script that its leaves carry: platform, suite, name, labels."""
    base = nodes(tmp_path, PLAIN)["base"]
    job = base.job()
    assert isinstance(job.work, BaseBootstrap)
    assert job.names == ("imagematrix/base:bookworm",)
    assert buildx.bootstrap_argv(job, job.work, script="/private/bootstrap.sh") == (
        *("sh", "/private/bootstrap.sh", "--platform", "linux/amd64", "bookworm", f"imagematrix/node:{job.key}"),
        *(f"LABEL imagematrix.key={job.key}", "LABEL imagematrix.layer=base"),
    )


@pytest.mark.parametrize(
    ("layer", "paths"),
    [
        ("system", {}),
        ("python", {"python/profile.sh": 0o644}),
        ("torch", {"torch/requirements.txt": 0o644}),
        ("boot", {"init/banner.txt": 0o644, "init/boot.sh": 0o755}),
    ],
)
def test_the_context_is_what_the_key_was_made_from(tmp_path: Path, layer: str, paths: Mapping[str, int]) -> None:
    """The Dockerfile and the stage's files with their modes; no time, no owner, nothing else."""
    made = nodes(tmp_path, PYTORCH)[layer]
    node, data = made.node, context(made)

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        entries = archive.getmembers()
        content = {entry.name: _read(archive, entry) for entry in entries}
    assert {entry.name: entry.mode for entry in entries} == {"Dockerfile": 0o644, **paths}
    assert content["Dockerfile"] == node.leaf.dockerfile
    assert all(content[file.path] == file.content.decode() for file in node.stage.inputs)
    assert {(entry.mtime, entry.uid, entry.gid, entry.type) for entry in entries} == {(0, 0, 0, tarfile.REGTYPE)}
    assert context(nodes(tmp_path / "again", PYTORCH)[layer]) == data


def test_long_paths_in_a_context(tmp_path: Path) -> None:
    """Are written in a form that the engine reads."""
    deep = "/".join(["d" * 60] * 3)
    files = {**FILES, f"common/init/{deep}/a": "a\n"}
    data = context(nodes(tmp_path, PYTORCH, files=files)["boot"])

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert f"init/{deep}/a" in archive.getnames()
        assert archive.pax_headers == {}


def context(made: Made) -> bytes:
    stream, work = io.BytesIO(), made.job().work
    assert isinstance(work, DockerfileBuild)
    buildx.write_context(work, stream)
    return stream.getvalue()


def _read(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    stream = archive.extractfile(entry)
    assert stream
    return stream.read().decode()
