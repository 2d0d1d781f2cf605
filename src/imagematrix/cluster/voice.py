"""What a machine tells the coordinator while it builds."""

import threading
from collections.abc import Callable
from typing import Final

from imagematrix.cluster.messages import JobEnded, JobNews, JobPrinted, JobWaits
from imagematrix.execution import parallel
from imagematrix.model import Key
from imagematrix.secrecy import hidden

_FLUSH_SECONDS: Final = 0.2
_MOST_LINES: Final = 50
"""Lines travel in bundles: one by one, 1,100 of them were a burden to the scheduler."""

Tell = Callable[[str, JobNews | JobEnded], None]
"""Sends news of a run's jobs to the coordinator."""


class Voice:
    """Sends what builds print to the coordinator, in bundles."""

    def __init__(self, run: str, tell: Tell) -> None:
        self._run = run
        self._tell = tell
        self._lines: dict[Key, list[str]] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def say(self, key: Key, line: str) -> None:
        """Take a line that a build printed."""
        with self._lock:
            lines = self._lines.setdefault(key, [])
            lines.append(hidden(line))
            if len(lines) >= _MOST_LINES:
                self._send(key)
            elif self._timer is None:
                self._timer = parallel.after(_FLUSH_SECONDS, self.flush)

    def waits(self, key: Key, cache: str) -> None:
        """Take it that a build waits for a cache, or no longer does."""
        self._tell(self._run, JobWaits(key=key, cache=cache))

    def flush(self) -> None:
        """Send all lines."""
        with self._lock:
            self._timer = None
            for key in tuple(self._lines):
                self._send(key)

    def _send(self, key: Key) -> None:
        self._tell(self._run, JobPrinted(key=key, lines=tuple(self._lines.pop(key))))
