"""What chats get, and how their answers are judged: Feishu, DingTalk and WeCom answer 200 to what they refuse."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.chat import Chat

from imagematrix.commands import checkout
from imagematrix.model import Notifier
from imagematrix.report import chats, webhook
from imagematrix.report.outputs import MessageDocument

MESSAGE: Final = MessageDocument(
    text="imagematrix: 3 images: 2 built, 1 failed",
    good=False,
    started="2026-11-30T010000Z",
    images={"built": 2, "failed": 1},
    checks={},
    broken=("torch <2>", "python: pip check (a:1)"),
    project="team/images",
    branch="main",
    commit="0123456789abcdef",
    link="https://ci.example.com/job/7",
)
SAID: Final = (
    "team/images",
    "main",
    "0123456789ab",
    "1 failed",
    "python: pip check (a:1)",
    "https://ci.example.com/job/7",
)
WHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "slack": ("text",),
    "mattermost": ("text",),
    "feishu": ("content", "text"),
    "dingtalk": ("text", "content"),
    "wecom": ("text", "content"),
}
"""Where the text is in the documents."""
GOOD: Final = {
    "slack": "ok",
    "mattermost": "ok",
    "feishu": '{"code": 0, "msg": "success"}',
    "dingtalk": '{"errcode": 0, "errmsg": "ok"}',
    "wecom": '{"errcode": 0, "errmsg": "ok"}',
}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a wait."""
    monkeypatch.setattr(
        webhook.post, "__kwdefaults__", {**(webhook.post.__kwdefaults__ or {}), "sleep": lambda _: None}
    )


@pytest.mark.parametrize("name", WHERE)
def test_each_chat_gets_what_people_need(name: str, chat: tuple[str, type[Chat]]) -> None:
    """Project, branch, commit, what broke, and a link; what the chat would take for its own syntax is escaped."""
    url, handler = chat
    handler.answers.append(GOOD[name])

    assert webhook.tell(f"{name}+{url}", MESSAGE, {}) == ""

    [document] = [json.loads(heard) for heard in handler.heard]
    for key in WHERE[name]:
        document = document[key]
    assert [part for part in SAID if part not in document] == []
    assert ("torch &lt;2&gt;" if name == "slack" else "torch <2>") in document


@pytest.mark.parametrize(
    ("name", "answer", "said", "tries"),
    [
        ("slack", "invalid_token", "invalid_token", 1),
        ("slack", '{"ok": true}', "", 1),
        ("mattermost", "<html>", "<html>", 1),
        ("feishu", '{"code": 19024, "msg": "Key Words Not Found"}', "code 19024: Key Words Not Found", 1),
        ("feishu", '{"code": 11232, "msg": "frequency limited"}', "code 11232", 3),
        ("dingtalk", '{"errcode": 310000, "errmsg": "sign not match"}', "errcode 310000: sign not match", 1),
        ("dingtalk", '{"errcode": 130101, "errmsg": "send too fast"}', "130101", 3),
        ("wecom", '{"errcode": 93000, "errmsg": "invalid webhook url"}', "errcode 93000", 1),
        ("wecom", '{"errcode": 45009, "errmsg": "api freq out of limit"}', "45009", 3),
        ("wecom", "", "nothing", 1),
        ("feishu", "[" * 100_000, "[[[", 1),
        ("dingtalk", "[1]", "[1]", 1),
        ("json", "anything", "", 1),
    ],
)
def test_the_body_of_an_answer_is_judged(
    name: str, answer: str, said: str, tries: int, chat: tuple[str, type[Chat]]
) -> None:
    """What the service calls passing is tried again; the address is in no word."""
    url, handler = chat
    handler.answers.extend([answer] * 3)

    word = webhook.tell(f"{name}+{url}", MESSAGE, {})

    assert len(handler.heard) == tries
    assert bool(word) == bool(said)
    assert said in word
    assert "s3cret" not in word
    assert word.isprintable()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("https://open.feishu.cn/open-apis/bot/v2/hook/x", "feishu"),
        ("https://open.larksuite.com/open-apis/bot/v2/hook/x", "feishu"),
        ("https://oapi.dingtalk.com/robot/send?access_token=x", "dingtalk"),
        ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=x", "wecom"),
        ("https://notfeishu.cn/x", "json"),
        ("https://[x/", "json"),
        ("mattermost+https://chat.example.com/hooks/x", "mattermost"),
        ("own+https://chat.example.com/", "own"),
    ],
)
def test_a_chat_is_known_by_its_host_or_by_name(address: str, name: str) -> None:
    found, url = chats.chosen(address, {"own": Notifier(body=str)})
    assert (found, url) == (name, address.removeprefix(f"{name}+"))


