"""What this monorepo offers to invoke: the tasks of imagematrix, and the tests of the repository itself."""

import shlex
import sys

from invoke import Collection, Context, task

from imagematrix.tasks import collection

LINTERS = ("ruff check .", "ruff format --check .", "mypy")
PURE = "pytest tests/unit tests/golden tests/hostile --numprocesses auto"
COVERAGE = "--cov --cov-report term"  # of what pyproject.toml names: a third slower
REAL = "pytest tests/integration --numprocesses 2 --durations 25"


@task(help={"unit": "Only what needs no engine."})
def test(context: Context, unit: bool = False) -> None:
    """Run linters and all tests, the integration tests against a real engine."""
    for command in (*LINTERS, PURE) if unit else (*LINTERS, f"{PURE} {COVERAGE}", REAL):
        print(f"== {command}", flush=True)
        context.run(f"{shlex.quote(sys.executable)} -m {command}")


ns: Collection = collection()
ns.add_task(test)
