"""What `nightly` prints at its end, and what `doctor` and reports say of the last good one."""

from datetime import UTC, datetime
from typing import Final

from imagematrix.planning.nightly import EXPECTED_SECONDS, NightlyHealth, NightlyRun, NightlyStage
from imagematrix.text.formatting import approx_duration, duration

_HOUR: Final = 3600


def nightly_text(run: NightlyRun) -> str:
    """Write a line for each stage, and the verdict."""
    width = max(map(len, NightlyStage))
    lines = [
        f"{stage.value:<{width}}  {'ok' if ended.good else f'exit code {ended.code}':<12}  {duration(ended.seconds)}"
        for stage in NightlyStage
        if (ended := run.ended.get(stage))
    ]
    verdict = "everything succeeded" if run.good else "something failed, see above"
    return "\n".join([f"nightly run {run.epoch}:", *lines, verdict])


def health_text(health: NightlyHealth) -> str:
    """Say when the last nightly run succeeded and, if that is too long ago, how often it is expected to."""
    expected = f"; one is expected every {EXPECTED_SECONDS / _HOUR:.0f} h" if health.is_overdue else ""
    if health.last_good is None:
        return f"no nightly run has succeeded yet{expected}"
    moment = datetime.fromtimestamp(health.last_good, UTC)
    return f"last successful nightly run: {moment:%Y-%m-%d %H:%M} UTC, {approx_duration(health.age)} ago{expected}"
