"""The export command: the DAG as a pipeline of a CI system."""

from imagematrix.commands.command import command
from imagematrix.commands.options import (
    AllRows,
    ExportCheck,
    ExportFile,
    ExportKind,
    File,
    Group,
    Missing,
    Only,
    Platforms,
    Runner,
)
from imagematrix.errors import FlagError, StaleError


@command
def export(
    *,
    kind: ExportKind,
    matrix: AllRows,
    only: Only,
    group: Group,
    platform: Platforms,
    out: ExportFile,
    run: Runner,
    missing: Missing,
    check: ExportCheck,
    file: File,
) -> None:
    """Write a pipeline that builds the DAG in a CI system: gitlab, github, make, bake, or jobs (JSON)."""
    from imagematrix.commands import request
    from imagematrix.commands.export import run as exports

    if len(kind) != 1:
        raise FlagError(f"name one format: {', '.join(exports.KINDS)}")
    selection = request.explicit_selection("export", matrix, only, group, platform)
    project = request.opened(file)
    made = exports.make(project, kind[0], selection, command=run, only_missing=missing)
    path = out or made.path
    if path == "-":
        print(made.text, end="")
    elif check:
        if exports.on_disk(project, path) != made.text:
            raise StaleError(f"{path} is stale: run `{made.again}` and commit the result")
        print(f"{path} is up to date")
    else:
        exports.write(project, path, made)
        print(path)
