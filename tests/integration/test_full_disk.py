"""Real file systems that are full: the images are built and verified all the same."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.chat import Chat
from tests.integration.monorepo import Monorepo

from imagematrix.report import webhook


@pytest.fixture
def full(monorepo: Monorepo) -> Iterator[list[Path]]:
    """The folders of the state and of the report, each a file system that has room for nothing more."""
    folders = [monorepo.root / ".imagematrix", monorepo.root / "report"]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True)
    (folders[0] / "logs").mkdir()
    for folder in folders:
        fill(folder)
    yield folders
    for folder in folders:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError, match="No space left"):
        ballast.writelines(bytes(4096) for _ in range(100))


def test_a_build_on_a_full_disk(monorepo: Monorepo, full: list[Path], chat: tuple[str, type[Chat]]) -> None:
    """It builds, prints the result and which files are missing, notifies the chat, and ends with 1: no report."""
    url, handler = chat
    words = ("build", "--matrix", "--report", str(full[1]))
    done = monorepo.run(*words, env={webhook.VARIABLE: url})

    assert done.code == 1, done.out + done.err
    assert "Traceback" not in done.err
    assert all(f"{monorepo.family}:1.0-1.{minor}" in done.out for minor in (1, 2, 3))
    for path in ("report.json", "junit.xml", "summary.md", "index.html", "built.jsonl", "/runs/", "/logs/"):
        assert any(path in line and "No space left on device" in line for line in done.err.splitlines()), path
    lines = [line for line in done.err.splitlines() if "cannot write" in line]
    assert len(lines) == len(set(lines))
    assert json.loads(handler.heard[0])["images"] == {"built": 3}


def test_a_full_state_costs_no_image_and_no_report(monorepo: Monorepo, full: list[Path]) -> None:
    (full[1] / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", full[1]], check=True)

    done = monorepo.run("build", "--matrix", "--report", str(full[1]))

    assert done.code == 0, done.out + done.err
    assert "built.jsonl: No space left on device" in done.err
    assert {leaf["outcome"] for leaf in json.loads((full[1] / "report.json").read_text())["leaves"]} == {"built"}


CHECK: Final = """\
def test_it(host):
    assert host.run("true").succeeded
"""


def test_images_cannot_be_checked_on_a_full_disk(monorepo: Monorepo, full: list[Path]) -> None:
    """They are not checked, for a reason that is not theirs; with room they are."""
    (monorepo.root / "common/layers/tools/test_tools.py").write_text(CHECK)
    assert monorepo.run("build", "--matrix").code == 0
    words = ("verify", "--only", "*-1.1", "--report", str(monorepo.root / "other"))

    done = monorepo.run(*words)

    assert (done.code, "Traceback" in done.err) == (1, False), done.out + done.err
    [leaf] = json.loads((monorepo.root / "other/report.json").read_text())["leaves"]
    assert (leaf["verification"], "No space left on device" in leaf["cut_off"]) == ("not checked", True)

    (full[0] / "ballast").unlink()
    assert monorepo.run(*words).code == 0
