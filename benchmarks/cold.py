"""Measures a cold build: ours, `docker buildx bake` of the same leaves, and the leaves' own scripts one after another.

Run `python -m benchmarks.cold nothing bake` in the project's environment, with the private engine of `scripts/engine`:
any other is refused, because ALL ITS IMAGES AND CACHES ARE REMOVED before each measurement. What is named is measured
in turn:

    nothing   ours, which makes the bases as well
    ours      ours, on bases that are there
    bake      bake, which cannot make bases
    scripts   the leaves' own scripts, each with an empty cache, on bases that are there

Without a name all are measured. `--group` and `--only` select other rows than those of quickstart.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.cost import Cost, measured

from imagematrix import site
from imagematrix.engine import Engine, buildx_command, connect, docker_command
from imagematrix.engine.buildx import ENVIRONMENT
from imagematrix.engine.client import private_folder
from imagematrix.model import Row, Site
from imagematrix.planning import site_files
from imagematrix.project import Project, Selection, open_project

REPOSITORY: Final = Path(__file__).parents[1]
_BASE: Final = "imagematrix/base"
WHAT: Final = ("nothing", "ours", "bake", "scripts")
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

    @property
    def bases(self) -> Sequence[str]:
        """Return the images of the bases of the rows."""
        return sorted({f"{_BASE}:{row.base.bootstrap}" for row in self.rows})

    def run(self, *argv: str, folder: Path = REPOSITORY) -> None:
        """Run a command."""
        done = subprocess.run(argv, cwd=folder, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise _BrokenError(f"{' '.join(argv)[:300]}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")

    def cold(self, what: Callable[[], None], *, bases: bool = True) -> Cost:
        """Measure something on an emptied engine; what a mirror's whim ends is begun anew, as people would."""
        for attempt in range(1, TRIES + 1):
            self.empty(bases=bases)
            try:
                with measured(private_folder()) as cost:
                    what()
            except _BrokenError as error:
                print(f"  try {attempt} failed: {str(error)[-300:]}", flush=True)
            else:
                return cost
        raise SystemExit(f"failed {TRIES} times")

    def empty(self, *, bases: bool) -> None:
        """Remove every image and cache; the bootstrapped bases stay, if so."""
        client = self.engine._client  # noqa: SLF001  (the tool has no such sweep, and must not)
        for image in client.images.list():
            if not bases or not any(tag.startswith(f"{_BASE}:") for tag in image.tags):
                client.images.remove(str(image.id), force=True)
        self.run(buildx_command(self.engine), "prune", "--all", "--force")


def ours(bench: Bench) -> None:
    """Build the rows with imagematrix."""
    only = (word for row in bench.rows for word in ("--only", row.name))
    bench.run(sys.executable, "-m", "imagematrix", "build", *only)


def bake(bench: Bench) -> None:
    """Build the same leaves with bake, with the same secrets."""
    where = site.discover(bench.project.matrix.site, root=REPOSITORY)
    secrets = {"ca": where.ca_bundle} if where.ca_bundle else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for secret, text in site_files.secret_files(where).items():
            (folder / secret).write_text(text)
            secrets[secret] = str(folder / secret)
        file = folder / "bake.json"
        file.write_text(json.dumps(_targets(bench.rows, where, secrets)))
        bench.run(buildx_command(bench.engine), "bake", "--file", str(file), "--provenance=false", "--load")


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
        build = partial(bench.run, "sh", "build-scripts.sh", folder=REPOSITORY / row.directory)
        cost = bench.cold(build)
        print(f"  {row.name}: {cost}", flush=True)
        total += cost.seconds
    return total


def main() -> None:
    """Measure what is named, in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", choices=WHAT, default=WHAT)
    parser.add_argument("--group", default="quickstart")
    parser.add_argument("--only", action="append", default=[])
    words = parser.parse_args()
    project = open_project(str(REPOSITORY / "matrix.toml"))
    selection = Selection(only=tuple(words.only)) if words.only else Selection(groups=(words.group,))
    bench = Bench(engine=connect(), project=project, rows=project.possible(project.rows(selection)))
    if not bench.engine.facts().is_private:
        raise SystemExit("this would remove all images of an engine that is not ours: see the head of this file")
    print(f"{len(bench.rows)} leaves", flush=True)
    if "nothing" in words.what:
        print(f"imagematrix, from nothing: {bench.cold(partial(ours, bench), bases=False)}", flush=True)
    elif missing := [base for base in bench.bases if not bench.engine.image_id(base)]:
        raise SystemExit(f"there is no {', '.join(missing)}: measure `nothing` first")
    for name, build in (("ours", ours), ("bake", bake)):
        if name in words.what:
            print(f"{name}: {bench.cold(partial(build, bench))}", flush=True)
    if "scripts" in words.what:
        print(f"the leaves' scripts: {scripts(bench):.0f} s")


if __name__ == "__main__":
    main()
