"""The pytest that checks one image, started as `verify` starts it, with checks that need no container."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKS = "def test_one(row):\n    assert row['torch'] == '2.3.0'\n\n\ndef test_two():\n    pass\n"


def run(root: Path, *, known: tuple[str, ...], checks: str = CHECKS) -> tuple[int, list[str]]:
    """Run the checks of a layer but for those that are known; return the exit code and which ran."""
    folder = root / "system"
    folder.mkdir()
    (folder / "test_system.py").write_text(checks)
    results = root / "results.jsonl"
    results.touch()
    request = {"values": {"torch": "2.3.0"}, "known": {"system": known}, "results": str(results)}
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
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    return done.returncode, [line["name"] for line in lines if "outcome" in line]


@pytest.mark.parametrize(
    ("known", "ran"), [((), ["test_one", "test_two"]), (("test_one",), ["test_two"]), (("test_one", "test_two"), [])]
)
def test_what_is_known_does_not_run_again(tmp_path: Path, known: tuple[str, ...], ran: list[str]) -> None:
    """A run that was interrupted between the last check and its end has settled all, and nothing is left to run."""
    assert run(tmp_path, known=known) == (0, ran)


def test_a_file_without_checks_is_no_success(tmp_path: Path) -> None:
    assert run(tmp_path, known=(), checks="") == (5, [])
