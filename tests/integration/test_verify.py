"""Images that are broken on purpose fail exactly the check for that; they are built on a quickstart image."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pytest
from tests.integration.monorepo import REPOSITORY, Monorepo

from imagematrix.engine import ContainerSpec, Engine
from imagematrix.errors import NoEngineError
from imagematrix.model import node_ref
from imagematrix.repository import STOCK
from imagematrix.state import State

BASE = "python:3.11-debian12"
TENSORFLOW = "tensorflow-cpu:2.20.0-python3.11-debian12"
PADDLE = "paddle:3.3.1-python3.11-debian12"
TORCH_BASE = "python:3.13-debian13"
"""Of this Debian, since its PyTorch has torch.compile."""

MATRIX = """\
schema = 1

[destinations.strict.rules]
official-base.images = ["python:*"]
base-unchanged.files = []
no-new-setuid = {{}}
max-size.limit = "9.5 GB"

[bases.quickstart]
image = "python:3.11-debian12"
os = "debian12"

[bases.torch]
image = "python:3.13-debian13"
os = "debian13"
torch_build = "cpu"

[bases.torch-gpu]
image = "python:3.13-debian13"
os = "debian13"
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
destination = "strict"

[families.{family}-strict.axes]
base = ["quickstart"]
fault = ["setuid", "binary"]

[families.{family}-boot]
layers = ["notebook", "boot"]
tag = "{{fault}}"

[families.{family}-boot.axes]
base = ["quickstart"]
fault = ["service", "program"]

[families.{family}-torch]
layers = ["torch"]
tag = "{{fault}}"

[[families.{family}-torch.row]]
base = "torch-gpu"
torch = "2.6.0"
fault = "build"

[[families.{family}-torch.row]]
base = "torch"
torch = "2.6.0"
fault = "linked"

[[families.{family}-torch.row]]
base = "torch"
torch = "2.6.0"
fault = "torch"

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

[bases.tensorflow-cpu]
image = "tensorflow-cpu:2.20.0-python3.11-debian12"

[families.{family}-tensorflow]
layers = ["tensorflow"]
tag = "{{fault}}"

[[families.{family}-tensorflow.row]]
base = "tensorflow-cpu"
tensorflow = "2.20.0"
fault = "tensorflow"

[bases.paddle]
image = "paddle:3.3.1-python3.11-debian12"

[families.{family}-paddle]
layers = ["paddle"]
tag = "{{fault}}"

[[families.{family}-paddle.row]]
base = "paddle"
paddle = "3.3.1"
fault = "paddle"

[facts.fault]
torch.torchvision = "0.21.0"
torch.torchaudio = "2.6.0"
tensorflow.keras = "3.10.0"
"""

TORCH = """\
{% import "site.j2" as site %}
RUN {{ site.apt(os) }} \\
    apt-get update \\
    && apt-get install -y --no-install-recommends patchelf python3-torch python3-torchaudio python3-torchvision
ENV PYTHONPATH=/usr/lib/python3/dist-packages
"""
"""Debian's own PyTorch with its companions, which are for CPUs: real ones that need no wheelhouse."""


def defect(name: str, place: str) -> str:
    """Return a line of Python that has something fail with its name, when it is called."""
    return f"{place} = lambda *_, **__: exec('raise RuntimeError(\"broken: {name}\")')"


def defect_with_arrays(name: str) -> str:
    """Return a line of Python that has a function fail when it is called with an array."""
    call = f"exec('raise RuntimeError(\"broken: arrays\")') if type(x).__name__ == 'ndarray' else _{name}(x, *_, **__)"
    return f"_{name} = {name}; {name} = lambda x, *_, **__: {call}"


def appended(*lines: tuple[str, str]) -> str:
    """Return the step that puts lines of Python to the end of modules."""
    return "RUN " + " && ".join(f"echo {shlex.quote(line)} >> {module}" for module, line in lines)


PACKAGES = "/opt/python/lib/python3.11/site-packages"
FLEET = f"{PACKAGES}/paddle/distributed/fleet"
DEBIANS = "/usr/lib/python3/dist-packages"

