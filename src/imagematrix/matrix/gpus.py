"""The GPUs that images must run on: `gpus = ["sm_90"]`, of a row, else of its family, else of its destination."""

import re
from typing import Final

from imagematrix.text.shape import Table

KEY: Final = "gpus"

ARCHITECTURE: Final = re.compile(r"sm_[1-9][0-9]{1,2}")
_RULE: Final = 'expected sm_ and a compute capability without its dot, like "sm_90" for 9.0'
_OWNER: Final = "say it in a row, in its family or in its destination"


def read(table: Table) -> tuple[str, ...]:
    """Return the architectures that a table names; report invalid ones."""
    found = table.texts(KEY)
    for gpu, at in found.items():
        if not ARCHITECTURE.fullmatch(gpu):
            table.wrong(at[len(table.at) :], f"{gpu!r} is not a GPU architecture", _RULE)
    if table.raw(KEY) == []:
        table.wrong(KEY, "the list is empty", "name at least one GPU architecture, or remove it")
    return tuple(found)


def refuse(table: Table) -> None:
    """Note that a table says it which may not."""
    if KEY in table:
        table.wrong(KEY, "GPUs do not follow from a base, an axis or a fact", _OWNER)
