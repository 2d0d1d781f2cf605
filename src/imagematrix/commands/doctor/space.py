"""How much room the disk of an engine has for images."""

from typing import Final

from imagematrix.report.outputs import PrerequisiteState

_LEAST_BYTES: Final = 2_000_000_000
"""Less is not enough for one image with a framework (they take 1.3 to 1.9 GB each)."""
_FEW_BYTES: Final = 20_000_000_000
"""Less is not enough for a cold quickstart grid (14.6 GB of images, as much of build cache)."""


def state(free: int) -> PrerequisiteState:
    """Judge how many bytes are free."""
    if free >= _FEW_BYTES:
        return PrerequisiteState.GOOD
    return PrerequisiteState.BAD if free < _LEAST_BYTES else PrerequisiteState.WEAK
