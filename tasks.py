"""What this monorepo offers to invoke: the tasks of imagematrix, and the tests of the repository itself."""

from invoke import Collection, Context, task

from imagematrix.tasks import collection

CHECKS = (
    "ruff check .",
    "ruff format --check .",
    "mypy",
)


@task(help={"unit": "Only what needs no engine."})
def test(context: Context, unit: bool = False) -> None:
    """Run linters and all tests, the integration tests against a real engine."""
    for command in CHECKS:
        context.run(command, echo=True)
    folders = "tests/unit tests/golden" if unit else "tests"
    context.run(f"pytest {folders}", echo=True)


ns: Collection = collection()
ns.add_task(test)
