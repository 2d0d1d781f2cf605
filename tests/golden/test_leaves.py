"""The committed leaves: what the matrix renders to, to the byte, and as good as linters can tell."""

import configparser
import subprocess
import sysconfig
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from tests import manifests, projects

from imagematrix.project import Project, open_project
from imagematrix.repository import STOCK

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
TOOLS = Path(sysconfig.get_path("scripts"))
SHEBANGS = (b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash", b"#!/usr/bin/env sh")
ENDINGS = {".sh", ".bash"}


@pytest.fixture(scope="module")
def project() -> Project:
    return open_project(str(ROOT / "matrix.toml"))


def test_the_leaves_are_what_the_matrix_says(project: Project) -> None:
    """Each difference is named; `invoke render` mends them."""
    files = project.files(project.leaves(project.obtainable))
    assert list(project.repository.leaves.stale(files, keep=project.directories())) == []


def test_each_row_has_a_leaf(project: Project) -> None:
    """And each leaf a row."""
    folders = {path.parent.relative_to(ROOT).as_posix() for path in IMAGES.glob("*/*/Dockerfile")}
    assert folders == set(project.directories())


def test_families_share_what_is_the_same(project: Project) -> None:
    """Miniconda of one Python on one base is one node under all families that are built on it."""
    names = ["miniconda:conda3-python3.10", "pytorch:2.3.0-python3.10", "tensorflow:2.15.0-python3.10"]
    rows = [f"{name}-cuda12.1.0-cudnn8-devel-ubuntu22.04" for name in (*names, "tensorflow-tensorrt:2.15.0-python3.10")]
    keys = projects.keys(project)

    assert len({keys[row, "miniconda"] for row in rows}) == 1
    assert keys[rows[2], "tensorflow"] == keys[rows[3], "tensorflow"]
    assert len({keys[row, "notebook"] for row in rows}) == len(rows)


def test_hadolint() -> None:
    """Every distinct Dockerfile passes, but for the rules that .hadolint.yaml names with a reason."""
    dockerfiles = distinct(IMAGES.glob("*/*/Dockerfile"))
    assert dockerfiles
    assert output("hadolint", "--config", str(ROOT / ".hadolint.yaml"), *dockerfiles) == ""


def test_shellcheck() -> None:
    """Every distinct script passes: those of the leaves, those they are made from, those of this repository."""
    completion = STOCK.parent / "templates/completion"
    folders = (IMAGES, ROOT / "common", STOCK / "common", ROOT / "scripts", ROOT / ".ci", completion)
    scripts = distinct(
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix != ".j2" and path.is_file() and is_script(path)
    )
    assert {"build-scripts.sh", "docker-run.sh", "boot.sh", "bootstrap.sh", "engine", "inv", "imagematrix.bash"} <= {
        Path(script).name for script in scripts
    }
    assert output("shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *scripts) == ""


def test_a_leaf_alone_is_told_where_to_fetch_from(tmp_path: Path) -> None:
    """As the README of a leaf says, its script configures pip and uv for an index without TLS, and pushes."""
    leaf = IMAGES / "ti-cloud-tf2.4-gpu-devel/1.0.8"
    [command] = [part for part in (leaf / "README.md").read_text().split("\n\n") if part.startswith("    PIP_INDEX")]
    docker = tmp_path / "docker"
    docker.write_text(STAND_IN)
    docker.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SAID": str(tmp_path)}
    subprocess.run(["sh", "-c", command], cwd=leaf, env=environment, check=True, capture_output=True)

    said = (tmp_path / "commands").read_text()
    image = "ccr.ccs.tencentyun.com/your_namespace/ti-cloud-tf2.4-gpu-devel:1.0.8"
    assert "--network host" in said
    assert said.endswith(f"\npush {image}\n")
    url, host = "http://mirrors.tencentyun.com/pypi/simple", "mirrors.tencentyun.com"
    pip = configparser.ConfigParser()
    pip.read(tmp_path / "pip.conf")
    assert (pip["global"]["index-url"], pip["global"]["trusted-host"]) == (url, host)
    uv = tomllib.loads((tmp_path / "uv.toml").read_text())
    assert (uv["index-url"], uv["allow-insecure-host"]) == (url, [host])


STAND_IN = """\
#!/bin/sh
# A stand-in for docker that records its arguments.
echo "$@" >> "$SAID/commands"
for word; do
    case $word in id=*,src=*) cp "${word#*,src=}" "$SAID/" ;; esac
done
"""


def test_run_examples_for_kubernetes() -> None:
    """What the API accepts; of many leaves that differ in their image alone, one is asked about."""
    asked: dict[str, Path] = {}
    for path in sorted(IMAGES.glob("*/*/run-example/k8s-*.yaml")):
        family, tag = path.parts[-4:-2]
        text = path.read_text(encoding="utf-8")
        assert f'/{family}:{tag}"\n' in text or f'"{family}:{tag}"\n' in text, path
        asked.setdefault(text.replace(f'{family}:{tag}"\n', 'IMAGE"\n'), path)
    found = {str(path): problems for text, path in asked.items() if (problems := manifests.problems(text))}
    assert found == {}


def test_run_examples_for_compose() -> None:
    """What compose's own schema accepts, for each image that boots."""
    examples = distinct(IMAGES.glob("*/*/run-example/compose.yaml"))
    assert {Path(example).parents[1] for example in examples} >= {
        path.parents[1].relative_to(ROOT) for path in IMAGES.glob("*/*/run-example/k8s-run-deployment.yaml")
    }
    assert output("check-jsonschema", "--quiet", "--builtin-schema", "vendor.compose-spec", *examples) == ""


def is_script(path: Path) -> bool:
    head = path.read_bytes()[:200]
    return head.startswith(SHEBANGS) or (path.suffix in ENDINGS and not path.name.endswith(".j2"))


def distinct(paths: Iterator[Path]) -> Collection[str]:
    """Return one path for each content, the first by name."""
    by_content = {path.read_bytes(): path for path in sorted(paths, reverse=True)}
    return sorted(path.relative_to(ROOT).as_posix() for path in by_content.values())


def output(tool: str, *arguments: str) -> str:
    """Return what a linter of this environment says."""
    ended = subprocess.run([str(TOOLS / tool), *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    return ended.stdout + ended.stderr
