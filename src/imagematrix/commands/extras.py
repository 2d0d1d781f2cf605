"""Parts of imagematrix that a plain installation leaves out: libraries that only some commands need."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from imagematrix.errors import FlagError

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "cluster": ("distributed",),
    "report": ("itables", "plotly"),
    "signing": ("cryptography",),
    "verify": ("pytest", "pytest_timeout", "testinfra"),
}
"""Extra -> the modules that it brings."""


def has(extra: str) -> bool:
    """Whether a part is installed."""
    return not _missing(extra)


def require(extra: str) -> None:
    """Raise FlagError where a part is not installed: before the work that would end without it."""
    if missing := _missing(extra):
        remedy = f"    install it: pip install 'imagematrix[{extra}]'"
        raise FlagError(f"this needs the part {extra!r} of imagematrix, and {missing[0]} is not installed\n{remedy}")


def _missing(extra: str) -> list[str]:
    return [module for module in EXTRAS[extra] if find_spec(module) is None]
