"""What no metadata says: combinations that are known to be broken, bounds that packages need. And NumPy."""

from collections.abc import Mapping
from dataclasses import dataclass

from imagematrix.compat.catalogue.store import cache, read, wheels
from imagematrix.compat.wheels import Wheels
from imagematrix.diagnostics import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Which versions of another package some versions of a package need; their metadata does not say so."""

    package: str
    """As rows name it: `torch`, `tensorflow`, `paddle`."""
    versions: str
    requirement: str
    """`numpy<2`."""
    why: str
    """A clause that follows the name of the package: `was compiled against NumPy 1`."""
    source: str
    python: str = ""
    """The Pythons that it is about; empty: all."""
    severity: Severity = Severity.BROKEN
    """A note does not constrain what is locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakage:
    """A combination that is known to be broken."""

    package: str
    versions: str
    with_: Mapping[str, tuple[str, ...]]
    """Name -> values or comparisons, of which one is met."""
    unless: Mapping[str, str]
    """Name -> a word of its value by which a row is not meant."""
    what: str
    instead: Mapping[str, str]
    """Name -> a value that works instead."""
    source: str
    """The sources: issues and pull requests."""


@cache
def breakages() -> tuple[Breakage, ...]:
    """Return the combinations that issues report."""
    return tuple(
        Breakage(
            package=each["package"],
            versions=each["versions"],
            with_={
                name: tuple(wanted) if isinstance(wanted, list) else (wanted,) for name, wanted in each["with"].items()
            },
            unless=each.get("unless", {}),
            what=each["what"],
            instead=each["instead"],
            source=each["source"],
        )
        for each in read("breakage")["known"]
    )


@cache
def breakage_names() -> tuple[str, ...]:
    """Return the names of all values that these combinations are about, sorted."""
    return tuple(sorted({name for each in breakages() for name in (each.package, *each.with_, *each.unless)}))


@cache
def bounds() -> tuple[Bound, ...]:
    """Return the bounds that no metadata declares."""
    return tuple(
        Bound(
            package=each["package"],
            versions=each["versions"],
            requirement=each["bound"],
            why=each["why"],
            source=each["source"],
            python=each.get("python", ""),
            severity=Severity(each.get("severity", Severity.BROKEN)),
        )
        for each in read("bounds")["bounds"]
    )


@cache
def numpy_wheels() -> Wheels:
    """Return NumPy's Pythons."""
    return wheels("numpy", {each["release"]: each["python"] for each in read("numpy")["releases"]})
