"""Measures planning: matrix text -> rows, judged -> rendered stages -> keys -> DAG -> plan, with nothing built yet.

And `check` of the same rows. Run `python -m benchmarks.planning` in the project's environment: a line of each for
10,000 and for 100,000 rows, each measured in a process of its own. The grid has five layers, two of them package
layers, and shares nodes as a real one does: few systems, some Pythons, many framework versions.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.unit.test_requirements import FakeResolver

from imagematrix.commands.check.run import judge
from imagematrix.commands.lock import run as locking
from imagematrix.project import Selection, examine, open_project
from imagematrix.report.console.check import proof_json

SIZES: Final = (10_000, 100_000)
_SITE: Final = '{% import "site.j2" as site %}\n'
_LAYERS: Final = {
    "system": "RUN --mount=type=secret,id=apt echo {{ os }}\nCOPY system/etc /etc\n",
    "python": f'{_SITE}{{{{ site.environment("python", python, "python3") }}}}\n',
    "torch": f'{_SITE}{{{{ site.packages("torch", python, tool) }}}}\n',
    "notebook": f'{_SITE}{{{{ site.packages("notebook", python, tool) }}}}\n',
    "boot": "COPY --link init/ /init/\n",
}
_REQUIREMENTS: Final = {
    "python": "pip==1.0\n",
    "torch": "framework=={{ framework }}\nvision=={{ vision }}\n",
    "notebook": "jupyterlab=={{ jupyter }}\n",
}
_SYSTEMS: Final = ("ubuntu20.04", "ubuntu22.04", "ubuntu24.04")
_BASES: Final = 10
_PYTHONS: Final = 5
_JUPYTERS: Final = 4


def make_project(root: Path, rows: int) -> Path:
    """Write a project of so many rows; return its matrix file."""
    for layer, template in _LAYERS.items():
        folder = root / "common" / "layers" / layer
        (folder / "files").mkdir(parents=True)
        (folder / "Dockerfile.j2").write_text(template)
    (root / "common/layers/system/files/etc").mkdir()
    (root / "common/layers/system/files/etc/motd").write_text("hello\n")
    for layer, requirements in _REQUIREMENTS.items():
        (root / f"common/layers/{layer}/files/requirements.txt.j2").write_text(requirements)
    (root / "common/layers/python/files/profile.sh").write_text("PATH=/opt/python/bin:$PATH\n")
    (root / "common/init/boot").mkdir(parents=True)
    (root / "common/init/boot/boot.sh").write_text("#!/bin/sh\n" + "# boot\n" * 300)
    file = root / "matrix.toml"
    file.write_text(_matrix(rows))
    project = open_project(str(file))
    locking.run(project, project.rows(Selection()), resolver=FakeResolver(), upgrade=False, say=lambda _: None)
    return file


def _matrix(rows: int) -> str:
    versions = [f"2.{index // 10}.{index % 10}" for index in range(rows // (_BASES * _PYTHONS * _JUPYTERS))]
    bases = [
        f'[bases.cuda{index}]\nimage = "nvidia/cuda:12.{index}"\nos = "{_SYSTEMS[index % len(_SYSTEMS)]}"\n'
        for index in range(_BASES)
    ]
    facts = [f'[facts.framework."{version}"]\nvision = "0.{version}"\n' for version in versions]
    axes = {
        "base": [f"cuda{index}" for index in range(_BASES)],
        "python": [f"3.{10 + index}" for index in range(_PYTHONS)],
        "framework": versions,
        "jupyter": [f"4.{index}" for index in range(_JUPYTERS)],
    }
    tag = "{framework}-python{python}-jupyter{jupyter}-{base}"
    family = f'[families.pytorch]\nlayers = {list(_LAYERS)}\ntag = "{tag}"\n'
    lines = [f"{axis} = {values}" for axis, values in axes.items()]
    return "\n".join(["schema = 1", *bases, family, "[families.pytorch.axes]", *lines, *facts, ""])


def measure(rows: int) -> str:
    """Plan a grid of so many rows; return a line of results: seconds, peak memory of the process."""
    with tempfile.TemporaryDirectory() as folder:
        file = make_project(Path(folder), rows)
        begun, spent = time.perf_counter(), time.process_time()
        project = open_project(str(file))
        rows_of_all = project.possible(project.rows(Selection()))
        plan = project.plan(project.dag(project.leaves(rows_of_all)), ())
        seconds, spent = time.perf_counter() - begun, time.process_time() - spent
    made = (
        f"{len(plan.final_nodes):>7} rows {len(plan.steps):>7} nodes {seconds:6.2f} s ({spent:.2f} s of processor time)"
    )
    return f"{made} {seconds / len(plan.final_nodes) * 1e6:5.0f} us/row {_peak():6.0f} MB"


def measure_check(rows: int) -> str:
    """Check a grid of so many rows; return a line of results."""
    with tempfile.TemporaryDirectory() as folder:
        file = make_project(Path(folder), rows)
        begun = time.perf_counter()
        made = judge(examine(str(file)))
        text = proof_json(made)
        seconds = time.perf_counter() - begun
    told = f"{made.rows:>7} rows checked, {len(text) / 1e6:.1f} MB of JSON"
    return f"{told} {seconds:6.2f} s {seconds / made.rows * 1e6:5.0f} us/row {_peak():6.0f} MB"


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print({"plan": measure, "check": measure_check}[sys.argv[1]](int(sys.argv[2])))
    else:
        for size in SIZES:
            for what in ("plan", "check"):
                subprocess.run([sys.executable, "-m", "benchmarks.planning", what, str(size)], check=True)
