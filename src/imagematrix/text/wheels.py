"""Names of wheels: which of several is installed."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packaging.tags import Tag

_OLDEST_GLIBC: Final = 5
_NAMES_BEFORE_2_24: Final = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""What manylinux_2_N was called before (PEP 600)."""
_FIRST_WITHOUT_M: Final = (3, 8)


def best(files: Iterable[str], *, python: str, platform: str) -> str:
    """Return the wheel that an installer takes, empty when it takes none: `platform` as uv calls it."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    ranks: dict[str, int] = {}
    order = {tag: rank for rank, tag in enumerate(_tags(python, platform))}
    for file in files:
        try:
            tags = parse_wheel_filename(file)[3]
        except InvalidWheelFilename:
            continue
        if fitting := [order[tag] for tag in tags if tag in order]:
            ranks[file] = min(fitting)
    return min(ranks, key=ranks.__getitem__, default="")


def _tags(python: str, platform: str) -> "Iterator[Tag]":
    """Yield what a CPython on a Linux takes, the best first."""
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = (int(number) for number in python.split(".")[:2])
    platforms = [*_platforms(platform)]
    interpreter = f"cp{major}{minor}"
    abi = interpreter + ("m" if (major, minor) < _FIRST_WITHOUT_M else "")
    yield from cpython_tags((major, minor), abis=[abi], platforms=platforms)
    yield from compatible_tags((major, minor), interpreter=interpreter, platforms=platforms)


def _platforms(platform: str) -> Iterator[str]:
    machine, _, glibc = platform.partition("-manylinux_2_")
    for minor in range(int(glibc), _OLDEST_GLIBC - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _NAMES_BEFORE_2_24:
            yield f"{_NAMES_BEFORE_2_24[minor]}_{machine}"
    yield f"linux_{machine}"
