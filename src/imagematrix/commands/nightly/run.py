"""Runs the stages of a nightly run, each as the command that it is, whatever becomes of the others."""

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from imagematrix.commands import spelling
from imagematrix.errors import ExitCode, InterruptedRunError, UserError
from imagematrix.planning import nightly
from imagematrix.planning.nightly import NightlyOptions, NightlyRun, NightlyStage, StageResult
from imagematrix.report import webhook
from imagematrix.shell import attached
from imagematrix.state import State


def run(
    state: State,
    options: NightlyOptions,
    *,
    resume: bool,
    say: Callable[[str], None],
) -> NightlyRun | None:
    """Start a nightly run, or resume the interrupted one. With `resume` only that; then None: there was none.

    Raises BusyError when another nightly run of this project is under way, InterruptedRunError when it was stopped: the
    next one resumes it.
    """
    with state.sole_night():
        now = datetime.now(UTC)
        before = state.night_text()
        known = nightly.begun(before, now=now.timestamp())
        if known is None and resume:
            return None
        epoch = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        tonight = known or nightly.new(before, epoch=epoch, now=now.timestamp())
        say(f"{'resuming' if known else 'starting'} nightly run {tonight.epoch}")
        state.write_night(nightly.dump(tonight))
        for stage in nightly.todo(tonight, options):
            tonight = tonight.after(stage, _do(stage, tonight, options, say=say))
            state.write_night(nightly.dump(tonight))
        tonight = tonight.done(now=time.time())
        state.write_night(nightly.dump(tonight))
        return tonight


def _do(
    stage: NightlyStage, tonight: NightlyRun, options: NightlyOptions, *, say: Callable[[str], None]
) -> StageResult:
    """Run a stage in a process of its own, so that a failure there ends only this stage."""
    words = nightly.command(stage, tonight, options)
    say(f"== {' '.join(words)}")
    clock = time.monotonic()
    try:
        # A chat gets one message a night, about all of it.
        quiet = {} if stage is NightlyStage.REPORT else {webhook.VARIABLE: ""}
        typed = {spelling.VARIABLE: spelling.prefix(sys.argv, os.environ, "nightly").rstrip()}
        code = attached((sys.executable, "-m", "imagematrix", *words), env={**quiet, **typed})
    except UserError as error:
        say(str(error))
        code = error.code
    if code == ExitCode.INTERRUPTED:
        raise InterruptedRunError("interrupted: run the same command to resume")
    return StageResult(code=code, seconds=time.monotonic() - clock)
