"""Package layers: installed once on no base, linked by each row that has them."""

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import pytest
from tests import projects
from tests.fakes import factory_of
from tests.unit.test_requirements import FakeResolver

from imagematrix.commands.doctor import reproduce
from imagematrix.commands.lock import run as locking
from imagematrix.engine import exported
from imagematrix.errors import FlagError
from imagematrix.model import (
    TOOL_LABEL,
    DockerfileBuild,
    EngineImage,
    Key,
    Node,
    ParentImage,
    Plan,
    Size,
    Step,
    Verdict,
)
from imagematrix.planning import cost, estimates, jobs, pipeline, reproducible, requirements
from imagematrix.planning.keys import sha256_of
from imagematrix.planning.plan import Record
from imagematrix.planning.ready_queue import ReadyQueue
from imagematrix.planning.reproducible import Fingerprint
from imagematrix.planning.requirements import Locked
from imagematrix.project import Project, Selection, open_project
from imagematrix.report.console.plan import plan_json, plan_text

if TYPE_CHECKING:
    from imagematrix.engine import Engine

MATRIX: Final = """\
schema = 1
platforms = ["{platform}"]

[bases.plain]
image = "ubuntu:22.04"
os = "ubuntu22.04"

[bases.cuda]
image = "nvidia/cuda:12.1.0-devel-ubuntu22.04"
os = "ubuntu22.04"

[families.image]
layers = {layers}
tag = "{{python}}-{{base}}"

[families.image.axes]
base = ["plain", "cuda"]
python = {pythons}
"""
LAYERS: Final = ("python", "torch", "notebook", "boot")
PLAIN, CUDA = "image:3.10-plain", "image:3.10-cuda"

SITE: Final = '{% import "site.j2" as site %}\n'
FILES: Final[Mapping[str, str]] = {
    "common/init/boot.sh": "#!/bin/sh\nexec sleep 1\n",
    "common/layers/python/Dockerfile.j2": f'{SITE}{{{{ site.environment("python", python, "python3") }}}}\n',
    "common/layers/python/files/requirements.txt": "pip==1.0\n",
    "common/layers/python/files/profile.sh": "PATH=/opt/python/bin:$PATH\n",
    "common/layers/torch/Dockerfile.j2": f'{SITE}{{{{ site.packages("torch", python, tool) }}}}\nENV TORCH=1\n',
    "common/layers/torch/files/requirements.txt": "torch==2.0\n",
    "common/layers/notebook/Dockerfile.j2": f'{SITE}{{{{ site.packages("notebook", python, tool) }}}}\n',
    "common/layers/notebook/files/requirements.txt": "jupyterlab==4.0\n",
    "common/layers/boot/Dockerfile.j2": "COPY --link init/ /init/\n",
}


def locked(
    root: Path,
    *,
    layers: Sequence[str] = LAYERS,
    pythons: Sequence[str] = ("3.10",),
    files: Mapping[str, str] | None = None,
    lock: str = "",
    platform: str = "linux/amd64",
) -> Project:
    """Write a monorepo, lock it, open it."""
    text = MATRIX.format(layers=[*layers], pythons=[*pythons], platform=platform)
    opened = projects.project(root, matrix=text, files={**FILES, **(files or {})}, lock=lock)
    locking.run(opened, opened.obtainable, resolver=FakeResolver(), upgrade=False, say=lambda _: None)
    return open_project(str(root / "matrix.toml"))


def nodes(project: Project, row: str) -> Mapping[str, Node]:
    """Return the nodes of a row by layer."""
    dag = projects.dag(project)
    return {node.layer: node for node in dag.of_row(dag.final_nodes[row])}


def steps(plan: Plan) -> Mapping[tuple[str, str], Step]:
    """Return the steps by layer and first row."""
    return {(step.node.layer, step.leaves[0]): step for step in plan.steps}


def test_rows_on_two_bases_share_the_files_and_nothing_else(tmp_path: Path) -> None:
    """Each links them on its own chain."""
    keys = projects.keys(locked(tmp_path))

    shared = {layer for row, layer in keys if row == PLAIN and keys[PLAIN, layer] == keys[CUDA, layer]}
    assert shared == {"torch-files", "notebook-files"}


def test_files_are_the_same_whatever_happens_below_them(tmp_path: Path) -> None:
    """Another digest of the base, another epoch, another text of the layers below: the links move, the files do not."""
    before = projects.keys(locked(tmp_path / "before"))
    python = FILES["common/layers/python/Dockerfile.j2"]
    after = projects.keys(
        locked(
            tmp_path / "after",
            files={"common/layers/python/Dockerfile.j2": f"{python}ENV MORE=1\n"},
            lock=projects.lock({"ubuntu:22.04": "a"}, epoch="2026-11-30T00:00:00Z"),
        )
    )

    same = {layer for (row, layer), key in before.items() if row == PLAIN and after[PLAIN, layer] == key}
    assert same == {"torch-files", "notebook-files"}


