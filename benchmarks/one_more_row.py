"""Measures what one row more costs beside its own builds, in a grid of 300 that is built.

Run `python -m benchmarks.one_more_row` in the project's environment, with an engine (`scripts/engine start`). It builds
the grid of `up_to_date.py` (a few minutes the first time), then adds rows, one by one, each with a framework that
nobody had, and builds all: the seconds of the command less those of the nodes it built. The images of these rows are
removed, those of the grid stay.
"""

import json
import os
import statistics
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

from benchmarks.up_to_date import LEAVES, REPEATS, make_project, timed

from imagematrix.engine import connect


def main() -> None:
    """Build, add, measure."""
    engine = connect()
    environment = {**os.environ, **engine.environment}
    build = [sys.executable, "-m", "imagematrix", "build", "--matrix"]
    salt = uuid.uuid4().hex[:8]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        file = make_project(root)
        timed(build, root, environment)
        overheads, keys = [], set[str]()
        for number in range(REPEATS):
            file.write_text(file.read_text() + _row(f"{salt}.{number}"))
            seconds = timed(build, root, environment)
            builds = _records(root, f"many:{salt}.{number}-3.1")
            keys |= builds.keys()
            overheads.append(seconds - sum(builds.values()))
            print(f"{seconds:.2f} s, of which {len(builds)} builds took {sum(builds.values()):.2f}", flush=True)
    for name in [name for image in engine.images() if image.key in keys for name in image.names]:
        engine.untag(name)
    print(f"one row more than {LEAVES}: median {statistics.median(overheads):.2f} s beside its own builds")


def _records(root: Path, row: str) -> Mapping[str, float]:
    """Return the keys of the nodes that only this row has, and how many seconds their builds took."""
    records = (json.loads(line) for line in (root / ".imagematrix/built.jsonl").read_text().splitlines() if line)
    return {record["key"]: record["seconds"] for record in records if record["rows"] == [row]}


def _row(framework: str) -> str:
    return f'\n[[families.many.row]]\npython = "3.1"\nframework = "{framework}"\n'


if __name__ == "__main__":
    main()
