"""Images that are broken on purpose fail exactly the check that is there for it; they stand on a quickstart image."""

import json
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.monorepo import REPOSITORY, Monorepo

from imagematrix.engine import Engine, Start, node_ref
from imagematrix.errors import NoEngineError
from imagematrix.workspace import Workspace

BASE = "python:3.11-debian12"
TENSORFLOW = "tensorflow-cpu:2.20.0-python3.11-debian12"

MATRIX = """\
schema = 1

[platforms.strict]
rules = ["official-base", "base-unchanged", "no-new-setuid", "max-size"]
official_bases = ["python:*"]
max_size = "9.5 GB"

[bases.quickstart]
image = "python:3.11-debian12"
os = "debian12"

[bases.quickstart-gpu]
image = "python:3.11-debian12"
os = "debian12"
cuda = "11.7.1"

[families.{family}]
layers = ["system", "python"]
tag = "{{fault}}"

[families.{family}.axes]
base = ["quickstart"]
fault = ["none", "locale", "password", "token", "key", "version", "idle", "copy"]

[families.{family}-strict]
layers = ["system"]
tag = "{{fault}}"
platform = "strict"

[families.{family}-strict.axes]
base = ["quickstart"]
fault = ["setuid", "binary"]

[families.{family}-boot]
layers = ["boot"]
tag = "{{fault}}"

[families.{family}-boot.axes]
base = ["quickstart"]
fault = ["service", "program"]

[families.{family}-torch]
layers = ["torch"]
tag = "{{fault}}"

[[families.{family}-torch.row]]
base = "quickstart-gpu"
torch = "1.13.0a0"
fault = "build"

[[families.{family}-torch.row]]
base = "quickstart"
torch = "1.13.0a0"
fault = "linked"

[bases.tensorflow]
image = "tensorflow-cpu:2.20.0-python3.11-debian12"
cuda = "12.5.1"
cudnn = "9"

[families.{family}-gpu]
layers = ["tensorflow"]
tag = "{{fault}}"

[[families.{family}-gpu.row]]
base = "tensorflow"
tensorflow = "2.20.0"
fault = "cpu"

[facts.fault]
"""

TORCH = """\
{% import "site.j2" as site %}
RUN {{ site.apt(os) }} \\
    apt-get update && apt-get install -y --no-install-recommends patchelf python3-torch
ENV PYTHONPATH=/usr/lib/python3/dist-packages
"""
"""Debian's own PyTorch, which is for CPUs: a real one that needs no wheelhouse."""

FAULTS = {
    "none": "RUN true",
    "locale": "ENV LANG=C",
    "password": "RUN echo root:secret | chpasswd",
    "token": "ENV JUPYTER_TOKEN=sesame",
    "key": "RUN mkdir -p /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519",
    "version": "RUN true",
    "idle": "RUN cd /opt/python/lib/python*/site-packages && mkdir cudnn-9.dist-info"
    " && printf 'Metadata-Version: 2.1\\nName: nvidia-cudnn-cu12\\nVersion: 9\\n' > cudnn-9.dist-info/METADATA",
    "cpu": "RUN true",
    "setuid": "RUN cp /bin/true /opt/run && chmod 4755 /opt/run",
    "binary": "RUN printf '#!/bin/sh\\n' > /usr/bin/tac && rm /usr/bin/shuf",
    "service": "RUN printf '#!/bin/sh\\nexit 1\\n' > /opt/python/bin/tensorboard",
    "program": "RUN printf '[program:extra]\\ncommand = /opt/extra/server --now\\n' > /init/supervisor/extra.conf",
    "build": "RUN true",
    "linked": "RUN cd /usr/lib/python3/dist-packages/torch/lib && cp libtorch_global_deps.so libtorch_cuda_linalg.so"
    " && patchelf --add-needed libcusolver.so.11 libtorch_cuda_linalg.so",
    "copy": "RUN mkdir /opt/cuda && touch /opt/cuda/libcudart.so.12",
}

