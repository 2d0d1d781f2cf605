"""What came of a night, for a reader."""

from imagematrix.planning.night import Night, Part
from imagematrix.text.words import duration


def night_text(night: Night) -> str:
    """Write a line for each part, and the verdict."""
    width = max(map(len, Part))
    lines = [
        f"{part.value:<{width}}  {'good' if ended.good else f'exit code {ended.code}':<12}  {duration(ended.seconds)}"
        for part in Part
        if (ended := night.ended.get(part))
    ]
    verdict = "all is well" if night.good else "something failed, see above"
    return "\n".join([f"the night of {night.epoch}:", *lines, verdict])