@pytest.mark.parametrize("what", ["requirements", "python", "platform", "text"])
def test_what_files_are_made_from_is_in_their_key(tmp_path: Path, what: str) -> None:
    """Their lock, the Python, the Docker platform, what their stage does."""
    before = nodes(locked(tmp_path / "before"), PLAIN)["torch-files"]
    torch = FILES["common/layers/torch/Dockerfile.j2"]
    files = {
        "requirements": {"common/layers/torch/files/requirements.txt": "torch==2.1\n"},
        "text": {"common/layers/torch/Dockerfile.j2": torch.replace("tool)", 'tool, "https://index.example.com")')},
    }.get(what, {})
    pythons, platform = ["3.11" if what == "python" else "3.10"], "linux/arm64" if what == "platform" else "linux/amd64"
    project = locked(tmp_path / "after", files=files, pythons=pythons, platform=platform)
    row = PLAIN.replace("3.10", "3.11") if what == "python" else PLAIN

    assert nodes(project, row)["torch-files"].key != before.key


def test_the_leafs_lock_holds_what_the_layers_below_lack() -> None:
    """With their hashes, without comments: these may differ where what is installed does not."""
    below = Locked(layer="torch", path="", text="numpy==2.0 \\\n    --hash=sha256:aa\n    # via torch\n")
    own = Locked(
        layer="notebook",
        path="",
        text="# Python 3.10\njupyterlab==4.0 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
        "    # downloads 12 bytes\n    # via -r x\nnumpy==2.0 \\\n    --hash=sha256:aa\n    # via jupyterlab\n",
    )
    text = requirements.lacking(own, [below])

    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == ["jupyterlab==4.0 \\", "    --hash=sha256:bb \\", "    --hash=sha256:cc"]


def test_a_package_that_a_layer_replaces_keeps_it_in_the_chain(tmp_path: Path) -> None:
    """The reason names it; the layer below is still a package layer, and so is one above."""
    files = {"common/layers/notebook/files/requirements.txt": "jupyterlab==4.0\ntorch==1.9\n"}
    found = nodes(locked(tmp_path, files=files), PLAIN)

    assert "torch 1.9" in found["notebook"].stage.chained
    assert (found["notebook"].packages, "notebook-files" in found) == (None, False)
    assert found["torch"].packages == found["torch-files"].key


@pytest.mark.parametrize("python", ["3.6", "3.7"])
def test_a_python_without_uv_keeps_packages_in_the_chain(tmp_path: Path, python: str) -> None:
    found = nodes(locked(tmp_path, pythons=[python]), PLAIN.replace("3.10", python))

    assert {node.packages for node in found.values()} == {None}
    assert python in found["torch"].stage.chained


def test_what_is_compiled_stays_in_the_chain(tmp_path: Path) -> None:
    """Against what: the layers below."""
    template = f'{SITE}RUN {{{{ site.mounts("torch", python) }}}} {{{{ site.compile(python, "torch", "") }}}}\n'
    found = nodes(locked(tmp_path, files={"common/layers/torch/Dockerfile.j2": template}), PLAIN)

    assert "compiles torch" in found["torch"].stage.chained
    assert found["notebook"].packages == found["notebook-files"].key


def test_without_an_environment_below_packages_stay_in_the_chain(tmp_path: Path) -> None:
    python = "RUN --mount=type=bind,source=python/requirements.lock,target=/r pip install -r /r\n"
    found = nodes(locked(tmp_path, files={"common/layers/python/Dockerfile.j2": python}), PLAIN)

    assert (found["torch"].packages, found["torch"].stage.chained != "") == (None, True)


def test_the_tool_is_one_that_is_there(tmp_path: Path) -> None:
    """Else the first that is built: the files are installed once, for both bases."""
    project = locked(tmp_path)
    keys = projects.keys(project)
    cold = steps(projects.plan(project))
    there = projects.believe(project, projects.image(keys[PLAIN, "python"]))
    warm = steps(projects.plan(project, images=there))

    assert cold["torch-files", CUDA].tool == keys[CUDA, "python"]
    assert warm["torch-files", CUDA].tool == keys[PLAIN, "python"]
    assert warm["torch-files", CUDA].leaves == (CUDA, PLAIN)
    assert warm["python", PLAIN].verdict is Verdict.REUSE