EXPECTED = {
    "none": set(),
    "locale": {"test_it_speaks_chinese_without_garbling"},
    "password": {"test_nobody_has_a_password"},
    "token": {"test_no_setting_of_the_image_is_a_secret"},
    "key": {"test_no_credential_lies_in_a_file"},
    "version": {"test_its_version_is_the_rows"},
    "idle": {"test_no_copy_of_cuda_lies_idle"},
    "cpu": {"test_its_build_fits_the_rows_cuda"},
    "setuid": {"no-new-setuid"},
    "binary": {"base-unchanged"},
    "service": {"test_every_service_runs_and_the_health_check_says_so"},
    "program": {"test_every_program_in_supervisors_files_exists"},
    "build": {"test_its_build_fits_the_rows_cuda"},
    "linked": {"test_what_it_loads_on_a_gpu_is_found"},
    "copy": {"test_no_copy_of_cuda_lies_idle"},
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Monorepo]:
    root, salt = tmp_path_factory.mktemp("broken"), uuid.uuid4().hex[:12]
    made = Monorepo(root=root, family=f"it{salt}", engine=engine)
    facts = "".join(f'{fault}.python = "{"3.10" if fault == "version" else "3.11"}"\n' for fault in FAULTS)
    (root / "matrix.toml").write_text(MATRIX.format(family=made.family) + facts)
    faults = "".join(f'{{% if fault == "{fault}" %}}\n{step}\n{{% endif %}}\n' for fault, step in FAULTS.items())
    for layer, template in {
        "system": f"ENV SALT={salt}\n{faults}",
        "python": f"ENV SALT={salt}\nENV LAYER=python\n",
        "boot": f"ENV SALT={salt}\n{faults}",
        "tensorflow": f"ENV SALT={salt}\n{faults}",
        "torch": f"{TORCH}ENV SALT={salt}\n{faults}",  # what is not on trial is done once: the salt comes after it
    }.items():
        folder = root / "common/layers" / layer
        folder.mkdir(parents=True)
        (folder / "Dockerfile.j2").write_text(template)
        shutil.copy(REPOSITORY / f"common/layers/{layer}/test_{layer}.py", folder)
    for image in (BASE, TENSORFLOW):
        if not engine.image_id(image):
            build = [sys.executable, "-m", "imagematrix", "build", "--only", image]
            subprocess.run(build, cwd=REPOSITORY, check=True)
    done, _ = made.build()
    assert done.code == 0, done.out + done.err
    yield made
    names = [node_ref(record.key) for record in reversed(Workspace(root / "matrix.toml").history())]
    leaves = [name for image in engine.images() for name in image.names if name.startswith(made.family)]
    for name in (*leaves, *names):
        made.client.images.remove(name, force=True)


@pytest.fixture(scope="module")
def verified(broken: Monorepo) -> Any:
    """Verify all of them at once, into the build's report."""
    done = broken.run("verify", "--matrix", "--report", "report")
    assert done.code == 1, done.out + done.err
    assert "Traceback" not in done.err, done.err
    return json.loads((broken.root / "report/report.json").read_text())


def test_a_broken_image_fails_exactly_the_check_that_is_there_for_it(verified: Any) -> None:
    failed = {
        leaf["tag"]: {check["name"] for check in leaf["checks"] if check["outcome"] == "failed"}
        for leaf in verified["leaves"]
    }
    assert failed == EXPECTED


def test_platform_rules_name_the_files(verified: Any) -> None:
    told = {
        (leaf["tag"], check["name"]): [check["why"], *check["tail"]]
        for leaf in verified["leaves"]
        for check in leaf["checks"]
        if check["owner"] == "platform strict"
    }
    assert told["setuid", "no-new-setuid"] == ["/opt/run mode 4755"]
    assert told["binary", "base-unchanged"] == ["/usr/bin/shuf removed", "/usr/bin/tac changed"]


def test_the_reports_of_build_and_verify_are_one(verified: Any, broken: Monorepo) -> None:
    assert {leaf["outcome"] for leaf in verified["leaves"]} == {"built"}
    assert (broken.root / "report/junit.xml").read_text().count("<failure") == sum(map(len, EXPECTED.values()))


def test_only_what_failed_is_repeated(verified: Any, broken: Monorepo) -> None:
    assert verified
    done = broken.run("verify", "--only", "*:none", "--only", "*:token")
    assert done.code == 1
    assert "1 check ran" in done.out
    assert broken.run("verify", "--only", "*:none").out == (
        "1 image is verified: nothing has changed since the checks passed\n"
    )


