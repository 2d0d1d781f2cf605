"""The check command: every problem of a project, judged."""

import sys

from invoke import Exit

from imagematrix.commands.command import command
from imagematrix.commands.options import CheckFormat, CheckJson, File, Notes, ShowAll
from imagematrix.errors import ExitCode, FlagError, InputError


@command
def check(*, format: CheckFormat, json: CheckJson, notes: Notes, all: ShowAll, file: File) -> None:  # noqa: A002 - the flags' names
    """Check matrix.toml, templates and locks for problems, and whether versions work together."""
    from imagematrix.commands.check.run import judge
    from imagematrix.project import examine
    from imagematrix.report.console import terminal
    from imagematrix.report.console.check import proof_text, writer
    from imagematrix.repository import nearest_matrix

    if json and format not in ("", "json"):
        raise FlagError(f"--json and --format {format} contradict each other\n    keep one of them")
    form = "json" if json else format or "text"
    write = writer(form)
    opened = examine(file or nearest_matrix())
    if form == "text" and not opened.matrix:  # in the words of all other commands
        raise InputError(opened.diagnostics)
    proof, repository = judge(opened), opened.repository
    if form == "text":
        terminal.show(proof_text(proof.at(repository.from_here), notes=notes or all, whole=all), sys.stdout)
    else:
        print(write(proof, repository.in_repository, notes=notes))
    if not proof.good:
        raise Exit("", code=int(ExitCode.BAD_INPUT))
