"""Measures builds with nothing to do, against `docker buildx bake` of the same stages on the same engine.

Run `python benchmarks/up_to_date.py` in the project's environment, with an engine (`scripts/engine start`). It
builds a synthetic grid of 300 tiny leaves (a few minutes the first time), then times, after one warm-up each:
`build --matrix` over all 300, and over 100 of them against bake of those 100. Images stay, so it can be repeated;
`docker image ls --filter label=imagematrix.row` finds them.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from imagematrix.engine import buildx_command, connect
from imagematrix.engine.buildx import ENVIRONMENT

REPOSITORY: Final = Path(__file__).parents[1]
LEAVES: Final = 300
COMPARED: Final = 100
REPEATS: Final = 5
_LAYERS: Final = {
    "system": "RUN echo system > /system\n",
    "python": "RUN echo python {{ python }} > /python\n",
    "framework": "RUN echo framework {{ framework }} > /framework\n",
    "boot": "COPY --link init/ /init/\n",
}


def make_project(root: Path) -> Path:
    """Write the grid; return its matrix file."""
    for layer, template in _LAYERS.items():
        folder = root / "common" / "layers" / layer
        folder.mkdir(parents=True)
        (folder / "Dockerfile.j2").write_text(template)
    (root / "common/init").mkdir()
    (root / "common/init/boot.sh").write_text("#!/bin/sh\n")
    families = [_family("few", COMPARED), _family("many", LEAVES - COMPARED)]
    file = root / "matrix.toml"
    file.write_text("\n".join(["schema = 1", '[bases.debian12]\nbootstrap = "bookworm"', *families]))
    return file


def _family(name: str, leaves: int) -> str:
    pythons = [f"3.{index}" for index in range(5)]
    frameworks = [f"{name}.{index}" for index in range(leaves // len(pythons))]
    return (
        f'[families.{name}]\nlayers = {list(_LAYERS)}\ntag = "{{framework}}-{{python}}"\nbase = "debian12"\n'
        f"[families.{name}.axes]\npython = {pythons}\nframework = {frameworks}\n"
    )


def bake_file(root: Path) -> Path:
    """Write what bake needs to build the compared leaves from their own directories."""
    targets = {
        f"leaf{index}": {
            "context": str(folder),
            "args": {"BASE_IMAGE": "imagematrix/base:bookworm"},
            "tags": [f"bake-few:{folder.name}"],
        }
        for index, folder in enumerate(sorted((root / "images/few").iterdir()))
    }
    file = root / "bake.json"
    file.write_text(json.dumps({"group": {"default": {"targets": list(targets)}}, "target": targets}))
    return file


def timed(argv: Sequence[str], folder: Path, environment: dict[str, str]) -> float:
    """Run a command; return its seconds."""
    begun = time.perf_counter()
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return time.perf_counter() - begun


def main() -> None:
    """Build, then measure."""
    engine = connect()
    environment = {**os.environ, **engine.environment, **ENVIRONMENT}
    ours = [sys.executable, "-m", "imagematrix", "build"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_project(root)
        print(f"first build of {LEAVES} leaves: {timed([*ours, '--matrix'], root, environment):.1f} s", flush=True)
        bake = [buildx_command(engine), "bake", "--file", str(bake_file(root)), "--provenance=false"]
        commands = {
            f"build --matrix, {LEAVES} leaves": [*ours, "--matrix"],
            f"build --only 'few:*', {COMPARED} leaves": [*ours, "--only", "few:*"],
            f"buildx bake, {COMPARED} leaves": bake,
        }
        medians = {}
        for name, argv in commands.items():
            timed(argv, root, environment)
            seconds = [timed(argv, root, environment) for _ in range(REPEATS)]
            medians[name] = statistics.median(seconds)
            print(f"{name}: median {medians[name]:.2f} s of {REPEATS} (min {min(seconds):.2f})", flush=True)
        _, few, theirs = medians.values()
        print(f"bake takes {theirs / few:.1f} times as long over {COMPARED} leaves")


if __name__ == "__main__":
    main()
