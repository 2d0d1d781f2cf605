"""Secrets of a run, wherever they come from: no file, no line on the terminal and no message has them."""

import base64
import html
import io
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invoke import Exit
from tests import nights, projects
from tests.chat import Chat

from imagematrix import secrecy, site
from imagematrix.commands import reporting
from imagematrix.commands.command import command
from imagematrix.commands.verify.run import VerifyResult
from imagematrix.engine import credentials
from imagematrix.engine.log import BuildLog
from imagematrix.errors import UserError
from imagematrix.model import Key, Site
from imagematrix.planning.checks import CheckOutcome, CheckResult, Settled, Verified
from imagematrix.planning.plan import Record
from imagematrix.report import heartbeat, webhook

CANARY: Final = "Xq7\"p'&<é|%2Fz9"
"""A password with all that JSON, HTML, addresses and Markdown write in another way."""
PLAIN: Final = "Xq7canary9z"
URL: Final = f"https://robot:{quote(CANARY, safe='')}@host.example.com/simple"


def netrc_at(folder: Path) -> Mapping[str, str]:
    path = folder / "netrc"
    path.write_text(f"machine host.example.com login robot password {PLAIN}\n")
    path.chmod(0o600)
    return {"NETRC": str(path)}


def docker_at(folder: Path) -> Mapping[str, str]:
    auth = base64.b64encode(f"robot:{CANARY}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {"host.example.com": {"auth": auth}}}))
    return {"DOCKER_CONFIG": str(folder)}


SOURCES: Final[Mapping[str, Callable[[Path], Mapping[str, str]]]] = {
    "proxy": lambda _: {"HTTPS_PROXY": f"http://robot:{quote(CANARY, safe='')}@proxy.example.com:3128"},
    "index": lambda _: {"PIP_INDEX_URL": URL},
    "second index": lambda _: {"PIP_EXTRA_INDEX_URL": f"https://a.example.com/simple {URL}"},
    "uv's index": lambda _: {"UV_INDEX_COMPANY_PASSWORD": CANARY},
    "a token of CI": lambda _: {"CI_JOB_TOKEN": CANARY},
    "a key": lambda _: {"AWS_SECRET_ACCESS_KEY": CANARY},
    "webhook": lambda _: {webhook.VARIABLE: f"https://chat.example.com/hooks/{PLAIN}"},
    "monitor": lambda _: {heartbeat.VARIABLE: f"https://monitor.example.com/api/push/{PLAIN}?status=up&ping="},
    "netrc": netrc_at,
    "docker's configuration": docker_at,
}


@pytest.fixture(params=[*SOURCES])
def canary(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A secret that this process was given, by one of the ways there are."""
    given = SOURCES[request.param](tmp_path_factory.mktemp("given"))
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    secrecy.learn_environment()
    return PLAIN if PLAIN in json.dumps(given) or "NETRC" in given else CANARY


def forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], html.escape(secret)}


def leaks(text: str, secret: str) -> set[str]:
    return {form for form in forms(secret) if form in text}


def test_what_a_build_prints(canary: str) -> None:
    """In the log, in the lines of the terminal, in the reason and in the tail; also when colours part it."""
    log, told = io.StringIO(), list[str]()
    build = BuildLog(log, told.append)
    said = [f"ERROR: cannot log in as robot:{form} at https://robot:{form}@host.example.com/" for form in forms(canary)]
    said.append(f"\x1b[31mERROR: {canary[:4]}\x1b[0m{canary[4:]} is refused")
    lines = [
        json.dumps({"logs": [{"vertex": "a", "data": base64.b64encode((line + "\n").encode()).decode()}]})
        for line in said
    ]
    failed = {
        "digest": "a",
        "name": f"RUN pip {canary}",
        "started": "x",
        "completed": "x",
        "error": f"exit code: 1 {canary}",
    }
    for line in [
        json.dumps({"vertexes": [{"digest": "a", "name": failed["name"], "started": "x"}]}),
        *lines,
        json.dumps({"vertexes": [failed]}),
    ]:
        build.feed(line.encode() + b"\n")
    build.close()
    cause, judged = build.judged()

    assert "is refused" in log.getvalue()
    everything = "\n".join([log.getvalue(), *told, *build.tail(), judged, build.why(cause, 1)])
    assert leaks(everything, canary) == set()


def test_what_a_run_leaves_behind(
    canary: str, tmp_path: Path, chat: tuple[str, type[Chat]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the state, all forms of the report and the webhook, when every text in them holds the secret."""
    project = projects.project(tmp_path / "project")
    state, grid = project.state, nights.grid(6)
    text = f"login failed: {canary}"
    check = CheckResult(owner="system", name=text, outcome=CheckOutcome.FAILED, why=text, tail=(text,))
    state.remember(Record(key=Key("a"), layer=text, inputs={"x": text}, rows=(text,), seconds=1.0))
    passed = CheckResult(owner="system", name=text, outcome=CheckOutcome.PASSED)
    state.remember_settled(
        Settled(key=Key("a"), image="", owner="system", fingerprint=Key("b"), checks=(passed,), whole=True)
    )
    state.write_night(json.dumps({"why": text}))
    with state.log("a.log") as log:
        log.write(text + "\n")
    url, handler = chat
    monkeypatch.setenv(webhook.VARIABLE, url)
    row = next(iter(grid.rows.values()))
    result = VerifyResult(
        started=nights.FIRST, seconds=1.0, images=(Verified(row=row, checks=(check,)),), interrupted=False
    )
    reporting.verified(project, result, tmp_path / "report", say=print)
    webhook.post(url, {"text": text})

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {
        "index.html",
        "report.json",
        "junit.xml",
        "summary.md",
        "a.log",
        "built.jsonl",
    }
    assert {path.name: leaks(path.read_text(), canary) for path in files if leaks(path.read_text(), canary)} == {}
    assert state.history()[0].layer == f"login failed: {secrecy.HIDDEN}"
    assert [leaks(message.decode(), canary) for message in handler.heard] == [set()] * len(handler.heard)
    assert len(handler.heard) == 2


def test_what_a_command_prints(canary: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On both streams, also as its error, also while a console draws on it."""

    @command
    def leaking() -> None:
        for form in forms(canary):
            print(f"out {form}")
            print(f"err {form}", file=sys.stderr)
        raise UserError(f"refused: {canary}")

    with pytest.raises(Exception, match="refused") as caught:
        leaking.body(None)

    said = capsys.readouterr()
    assert (said.out.count("out "), said.err.count("err ")) == (len(forms(canary)),) * 2
    assert leaks(said.out + said.err + str(caught.value), canary) == set()


@pytest.mark.parametrize("source", ["proxy", "index", "second index", "netrc", "docker's configuration"])
def test_a_login_in_a_header(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a password is together with its name."""
    for name, value in SOURCES[source](tmp_path).items():
        monkeypatch.setenv(name, value)
    secrecy.learn_environment()

    headers = [base64.b64encode(f"robot:{secret}".encode()).decode() for secret in (CANARY, PLAIN)]
    assert secrecy.HIDDEN in map(secrecy.hidden, headers)


def test_what_a_mistake_of_ours_prints(canary: str) -> None:
    """Its traceback, which is whole but for the secret."""

    @command
    def broken() -> None:
        raise LookupError(f"no {canary}")

    with pytest.raises(Exit) as caught:
        broken.body(None)

    assert leaks(str(caught.value), canary) == set()
    assert "LookupError: no " in str(caught.value)
    assert "in broken" in str(caught.value)
    assert caught.value.code == 1


def test_logins_of_the_site(tmp_path: Path) -> None:
    """Those that the matrix holds, which no variable has."""
    site.discover(Site(index_url=URL), root=tmp_path)

    assert leaks(secrecy.hidden(f"{URL} {CANARY}"), CANARY) == set()


def test_logins_of_credential_helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-canary"
    answer = json.dumps({"Username": "robot", "Secret": CANARY})
    (tmp_path / "answer").write_text(answer)
    helper.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\n")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "canary"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    found = credentials.login("host.example.com")

    assert found is not None
    assert found.password == CANARY
    assert leaks(secrecy.hidden(f"robot:{CANARY}"), CANARY) == set()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://robot:x@host/simple", "https://****@host/simple"),
        ("fetch http://to%40ken@host:80/a@b", "fetch http://****@host:80/a@b"),
        ("proxy http://a:p@ss@host", "proxy http://****@host"),
        ("git+https://a:b@host/x.git", "git+https://****@host/x.git"),
        ("curl -H 'Authorization: Basic cm9ib3Q6eA=='", "curl -H 'Authorization: Basic ****'"),
        ('{"authorization": "Bearer abcdefgh.ijk"}', '{"authorization": "Bearer ****"}'),
        ("GET /x?a=1&X-Amz-Signature=abc&b=2", "GET /x?a=1&X-Amz-Signature=****&b=2"),
        ("https://host/x?private_token=abc", "https://host/x?private_token=****"),
        (f"ghp_{'a1' * 18}", "****"),
        (f"cloning with glpat-{'a1' * 10}", "cloning with ****"),
        (f"hf_{'aB' * 17}", "****"),
        (f"eyJ{'a' * 20}.eyJ{'b' * 20}.c-_d", "****"),
    ],
)
def test_what_has_a_secrets_shape(text: str, shown: str) -> None:
    """Whoever's it is."""
    assert secrecy.hidden(text) == shown
    assert secrecy.hidden(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "docker-image://docker.io/library/debian@sha256:0123",
        "docker-image://node@sha256:0123",
        "ssh://git@github.com/a/b.git and git@github.com:a/b.git",
        "https://host/a?b=c&d=e",
        "401 Authorization Required",
        "write to someone@example.com, see https://example.com/@user",
        "the token is not valid; password: wrong; hf_hub_download(token=None)",
        "E: Unable to locate package glpat",
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert secrecy.hidden(text) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("TOKENIZERS_PARALLELISM", "falsehood"), ("USE_TOKEN", "false"), ("HF_TOKEN_PATH", "tokens.txt")),
        *(("GOOGLE_APPLICATION_CREDENTIALS", "/etc/key.json"), ("MAX_PASSWORD", "1234567"), ("DB_PASSWORD", "short")),
        *(("SSH_AUTH_SOCK", "somewhere"), ("DOCKER_HOST", "ssh://jenkins@build.example.com")),
    ],
)
def test_variables_that_hold_no_secret(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that are part of many texts stay."""
    monkeypatch.setenv(name, value)
    secrecy.learn_environment()

    assert secrecy.hidden(f"a {value} b") == f"a {value} b"


def test_a_secret_of_several_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """What prints it prints it line by line."""
    monkeypatch.setenv("DEPLOY_PRIVATE_KEY", "-----BEGIN-----\nc2VjcmV0IG\nb25lMTIzND\n")
    secrecy.learn_environment()

    assert [secrecy.hidden(line) for line in ("c2VjcmV0IG", "b25lMTIzND")] == [secrecy.HIDDEN] * 2


@pytest.mark.parametrize(
    "given", ["{", "[]", '{"auths": 3}', '{"auths": {"a": 3, "b": {"auth": 7}, "c": {"auth": "%"}}}']
)
def test_a_damaged_configuration_of_docker(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever logs in by it says so; here it has no secrets."""
    (tmp_path / "config.json").write_text(given)
    (tmp_path / "netrc").write_text("machine\n\0")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("STRANGE_URL", "http://[x:y@z")
    monkeypatch.setenv("STRANGE_TOKEN", "http://[x:y@z")

    secrecy.learn_environment()


@given(
    secret=st.text(min_size=6).filter(lambda text: len(text.strip()) >= 6 and len(text.splitlines()) == 1),
    around=st.text(),
)
def test_any_secret_in_any_text(secret: str, around: str) -> None:
    secrets = secrecy.Secrets()
    secrets.learn(secret)

    assert secret.strip() not in secrets.hidden(f"{around}{secret}{around}").replace(secrecy.HIDDEN, "")
