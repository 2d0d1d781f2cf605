"""Moments as people write them: so long ago, or a day and time."""

import datetime as dt
import re
from typing import Final

AGE: Final = re.compile(r"([1-9][0-9]{0,4}) (hour|day|week)s?")
MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})")
RULE: Final = 'expected an age like "7 days" (hours, days or weeks), or a moment like "2026-11-22T00:00:00Z"'


def age(text: str) -> dt.timedelta | None:
    """Return a duration such as `7 days`, `36 hours` or `2 weeks`; None for any other text."""
    found = AGE.fullmatch(text)
    return dt.timedelta(**{f"{found[2]}s": int(found[1])}) if found else None


def cutoff(text: str, *, now: dt.datetime) -> dt.datetime | None:
    """Return the moment that a text means: so long before `now`, or the moment itself; None when it is neither."""
    if (length := age(text)) is not None:
        return now - length
    try:
        return dt.datetime.fromisoformat(text) if MOMENT.fullmatch(text) else None
    except ValueError:  # the 31st of February
        return None


def written(moment: dt.datetime) -> str:
    """Write a moment in UTC, to the second, as RFC 3339 has it: `2026-11-22T21:30:00Z`."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
