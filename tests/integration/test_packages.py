"""Package layers on a real engine: installed once, the same to the byte on every base and in a leaf built alone."""

import os
import subprocess
from pathlib import Path

from tests.integration.monorepo import Monorepo, outcomes
from tests.integration.test_pythons import PLAIN

from imagematrix import site
from imagematrix.engine import docker_command
from imagematrix.model import Site

MATRIX = """\
schema = 1

[bases.debian12]
bootstrap = "bookworm"
os = "debian12"
python = "3.11"

[families.{family}]
layers = ["plain", "apart", "adopt", "six", "attrs"]
tag = "{{below}}"

[families.{family}.axes]
base = ["debian12"]
below = ["usual", "private", "occupied"]
"""

APART = """\
{% if below == "private" %}
RUN mkdir -p /opt && chmod 700 /opt && touch -d 2001-01-01 /opt
{% elif below == "occupied" %}
RUN mkdir -p /opt/python/lib/python3.11/site-packages/attr \\
    && touch /opt/python/lib/python3.11/site-packages/attr/_make.py
{% endif %}
ENV BELOW={{ below }}
"""
"""What the bases of rows differ in: the mode of a folder that packages are in, and a file that a package has too."""

EMPTY = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
"""A filesystem layer without files: what a step leaves that only looks."""

PACKAGES = '{{% import "site.j2" as site %}}\n{{{{ site.packages("{name}", python, tool) }}}}\n'
VALID = "import sys; sys.flags.dont_write_bytecode or sys.exit(1); import six, attr; print(six.__version__)"


def packages(monorepo: Monorepo) -> Monorepo:
    """Make a monorepo of three rows that are alike but for what is below their packages."""
    layers = monorepo.root / "common/layers"
    for name in ("tools", "app", "boot"):
        subprocess.run(["rm", "-r", str(layers / name)], check=True)
    texts = {
        "plain": PLAIN.format(salt=monorepo.family),
        "apart": APART,
        "six": PACKAGES.format(name="six"),
        "attrs": PACKAGES.format(name="attrs"),
    }
    for name, text in texts.items():
        (layers / name / "files").mkdir(parents=True)
        (layers / name / "Dockerfile.j2").write_text(text)
    (layers / "six/files/requirements.txt").write_text("six==1.17.0\n")
    (layers / "attrs/files/requirements.txt").write_text("attrs==25.3.0\n")
    (monorepo.root / "matrix.toml").write_text(MATRIX.format(family=monorepo.family))
    assert monorepo.run("lock").code == 0
    return monorepo


def alone(made: Monorepo, tag: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Build a leaf from its directory, as image `alone`."""
    where = site.discover(Site(), root=made.root)
    named = {"CA_BUNDLE": where.ca_bundle, "NETWORK": where.network, "PIP_INDEX_URL": where.index_url}
    programs = f"{Path(docker_command(made.engine)).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "build-scripts.sh", *options],
        cwd=made.root / "images" / made.family / tag,
        env={
            **os.environ,
            **made.engine.environment,
            "PATH": programs,
            "IMAGE": f"{made.family}:alone",
            **{name: value for name, value in named.items() if value},
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_packages_are_installed_once_for_all_bases(monorepo: Monorepo) -> None:
    """One filesystem layer in each image, also where the leaf is built alone, and the packages installed anew.

    Folders of the image have the usual mode; bytecode is valid as it is. A file that a lower layer has is named.
    """
    made = packages(monorepo)
    done, report = made.build()

    found = outcomes(report)
    assert (found["six-files"], found["attrs-files"]) == (["built"], ["built"])
    assert (sorted(found["six"]), sorted(found["attrs"])) == (["built"] * 3, ["built", "built", "failed"])
    (failed,) = (node for node in report["nodes"] if node["outcome"] == "failed")
    assert done.code == 1
    assert failed["leaves"] == [f"{made.family}:occupied"]
    assert "/opt/python/lib/python3.11/site-packages/attr/_make.py" in "\n".join(failed["tail"])
    assert "attrs-files replaces" in failed["why"]

    links = [
        made.engine.diff_ids(f"imagematrix/node:{node['key']}")
        for node in report["nodes"]
        if node["layer"] in ("six", "attrs") and node["outcome"] == "built"
    ]
    own = {layers[-1] for layers in links} - {EMPTY}
    usual, private = (f"{made.family}:{tag}" for tag in ("usual", "private"))
    assert len(own) == 2
    assert own <= {*made.engine.diff_ids(usual)} & {*made.engine.diff_ids(private)}
    # Those that end with no file are made of the image that the files were installed into.
    installed = [layers for layers in links if layers[-1] == EMPTY]
    assert [len(own.intersection(layers[-2:])) for layers in installed] == [1] * len(installed)
    assert installed
    for image in (usual, private):
        assert made.output(image, "python", "-Bc", VALID) == "1.17.0\n"
        assert made.output(image, "stat", "-c", "%a", "/opt", "/opt/python/bin").split() == ["755", "755"]
        said = made.output(image, "sh", "-c", "python -vc 'import six' 2>&1")
        assert "/six.cpython-311.pyc matches /opt/python/lib/python3.11/site-packages/six.py" in said

    again = alone(made, "usual", "--no-cache-filter", "six-files,attrs-files,six,attrs")
    assert again.returncode == 0, again.stderr[-5000:]
    assert own <= {*made.engine.diff_ids(f"{made.family}:alone")}
