"""Tells a chat how a run ended: a small POST to the address in IMAGEMATRIX_WEBHOOK, which may hold a secret."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import tenacity

from imagematrix import web
from imagematrix.secrecy import hidden

VARIABLE: Final = "IMAGEMATRIX_WEBHOOK"
_TRIES: Final = 3


class _NotTakenError(Exception):
    """The other side did not take it, in words that do not hold the address."""

    def __init__(self, why: str, *, passing: bool) -> None:
        super().__init__(why)
        self.passing = passing


def post(url: str, message: Mapping[str, object], *, sleep: Callable[[float], None] = tenacity.nap.sleep) -> str:
    """Post a message as JSON; return what went wrong, empty when nothing did. It raises nothing, and names no address.

    What may pass by itself (no answer, 429, 5xx) is tried three times.
    """
    trying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, _NotTakenError) and error.passing),
        stop=tenacity.stop_after_attempt(_TRIES),
        wait=tenacity.wait_exponential_jitter(initial=1),
        sleep=sleep,
        reraise=True,
    )
    try:
        trying(_post, url, hidden(json.dumps(message, ensure_ascii=False)).encode(errors="replace"))
    except ValueError:  # its words hold the address
        return f"warning: the webhook ({VARIABLE}) did not accept the report: it is not a valid address"
    except _NotTakenError as error:
        return f"warning: the webhook ({VARIABLE}) did not accept the report: {error}"
    return ""


def _post(url: str, body: bytes) -> None:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise _NotTakenError("its address must begin with https:// or http://", passing=False)
    try:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        reply = web.of_the_environment(url).ask("POST", url, data=body, headers=headers)
    except web.NoAnswerError as error:
        raise _NotTakenError(f"no answer: {error}", passing=True) from None
    if not reply.good:
        passing = reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        raise _NotTakenError(f"it answered {reply.status}", passing=passing)