def test_any_image_can_be_held_against_a_platform(broken: Monorepo) -> None:
    done = broken.run("verify", "--only", "*:none", "--platform", "strickt")
    assert (done.code, "did you mean 'strict'?" in done.err) == (2, True)
    broken.edit("matrix.toml", "[platforms.strict]\n", '[platforms.strict]\nprotected = ["/opt/python/bin/pip"]\n')
    done = broken.run("verify", "--only", "*:none", "--platform", "strict", "--report", "strict")
    [leaf] = json.loads((broken.root / "strict/report.json").read_text())["leaves"]
    rules = [check["name"] for check in leaf["checks"] if check["owner"] == "platform strict"]
    assert (done.code, len(rules)) == (0, 4)


def test_an_image_that_is_not_built_is_named_with_what_builds_it(broken: Monorepo) -> None:
    broken.edit("common/layers/python/Dockerfile.j2", "LAYER=python", "LAYER=other")
    try:
        done = broken.run("verify", "--only", "*:none")
        assert done.code == 1
        assert f"invoke build --only '{broken.family}:none'" in done.out
    finally:
        broken.edit("common/layers/python/Dockerfile.j2", "LAYER=other", "LAYER=python")


def test_no_container_is_left(verified: Any, broken: Monorepo) -> None:
    assert verified
    images = {name for image in broken.engine.images() for name in image.names if name.startswith(broken.family)}
    ids = {broken.client.images.get(name).id for name in images}
    assert ids.isdisjoint(one["ImageID"] for one in broken.client.api.containers(all=True))


SLOW = """\
import os

def test_quick(host):
    assert host.run("true").succeeded

def test_slow(host):
    open(os.environ["REACHED"], "w").close()
    assert host.run(f"sleep {os.environ['SLEEP']}").succeeded
"""


def started(monorepo: Monorepo) -> "subprocess.Popen[str]":
    """Build a row whose check takes its time, and verify it until that check runs."""
    only = f"{monorepo.family}:1.0-1.1"
    (monorepo.root / "common/layers/tools/test_tools.py").write_text(SLOW)
    assert monorepo.run("build", "--only", only).code == 0
    reached = monorepo.root / "reached"
    process = monorepo.start("verify", "--only", only, env={"REACHED": str(reached), "SLEEP": "250"})
    deadline = time.monotonic() + 120
    while not reached.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def containers(monorepo: Monorepo) -> list[Any]:
    """Return what verify has running of a monorepo's image."""
    labels = ["imagematrix.verify", f"imagematrix.row={monorepo.family}:1.0-1.1"]
    return list(monorepo.client.api.containers(all=True, filters={"label": labels}))


def goes_on(monorepo: Monorepo) -> None:
    """Verify again: what had not run runs now, and nothing is left."""
    environment = {"REACHED": str(monorepo.root / "again"), "SLEEP": "0"}
    done = monorepo.run("verify", "--only", f"{monorepo.family}:1.0-1.1", env=environment)
    assert done.code == 0, done.out + done.err
    assert (monorepo.root / "again").exists()
    assert containers(monorepo) == []
    assert list((monorepo.root / ".imagematrix/verify").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_run_that_is_stopped_leaves_nothing_and_the_next_goes_on(monorepo: Monorepo, number: int) -> None:
    process = started(monorepo)
    assert len(containers(monorepo)) == 1
    process.send_signal(number)
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, "Traceback" in out) == (130, False), out
    assert containers(monorepo) == []
    assert '"test_quick"' in (monorepo.root / ".imagematrix/verified.jsonl").read_text()
    goes_on(monorepo)


def test_what_a_killed_run_left_the_next_one_removes(monorepo: Monorepo) -> None:
    process = started(monorepo)
    process.kill()
    process.communicate(timeout=120)
    assert len(containers(monorepo)) == 1
    goes_on(monorepo)


def test_a_gpu_is_asked_of_the_engine(monorepo: Monorepo) -> None:
    """One that has none says so, which is why checks that want one ask first."""
    monorepo.build("--only", "*-1.1")
    start = Start(
        image=f"{monorepo.family}:1.0-1.1", command=("sleep", "60"), environment={}, labels={}, files={}, gpus=True
    )
    if monorepo.engine.has_gpus():
        monorepo.engine.start(start).remove()
    else:
        with pytest.raises(NoEngineError, match=r"could not select device driver .* with capabilities: \[\[gpu\]\]"):
            monorepo.engine.start(start)
