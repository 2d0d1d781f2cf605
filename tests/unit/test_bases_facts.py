"""A base has a distribution, a Python, a package manager and mirrors: what layers take of them must be there."""

from pathlib import Path
from typing import Final

import pytest
from tests import projects
from tests.unit.test_compat import row

from imagematrix import compat
from imagematrix.compat import bases, catalogue
from imagematrix.diagnostics import Severity
from imagematrix.project import Project
from imagematrix.text import distributions

MATRIX: Final = """\
schema = 1

[bases.it]
{base}

[families.image]
layers = {layers}
tag = "{{python}}"

[[families.image.row]]
base = "it"
python = "{python}"
"""

FILES: Final = {
    "common/layers/tools/Dockerfile.j2": (
        '{% import "site.j2" as site %}\n# dnf install is for others\n'
        "RUN {{ site.apt('x') }} \\\n    apt-get update && apt-get install -y --no-install-recommends git\n"
    ),
    "common/layers/rpms/Dockerfile.j2": "RUN --mount=type=secret,id=ca microdnf -y install git\n",
    "common/layers/any/Dockerfile.j2": (
        "RUN --mount=type=secret,id=ca \\\n"
        "    if command -v apt-get; then apt-get install -y git; else yum install -y git; fi\n"
    ),
    "common/layers/maybe/Dockerfile.j2": (
        "RUN true{% if compilers is not defined %} && apt-get install -y gcc{% endif %}\n"
    ),
    "common/layers/debs-python/Dockerfile.j2": (
        "RUN --mount=type=secret,id=apt apt-get update && apt-get install -y python3-venv\n"
        "ENV PATH=/opt/python/bin:${PATH}\nRUN python3 -m venv /opt/python\n"
    ),
    "common/layers/its-python/Dockerfile.j2": "RUN python3 -m venv --system-site-packages /opt/python\n",
    "common/layers/own-python/Dockerfile.j2": (
        "ENV PATH=/opt/conda/bin:${PATH}\nRUN /opt/conda/bin/python -m venv /opt/python\n"
    ),
    "common/layers/more/Dockerfile.j2": "RUN python3 -m venv /opt/more\n",
}


def opened(root: Path, base: str, *layers: str, python: str = "3.11") -> Project:
    """Open a project of one row."""
    text = MATRIX.format(base=base, layers=list(layers), python=python).replace("'", '"')
    return projects.project(root, matrix=text, files=FILES)


def errors(project: Project) -> list[tuple[str, str]]:
    """Return severity and subject of each error that `check` tells."""
    return [(str(cause.severity), cause.about) for cause in project.proof() if cause.severity.is_error]


@pytest.mark.parametrize(
    ("base", "layers", "told"),
    [
        ('image = "debian:12"', ["tools"], []),
        ('image = "rockylinux:9"', ["tools"], [("impossible", "os")]),
        ('image = "quay.example/x:1"\nos = "rocky9"', ["tools"], [("impossible", "os")]),
        ('image = "quay.example/x:1"\nos = "rockylinux9"', ["tools"], [("impossible", "os")]),
        ('image = "alpine:3.20"', ["tools"], [("impossible", "os")]),
        ('image = "nvidia/cuda:12.4.1-devel-rockylinux9"', ["tools"], [("impossible", "os")]),
        ('image = "rockylinux:9"', ["rpms"], []),
        ('image = "ubuntu:22.04"', ["rpms"], [("impossible", "os")]),
        ('image = "ubuntu:22.04"', ["any"], []),
        ('image = "rockylinux:9"', ["any"], []),
        ('image = "rockylinux:9"', ["maybe"], [("impossible", "os")]),
        ('image = "rockylinux:9"\ncompilers = "none"', ["maybe"], []),
        ('image = "quay.example/x:1"', ["tools", "rpms"], []),
    ],
)
def test_the_package_manager(tmp_path: Path, base: str, layers: list[str], told: list[tuple[str, str]]) -> None:
    """What the rendered layers call must be there; whatever the layers are called."""
    assert errors(opened(tmp_path, base, *layers)) == told


