"""What chats take and answer: one notifier for each kind, chosen by the host of its address, or by name.

All of them get the same plain text; only its place in the document differs. Feishu, DingTalk and WeCom answer 200 to a
message that they refuse, with an error code in the body.
"""

import base64
import hmac
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from imagematrix.model import ChatReply, Notifier
from imagematrix.report.outputs import MessageDocument
from imagematrix.text.formatting import count

_NAMED: Final = re.compile(r"(?P<name>[a-z][a-z0-9-]*)\+(?P<url>https?://.*)", re.DOTALL)
_BROKEN_SHOWN: Final = 10
_LONGEST_LABEL: Final = 120
_LONGEST_TEXT: Final = 2000
"""Bytes: WeCom takes 2048 (developer.work.weixin.qq.com/document/path/91770), the others more."""
_LONGEST_ANSWER: Final = 200


def chosen(address: str, more: Mapping[str, Notifier]) -> tuple[str, str]:
    """Return the name of the notifier for an address, and the address without that name.

    `NAME+https://…` names it; `more` are those of plugins. Without a name the host decides, and an unknown host gets
    plain JSON. Raises ValueError for a name that is not known, in words without the address.
    """
    named = _NAMED.fullmatch(address)
    if named is None:
        return _of_host(address), address
    known = {*NOTIFIERS, *more}
    if named["name"] not in known:
        raise ValueError(f"there is no notifier {named['name']!r}; known: {', '.join(sorted(known))}")
    return named["name"], named["url"]


def _of_host(address: str) -> str:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return "json"
    return next((name for suffix, name in _HOSTS.items() if host == suffix or host.endswith(f".{suffix}")), "json")


_HOSTS: Final = {
    "hooks.slack.com": "slack",
    "feishu.cn": "feishu",
    "larksuite.com": "feishu",
    "oapi.dingtalk.com": "dingtalk",
    "qyapi.weixin.qq.com": "wecom",
}


def text(message: MessageDocument) -> str:
    """Return what people read: result, project, what broke, link."""
    shown = [_cut(label, _LONGEST_LABEL) for label in message.broken[:_BROKEN_SHOWN]]
    left = len(message.broken) - len(shown)
    lines = [
        f"{'✅' if message.good else '❌'} {message.text}",
        ", ".join(filter(None, (message.project, message.branch, message.commit[:12]))),
        *(f"- {label}" for label in shown),
        f"… and {count(left, 'more failure')}" if left else "",
    ]
    body = "\n".join(filter(None, lines))
    return "\n".join(filter(None, (_cut(body, _LONGEST_TEXT - len(message.link.encode()) - 1), message.link)))


def _cut(text: str, most: int) -> str:
    """Return the beginning of a text, of at most so many bytes."""
    data = text.encode(errors="replace")
    return text if len(data) <= most else data[: most - 3].decode(errors="ignore") + "…"


def signed(name: str, url: str, body: object, secret: str, now: float) -> tuple[str, object]:
    """Return address and document with the signature that a chat asks for, where it was set up to ask for one.

    DingTalk signs in the address, in milliseconds; Feishu in the document, in seconds, with the secret in the key.
    """
    if not secret:
        return url, body
    if name == "dingtalk":
        moment = str(int(now * 1000))
        signature = _signature(secret, f"{moment}\n{secret}")
        return f"{url}{'&' if '?' in url else '?'}timestamp={moment}&sign={quote(signature, safe='')}", body
    if name == "feishu" and isinstance(body, dict):
        moment = str(int(now))
        return url, {"timestamp": moment, "sign": _signature(f"{moment}\n{secret}", ""), **body}
    return url, body


def _signature(key: str, said: str) -> str:
    return base64.b64encode(hmac.digest(key.encode(), said.encode(), "sha256")).decode()


def _slack(message: MessageDocument) -> object:
    escaped = text(message).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": escaped}


def _said_ok(answer: str) -> ChatReply:
    """Slack and Mattermost say `ok`, workflows of Slack `{"ok": true}`."""
    if answer.strip() == "ok" or _json(answer).get("ok") is True:
        return ChatReply()
    return ChatReply(why=f"it answered {_shown(answer)}")


def _with_code(code: str, words: str, *, passing: frozenset[int]) -> Callable[[str], ChatReply]:
    """Judge answers that hold an error code, 0 for success, and words for it."""

    def judged(answer: str) -> ChatReply:
        found = _json(answer)
        number = found.get(code)
        if number == 0:
            return ChatReply()
        if number is None:
            return ChatReply(why=f"it answered {_shown(answer)}")
        return ChatReply(
            why=f"it answered {code} {number}: {_shown(str(found.get(words, '')))}", passing=number in passing
        )

    return judged


def _json(answer: str) -> Mapping[str, Any]:
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _shown(answer: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in answer)
    return _cut(printable.strip(), _LONGEST_ANSWER) or "nothing"


NOTIFIERS: Final[Mapping[str, Notifier]] = {
    "json": Notifier(body=lambda message: message),
    "slack": Notifier(body=_slack, reply=_said_ok),
    "mattermost": Notifier(body=lambda message: {"text": text(message)}, reply=_said_ok),
    "feishu": Notifier(
        body=lambda message: {"msg_type": "text", "content": {"text": text(message)}},
        reply=_with_code("code", "msg", passing=frozenset({11232})),
    ),
    "dingtalk": Notifier(
        body=lambda message: {"msgtype": "text", "text": {"content": text(message)}},
        reply=_with_code("errcode", "errmsg", passing=frozenset({-1, 130101})),
    ),
    "wecom": Notifier(
        body=lambda message: {"msgtype": "text", "text": {"content": text(message)}},
        reply=_with_code("errcode", "errmsg", passing=frozenset({-1, 45009})),
    ),
}
"""Name -> notifier. A retry may cure what the codes named here mean: too many messages, and -1, a busy service."""
