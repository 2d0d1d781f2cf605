"""Tells a chat how a run ended: a small POST to the address in IMAGEMATRIX_WEBHOOK, which may hold a secret."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import tenacity

VARIABLE: Final = "IMAGEMATRIX_WEBHOOK"
_TIMEOUT_SECONDS: Final = 10
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
        trying(_post, url, json.dumps(message, ensure_ascii=False).encode())
    except _NotTakenError as error:
        return f"warning: the webhook ({VARIABLE}) did not take the report: {error}"
    return ""


def _post(url: str, body: bytes) -> None:
    try:
        request = urllib.request.Request(  # noqa: S310  (judged below)
            url, data=body, headers={"Content-Type": "application/json; charset=utf-8"}
        )
        if request.type not in {"http", "https"}:
            raise _NotTakenError("its address must begin with https:// or http://", passing=False)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310  (judged above)
            pass
    except urllib.error.HTTPError as error:
        passing = error.code == HTTPStatus.TOO_MANY_REQUESTS or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
        raise _NotTakenError(f"it answered {error.code}", passing=passing) from None
    except ValueError:  # its words hold the address
        raise _NotTakenError("it is no address", passing=False) from None
    except (OSError, http.client.HTTPException) as error:  # URLError is one; of its words, those of the system
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        why = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
        raise _NotTakenError(f"no answer: {why}", passing=True) from None