FAULTS = {
    "none": "RUN true",
    "locale": "ENV LANG=C",
    "password": "RUN echo root:secret | chpasswd",
    "token": "ENV JUPYTER_TOKEN=sesame",
    "key": "RUN mkdir -p /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519",
    "version": "RUN true",
    "idle": "RUN cd /opt/python/lib/python*/site-packages && mkdir cudnn-9.dist-info"
    " && printf 'Metadata-Version: 2.1\\nName: nvidia-cudnn-cu12\\nVersion: 9\\n' > cudnn-9.dist-info/METADATA"
    " && printf 'Wheel-Version: 1.0\\nTag: py3-none-any\\n' > cudnn-9.dist-info/WHEEL",
    "cpu": "RUN true",
    "setuid": "RUN cp /bin/true /opt/run && chmod 4755 /opt/run",
    "binary": "RUN printf '#!/bin/sh\\n' > /usr/bin/tac && rm /usr/bin/shuf",
    "service": "RUN echo 'raise SystemExit(1)' > /init/services/tensorboard/serve.py",
    "program": "RUN printf '[program:extra]\\ncommand = /opt/extra/server --now\\n' > /init/supervisor/extra.conf",
    "build": "RUN true",
    "linked": "RUN cd /usr/lib/python3/dist-packages/torch/lib && cp libtorch_global_deps.so libtorch_cuda_linalg.so"
    " && patchelf --add-needed libcusolver.so.11 libtorch_cuda_linalg.so"
    " && echo libtorch_cuda_linalg.so >> libtorch_global_deps.so",  # as one that opens it late holds its name
    "copy": "RUN mkdir /opt/cuda && touch /opt/cuda/libcudart.so.12",
    # Below, several defects in one image: each is found by its own check.
    "torch": appended(
        (f"{DEBIANS}/torch/__init__.py", defect("arrays", "Tensor.numpy")),
        (f"{DEBIANS}/torch/serialization.py", defect("load", "load")),
        (f"{DEBIANS}/torch/utils/data/_utils/worker.py", defect("workers", "_worker_loop")),
        (f"{DEBIANS}/torch/_functorch/aot_autograd.py", defect("capture", "aot_module_simplified")),
        (f"{DEBIANS}/torchaudio/functional/functional.py", defect("resample", "_apply_sinc_resample_kernel")),
        (f"{DEBIANS}/torchaudio/__init__.py", defect("audio file", "load")),
    )
    + f" && rm {DEBIANS}/torchvision/_C*.so"
    " && mkdir -p /usr/include/python3.13 && touch /usr/include/python3.13/Python.h"
    " && printf '#!/bin/sh\\nexit 1\\n' > /usr/local/bin/g++ && chmod 755 /usr/local/bin/g++",
    "tensorflow": appended(
        (f"{PACKAGES}/tensorflow/__init__.py", defect_with_arrays("constant")),
        (f"{PACKAGES}/tensorflow/python/data/ops/prefetch_op.py", defect("data", "_prefetch")),
        (f"{PACKAGES}/keras/__init__.py", "raise ImportError('broken: keras')"),
    ),
    "paddle": appended(
        (f"{FLEET}/base/role_maker.py", defect("collective", "PaddleCloudRoleMaker._collective_env")),
        (f"{FLEET}/base/role_maker.py", defect("server", "PaddleCloudRoleMaker._ps_env")),
        (f"{PACKAGES}/paddle/vision/models/resnet.py", defect("vision", "resnet18")),
        (f"{PACKAGES}/paddle/framework/io.py", defect("load", "load")),
        (f"{PACKAGES}/paddle/__init__.py", defect_with_arrays("to_tensor")),
    ),
}

SERVICES = """\
{% for service in services %}
COPY --link services/{{ service.name }}/ /init/services/{{ service.name }}/
{% endfor %}
"""
"""What a layer `boot` of one's own has to copy for its images to have the services."""

PYTHONS = {"version": "3.10", "build": "3.13", "linked": "3.13", "torch": "3.13"}

CAUSES: Mapping[str, Mapping[str, str]] = {
    "torch": {
        "test_tensors_become_arrays_and_arrays_tensors": "broken: arrays",
        "test_a_saved_model_is_loaded": "broken: load",
        "test_workers_load_data": "DataLoader worker",
        "test_torch_compile_captures_a_function": "broken: capture",
        "test_torch_compile_compiles_a_function": "broken: capture",
        "test_companions_are_imported_at_the_rows_versions": "operator torchvision::nms does not exist",
        "test_an_operator_of_torchvision_runs": "torchvision",
        "test_a_model_of_torchvision_runs": "torchvision",
        "test_torchaudio_loads_a_file": "broken: audio file",
        "test_torchaudio_resamples": "broken: resample",
    },
    "tensorflow": {
        "test_tensors_become_arrays_and_arrays_tensors": "broken: arrays",
        "test_a_keras_model_learns_and_is_saved_and_loaded": "Keras cannot be imported",
        "test_a_data_set_is_read": "broken: data",
        "test_companions_are_imported_at_the_rows_versions": "broken: keras",
    },
    "paddle": {
        "test_tensors_become_arrays_and_arrays_tensors": "broken: arrays",
        "test_a_saved_model_is_loaded": "broken: load",
        "test_a_model_of_paddle_vision_runs": "broken: vision",
        "test_fleet_trains_collectively": "broken: collective",
        "test_fleet_becomes_a_parameter_server": "broken: server",
    },
}
"""Images with several defects: what each check says."""

