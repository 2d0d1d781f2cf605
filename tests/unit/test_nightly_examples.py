"""The ready-made examples of docs/nightly.md: well-formed, and all of them call the command that tests run."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from imagematrix.planning import nightly
from imagematrix.planning.nightly import NightlyOptions, NightlyRun, NightlyStage

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs/examples"
COMMAND = re.compile(r"scripts/inv (nightly\b[^\n]*)")

NIGHT, RESUME = "nightly --report report", "nightly --resume --report report"
"""What tests/integration/test_nightly.py runs."""


def commands(path: Path) -> list[str]:
    return COMMAND.findall(path.read_text())


def test_every_example_calls_what_is_tested() -> None:
    examples = [path for path in EXAMPLES.iterdir() if path.is_file()]
    found = {path.name: commands(path) for path in examples if path.suffix != ".timer"}
    assert found == {
        "imagematrix-nightly.service": [NIGHT],
        "imagematrix-resume.service": [RESUME],
        "crontab": [NIGHT, RESUME],
        "gitlab-ci.yml": [NIGHT],
        "github-workflow.yml": [NIGHT],
    }
    text = (ROOT / "docs/nightly.md").read_text()
    assert all(f"examples/{path.name}" in text for path in examples)


def test_yaml_is_what_their_systems_expect() -> None:
    job = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())["nightly"]
    assert job["script"] == [f"scripts/inv {NIGHT}"]
    assert job["artifacts"]["when"] == "always"
    steps = yaml.safe_load((EXAMPLES / "github-workflow.yml").read_text())["jobs"]["nightly"]["steps"]
    assert next(step["run"] for step in steps if "run" in step) == f"scripts/inv {NIGHT}"


def test_cron_lines_have_a_time_and_a_command() -> None:
    lines = [line for line in (EXAMPLES / "crontab").read_text().splitlines() if "scripts/inv" in line]
    assert all(re.match(r"(@reboot|(\S+ ){5}) *cd /srv/images && scripts/inv ", line) for line in lines)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this machine has no systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in EXAMPLES.glob("imagematrix-*"):
        (tmp_path / path.name).write_text(path.read_text().replace("/srv/images", str(ROOT)))
    argv = ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "imagematrix-" in line]
    assert told == []


TONIGHT = NightlyRun(epoch="2026-11-22T02:00:00Z", began=0.0)


def test_the_table_of_parts_is_what_a_night_does() -> None:
    rows = re.findall(r"^\| ([a-z]+) \| `([^`]+)` \|", (ROOT / "docs/nightly.md").read_text(), re.MULTILINE)
    options = NightlyOptions(file="", report="", keep="7")
    done = {part.value: " ".join(nightly.command(part, TONIGHT, options)) for part in NightlyStage}
    assert [name for name, _ in rows] == list(done)
    assert all(done[name].startswith(words) for name, words in rows)