def test_files_that_exist_need_no_tool(tmp_path: Path) -> None:
    """A row on a new base links them: nothing of the other row is needed."""
    project = locked(tmp_path)
    keys = projects.keys(project)
    files = [projects.image(keys[PLAIN, layer]) for layer in ("torch-files", "notebook-files")]
    plan = projects.plan(project, CUDA, images=projects.believe(project, *files))

    built = {step.node.layer for step in plan.steps if step.verdict is Verdict.BUILD}
    assert built == {"python", "torch", "notebook", "boot"}
    assert {step.tool for step in plan.steps} == {None}


def test_files_in_the_registry_are_pulled_where_something_links_them(tmp_path: Path) -> None:
    project = locked(tmp_path)
    dag, keys = projects.dag(project, PLAIN), projects.keys(project)
    kept = {keys[PLAIN, layer]: f"sha256:{layer}" for layer in ("python", "torch-files", "torch")}
    verdicts = {step.node.layer: step.verdict for step in project.plan(dag, (), kept=kept).steps}

    assert verdicts["torch-files"] is Verdict.REUSE  # what links them is there
    assert verdicts["notebook-files"] is Verdict.BUILD
    assert (verdicts["python"], verdicts["torch"]) == (Verdict.REUSE, Verdict.PULL)  # what installs the notebook
    del kept[keys[PLAIN, "torch"]]
    steps = project.plan(dag, (), kept=kept).steps
    (files,) = (step for step in steps if step.node.layer == "torch-files")
    assert (files.verdict, files.digest, files.tool) == (Verdict.PULL, "sha256:torch-files", None)


def test_reasons_name_the_package_layer(tmp_path: Path) -> None:
    project = locked(tmp_path / "one")
    images = projects.build(project)
    changed = locked(tmp_path / "one", files={"common/layers/torch/files/requirements.txt": "torch==2.1\n"})
    reasons = {step.node.layer: step.reason for step in projects.plan(changed, PLAIN, images=images).steps}

    assert "torch/requirements.lock changed" in reasons["torch-files"]
    assert reasons["torch"] == "its torch-files is rebuilt"


def test_jobs_name_what_they_read(tmp_path: Path) -> None:
    """The files are installed by the tool under the name that their own Dockerfile has for it, and linked by id."""
    project = locked(tmp_path)
    plan = projects.plan(project)
    found, factory = steps(plan), factory_of(plan)
    files = found["torch-files", CUDA]
    images = {step.node.key: f"sha256:{step.node.key}" for step in plan.steps}
    install = factory.job(files, images).work
    link = factory.job(found["torch", PLAIN], images).work

    assert isinstance(install, DockerfileBuild)
    assert isinstance(install.source, ParentImage)
    assert (install.target, install.packages) == ("torch-files", None)
    assert (install.source.key, install.source.stage) == (files.tool, "python")
    assert install.labels[TOOL_LABEL] == install.source.image
    assert [file.path for file in install.files] == ["torch/place.py", "torch/requirements.lock"]
    assert isinstance(link, DockerfileBuild)
    assert link.packages == ParentImage(
        key=files.node.key, image=f"sha256:{files.node.key}", stage="torch-files", repository=""
    )
    assert link.files == ()


def test_a_node_is_made_of_the_image_that_its_packages_were_installed_into(tmp_path: Path) -> None:
    """Where that is built on the node's very parent; else the files are linked to the parent."""
    project = locked(tmp_path)
    plan = projects.plan(project, PLAIN)
    images = {step.node.key: f"sha256:{step.node.key}" for step in plan.steps}
    link = factory_of(plan).job(steps(plan)["torch", PLAIN], images).work
    assert isinstance(link, DockerfileBuild)
    assert isinstance(link.source, ParentImage)
    here, elsewhere = jobs.linked(link, tool=link.source.image), jobs.linked(link, tool="sha256:other")

    assert (here.source, here.packages, here.dockerfile) == (link.packages, None, link.dockerfile)
    assert "FROM torch-files AS torch\n" in here.dockerfile
    assert (elsewhere.source, elsewhere.packages) == (link.source, link.packages)
    assert "FROM python AS torch\n" in elsewhere.dockerfile
    assert "--mount=type=bind,from=torch-files," in elsewhere.dockerfile
    assert jobs.linked(here, tool="") == here


