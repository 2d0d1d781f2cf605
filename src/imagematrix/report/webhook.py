"""Tells a chat how a run ended: a small POST to the address in IMAGEMATRIX_WEBHOOK, which may hold a secret."""

from collections.abc import Callable
from time import sleep as _sleep
from typing import Final

from imagematrix.report import delivery
from imagematrix.secrecy import hidden
from imagematrix.text import documents

VARIABLE: Final = "IMAGEMATRIX_WEBHOOK"


def post(url: str, message: object, *, sleep: Callable[[float], None] = _sleep) -> str:
    """Post a message as JSON; return what went wrong, empty when nothing did. It raises nothing, names no address."""
    body = hidden(documents.write(message)).encode(errors="replace")
    headers = {"Content-Type": "application/json; charset=utf-8"}
    why = delivery.deliver("POST", url, body=body, headers=headers, sleep=sleep)
    return f"warning: the webhook ({VARIABLE}) did not accept the report: {why}" if why else ""