def test_a_name_that_is_not_known_is_a_word() -> None:
    """With those that are, and without the address."""
    word = webhook.tell("slak+https://chat.example.com/s3cret", MESSAGE, {})
    assert "slack" in word
    assert "s3cret" not in word


def test_signatures(chat: tuple[str, type[Chat]], monkeypatch: pytest.MonkeyPatch) -> None:
    """As the two services document them: the one signs with the secret, the other the secret with the moment."""
    url, handler = chat
    monkeypatch.setenv("IMAGEMATRIX_WEBHOOK_SECRET", "SECabc")
    handler.answers.extend([GOOD["dingtalk"], GOOD["feishu"], GOOD["wecom"]])
    for name in ("dingtalk", "feishu", "wecom"):
        assert webhook.tell(f"{name}+{url}?access_token=x", MESSAGE, {}) == ""

    query = {key: values[0] for key, values in parse_qs(urlsplit(handler.asked[0]).query).items()}
    said = f"{query['timestamp']}\nSECabc".encode()
    assert base64.b64decode(query["sign"]) == hmac.digest(b"SECabc", said, "sha256")
    assert len(query["timestamp"]) == 13
    document = json.loads(handler.heard[1])
    key = f"{document['timestamp']}\nSECabc".encode()
    assert base64.b64decode(document["sign"]) == hmac.digest(key, b"", "sha256")
    assert len(document["timestamp"]) == 10
    assert handler.asked[2] == "/hook/s3cret?access_token=x"


def test_a_notifier_that_fails_is_a_word(chat: tuple[str, type[Chat]]) -> None:
    url, _ = chat
    own = {"a": Notifier(body=len), "b": Notifier(body=str, reply=int)}  # type: ignore[arg-type]
    assert "TypeError" in webhook.tell(f"a+{url}", MESSAGE, own)
    assert "ValueError" in webhook.tell(f"b+{url}", MESSAGE, own)


def test_a_night_in_which_everything_broke_fits_into_a_message() -> None:
    """WeCom takes 2048 bytes; the link is the last thing to lose."""
    text = chats.text(replace(MESSAGE, broken=tuple(f"镜像{number}" * 50 for number in range(999))))
    assert len(text.encode()) <= 2048
    assert text.endswith(MESSAGE.link)


@pytest.mark.parametrize(
    ("environment", "branch", "remotes", "found"),
    [
        ({}, "main", ["git@git.example.com:team/images.git"], ("team/images", "main", "")),
        ({}, "", ["https://git.example.com/a/team/images/"], ("team/images", "", "")),
        ({}, "", [], ("folder", "", "")),
        ({}, "", ["https://robot:t0ken@git.example.com/images.git"], ("images", "", "")),
        ({}, "", ["https://t0ken@git.example.com/team/images"], ("team/images", "", "")),
        ({}, "", ["ssh://git@git.example.com:2222/team/images.git"], ("team/images", "", "")),
        ({}, "", ["/srv/git/images.git", "git@h:a/b.git"], ("git/images", "", "")),
        ({}, "", ["https://git.example.com/"], ("folder", "", "")),
        ({"CI_PROJECT_PATH": "a/b", "CI_COMMIT_REF_NAME": "x", "CI_JOB_URL": "u"}, "", [], ("a/b", "x", "u")),
        (
            {"GITHUB_SERVER_URL": "s", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "7", "GITHUB_REF_NAME": "x"},
            "",
            [],
            ("a/b", "x", "s/a/b/actions/runs/7"),
        ),
        ({"IMAGEMATRIX_REPORT_URL": "u", "BUILD_URL": "b"}, "", [], ("folder", "", "u")),
    ],
)
def test_what_a_run_is_of(
    environment: Mapping[str, str], branch: str, remotes: list[str], found: tuple[str, str, str]
) -> None:
    """Git and the CI system tell; the address where the report is published stands before that of the job."""
    made = checkout.described(environment, branch=branch, commit="c", remotes=remotes, folder="folder")
    assert (made.project, made.branch, made.link) == found
