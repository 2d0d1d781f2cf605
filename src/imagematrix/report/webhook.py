"""Tells a chat how a run ended: a small POST to the address in IMAGEMATRIX_WEBHOOK, which may hold a secret."""

import os
import time
from collections.abc import Callable, Mapping
from time import sleep as _sleep
from typing import Final

from imagematrix.model import ChatReply, Notifier
from imagematrix.report import chats, delivery
from imagematrix.report.outputs import MessageDocument
from imagematrix.secrecy import hidden
from imagematrix.text import documents

VARIABLE: Final = "IMAGEMATRIX_WEBHOOK"
SECRET: Final = "IMAGEMATRIX_WEBHOOK_SECRET"  # noqa: S105  # the name of the variable
"""Holds what Feishu and DingTalk sign messages with, where a bot asks for it."""


def tell(address: str, message: MessageDocument, more: Mapping[str, Notifier]) -> str:
    """Tell a chat; return what went wrong, empty when nothing did. `more` are the notifiers of plugins."""
    try:
        name, url = chats.chosen(address, more)
        notifier = {**chats.NOTIFIERS, **more}[name]
        url, body = chats.signed(name, url, notifier.body(message), os.environ.get(SECRET, ""), time.time())
        return post(url, body, reply=_guarded(notifier))
    except Exception as error:  # noqa: BLE001  # a plugin's notifier may raise anything
        return _warning(hidden(str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"))


def _guarded(notifier: Notifier) -> Callable[[str], ChatReply]:
    def judged(answer: str) -> ChatReply:
        try:
            return notifier.reply(answer)
        except Exception as error:  # noqa: BLE001
            return ChatReply(why=f"its notifier cannot read the answer: {type(error).__name__}: {error}")

    return judged


def post(
    url: str,
    message: object,
    *,
    reply: Callable[[str], ChatReply] = chats.NOTIFIERS["json"].reply,
    sleep: Callable[[float], None] = _sleep,
) -> str:
    """Post a message as JSON; return what went wrong, empty when nothing did. It raises nothing, names no address."""
    body = hidden(documents.write(message)).encode(errors="replace")
    headers = {"Content-Type": "application/json; charset=utf-8"}
    why = delivery.deliver("POST", url, body=body, headers=headers, reply=reply, sleep=sleep)
    return _warning(why) if why else ""


def _warning(why: str) -> str:
    return f"warning: the webhook ({VARIABLE}) did not accept the report: {why}"
