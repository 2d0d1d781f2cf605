"""The cooldown of a site: files that were uploaded to the index only now are left alone for some time.

Most malicious releases are found within days. A lock says in its head up to which moment files counted when it was
resolved. That line is in no lock's name and in no leaf: what did not move keeps its text, and with it all keys.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from imagematrix.model import Site
from imagematrix.text import moments

_HEAD: Final = "# Files uploaded before "
_LINE: Final = re.compile(rf"^{_HEAD}.*\n", re.MULTILINE)
_FILTERED: Final = re.compile(
    r"`(?P<package>[^`]+)` was filtered by `exclude-newer(?:-package)?`"
    r"(?:.*?version\b.*? v(?P<version>\S+?),(?: was)? published at (?P<at>[0-9T:-]+))?"
)
"""uv's hint (uv 0.13, `ExcludeNewer` of its resolver). Fractions of a second are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown:
    """Which files of the index count, by when they were uploaded."""

    asked: str
    """What the site says: `7 days`, or a moment."""
    before: str
    """The moment that this is, in UTC: only what was uploaded before it counts."""
    packages: Mapping[str, str]
    """Package -> the moment that counts for it instead; empty: any of its files does."""
    setting: str
    """Where the site says so, for messages: `[site] exclude_newer`."""


def cooldown_of(site: Site, *, now: dt.datetime) -> Cooldown | None:
    """Return the cooldown of a site at some moment; None when it has none.

    What the site says is an age or a moment, proven by `matrix`.
    """
    before = moments.cutoff(site.exclude_newer, now=now)
    if before is None:
        return None
    own = {name: moments.cutoff(text, now=now) for name, text in sorted(site.exclude_newer_package.items())}
    return Cooldown(
        asked=site.exclude_newer,
        before=moments.written(before),
        packages={name: moments.written(moment) if moment else "" for name, moment in own.items()},
        setting=f"[{f'sites.{site.name}' if site.name else 'site'}] exclude_newer",
    )


def options(cooldown: Cooldown | None, *, locked: Iterable[str] = ()) -> tuple[str, ...]:
    """Return uv's options for a cooldown. Packages that are `locked` already have the version that they have.

    Without that, uv would pass over the pins of the layers below that are newer, and take other versions.
    """
    if cooldown is None:
        return ()
    own = {**cooldown.packages, **dict.fromkeys(sorted(locked), "")}
    each = (("--exclude-newer-package", f"{name}={moment or 'false'}") for name, moment in own.items())
    return ("--exclude-newer", cooldown.before, *(word for words in each for word in words))


def head(cooldown: Cooldown | None) -> str:
    """Return the line of a lock that says which files counted."""
    if cooldown is None:
        return ""
    own = [f", of {name} {f'before {moment}' if moment else 'any'}" for name, moment in cooldown.packages.items()]
    return f'{_HEAD}{cooldown.before} (exclude_newer = "{cooldown.asked}"){"".join(own)}\n'


@lru_cache(maxsize=1024)
def without(text: str) -> str:
    """Return a lock without that line."""
    return _LINE.sub("", text, count=1)


def remedy(cooldown: Cooldown | None, said: str) -> str:
    """Return what to do where uv found no solution since files are too new; empty when that is not the reason."""
    found = [*_FILTERED.finditer(said)] if cooldown else []
    if cooldown is None or not found:
        return ""
    lines = [f'{cooldown.setting} = "{cooldown.asked}": only files uploaded before {cooldown.before} are used']
    lines += [_when(each, cooldown) for each in found]
    exempt = ", ".join(f"{each['package']} = false" for each in found)
    return "\n".join([*lines, f"to lock them now: exclude_newer_package = {{ {exempt} }} beside exclude_newer"])


def _when(found: re.Match[str], cooldown: Cooldown) -> str:
    """Say of a package that was left out how new it is, and when it may be locked."""
    package, at = found["package"], found["at"]
    if not at:
        return f"{package}: its files are newer, or the index does not say when they were uploaded"
    uploaded, length = dt.datetime.fromisoformat(f"{at}Z"), moments.age(cooldown.asked)
    later = f", can be locked from {moments.written(uploaded + length)} on" if length else ""
    return f"{package} {found['version']}: uploaded at {moments.written(uploaded)}{later}; or take an older version"
