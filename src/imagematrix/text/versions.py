"""Versions as people write them: parsed, compared, put in a row. The only home of packaging, imported when used."""

import re
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from packaging.version import Version

_T = TypeVar("_T")

COMPARISON: Final = re.compile(r"\s*(?:[<>]|[=!~]=)")
"""Begins what is a condition on versions, not a value."""

Comparison = Callable[[str], bool | None]
"""Whether a version meets a condition; nothing when the text is not a version."""


@lru_cache(maxsize=4096)
def version(text: str) -> "Version | None":
    """Return what a text means as a version, without its local part (`+cu121`); nothing if it is not one."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(public(text))
    except InvalidVersion:
        return None


@lru_cache(maxsize=1024)
def comparison(condition: str) -> Comparison | None:
    """Return the test that a condition like `>=2.3,<2.5` is; nothing when it is not a valid comparison."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        specifiers = SpecifierSet(condition)
    except InvalidSpecifier:
        return None

    def meets(text: str) -> bool | None:
        try:
            return specifiers.contains(Version(text), prereleases=True)
        except InvalidVersion:
            return None

    return meets


def meets(text: str, condition: str) -> bool:
    """Whether a version meets a condition; false if either is invalid."""
    test = comparison(condition)
    return bool(test and test(text))


@lru_cache(maxsize=4096)
def requirement(text: str) -> tuple[str, str] | None:
    """Return the package and the condition of a line such as `NumPy[x] <2`, as (`numpy`, `<2`).

    Nothing for any other line, or one that installs from an address.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        found = Requirement(text.partition(" #")[0])
    except InvalidRequirement:
        return None
    return None if found.url else (canonicalize_name(found.name), str(found.specifier))


@lru_cache(maxsize=4096)
def is_requirement(text: str) -> bool:
    """Whether pip takes a text as a requirement."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True


def exact(condition: str) -> str:
    """Return the one version that meets a condition (`==2.2.6`); nothing when there may be more."""
    found = condition.removeprefix("==")
    return found if found != condition and version(found) else ""


@lru_cache(maxsize=4096)
def contradict(one: str, other: str) -> bool:
    """Whether no version meets both of two conditions; False if that is not known."""
    from packaging.specifiers import SpecifierSet

    try:
        return SpecifierSet(one).is_disjoint(SpecifierSet(other))
    except ValueError:  # InvalidSpecifier is one, too
        return False


@lru_cache(maxsize=4096)
def implies(one: str, other: str) -> bool:
    """Whether all versions that meet a condition meet another; False if that is not known."""
    from packaging.specifiers import SpecifierSet

    try:
        return SpecifierSet(one).is_subset(SpecifierSet(other))
    except ValueError:
        return False


def normal(text: str) -> Hashable:
    """Return what all spellings of a version have in common: `2.3`, `2.3.0`, `2.3.0+cu121`; else the text."""
    return version(text) or text


def public(text: str) -> str:
    """Return a version without its local part: `1.2.4.dev5` of `1.2.4.dev5+g1a2b3c4`."""
    return text.partition("+")[0]


def release(text: str) -> str:
    """Return the release that a version belongs to, `1.2.4` of `1.2.4.dev5+g1a2b3c4`; of no version, the text."""
    found = version(text)
    return found.base_version if found else text


def minor(text: str) -> str:
    """Return the first two numbers of a version, `3.10` of `3.10.14`; nothing when it has no two."""
    found = version(text)
    return f"{found.major}.{found.minor}" if found and len(found.release) > 1 else ""


def ordered(items: Iterable[_T], key: Callable[[_T], str]) -> list[_T]:
    """Return items with the oldest version first; as they are unless all have one."""
    found = [(version(key(item)), item) for item in items]
    known = [(rank, item) for rank, item in found if rank]
    return [item for _, item in (sorted(known, key=lambda each: each[0]) if len(known) == len(found) else found)]


def span(versions: Iterable[str]) -> str:
    """Return minor versions in short: `2.7, 3.5-3.8`."""
    runs: list[list[tuple[int, ...]]] = []
    for each in sorted(tuple(map(int, text.split("."))) for text in versions):
        if runs and runs[-1][-1] == (each[0], each[1] - 1):
            runs[-1].append(each)
        else:
            runs.append([each])
    shown = [tuple(dict.fromkeys((run[0], run[-1]))) for run in runs]
    return ", ".join("-".join(f"{major}.{minor}" for major, minor in ends) for ends in shown)
