"""Exports, executed: a makefile whose jobs share nodes through a registry, and a file of bake."""

import json
import os
import re
import subprocess
import sys

from tests.integration.monorepo import Monorepo, outcomes
from tests.integration.test_store import keep_in

from imagematrix.engine import buildx_command

CHECK = """\
def test_it_has_greeted(host):
    assert host.file("/init/hello.sh").exists
"""


def test_make_builds_each_node_once(monorepo: Monorepo, registry: str) -> None:
    """Its jobs build, verify and push; their reports become one."""
    keep_in(monorepo, registry)
    (monorepo.root / "common/layers/boot/test_boot.py").write_text(CHECK)
    assert monorepo.run("export", "make", "--matrix").code == 0
    assert monorepo.run("export", "make", "--matrix", "--check").code == 0

    program = f"IMAGEMATRIX={sys.executable} -m imagematrix"
    argv = ["make", "--keep-going", "--file", "images.mk", program]
    done = subprocess.run(argv, cwd=monorepo.root, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    whole = json.loads((monorepo.root / "report/whole/report.json").read_text())
    assert {layer: set(each) for layer, each in outcomes(whole).items() if layer != "base"} == {
        "tools": {"built"},
        "app": {"built"},
        "boot": {"built"},
    }
    assert [leaf["verification"] for leaf in whole["leaves"]] == ["passed"] * 3
    assert json.loads(monorepo.run("export", "jobs", "--matrix", "--missing").out)["jobs"] == []

    monorepo.edit("matrix.toml", '"1.3"]', '"1.3", "1.4"]')
    assert monorepo.run("export", "make", "--matrix", "--check").code == 5
    jobs = json.loads(monorepo.run("export", "jobs", "--matrix", "--missing").out)["jobs"]
    assert [job["rows"] for job in jobs] == [[f"{monorepo.family}:1.0-1.4"]]


def test_bake_builds_the_same(monorepo: Monorepo) -> None:
    """Without imagematrix: every row under its name, and the shared node once."""
    assert monorepo.run("render").code == 0
    assert monorepo.run("export", "bake", "--matrix").code == 0

    environment = {**os.environ, **monorepo.engine.environment}
    argv = [buildx_command(monorepo.engine), "bake", "--file", "docker-bake.json", "--load", "--provenance=false"]
    done = subprocess.run(argv, cwd=monorepo.root, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    for app in ("1.1", "1.2", "1.3"):
        assert monorepo.output(f"{monorepo.family}:1.0-{app}") == f"1.0\n{app}\n"
    assert len(set(re.findall(r"^(#\d+) .*RUN echo 1.0 > /tools.txt$", done.stderr, re.MULTILINE))) == 1
