"""Measures a cold build: ours, `docker buildx bake` of the same leaves, and the leaves' own scripts one after another.

Run `python benchmarks/cold.py [GROUP] [--no-scripts]` (default: quickstart) in the project's environment, with the
private engine of `scripts/engine`: any other is refused, because ALL ITS IMAGES AND CACHES ARE REMOVED before each
measurement, but for the bootstrapped bases, which all three are built on and bake cannot make. The scripts start with
an empty cache each.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from imagematrix import site
from imagematrix.engine import Engine, buildx_command, connect, docker_command
from imagematrix.engine.buildx import ENVIRONMENT
from imagematrix.model import Row, Site
from imagematrix.planning import site_files
from imagematrix.project import Project, Selection, open_project

REPOSITORY: Final = Path(__file__).parents[1]
_BASE: Final = "imagematrix/base"
TRIES: Final = 5
"""How often a measurement is begun before it is given up."""


class _BrokenError(Exception):
    """A command ended with another exit code than 0."""


@dataclass(frozen=True)
class Bench:
    """An engine that may be emptied, and what runs on it."""

    engine: Engine
    project: Project
    rows: Sequence[Row]

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of docker clients."""
        docker = str(Path(docker_command(self.engine)).parent)
        return {**os.environ, **self.engine.environment, **ENVIRONMENT, "PATH": f"{docker}:{os.environ['PATH']}"}

    def timed(self, *argv: str, folder: Path = REPOSITORY) -> float:
        """Run a command; return its seconds."""
        begun = time.perf_counter()
        done = subprocess.run(argv, cwd=folder, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise _BrokenError(f"{' '.join(argv)[:300]}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return time.perf_counter() - begun

    def cold(self, what: Callable[[], float]) -> float:
        """Measure something on an emptied engine; what a mirror's whim ends is begun anew, as people would."""
        for attempt in range(1, TRIES + 1):
            self.empty()
            try:
                return what()
            except _BrokenError as error:
                print(f"  try {attempt} failed: {str(error)[-300:]}", flush=True)
        raise SystemExit(f"failed {TRIES} times")

    def empty(self) -> None:
        """Remove every image and cache but the bootstrapped bases."""
        client = self.engine._client  # noqa: SLF001  (the tool has no such sweep, and must not)
        for image in client.images.list():
            if not any(tag.startswith(f"{_BASE}:") for tag in image.tags):
                client.images.remove(str(image.id), force=True)
        self.timed(buildx_command(self.engine), "prune", "--all", "--force")


def ours(bench: Bench, group: str) -> float:
    """Build a group with imagematrix."""
    return bench.timed(sys.executable, "-m", "imagematrix", "build", "--group", group)


def bake(bench: Bench, where: Site, folder: Path) -> float:
    """Build the same leaves with bake, with the same secrets."""
    secrets = {"ca": where.ca_bundle} if where.ca_bundle else {}
    for name, text in site_files.secret_files(where).items():
        (folder / name).write_text(text)
        secrets[name] = str(folder / name)
    file = folder / "bake.json"
    file.write_text(json.dumps(_targets(bench.rows, where, secrets)))
    return bench.timed(buildx_command(bench.engine), "bake", "--file", str(file), "--provenance=false", "--load")


def _targets(rows: Sequence[Row], where: Site, secrets: Mapping[str, str]) -> Mapping[str, object]:
    targets = {
        f"leaf{index}": {
            "context": str(REPOSITORY / row.directory),
            "args": {"BASE_IMAGE": f"{_BASE}:{row.base.bootstrap}", **where.proxies},
            "contexts": {"wheelhouse": where.wheelhouse} if where.wheelhouse else {},
            "secret": [f"id={name},src={path}" for name, path in secrets.items()],
            "tags": [row.image],
        }
        for index, row in enumerate(rows)
    }
    return {"group": {"default": {"targets": list(targets)}}, "target": targets}


def scripts(bench: Bench) -> float:
    """Build the same leaves by their own scripts, each with an empty cache; return the sum, without the emptying."""
    total = 0.0
    for row in bench.rows:
        seconds = bench.cold(partial(bench.timed, "sh", "build-scripts.sh", folder=REPOSITORY / row.directory))
        print(f"  {row.name}: {seconds:.0f} s", flush=True)
        total += seconds
    return total


def main() -> None:
    """Measure the three, in turn."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    group = words[0] if words else "quickstart"
    project = open_project(str(REPOSITORY / "matrix.toml"))
    rows = project.possible(project.rows(Selection(groups=(group,))))
    bench = Bench(engine=connect(), project=project, rows=rows)
    if not bench.engine.environment:
        raise SystemExit("this would remove all images of an engine that is not ours: see the head of this file")
    where = site.discover(project.matrix.site, root=REPOSITORY)
    ours(bench, group)  # the bases, and nobody's first start
    mine = bench.cold(lambda: ours(bench, group))
    print(f"imagematrix, {len(rows)} leaves: {mine:.0f} s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        theirs = bench.cold(lambda: bake(bench, where, Path(folder)))
    print(f"bake: {theirs:.0f} s; ours takes {mine / theirs:.2f} of it", flush=True)
    if "--no-scripts" in sys.argv:
        return
    each = scripts(bench)
    print(f"the leaves' scripts: {each:.0f} s; ours takes {mine / each:.2f} of it")


if __name__ == "__main__":
    main()
