"""Sends a small request to an address that may be a secret, and retries transient failures."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from imagematrix import web
from imagematrix.execution.backoff import Backoff, Passing
from imagematrix.model import ChatReply, Flake, FlakeKind
from imagematrix.secrecy import hidden

_TRIES: Final = 3


class _NotTakenError(Exception):
    """The other side did not take it, in words that do not hold the address."""

    def __init__(self, why: str, *, passing: bool) -> None:
        super().__init__(why)
        self.passing = passing


def is_address(url: str) -> bool:
    """Whether a text is an address that requests can be sent to."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def deliver(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    reply: Callable[[str], ChatReply] = lambda _: ChatReply(),
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """Send a request; return what went wrong, empty when nothing did. It raises nothing, and names no address.

    `reply` judges the body of an answer without an error status. No answer, 429, 5xx and what `reply` calls passing are
    tried three times.
    """
    trying = Backoff(tries=_TRIES, longest=0.0, first=1.0, sleep=sleep)
    try:
        trying.call(lambda: _send(method, url, body, headers or {}, reply), _passing)
    except ValueError:  # its words hold the address
        return "it is not a valid address"
    except _NotTakenError as error:
        return str(error)
    return ""


def _passing(error: Exception) -> Passing | None:
    if isinstance(error, _NotTakenError) and error.passing:
        return Passing(why=str(error), flake=Flake(kind=FlakeKind.NETWORK))
    return None


def _send(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], judge: Callable[[str], ChatReply]
) -> None:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise _NotTakenError("its address must begin with https:// or http://", passing=False)
    try:
        reply = web.of_the_environment(url).ask(method, url, data=body, headers=headers)
    except web.NoAnswerError as error:
        raise _NotTakenError(f"no answer: {error}", passing=True) from None
    if not reply.good:
        passing = reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        raise _NotTakenError(f"it answered {reply.status}", passing=passing)
    judged = judge(reply.content.decode(errors="replace"))
    if judged.why:
        raise _NotTakenError(hidden(judged.why), passing=judged.passing)
