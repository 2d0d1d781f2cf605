"""Calls a monitor at the end of a successful nightly run: it raises the alarm if no call comes (a dead man's switch).

A run that failed does not call: `report` and the webhook say what failed. A run that never started cannot say anything.
"""

from collections.abc import Callable
from time import sleep as _sleep
from typing import Final

from imagematrix.errors import FlagError
from imagematrix.report import delivery

VARIABLE: Final = "IMAGEMATRIX_HEARTBEAT"


def require_address(url: str) -> None:
    """Refuse what is not an address before the night, not after it. Raises FlagError, whose words do not hold it."""
    if not delivery.is_address(url):
        raise FlagError("--heartbeat: expected the address of a monitor, like https://monitor.example.com/ping/ID")


def call(url: str, *, sleep: Callable[[float], None] = _sleep) -> str:
    """Call a monitor (GET); return what went wrong, empty when nothing did. It raises nothing, and names no address."""
    why = delivery.deliver("GET", url, sleep=sleep)
    return f"warning: the monitor (--heartbeat, {VARIABLE}) did not accept the call: {why}" if why else ""