@pytest.mark.parametrize(
    ("base", "layers", "python", "told"),
    [
        ('image = "ubuntu:20.04"', ["debs-python"], "3.8", []),
        ('image = "ubuntu:20.04"', ["debs-python"], "3.10", [("broken", "python")]),
        ('image = "nvidia/cuda:12.1.1-devel-ubuntu22.04"', ["debs-python"], "3.11", [("broken", "python")]),
        ('bootstrap = "bookworm"', ["debs-python"], "3.12", [("broken", "python")]),
        ('image = "python:3.12-slim-bookworm"', ["its-python"], "3.12", []),
        ('image = "python:3.12-slim-bookworm"', ["its-python"], "3.11", [("broken", "python")]),
        ('image = "python:3.12"', ["its-python"], "3.11", [("broken", "python")]),
        ('image = "ubuntu:20.04"', ["own-python", "more"], "3.12", []),
        ('image = "quay.example/x:1"\nos = "ubuntu20.04"', ["its-python"], "3.12", []),
        ('image = "quay.example/x:1"\nos = "ubuntu20.04"', ["debs-python"], "3.12", [("broken", "python")]),
    ],
)
def test_the_base_python(
    tmp_path: Path, base: str, layers: list[str], python: str, told: list[tuple[str, str]]
) -> None:
    """A layer that makes the image's Python of the base's gets the one that is there."""
    assert errors(opened(tmp_path, base, *layers, python=python)) == told


@pytest.mark.parametrize(
    ("base", "severities"),
    [
        ('image = "debian:10"', {Severity.BROKEN}),
        ('image = "python:3.7-slim-buster"', {Severity.BROKEN}),
        ('bootstrap = "buster"', {Severity.BROKEN}),
        ('image = "ubuntu:23.10"', {Severity.BROKEN}),
        ('image = "quay.example/x:1"\nos = "debian10"', {Severity.UNKNOWN}),
        ('image = "debian:10"\napt_mirror = "http://mirror.example"', set()),
        ('image = "debian:11"', {Severity.NOTE}),
        ('image = "ubuntu:16.04"', set()),
        ('image = "ubuntu:14.04"', set()),
        ('image = "debian:12"', set()),
    ],
)
def test_packages_that_left_the_mirrors(tmp_path: Path, base: str, severities: set[Severity]) -> None:
    """They are reported before a build; Ubuntu keeps its LTS releases where they were."""
    found = opened(tmp_path, base, "tools").proof()
    assert {cause.severity for cause in found if cause.about == "os"} == severities


def test_a_base_that_nothing_is_installed_on(tmp_path: Path) -> None:
    """It may be as old as it likes."""
    assert errors(opened(tmp_path, 'image = "centos:7"', "own-python")) == []
    assert errors(opened(tmp_path / "two", 'image = "centos:7"', "rpms")) == [("broken", "os")]


def test_builds_and_lists_refuse_what_check_refuses(tmp_path: Path) -> None:
    """What layers take from the base counts for all of them, and its line is the base's."""
    project = opened(tmp_path, 'image = "rockylinux:9"\nos = "rocky9"', "tools")
    assert [cause.line for cause in project.proof() if cause.severity.is_error] == [5]
    assert "apt" in project.impossible(project.matrix.rows[0])


@pytest.mark.parametrize("name", ["torch", "tensorflow", "paddle", "miniconda"])
def test_musl(name: str) -> None:
    """Nothing that is made for glibc runs there."""
    value = "Miniconda3-py312_24.11.1-0-Linux-x86_64.sh" if name == "miniconda" else "2.6.0"
    found = compat.findings(row(os="alpine3.20", **{name: value}))
    assert (Severity.IMPOSSIBLE, name) in {(finding.severity, finding.about) for finding in found}
    assert not [finding for finding in compat.findings(row(os="alpine3.20", python="3.12")) if finding.about == "os"]


@pytest.mark.parametrize(
    ("image", "os"),
    [
        ("ubuntu:20.04", "ubuntu20.04"),
        ("docker.io/library/ubuntu:focal-20240530", "ubuntu20.04"),
        ("debian:bookworm-slim", "debian12"),
        ("debian:12.5", "debian12"),
        ("python:3.11-slim-bookworm", "debian12"),
        ("python:3.12-alpine3.20", "alpine3.20"),
        ("rockylinux:9.3-minimal", "rocky9"),
        ("almalinux:8", "almalinux8"),
        ("centos:7.9.2009", "centos7"),
        ("quay.io/centos/centos:stream9", "centosstream9"),
        ("redhat/ubi9:9.4", "ubi9"),
        ("localhost:5000/ubi8/ubi-minimal:8.10", "ubi8"),
        ("amazonlinux:2023.5", "amazonlinux2023"),
        ("nvcr.io/nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04", "ubuntu22.04"),
        ("nvidia/cuda:12.4.1-base-ubi8", "ubi8"),
        ("ubuntu:latest", ""),
        ("python:3.12", ""),
        ("my.example/team/ubuntu_base:16.04-latest", ""),
    ],
)
def test_an_image_says_what_it_is(tmp_path: Path, image: str, os: str) -> None:
    """A base need not say it again; one of which nothing is known has no `os`."""
    assert distributions.of_image(image) == os
    assert not os or os in catalogue.distributions()
    values = opened(tmp_path, f'image = "{image}"', "own-python").matrix.rows[0].values
    assert values.get("os", "") == os


