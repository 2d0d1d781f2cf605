"""What `doctor` says of a machine that lacks something."""

import json
import socket
import time
from pathlib import Path

import pytest
from tests import projects

from imagematrix.commands.doctor import run as doctor
from imagematrix.planning import nightly
from imagematrix.planning.nightly import NightlyRun
from imagematrix.project import Selection
from imagematrix.report.console import doctor as health
from imagematrix.report.outputs import Prerequisite, PrerequisiteState
from imagematrix.state import State


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


def looked(file: Path, *only: str) -> dict[str, Prerequisite]:
    found = doctor.run(str(file), Selection(only=only), site_name="", seconds=5.0)
    return {finding.what: finding for finding in found}


def test_what_is_missing_is_told_and_what_is_there_too(tmp_path: Path) -> None:
    found = looked(projects.write(tmp_path), "plain:*")
    assert found["matrix"].state is PrerequisiteState.GOOD
    assert found["leaves"].state is PrerequisiteState.WEAK
    assert "invoke render" in found["leaves"].remedy
    assert found["engine"].state is found["disk"].state is PrerequisiteState.BAD
    assert "engine start" in found["engine"].said
    assert not health.good(found.values())
    # Nothing of these rows is in a registry.
    assert not any(what.startswith("registry") for what in found)


@pytest.mark.parametrize(("hours", "state"), [(None, None), (1, PrerequisiteState.GOOD), (40, PrerequisiteState.WEAK)])
def test_nightly_runs_that_no_longer_succeed_are_told(
    tmp_path: Path, hours: int | None, state: PrerequisiteState | None
) -> None:
    """Where there were any."""
    file = projects.write(tmp_path)
    if hours is not None:
        good = time.time() - hours * 3600
        State(tmp_path).write_night(nightly.dump(NightlyRun(epoch="e", began=good, finished=True, last_good=good)))
    found = looked(file, "plain:*").get("nightly")
    assert (found.state if found else None) is state


def test_a_wrong_matrix_is_one_thing_of_many(tmp_path: Path) -> None:
    found = looked(projects.write(tmp_path, matrix="schema = 1\nfamilies = 3\n"))
    assert found["matrix"].state is PrerequisiteState.BAD
    assert "matrix.toml:2" in found["matrix"].said
    assert {"engine", "buildx", "disk", "git"} <= found.keys()


def test_a_missing_lock_would_stop_a_build(tmp_path: Path) -> None:
    found = looked(projects.write(tmp_path), "pytorch:2.3.0-python3.10-debian")
    files = {**projects.FILES, "common/layers/torch/Dockerfile.j2": "RUN pip install -r torch/requirements.lock\n"}
    assert found["leaves"].state is PrerequisiteState.WEAK
    found = looked(projects.write(tmp_path, files=files), "pytorch:2.3.0-python3.10-debian")
    assert found["leaves"].state is PrerequisiteState.BAD
    assert "invoke lock" in found["leaves"].said


def test_a_silent_registry_is_not_waited_for(tmp_path: Path) -> None:
    """It takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"127.0.0.1:{silent.getsockname()[1]}"
        matrix = projects.MATRIX.replace("nvidia/cuda:", f"{name}/cuda:")
        found = looked(projects.write(tmp_path, matrix=matrix), "pytorch:2.3.0-python3.10-cuda")
    assert found[f"registry {name}"].state is PrerequisiteState.BAD
    assert "no answer within 5 s" in found[f"registry {name}"].said


def test_where_images_are_pushed_to_stops_no_build(tmp_path: Path) -> None:
    matrix = projects.MATRIX.replace("schema = 1", 'schema = 1\nregistry = "127.0.0.1:1/team"')
    found = looked(projects.write(tmp_path, matrix=matrix), "plain:*")["registry 127.0.0.1:1"]
    assert found.state is PrerequisiteState.WEAK
    assert found.said == "does not answer: Connection refused (1 image to push)"
    matrix = projects.MATRIX.replace("schema = 1", 'schema = 1\nnodes = "127.0.0.1:1/nodes"')
    assert (
        looked(projects.write(tmp_path, matrix=matrix), "plain:*")["registry 127.0.0.1:1"].state
        is PrerequisiteState.WEAK
    )


def test_the_page_has_a_line_for_each_and_below_it_what_to_do() -> None:
    findings = [
        Prerequisite(what="engine", state=PrerequisiteState.GOOD, said="26.1"),
        Prerequisite(what="disk", state=PrerequisiteState.BAD, said="1 GB", remedy="`invoke gc`"),
    ]
    assert health.health_text(findings).splitlines() == [
        "ok       engine  26.1",
        "wrong    disk    1 GB",
        "                 `invoke gc`",
    ]
    document = json.loads(health.health_json(findings))
    assert (document["schema"], document["good"]) == (1, False)
    assert document["prerequisites"][1] == {"what": "disk", "state": "wrong", "said": "1 GB", "remedy": "`invoke gc`"}
