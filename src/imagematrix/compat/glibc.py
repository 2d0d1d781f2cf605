"""What needs a newer glibc than a distribution has."""

from collections.abc import Iterator

from imagematrix.compat import catalogue
from imagematrix.compat.finding import impossible
from imagematrix.compat.wheels import is_newer
from imagematrix.diagnostics import Diagnostic


def lacks(os: str, needed: str) -> bool:
    """Whether a distribution is known to have an older glibc."""
    here = catalogue.glibc().get(os, "")
    return bool(needed and here and is_newer(needed, here))


def too_old(package: str, value: str, needed: str, os: str, last: str) -> Iterator[Diagnostic]:
    """Yield that a release's wheels do not install on a distribution, as `last` still does."""
    if lacks(os, needed):
        what = f"{package} {value} needs glibc {needed}, {os} has {catalogue.glibc()[os]}"
        remedy = f"take {package}={last}, the last for it, or a newer base: {', '.join(_new_enough(os, needed))}"
        yield impossible(package, what, remedy)


def _new_enough(os: str, needed: str) -> tuple[str, ...]:
    """Return the available distributions that have it: those of the same kind, if there are any."""
    known = catalogue.distributions()
    old = known.get(os)
    names = tuple(
        name
        for name, glibc in catalogue.glibc().items()
        if not is_newer(needed, glibc) and (name not in known or (known[name].name == name and not known[name].mirror))
    )
    return tuple(name for name in names if old and name.startswith(old.kind)) or names