def test_a_fact_that_contradicts_the_image(tmp_path: Path) -> None:
    """It is reported; other names of the same distribution are as good."""
    assert errors(opened(tmp_path / "1", 'image = "debian:12"\nos = "debian11"', "own-python")) == [("broken", "os")]
    assert errors(opened(tmp_path / "2", 'image = "rockylinux:9"\nos = "rockylinux9"', "own-python")) == []
    assert errors(opened(tmp_path / "3", 'image = "ubuntu:22.04"\nos = "ubuntu"', "own-python")) == []


def test_a_fact_that_contradicts_the_suite(tmp_path: Path) -> None:
    base = 'bootstrap = "trixie"\nos = "{}"'
    assert errors(opened(tmp_path / "1", base.format("debian12"), "own-python")) == [("broken", "os")]
    assert errors(opened(tmp_path / "2", base.format("debian13"), "own-python")) == []


@pytest.mark.parametrize(("suite", "hint"), [("bokworm", "did you mean 'bookworm'?"), ("zyzzyx", "known: ")])
def test_a_suite_that_nobody_knows(tmp_path: Path, suite: str, hint: str) -> None:
    """It is misspelt, or new: a warning where it is written."""
    project = opened(tmp_path, f'bootstrap = "{suite}"\nos = "debian12"', "own-python")
    (found,) = (each for each in project.proof() if each.code == "suite_is_known")
    line = 1 + (tmp_path / "matrix.toml").read_text().splitlines().index(f'bootstrap = "{suite}"')
    assert (found.severity, found.line, found.hint[: len(hint)]) == (Severity.UNKNOWN, line, hint)


def test_os_that_is_said_elsewhere(tmp_path: Path) -> None:
    """Where facts or axes say it, bases leave it to them."""
    text = MATRIX.format(base='image = "debian:12"', layers='["own-python"]', python="3.11")
    project = projects.project(tmp_path, matrix=f'{text}\n[facts.python."3.11"]\nos = "bookworm"\n', files=FILES)
    assert project.matrix.rows[0].values["os"] == "bookworm"


def test_suites_are_known() -> None:
    """Each suite's distribution is in the catalogue."""
    for suite in ("buster", "bullseye", "bookworm", "trixie", "focal", "jammy", "noble", "oracular"):
        assert distributions.of_suite(suite) in catalogue.distributions()


@pytest.mark.parametrize("os", ["debian9", "debian10", "ubuntu22.10", "centos7"])
def test_what_a_failed_build_says_of_an_old_base_is_what_check_says(os: str) -> None:
    """In the same words, so that one finds the other."""
    [found] = bases.mirror(os, apt_layers="system")

    assert bases.moved(os).startswith(f"{found.message}: ")
    assert bases.expired(os).startswith(found.message)
    assert bases.moved(os).partition(": ")[2] in found.hint


def test_a_living_base_is_where_it_should_be() -> None:
    assert bases.moved("debian13") == bases.moved("nosuch") == ""


def test_an_installer_that_no_layer_reads(tmp_path: Path) -> None:
    """A fact of a Python reaches rows without Miniconda, too."""
    fact = '\n[facts.python."3.11"]\nminiconda = "Miniconda3-py311_26.5.3-1-Linux-x86_64.sh"\n'
    files = {**FILES, "common/layers/conda/Dockerfile.j2": "RUN sh {{ miniconda }}\n"}
    for layer, codes in (("own-python", []), ("conda", ["miniconda_of_python"])):
        text = MATRIX.format(base='image = "debian:12"', layers=f'["{layer}"]', python="3.11") + fact
        arm64 = text.replace("schema = 1", 'schema = 1\nplatforms = ["linux/arm64"]')
        project = projects.project(tmp_path / layer, matrix=arm64, files=files)
        assert [each.code for each in project.proof() if each.severity.is_error] == codes
