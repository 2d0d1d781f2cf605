"""The export command: files that CI systems accept, that follow from the rows, and that belong to imagematrix."""

import json
import re
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests import projects

from imagematrix.commands.export import run as exports
from imagematrix.commands.export.run import Export
from imagematrix.errors import FlagError
from imagematrix.project import Project, Selection

NODES = 'nodes = "registry.example.com/team/nodes"\n'
_SCHEMAS = {"github": "github-workflows", "gitlab": "gitlab-ci"}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A monorepo of ten rows with a repository for nodes."""
    return projects.project(tmp_path_factory.mktemp("exports"), matrix=NODES + projects.MATRIX)


def export(opened: Project, kind: str, *, missing: bool = False, only: tuple[str, ...] = ()) -> Export:
    """Export as `imagematrix export KIND` does."""
    return exports.make(opened, kind, Selection(only=only), command="invoke", only_missing=missing)


@pytest.mark.parametrize("kind", _SCHEMAS)
@pytest.mark.parametrize("with_setup", [False, True])
def test_a_ci_system_accepts_it(tmp_path: Path, kind: str, with_setup: bool) -> None:
    """By the schema that editors use; with the monorepo's own preparation of jobs, too."""
    files_ = dict(projects.FILES)
    if with_setup:
        files_ |= {".github/actions/setup-images/action.yml": "x", ".gitlab/setup-images.yml": "x"}
    made = export(projects.project(tmp_path, matrix=NODES + projects.MATRIX, files=files_), kind)
    vendored = files("check_jsonschema.builtin_schemas.vendor") / f"{_SCHEMAS[kind]}.json"

    jsonschema.validate(yaml.safe_load(made.text), json.loads(vendored.read_text(encoding="utf-8")))
    assert ("setup-images" in made.text) == with_setup


def test_jobs_of_gitlab_wait_for_what_they_build_on(opened: Project) -> None:
    """Needs name jobs of the file, and each node is in the command of one job."""
    content: dict[str, Any] = yaml.safe_load(export(opened, "gitlab").text)
    jobs = {name: job for name, job in content.items() if isinstance(job, dict) and job["stage"] == "images"}
    needed = {need["job"] for job in jobs.values() for need in job["needs"]}

    assert needed <= set(jobs)
    assert sum("--only-nodes 'plain:3.11-debian/boot'" in job["script"][0] for job in jobs.values()) == 1


def test_github_skips_what_exists(opened: Project) -> None:
    """Every job asks the first one whether it has something to do, by the id that `export jobs` gives it."""
    workflow = yaml.safe_load(export(opened, "github").text)["jobs"]
    listed = [job["id"] for job in json.loads(export(opened, "jobs").text)["jobs"]]

    assert list(workflow) == ["missing", *listed, "report"]
    assert all(f"'{name}'" in workflow[name]["if"] for name in listed)


