"""A plugin as a wheel: every command loads it, so it may add what `check` judges by."""

import re
from collections.abc import Iterator
from typing import Final

from imagematrix.plugins import Diagnostic, broken


def old_python(python: str, base: str = "") -> Iterator[Diagnostic]:
    """Judge a row by its values of these names; a row without a `python` is not judged."""
    if int(python.partition(".")[2]) < 11:
        yield broken("python", f"our scanner does not know Python {python} on {base}", "take python=3.11")


def of_our_registry(path: str) -> str:
    """Return what our registry has against the part of a name behind its host; nothing: it takes it."""
    return "" if re.fullmatch(r"team/[a-z]+(-[a-z]+)*", path) else "it takes team/WORDS-WITH-HYPHENS"


VERSION_RULES: Final = {"old_python": old_python}
NAMING_RULES: Final = {"registry.example.com": of_our_registry}
