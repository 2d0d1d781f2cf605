"""Measures nights against a cold build: one in which a package of one distribution moved, and a quiet one.

Run `python -m benchmarks.night [PATTERN]` (a glob of rows; default: the group quickstart) in the project's
environment, in a checkout without changes, with the private engine of `scripts/engine`: any other is refused, because
ALL ITS IMAGES AND CACHES ARE REMOVED before the cold build. Before it, the lock of what the layer `system` installs on
bookworm is made to name an older version of one package, so that the first night finds a newer one.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.cold import REPOSITORY

from imagematrix.engine import Engine, buildx_command, connect
from imagematrix.engine.buildx import ENVIRONMENT

_LOCKS: Final = "locks/apt/bookworm"
_REPORT: Final = ".imagematrix/benchmark"


@dataclass(frozen=True)
class _Run:
    """What a command took, and what its report says."""

    seconds: float
    report: Any

    @property
    def built(self) -> list[str]:
        """The nodes that were built."""
        return sorted(node["label"] for node in self.report["nodes"] if node["outcome"] == "built")

    @property
    def images(self) -> dict[str, str]:
        """Row -> the id of its image."""
        return {leaf["name"]: leaf["digest"] for leaf in self.report["leaves"]}


def _run(engine: Engine, *words: str) -> _Run:
    begun = time.perf_counter()
    subprocess.run(
        (sys.executable, "-m", "imagematrix", *words, "--report", str(REPOSITORY / _REPORT)),
        cwd=REPOSITORY,
        env={**os.environ, **engine.environment, **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - begun
    return _Run(seconds, json.loads((REPOSITORY / _REPORT / "report.json").read_text()))


def _empty(engine: Engine) -> None:
    """Remove every image and cache."""
    client = engine._client  # noqa: SLF001  (the tool has no such sweep, and must not)
    for image in client.images.list():
        client.images.remove(str(image.id), force=True)
    argv = (buildx_command(engine), "prune", "--all", "--force")
    subprocess.run(argv, env={**os.environ, **engine.environment, **ENVIRONMENT}, stdout=subprocess.DEVNULL, check=True)


def _age() -> str:
    """Make the lock of `system` name an older version of its first package; return the package."""
    (lock,) = (REPOSITORY / _LOCKS).glob("system-*.txt")
    lines = lock.read_text().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    package = lines[at].partition("=")[0]
    lines[at] = f"{package}=0-0\n"
    lock.write_text("".join(lines))
    return package


def _night(engine: Engine, rows: tuple[str, ...], what: str, before: _Run, cold: _Run) -> _Run:
    night = _run(engine, "nightly", *rows)
    parts = json.loads((REPOSITORY / ".imagematrix/night.json").read_text())["parts"]
    new = [name for name, image in night.images.items() if image != before.images[name]]
    took = ", ".join(f"{name} {part['seconds']:.0f} s" for name, part in parts.items())
    share = parts["build"]["seconds"] / cold.seconds
    print(f"{what}: {night.seconds:.0f} s ({took}); the build is {share:.0%} of the cold one")
    print(f"  {len(night.built)} nodes built, {len(new)} of {len(night.images)} images new", flush=True)
    return night


def main() -> None:
    """Build cold, then run two nights."""
    rows = ("--only", sys.argv[1]) if len(sys.argv) > 1 else ("--group", "quickstart")
    engine = connect()
    if not engine.environment:
        raise SystemExit("this would remove all images of an engine that is not ours: see the head of this file")
    package = _age()
    _empty(engine)
    cold = _run(engine, "build", *rows)
    print(f"cold: {cold.seconds:.0f} s, {len(cold.built)} nodes", flush=True)
    moved = _night(engine, rows, f"{package} moved on bookworm", cold, cold)
    _night(engine, rows, "quiet", moved, cold)


if __name__ == "__main__":
    main()
