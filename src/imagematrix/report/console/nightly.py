"""What `nightly` prints at its end."""

from imagematrix.planning.nightly import NightlyRun, NightlyStage
from imagematrix.text.formatting import duration


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
