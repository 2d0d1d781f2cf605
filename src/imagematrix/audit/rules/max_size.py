"""It is not bigger than the destination takes, neither unpacked nor compressed."""

from collections.abc import Iterator
from typing import Annotated

from imagematrix.audit import Evidence, Size


def offences(
    evidence: Evidence,
    *,
    limit: Annotated[Size, "How big an image may be, like 9.5 GB or 9 GiB; `check` warns of more."],
) -> Iterator[str]:
    layers = [*evidence.base, *evidence.own]
    sizes = {
        "unpacked": sum(layer.bytes for layer in layers),
        "compressed, as a registry counts": sum(layer.packed for layer in layers),
    }
    for how, size in sizes.items():
        if size > limit:
            yield f"{size / 1e9:.2f} GB {how}, allowed are {limit / 1e9:g} GB"
