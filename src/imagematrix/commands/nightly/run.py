"""The nightly command: runs the parts of a night, each as the command that it is, whatever comes of the others."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from imagematrix.errors import ExitCode, InterruptedRunError, UserError
from imagematrix.planning import lock, night
from imagematrix.planning.night import Ended, Night, Options, Part
from imagematrix.project import open_project
from imagematrix.report import webhook
from imagematrix.shell import attached
from imagematrix.workspace import Workspace


def run(
    workspace: Workspace, options: Options, *, resume: bool, say: Callable[[str], None], waiting: Callable[[], None]
) -> Night | None:
    """Run a night, or go on with the one that was cut off. With `resume` only that; then None: there was none.

    `waiting` is called when a build holds the project. Raises BusyError when another night of this project runs,
    InterruptedRunError when it was stopped: the next run goes on with it.
    """
    with workspace.sole_night():
        now = datetime.now(UTC)
        known = night.begun(workspace.night_text(), now=now.timestamp())
        if known is None and resume:
            return None
        epoch = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        tonight = known or Night(epoch=epoch, began=now.timestamp())
        say(f"{'going on with the' if known else 'the'} night of {tonight.epoch}")
        workspace.write_night(night.dump(tonight))
        for part in night.todo(tonight, options):
            tonight = tonight.after(part, _do(part, tonight, workspace, options, say=say, waiting=waiting))
            workspace.write_night(night.dump(tonight))
        tonight = replace(tonight, finished=True)
        workspace.write_night(night.dump(tonight))
        return tonight


def _do(
    part: Part,
    tonight: Night,
    workspace: Workspace,
    options: Options,
    *,
    say: Callable[[str], None],
    waiting: Callable[[], None],
) -> Ended:
    """Do a part: in a process of its own, so that whatever goes wrong there is the end of this part alone."""
    words = night.command(part, options)
    say(f"== {' '.join(words)}")
    clock = time.monotonic()
    try:
        if part is Part.BUILD:
            _refresh(workspace, tonight.epoch, waiting=waiting)
        # A chat is told once a night, of all of it.
        quiet = {} if part is Part.REPORT else {webhook.VARIABLE: ""}
        code = attached((sys.executable, "-m", "imagematrix", *words), env=quiet)
    except UserError as error:
        say(str(error))
        code = error.code
    if code == ExitCode.INTERRUPTED:
        raise InterruptedRunError("interrupted: run the same command to go on with this night")
    return Ended(code=code, seconds=time.monotonic() - clock)


def _refresh(workspace: Workspace, epoch: str, *, waiting: Callable[[], None]) -> None:
    """Move the epoch to that of the night, unless an earlier run of the same night did."""
    with workspace.sole_builder(waiting=waiting):
        project = open_project(str(workspace.matrix_file))  # as it is by now: the bases may have moved
        refreshed = project.refreshed(epoch)
        if refreshed.lock != project.lock:
            workspace.write_lock(lock.dump(refreshed.lock))