def test_package_layers_in_two_orders_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Then all are installed by the Python below."""
    files = {f"common/layers/{name}/files/requirements.txt": f"{name}==1.0\n" for name in ("torch", "notebook")}
    reverse = MATRIX.partition("[families.image]")[2].replace("families.image", "families.other")
    both = f"{MATRIX}\n[families.other]{reverse}".format(
        layers=[*LAYERS], pythons=["3.10"], platform="linux/amd64"
    ).rpartition("layers = ")
    text = f"{both[0]}layers = {['python', 'notebook', 'torch', 'boot']}\n{both[2].partition(chr(10))[2]}"
    opened = projects.project(tmp_path, matrix=text, files={**FILES, **files})
    locking.run(opened, opened.obtainable, resolver=FakeResolver(), upgrade=False, say=lambda _: None)
    plan = projects.plan(open_project(str(tmp_path / "matrix.toml")))
    layers = {step.node.key: step.node.layer for step in plan.steps}

    assert {layers[step.tool] for step in plan.steps if step.tool} == {"python"}


def test_linking_is_not_estimated_by_what_installing_took(tmp_path: Path) -> None:
    """Neither its time nor its place on the disk; what was measured of links counts, where files are copied."""
    project = locked(tmp_path)
    plan = projects.plan(project, PLAIN)
    link = next(step for step in plan.steps if step.node.layer == "torch")
    files = link.node.packages
    assert files
    sizes = {files: Size(download=100_000_000, installed=400_000_000)}
    old = Record(key=Key("old"), layer="torch", inputs={"parent": "p"}, rows=(PLAIN,), seconds=500.0)
    new = Record(key=Key("new"), layer="torch", inputs={"parent": "p", "packages": "f"}, rows=(PLAIN,), seconds=7.0)

    installing = estimates.seconds(plan.steps, sizes=sizes)[files]
    there = [step for step in plan.steps if step.node.key != files]
    linking = estimates.seconds(there, history=[old], sizes=sizes)[link.node.key]
    assert 0 < estimates.seconds(plan.steps, history=[new], sizes=sizes)[link.node.key] < linking < installing < 500
    assert estimates.seconds(there, history=[old, new], sizes=sizes)[link.node.key] == 7.0
    needs = estimates.added_bytes(plan.steps, history=(), sizes=sizes, images={})
    assert (needs[link.node.key], needs[files]) == (0, 500_000_000)
    assert estimates.added_bytes(there, history=(), sizes=sizes, images={})[link.node.key] == 400_000_000


def test_files_and_what_links_them_are_started_when_all_that_they_need_is_there(tmp_path: Path) -> None:
    """Files wait for the node that they are to be linked to, and the node that links them for both."""
    plan = projects.plan(locked(tmp_path), PLAIN)
    queue = ReadyQueue(plan.steps, {step.node.key: 1.0 for step in plan.steps})
    order: list[set[str]] = []
    while batch := [*iter(queue.take, None)]:
        order.append({step.node.layer for step in batch})
        for step in batch:
            queue.done(step.node.key)

    assert order == [{"python"}, {"torch-files"}, {"torch"}, {"notebook-files"}, {"notebook"}, {"boot"}]


def test_what_needs_failed_files_is_lost_once(tmp_path: Path) -> None:
    """Also where it needs them in two ways, and so are the files that were to be installed on it."""
    plan = projects.plan(locked(tmp_path), PLAIN)
    queue = ReadyQueue(plan.steps, {step.node.key: 1.0 for step in plan.steps})
    found = {step.node.layer: step.node.key for step in plan.steps}
    assert queue.take()
    queue.done(found["python"])
    lost = [step.node.layer for step in queue.failed(found["torch-files"])]

    assert lost == ["torch", "notebook-files", "notebook", "boot"]
    assert {step.node.layer for step in queue.drain()} == {"torch-files"}


def test_a_plan_says_what_is_stored_once_and_what_stays_in_the_chain(tmp_path: Path) -> None:
    """The files of both rows count once, and the Python of each; a layer in the chain comes with its reason."""
    files = {"common/layers/notebook/files/requirements.txt": "jupyterlab==4.0\ntorch==1.9\n"}
    project = locked(tmp_path, files=files)
    plan = projects.plan(project)
    sizes = project.node_sizes(plan)
    summary = json.loads(plan_json(plan, sizes, 0.0))
    chained = {node["layer"]: node["chained"] for node in summary["nodes"] if node["chained"]}

    (torch,) = (step.node.key for step in plan.steps if step.node.layer == "torch-files")
    assert summary["summary"]["stored"] == sum(size.download for size in sizes.values())
    assert [key for key in sizes if key == torch] == [torch]
    assert chained.keys() == {"notebook"}
    assert f"not a package layer: notebook, 2 nodes: {chained['notebook']}\n" in plan_text(plan, sizes, 0.0)


def test_the_cost_of_a_row_counts_files_where_they_are_installed(tmp_path: Path) -> None:
    """Not again where they are linked."""
    project = locked(tmp_path)
    dag = projects.dag(project)
    found = cost.nodes(
        PLAIN,
        everything=dag,
        plan=projects.plan(project, PLAIN),
        predicted=project.sizes(project.leaves(project.obtainable)[PLAIN].row),
    )
    sizes = {node.layer: node.size.download for node in found}

    assert [node.layer for node in found] == [
        "python", "torch-files", "torch", "notebook-files", "notebook", "boot",
    ]  # fmt: skip
    assert (sizes["torch"], sizes["notebook"]) == (0, 0)
    assert min(sizes["torch-files"], sizes["notebook-files"]) > 0
    assert {node.layer: node.shared for node in found}["torch-files"] == (CUDA,)


def fingerprint(**changed: object) -> Fingerprint:
    return replace(
        Fingerprint(kind="file", mode="644", owner="0:0", time=315532800, target="", content="aa"),
        **changed,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({"a": fingerprint(), "b": fingerprint()}, None),
        ({"a": fingerprint(), "b": fingerprint(content="bb")}, ("b", "content", "aa", "bb")),
        ({"a": fingerprint(time=1), "b": fingerprint(content="bb")}, ("a", "time", "315532800", "1")),
        ({"a": fingerprint()}, ("b", "presence", "there", "missing")),
        ({"0": fingerprint(), "a": fingerprint(), "b": fingerprint()}, ("0", "presence", "missing", "there")),
    ],
)
def test_the_first_difference_between_two_installations(
    second: Mapping[str, Fingerprint], expected: tuple[str, ...] | None
) -> None:
    found = reproducible.difference({"a": fingerprint(), "b": fingerprint()}, second)

    assert (found and (found.path, found.what, found.first, found.second)) == expected


def test_a_tar_is_read_with_all_that_can_differ(tmp_path: Path) -> None:
    """Whatever its order."""
    (tmp_path / "out/bin").mkdir(parents=True)
    (tmp_path / "out/bin/tool").write_text("#!/bin/sh\n")
    (tmp_path / "out/bin/link").symlink_to("tool")
    with tarfile.open(tmp_path / "out.tar", "w") as archive:
        archive.add(tmp_path / "out", arcname="opt")
    found = dict(exported.fingerprints(tmp_path / "out.tar"))

    assert {path: each.kind for path, each in found.items()} == {
        "opt": "directory",
        "opt/bin": "directory",
        "opt/bin/link": "symlink",
        "opt/bin/tool": "file",
    }
    assert found["opt/bin/link"].target == "tool"
    assert found["opt/bin/tool"].content == sha256_of([b"#!/bin/sh\n"])


@pytest.mark.parametrize("name", ["torch", "f" * 64, ""])
def test_reproducible_wants_one_package_layer(tmp_path: Path, name: str) -> None:
    """By the beginning of a key that one of them has."""
    with pytest.raises(FlagError, match="--reproducible"):
        reproduce.run(locked(tmp_path), Selection(), name, engine=cast("Engine", NoImages()), said=print)


def test_reproducible_wants_a_node_that_can_install_it(tmp_path: Path) -> None:
    """And names what to build."""
    project = locked(tmp_path)
    key = projects.keys(project)[PLAIN, "torch-files"]
    with pytest.raises(FlagError, match=CUDA):
        reproduce.run(project, Selection(), key[:12], engine=cast("Engine", NoImages()), said=print)


class NoImages:
    """An engine without images."""

    def images(self) -> tuple[EngineImage, ...]:
        return ()


def test_one_job_of_a_pipeline_installs_the_files(tmp_path: Path) -> None:
    """It waits for one of the tools; the rows on both bases wait for it."""
    dag = projects.dag(locked(tmp_path))
    made = pipeline.make(dag, limit=250).jobs

    (installs,) = (job for job in made if any(node.endswith("/torch-files") for node in job.nodes))
    assert len(installs.needs) <= 1
    waiting = {installs.id}
    for job in made:  # in order
        waiting |= {job.id} if waiting.intersection(job.needs) else set()
    assert sorted(row for job in made if job.id in waiting for row in job.rows) == [CUDA, PLAIN]


def test_the_files_alone_need_their_tool(tmp_path: Path) -> None:
    """What such a job builds on a machine that has nothing."""
    dag = projects.dag(locked(tmp_path))
    files = next(key for key, node in dag.nodes.items() if node.layer == "torch-files")

    needed = dag.restricted([files]).needed(())

    assert {dag.nodes[key].layer for key in needed.keys} == {"torch-files", "python"}
    assert dag.nodes[needed.tools[files]].layer == "python"
