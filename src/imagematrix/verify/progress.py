"""How far the checks of an image are, by what pytest writes down."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from imagematrix.model import Row
from imagematrix.planning.checks import Running


class CheckProgress:
    """The progress of an image's checks, from what pytest has reported so far."""

    def __init__(self, row: Row, results: Path) -> None:
        results.touch()
        self._results = results
        self._read = 0
        self._now = Running(row=row)
        self._rules = ""
        """What is checked once pytest has ended."""

    def now(self) -> Running:
        """Return it as it is now; for one thread."""
        with self._results.open("rb") as stream:
            stream.seek(self._read)
            for line in stream:
                if line.endswith(b"\n"):
                    self._read += len(line)
                    self._now = _moved_on(self._now, read_line(line))
        return replace(self._now, check=self._rules or self._now.check)

    def turn_to(self, rules: str) -> None:
        """Say what is checked once pytest has ended; from any thread."""
        self._rules = rules


def _moved_on(running: Running, told: Mapping[str, Any]) -> Running:
    if "total" in told:
        return replace(running, total=told["total"])
    if "check" in told:
        return replace(running, check=told["check"])
    return replace(running, done=running.done + 1) if "outcome" in told else running


def read_line(text: str | bytes) -> Mapping[str, Any]:
    """Return what pytest has reported in a line; nothing for a line that a full disk cut short."""
    try:
        told: Mapping[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return told
