"""What this monorepo offers to invoke: the tasks of imagematrix, and the tests of the repository itself."""

import shlex
import sys

from invoke import Collection, Context, task

from imagematrix.tasks import collection

SITE = "sphinx -E -W --keep-going -q docs site"
LINTERS = ("ruff check .", "ruff format --check .", "mypy", SITE)
PURE = "pytest tests/unit tests/golden tests/hostile --numprocesses auto"
COVERAGE = "--cov --cov-report term"  # of what pyproject.toml names: a third slower
REAL = "pytest tests/integration --numprocesses 3 --durations 25"


@task(help={"unit": "Only what needs no engine."})
def test(context: Context, unit: bool = False) -> None:
    """Run linters and all tests, the integration tests against a real engine."""
    for command in (*LINTERS, PURE) if unit else (*LINTERS, f"{PURE} {COVERAGE}", REAL):
        print(f"== {command}", flush=True)
        context.run(f"{shlex.quote(sys.executable)} -m {command}")


@task(help={})
def docs(context: Context) -> None:
    """Build the documentation's site in site/; a link that leads nowhere is an error."""
    context.run(f"{shlex.quote(sys.executable)} -m {SITE}")
    print("site/index.html")


ns: Collection = collection()
ns.add_task(docs)
ns.add_task(test)
