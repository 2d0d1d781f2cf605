"""The pytest that checks one image, started as `verify` starts it, with checks that need no container."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from imagematrix.repository import STOCK

CHECKS = "def test_one(row):\n    assert row['torch'] == '2.3.0'\n\n\ndef test_two():\n    pass\n"


def run(root: Path, *, known: tuple[str, ...], checks: str = CHECKS) -> tuple[int, list[str]]:
    """Run the checks of a layer but for those that are known; return the exit code and which ran."""
    code, lines = results(root, known=known, checks=checks)
    return code, [line["name"] for line in lines if "outcome" in line]


def results(root: Path, *, known: tuple[str, ...], checks: str) -> tuple[int, list[Mapping[str, Any]]]:
    """Run the checks of a layer; return the exit code, and the lines that tell what came of them."""
    folder = root / "system"
    folder.mkdir()
    (folder / "test_system.py").write_text(checks)
    told = root / "results.jsonl"
    told.touch()
    request = {"values": {"torch": "2.3.0"}, "known": {"system": known}, "results": str(told)}
    (root / "request.json").write_text(json.dumps(request))
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "--import-mode=importlib",
                "-p",
                "no:cacheprovider",
                "-c",
                "/dev/null",
            ),
            *("-p", "imagematrix.verify.plugin", "--image-request", str(root / "request.json"), str(folder)),
        ],
        cwd=root,
        check=False,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return done.returncode, [json.loads(line) for line in told.read_text().splitlines()]


@pytest.mark.parametrize(
    ("known", "ran"), [((), ["test_one", "test_two"]), (("test_one",), ["test_two"]), (("test_one", "test_two"), [])]
)
def test_what_is_known_does_not_run_again(tmp_path: Path, known: tuple[str, ...], ran: list[str]) -> None:
    """A run that was interrupted between the last check and its end has settled all, and nothing is left to run."""
    assert run(tmp_path, known=known) == (0, ran)


def test_a_file_without_checks_is_no_success(tmp_path: Path) -> None:
    assert run(tmp_path, known=(), checks="") == (5, [])


IMAGE = """
import json, types, pytest
SAID = {"version_info": "3.11.2", "distributions": json.dumps([["numpy", "1.26.4"]])}

class Host:
    def check_output(self, command):
        return next((said for word, said in SAID.items() if word in command), "")

@pytest.fixture(scope="session")
def host():
    return Host()

@pytest.fixture(scope="session")
def image():
    return types.SimpleNamespace(layers=("python",), locked={"numpy": "1.26.4", "torch": "2.3.0"})

@pytest.fixture(scope="session")
def row():
    return {"python": "3.11"}
"""


@pytest.mark.parametrize("layer", ["python", "miniconda", "adopt"])
def test_layers_with_a_python_share_checks(tmp_path: Path, layer: str) -> None:
    """They run as those of the layer whose file imports them, and tell what is wrong as if they stood in it."""
    (tmp_path / "conftest.py").write_text(IMAGE)
    checks = (STOCK / f"common/layers/{layer}/test_{layer}.py").read_text()
    found = {line["name"]: line for line in results(tmp_path, known=(), checks=checks)[1] if "outcome" in line}
    assert {line["owner"] for line in found.values()} == {"system"}
    assert found["test_its_version_is_the_rows"]["outcome"] == "passed"
    wrong = found["test_every_package_has_the_version_that_its_lock_names"]
    assert "{'torch': 'missing'} != {'torch': '2.3.0'}" in wrong["why"]
