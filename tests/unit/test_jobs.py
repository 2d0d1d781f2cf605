"""What a job says of its node: names, labels, what it is built upon, and where it is pushed to."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests import projects
from tests.fakes import factory_of
from tests.projects import PLAIN, PYTORCH

from imagematrix.model import BaseBootstrap, BuildJob, DockerfileBuild, Key, NodePull, ParentImage, Plan, Step, Verdict

NODES = "registry.example.com/nodes"
DIGEST = f"sha256:{'d' * 64}"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return projects.plan(projects.project(tmp_path), PLAIN)


def layers(plan: Plan) -> Mapping[str, Step]:
    return {step.node.layer: step for step in plan.steps}


def labels(job: BuildJob) -> Mapping[str, str]:
    assert isinstance(job.work, BaseBootstrap | DockerfileBuild)
    return job.work.labels


def test_a_bootstrapped_base_is_labelled_by_the_image_that_is_built_upon(plan: Plan) -> None:
    """Not by the one that has its name: another checkout may have moved that."""
    steps = layers(plan)
    images = {steps["base"].node.key: DIGEST}
    made = {layer: labels(factory_of(plan).job(step, images)) for layer, step in steps.items()}
    assert {layer: told.get("org.opencontainers.image.base.digest", "") for layer, told in made.items()} == {
        "base": "",
        "system": DIGEST,
        "python": DIGEST,
        "boot": DIGEST,
    }


def test_only_the_image_of_a_row_has_its_names_and_says_what_its_tags_promise(plan: Plan) -> None:
    jobs = {layer: factory_of(plan).job(step, {}) for layer, step in layers(plan).items()}
    assert {layer: job.names for layer, job in jobs.items()} == {
        "base": ("imagematrix/base:bookworm",),
        "system": (),
        "python": (),
        "boot": (PLAIN,),
    }
    assert [layer for layer, job in jobs.items() if "imagematrix.versions" in labels(job)] == ["boot"]


def test_what_a_job_is_built_upon_is_where_it_can_be_had(tmp_path: Path) -> None:
    """A parent that is not, and will not be, in the registry is nowhere but where it was made."""
    plan = projects.plan(projects.project(tmp_path), PYTORCH)
    system, python, torch, boot = plan.steps
    factory = replace(factory_of(plan), repository=NODES, kept={system.node.key}, pushed={python.node.key})

    sources = [factory.job(step, {system.node.key: DIGEST}) for step in (python, torch, boot)]
    found = [job.work.source for job in sources if isinstance(job.work, DockerfileBuild)]

    assert found == [
        ParentImage(key=system.node.key, image=DIGEST, stage="system", repository=NODES),
        ParentImage(key=python.node.key, image="", stage="python", repository=NODES),
        ParentImage(key=torch.node.key, image="", stage="torch", repository=""),
    ]
    assert [job.push_to for job in sources] == [NODES, "", ""]


def test_what_is_pulled_is_named_by_its_digest(plan: Plan) -> None:
    step = replace(layers(plan)["system"], verdict=Verdict.PULL, digest=DIGEST)
    job = replace(factory_of(plan), repository=NODES).job(step, {Key("any"): DIGEST})
    assert job.work == NodePull(repository=NODES, digest=DIGEST)
