"""The log of a build: progress as buildx prints it in; the reason, the last lines and the file out."""

import base64
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from imagematrix.engine.log import BuildLog
from imagematrix.text.visible import visible

MAIN, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
NAME = "[python 3/4] RUN --mount=type=cache,id=pip,target=/root/.cache/pip pip install -r /tmp/requirements.lock"
ENDED = 'process "/bin/sh -c pip install -r /tmp/requirements.lock" did not complete successfully: exit code: 1'
TAIL = "Dockerfile:17\n--------------------\n  16 |     \n  17 | >>> RUN pip install\n--------------------\n"
ALARM = """\
Collecting good==1.0
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, \
please update the hashes. Otherwise, examine the package contents carefully; someone may have tampered with them.
    good==1.0 from http://127.0.0.1:18080/files/good-1.0-py3-none-any.whl (from -r bad.txt (line 1)):
        Expected sha256 0000000000000000000000000000000000000000000000000000000000000001
             Got        46d27ca85a37bc22bf5374f1b1ff66532bf0944b351e524ee218a5278d302a25

"""


def printed(text: str, step: str = MAIN) -> Mapping[str, Any]:
    return {"logs": [{"vertex": step, "data": base64.b64encode(text.encode()).decode(), "timestamp": "x"}]}


def began(name: str = NAME, step: str = MAIN) -> Mapping[str, Any]:
    return {"vertexes": [{"digest": step, "name": name, "started": "x"}]}


def failed(error: str = ENDED, name: str = NAME, step: str = MAIN) -> Mapping[str, Any]:
    return {"vertexes": [{"digest": step, "name": name, "started": "x", "completed": "y", "error": error}]}


def read(*documents: Mapping[str, Any], plain: str = "") -> tuple[BuildLog, list[str]]:
    """Return the log of a build that printed this, and the lines of its file."""
    stream, told = io.StringIO(), list[str]()
    log = BuildLog(stream, told.append)
    log.feed("".join(f"{json.dumps(document)}\n" for document in documents).encode() + plain.encode())
    log.close()
    assert told == stream.getvalue().splitlines()
    return log, told


def why(log: BuildLog, code: int = 1) -> str:
    return log.why(log.judged()[0], code)


def test_lines_of_pip_that_begin_as_the_engines_do() -> None:
    """Pip's alarm is the step's own output: its reason, in its last lines, with the exit code and the instruction."""
    log, _ = read(began(), printed(ALARM), failed(), plain=f"{TAIL}ERROR: failed to solve: {ENDED}\n")
    said = why(log)
    assert "DO NOT MATCH THE HASHES" in said
    assert "good==1.0 (expected sha256 000000000000" in said
    assert "tampered" in said
    assert said.endswith("; exit code 1 of Dockerfile:17 [python 3/4] RUN pip install -r /tmp/requirements.lock")
    assert any(line.startswith("ERROR: THESE PACKAGES") for line in log.tail())
    assert not any("failed to solve" in line for line in log.tail())


def test_a_step_beside_the_one_that_failed() -> None:
    """What it prints, before, after or between, is not the cause."""
    log, _ = read(
        began(),
        began("[tools 1/2] RUN make", OTHER),
        printed("curl: (6) Could not resolve host: a.example\n", OTHER),
        printed("E: Unable to locate package nosuch\n"),
        failed(),
        printed("cc1: fatal error: x.c: No such file or directory\n", OTHER),
        failed("context canceled", "[tools 1/2] RUN make", OTHER),
    )
    assert why(log).startswith("E: Unable to locate package nosuch; exit code 1 of [python 3/4] RUN pip")
    assert log.tail() == ("E: Unable to locate package nosuch",)
    assert "a.example" not in log.judged()[1]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ('failed to compute cache key: "/nope.txt": not found', 'failed to compute cache key: "/nope.txt": not found'),
        ("failed to get dead record: x", "failed to get dead record: x"),
    ],
)
def test_a_failure_of_the_engines_own(error: str, reason: str) -> None:
    """It has no exit code: the engine's word counts, not what the step printed before."""
    log, _ = read(began(), printed("Setting up zip ...\n"), failed(error))
    assert why(log) == reason
    assert error in log.judged()[1]


def test_a_failure_before_any_step() -> None:
    """The engine says it in plain text, below an excerpt of the Dockerfile."""
    plain = f"{TAIL}ERROR: failed to solve: dockerfile parse error on line 17: unknown instruction: RUM\n"
    log, _ = read(plain=plain)
    assert why(log) == "failed to solve: dockerfile parse error on line 17: unknown instruction: RUM"


def test_a_script_that_is_no_build() -> None:
    """The script that makes a base prints plain text, and its last word only echoes the cause."""
    plain = "bootstrap: no tmpfs\nE: Unable to locate package x\nbootstrap: mmdebstrap could not make bookworm\n"
    log, _ = read(plain=plain)
    assert why(log) == "E: Unable to locate package x"
    assert why(read(plain="")[0], 7) == "ended with exit code 7"


def test_nothing_commands_a_terminal() -> None:
    """Controls are visible in the log, on the board, in the reason and in names of steps."""
    evil = "\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\x07 \x9b2J \u202egnp \x00 fatal: \x08\x7f tab\tstays"
    log, lines = read(
        began("[a 1/1] RUN \x1b[2J"), printed(f"sh: 1: {evil}: not found\n"), failed(), plain="\x1b[2Jx\n"
    )
    for text in (*lines, why(log), *log.tail()):
        assert "\x1b" not in text
        assert text.replace("\t", "").isprintable()
    assert any("red ␛[2J␛]0;title␇ \\u009b2J \\u202egnp ␀ fatal: ␈\\u007f tab\tstays" in line for line in lines)


def test_what_can_be_seen_stays() -> None:
    for text in ("", "plain", "中文 é → ␛", "  \tindented", "a\N{COMBINING ACUTE ACCENT}"):
        assert visible(text) == text