EXPECTED: Mapping[str, Collection[str]] = {
    "none": set(),
    "locale": {"test_it_speaks_its_language_without_garbling"},
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
    "build": {
        "test_its_build_fits_the_rows_cuda",
        "test_the_image_asks_for_the_driver_of_the_cuda_that_it_brings",
    },
    "linked": {"test_what_it_loads_on_a_gpu_is_found"},
    "copy": {"test_no_copy_of_cuda_lies_idle"},
    **{fault: set(causes) for fault, causes in CAUSES.items()},
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Monorepo]:
    root, salt = tmp_path_factory.mktemp("broken"), uuid.uuid4().hex[:12]
    made = Monorepo(root=root, family=f"it{salt}", engine=engine)
    facts = "".join(f'{fault}.python = "{PYTHONS.get(fault, "3.11")}"\n' for fault in FAULTS)
    (root / "matrix.toml").write_text(MATRIX.format(family=made.family) + facts)
    faults = "".join(f'{{% if fault == "{fault}" %}}\n{step}\n{{% endif %}}\n' for fault, step in FAULTS.items())
    for layer, template in {
        "system": f"ENV SALT={salt}\n{faults}",
        "python": f"ENV SALT={salt}\nENV LAYER=python\n",
        "notebook": f"ENV SALT={salt}\nENV LAYER=notebook\n",
        "boot": f"ENV SALT={salt}\n{SERVICES}{faults}",
        "tensorflow": f"ENV SALT={salt}\n{faults}",
        "paddle": f"ENV SALT={salt}\n{faults}",
        "torch": f"{TORCH}ENV SALT={salt}\n{faults}",  # what is not on trial is done once: the salt comes after it
    }.items():
        folder = root / "common/layers" / layer
        folder.mkdir(parents=True)
        (folder / "Dockerfile.j2").write_text(template)
        if layer != "notebook":  # it is there for its services alone
            shutil.copy(STOCK / f"common/layers/{layer}/test_{layer}.py", folder)
    shutil.copytree(STOCK / "common/services", root / "common/services")  # a `boot` of one's own brings its own
    shutil.copy(STOCK / "common/layers/fixtures.py", root / "common/layers/conftest.py")
    for image in (BASE, TENSORFLOW, PADDLE, TORCH_BASE):
        if not engine.image_id(image):
            build = [sys.executable, "-m", "imagematrix", "build", "--only", image]
            subprocess.run(build, cwd=REPOSITORY, check=True)
    done, _ = made.build()
    assert done.code == 0, done.out + done.err
    yield made
    names = [node_ref(record.key) for record in reversed(State(root).history())]
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


def test_each_defect_is_what_its_check_says(verified: Any) -> None:
    said = {
        leaf["tag"]: {check["name"]: check["why"] for check in leaf["checks"] if check["outcome"] == "failed"}
        for leaf in verified["leaves"]
    }
    missed = {
        (fault, check): said[fault].get(check)
        for fault, causes in CAUSES.items()
        for check, cause in causes.items()
        if cause not in said[fault].get(check, "")
    }
    assert missed == {}


def test_destination_rules_name_the_files(verified: Any) -> None:
    told = {
        (leaf["tag"], check["name"]): [check["why"], *check["tail"]]
        for leaf in verified["leaves"]
        for check in leaf["checks"]
        if check["owner"] == "destination strict"
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


def test_any_image_can_be_held_against_a_destination(broken: Monorepo) -> None:
    done = broken.run("verify", "--only", "*:none", "--destination", "strickt")
    assert (done.code, "did you mean 'strict'?" in done.err) == (2, True)
    broken.edit("matrix.toml", "base-unchanged.files = []", 'base-unchanged.files = ["/opt/python/bin/pip"]')
    done = broken.run("verify", "--only", "*:none", "--destination", "strict", "--report", "strict")
    [leaf] = json.loads((broken.root / "strict/report.json").read_text())["leaves"]
    rules = [check["name"] for check in leaf["checks"] if check["owner"] == "destination strict"]
    assert (done.code, len(rules)) == (0, 4), done.out


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
    assert [left.name for left in (monorepo.root / ".imagematrix/verify").iterdir()] == ["guard"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_run_that_is_stopped_leaves_nothing_and_the_next_goes_on(monorepo: Monorepo, number: int) -> None:
    process = started(monorepo)
    assert len(containers(monorepo)) == 1
    process.send_signal(number)
    out, _ = process.communicate(timeout=600)
    assert (process.returncode, "Traceback" in out) == (130, False), out
    assert containers(monorepo) == []
    assert '"test_quick"' in (monorepo.root / ".imagematrix/verified.jsonl").read_text()
    goes_on(monorepo)


def test_what_a_killed_run_left_the_next_one_removes(monorepo: Monorepo) -> None:
    process = started(monorepo)
    process.kill()
    process.communicate(timeout=600)
    assert len(containers(monorepo)) == 1
    goes_on(monorepo)


def test_a_gpu_is_asked_of_the_engine(monorepo: Monorepo) -> None:
    """One that has none says so, which is why checks that want one ask first."""
    monorepo.build("--only", "*-1.1")
    start = ContainerSpec(
        image=f"{monorepo.family}:1.0-1.1", command=("sleep", "60"), environment={}, labels={}, files={}, gpus=True
    )
    if monorepo.engine.has_gpus():
        monorepo.engine.start(start).remove()
    else:
        with pytest.raises(NoEngineError, match=r"could not select device driver .* with capabilities: \[\[gpu\]\]"):
            monorepo.engine.start(start)
