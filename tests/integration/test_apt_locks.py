"""What apt installs, on a real engine: asked of real mirrors, built, compared, and left alone on a quiet night."""

import json
from typing import Any

from tests.integration.monorepo import Monorepo

IMPORT = '{% import "site.j2" as site %}\n'
INSTALL = 'RUN {{ site.apt_install("tools", os, "less") }}\n'
"""It comes after the salt: BuildKit would know the step from an earlier run, and print nothing."""


def last_report(monorepo: Monorepo) -> Any:
    return json.loads((monorepo.root / "report/report.json").read_text())


def images(report: Any) -> dict[str, str]:
    return {leaf["name"]: leaf["digest"] for leaf in report["leaves"]}


def test_what_moved_is_rebuilt_and_nothing_else(monorepo: Monorepo) -> None:
    """The simulation names what is installed, another version is reported, and a night builds what moved."""
    template = monorepo.root / "common/layers/tools/Dockerfile.j2"
    template.write_text(IMPORT + template.read_text() + INSTALL)
    locked = monorepo.run("lock", "--bases")
    assert locked.code == 0, locked.out + locked.err
    (lock,) = (monorepo.root / "locks/apt/bookworm").glob("tools-*.txt")
    asked = lock.read_text()
    assert "\nless=" in asked

    done, report = monorepo.build()
    assert done.code == 0, done.out + done.err
    assert [node["drifted"] for node in report["nodes"]] == [[]] * len(report["nodes"])
    good = images(report)

    lock.write_text(asked.replace("\nless=", "\nless=1-"))
    planned = monorepo.run("plan", "--json").json()
    reasons = {node["layer"]: node["reason"] for node in planned["nodes"] if node["verdict"] == "build"}
    assert reasons.keys() == {"tools", "app", "boot"}
    assert "less" in reasons["tools"]
    done, report = monorepo.build()
    assert done.code == 0, done.out + done.err
    drifted = {node["layer"]: node["drifted"] for node in report["nodes"] if node["drifted"]}
    assert drifted.keys() == {"tools"}
    assert "less=" in drifted["tools"][0]

    night = monorepo.run("nightly", "--report", "report", "--no-push")
    assert lock.read_text() == asked
    report = last_report(monorepo)
    assert {node["outcome"] for node in report["nodes"]} == {"reused"}, night.out + night.err
    assert images(report) == good


def test_an_image_is_asked_on_the_engine(monorepo: Monorepo) -> None:
    """Once something was built on it: the image's own apt simulates, and the build installs just that."""
    template = monorepo.root / "common/layers/tools/Dockerfile.j2"
    template.write_text(IMPORT + template.read_text() + INSTALL)
    monorepo.edit("matrix.toml", 'bootstrap = "bookworm"', 'image = "imagematrix/base:bookworm"')
    monorepo.edit("matrix.toml", 'app = ["1.1", "1.2", "1.3"]', 'app = ["1.1"]')
    assert monorepo.build()[0].code == 0

    locked = monorepo.run("lock")
    assert locked.code == 0, locked.out + locked.err
    (lock,) = (monorepo.root / "locks/apt/imagematrix-base-bookworm").glob("tools-*.txt")
    assert "\nless=" in lock.read_text()
    done, report = monorepo.build()
    assert done.code == 0, done.out + done.err
    assert {node["layer"]: node["drifted"] for node in report["nodes"]} == {"tools": [], "app": [], "boot": []}