def test_make_builds_in_the_order_of_the_dag(opened: Project, tmp_path: Path) -> None:
    """Run by make, with a program that records its arguments in place of imagematrix."""
    log, recorder = tmp_path / "log", tmp_path / "recorder"
    recorder.write_text(f'#!/bin/sh\necho "$*" >> {log}\n')
    recorder.chmod(0o755)
    (tmp_path / "images.mk").write_text(export(opened, "make").text)

    argv = ["make", "--keep-going", "--file", "images.mk", f"IMAGEMATRIX={recorder}"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    ran = log.read_text().splitlines()
    jobs = json.loads(export(opened, "jobs").text)["jobs"]
    assert done.returncode == 0, done.stderr
    assert [line.rpartition("report/")[2] for line in ran[-1:]] == ["whole"]
    order = [line.rpartition("report/")[2] for line in ran]
    assert all(order.index(need) < order.index(job["id"]) for job in jobs for need in job["needs"])


def test_bake_has_a_target_for_each_node(opened: Project) -> None:
    """Parents are targets too; only final nodes have names of images."""
    content = json.loads(export(opened, "bake").text)
    targets = content["target"]
    linked = {name.removeprefix("target:") for each in targets.values() for name in each.get("contexts", {}).values()}

    assert linked <= set(targets)
    assert sorted(name for name, each in targets.items() if "tags" in each) == content["group"]["default"]["targets"]
    assert targets["job-boot-plain-3-11-debian"]["context"] == "./images/plain/3.11-debian"


def test_jobs_run_on_machines_of_their_platform(tmp_path: Path) -> None:
    """No job is for two; bake builds each node for its own."""
    matrix = NODES + projects.MATRIX.replace("schema = 1", 'schema = 1\nplatforms = ["linux/amd64", "linux/arm64"]', 1)
    both = projects.project(tmp_path, matrix=matrix)

    workflow = yaml.safe_load(export(both, "github").text)
    inputs = workflow["on"]["workflow_call"]["inputs"]
    assert {name: each["default"] for name, each in inputs.items()} == {
        "runner": "ubuntu-24.04",
        "runner-arm64": "ubuntu-24.04-arm",
    }
    jobs = [job for job in workflow["jobs"].values() if "missing" in job.get("needs", []) and job["name"] != "report"]
    for job in jobs:
        commands = " ".join(step.get("run", "") for step in job["steps"])
        names = set(re.findall(r"--only-nodes '([^'/]+)/", commands))
        assert {name.endswith("-arm64") for name in names} == {job["runs-on"] == "${{ inputs.runner-arm64 }}"}
    of_gitlab = yaml.safe_load(export(both, "gitlab").text)
    tagged = [job for job in of_gitlab.values() if isinstance(job, dict) and job.get("tags") == ["arm64"]]
    assert 2 * len(tagged) == sum(isinstance(job, dict) and job["stage"] == "images" for job in of_gitlab.values())

    bake = json.loads(export(both, "bake").text)["target"].values()
    assert {platform for target in bake for platform in target["platforms"]} == {"linux/amd64", "linux/arm64"}


def test_what_exists_is_left_out(opened: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs whose nodes the engine has."""
    everything = projects.plan(opened)
    images = projects.believe(opened, *(projects.image(step.node.key) for step in everything.steps[:-1]))
    monkeypatch.setattr("imagematrix.commands.request.images_or_note", lambda: images)
    monkeypatch.setattr("imagematrix.commands.request.node_store", lambda _: None)

    jobs = json.loads(export(opened, "jobs", missing=True).text)["jobs"]

    assert [(len(job["nodes"]), job["needs"]) for job in jobs] == [(1, [])]


def test_the_matrix_in_a_folder_is_named(tmp_path: Path) -> None:
    """Jobs run at the root of the repository, and so does bake."""
    (tmp_path / ".git").mkdir()
    inner = projects.project(tmp_path / "infra", matrix=NODES + projects.MATRIX)

    assert "--file infra/matrix.toml" in export(inner, "gitlab").text
    assert "infra/images/plain/3.11-debian" in export(inner, "bake").text


def test_an_export_is_written_and_found_stale(opened: Project) -> None:
    """The same rows give the same text; other rows another one."""
    made = export(opened, "gitlab")
    exports.write(opened, made.path, made)

    assert exports.on_disk(opened, made.path) == export(opened, "gitlab").text
    assert exports.on_disk(opened, made.path) != export(opened, "gitlab", only=("plain:*",)).text
    exports.write(opened, made.path, made)  # its own file may be replaced


@pytest.mark.parametrize("kind", ["gitlab", "bake"])
def test_the_file_of_somebody_else_stays(opened: Project, kind: str) -> None:
    """It is named, and not touched."""
    path = opened.repository.root / f"own-{kind}"
    path.write_text("stages: [mine]\n")

    with pytest.raises(FlagError, match=path.name):
        exports.write(opened, path.name, export(opened, kind))

    assert path.read_text() == "stages: [mine]\n"


def test_without_a_repository_for_nodes_jobs_share_nothing(tmp_path: Path) -> None:
    """Only bake does not need one: it is a single process."""
    alone = projects.project(tmp_path)

    assert export(alone, "bake").text
    for kind in ("github", "gitlab", "make", "jobs"):
        with pytest.raises(FlagError, match="nodes"):
            export(alone, kind)


@pytest.mark.parametrize(("kind", "missing"), [("gitlub", False), ("bake", True)])
def test_what_cannot_be_exported(opened: Project, kind: str, missing: bool) -> None:
    """A format that does not exist; a flag that means nothing for it."""
    with pytest.raises(FlagError):
        export(opened, kind, missing=missing)
