"""Measures a build with nothing to do on a machine that has none of the images: the registry has all 300 leaves.

Run `python benchmarks/other_machine.py` in the project's environment, with an engine and a registry (`scripts/engine
start`, `scripts/registry start`). The leaves are one tiny image under 300 keys.
"""

import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from benchmarks.up_to_date import LEAVES, REPEATS, REPOSITORY, make_project, timed
from tests import node_images

from imagematrix.engine import connect
from imagematrix.model import Site
from imagematrix.registry import Client


def fill(root: Path, repository: str) -> None:
    """Put an image under the key of each leaf's last node."""
    engine, client, image = connect(), Client(Site()), f"{repository}:any"
    engine._client.images.build(fileobj=io.BytesIO(b"FROM scratch\nENV A=1\n"), tag=image, rm=True)  # noqa: SLF001
    engine.push(image)
    engine.untag(image)
    manifest = client.manifest(repository, "any")
    argv = [sys.executable, "-m", "imagematrix", "plan", "--json"]
    planned = json.loads(subprocess.run(argv, cwd=root, check=True, stdout=subprocess.PIPE).stdout)
    node_images.put(client, manifest, [node["key"] for node in planned["nodes"] if node["layer"] == "boot"])


def main() -> None:
    """Fill a registry, then measure."""
    registry = subprocess.run(
        [REPOSITORY / "scripts/registry", "status"], check=True, stdout=subprocess.PIPE, text=True
    )
    repository = f"{registry.stdout.strip()}/benchmark{uuid.uuid4().hex[:8]}/nodes"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        file = make_project(root)
        file.write_text(f'nodes = "{repository}"\n{file.read_text()}')
        fill(root, repository)
        argv = [sys.executable, "-m", "imagematrix", "build", "--matrix"]
        timed(argv, root, dict(os.environ))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = [timed(argv, root, dict(os.environ)) for _ in range(REPEATS)]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    computed = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / REPEATS
    print(
        f"build --matrix, {LEAVES} leaves, all in the registry: median {statistics.median(seconds):.2f} s of {REPEATS}"
    )
    print(f"(min {min(seconds):.2f}; {computed:.2f} s of processor time each)")


if __name__ == "__main__":
    main()
