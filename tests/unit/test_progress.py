"""Progress output: the same lines from every buildx, however the bytes come."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagematrix.engine.progress import Reader

STEP = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
NAME = "[python 2/3] RUN pip install"


def log(text: str | bytes, vertex: str = STEP) -> Mapping[str, Any]:
    data = text.encode() if isinstance(text, str) else text
    return {"vertex": vertex, "stream": 1, "data": base64.b64encode(data).decode(), "timestamp": "2026-11-22T06:00:00Z"}


def started(name: str = NAME, vertex: str = STEP) -> Mapping[str, Any]:
    return {"digest": vertex, "name": name, "started": "2026-11-22T06:00:00Z"}


def failed(why: str) -> Mapping[str, Any]:
    return {**started(), "completed": "2026-11-22T06:00:01Z", "error": why}


BUILD: Sequence[Mapping[str, Any]] = (
    {"vertexes": [{"digest": "sha256:0", "name": "[internal] load build definition", "started": "x"}]},
    {"vertexes": [{"digest": STEP, "name": NAME}]},
    {"vertexes": [started()], "statuses": [{"id": "extracting", "vertex": STEP, "current": 1}]},
    {"logs": [log("Collecting 中文 {brace\n\n  indented\n")], "warnings": [{"short": "bHQ="}]},
    {"logs": [log("half a li"), log("of another\n", OTHER), log("ne\nthe last words")]},
    {"vertexes": [failed('process "/bin/sh -c pip" did not complete successfully: exit code: 1')]},
)
TAIL = "------\n > [python 2/3] RUN pip install:\n------\nERROR: failed to solve: exit code: 1: 中文\n"
LINES = [
    f"# {NAME}",
    "Collecting 中文 {brace",
    "",
    "  indented",
    "of another",
    "half a line",
    "the last words",
    'ERROR: process "/bin/sh -c pip" did not complete successfully: exit code: 1',
    "------",
    "> [python 2/3] RUN pip install:",
    "------",
    "ERROR: failed to solve: exit code: 1: 中文",
]
FORMS = {
    "one a line (buildx 0.17 and later)": "".join(f"{json.dumps(value)}\n" for value in BUILD) + TAIL,
    "indented over many lines (buildx 0.13)": "".join(f"{json.dumps(value, indent=2)}\n" for value in BUILD) + TAIL,
    "one after the other, not escaped": "".join(json.dumps(value, ensure_ascii=False) for value in BUILD) + "\n" + TAIL,
}


def read(chunks: Iterable[bytes]) -> list[str]:
    reader = Reader()
    return [*(line for chunk in chunks for line in reader.feed(chunk)), *reader.close()]


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_lines(text: str) -> None:
    """Steps as they start, their output, their failure, and what the program says in plain text at the end."""
    assert read([text.encode()]) == LINES


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_split_at_every_byte(text: str) -> None:
    """In two, at each position there is; and into single bytes."""
    data = text.encode()
    assert all(read([data[:at], data[at:]]) == LINES for at in range(len(data)))
    assert read(data[at : at + 1] for at in range(len(data))) == LINES


@given(st.sampled_from(sorted(FORMS)), st.lists(st.integers(0, 3000), max_size=20))
def test_split_anywhere(form: str, cuts: list[int]) -> None:
    """Chunks of any sizes give the same lines."""
    data = FORMS[form].encode()
    ends = [0, *sorted(cuts), len(data)]
    assert read(data[start:end] for start, end in pairwise(ends)) == LINES


def test_lines_come_as_soon_as_they_are_whole() -> None:
    """A log that is followed shows what has happened, not what a buffer holds."""
    reader = Reader()
    assert list(reader.feed(json.dumps({"vertexes": [started()], "logs": [log("one\ntw")]}).encode())) == [
        f"# {NAME}",
        "one",
    ]
    assert list(reader.feed(json.dumps({"logs": [log("o\n")]}).encode())) == ["two"]
    assert list(reader.feed(b"plain\nte")) == ["plain"]
    assert list(reader.close()) == ["te"]
    assert list(reader.close()) == []


def test_a_step_is_announced_once() -> None:
    """Though its vertex comes again with each change."""
    again = json.dumps({"vertexes": [started()]}).encode()
    assert read([again, again, again]) == [f"# {NAME}"]


def logs_of(*pieces: str | bytes) -> list[str]:
    return read(json.dumps({"logs": [log(piece)]}).encode() + b"\n" for piece in pieces)


def test_redrawn_lines() -> None:
    """Of a progress bar the last state is kept, wherever the chunks end."""
    assert logs_of("10%\r50%\r100%\nnext\r\n") == ["100%", "next"]
    assert logs_of("10%\r5", "0%\r100", "%\nnext\r", "\n") == ["100%", "next"]


def test_a_character_cut_in_two() -> None:
    """Programs write bytes, and the engine passes on what a write gave it."""
    data = "中文\n".encode()
    assert all(logs_of(data[:at], data[at:]) == ["中文"] for at in range(len(data)))


def test_bytes_that_are_no_text() -> None:
    """Are replaced, not refused."""
    assert logs_of(b"caf\xe9\n") == ["caf\N{REPLACEMENT CHARACTER}"]


def test_the_last_words_come_before_the_verdict() -> None:
    """A program that fails without a last newline: its words are its own, not what follows the error."""
    document = {"vertexes": [failed("exit code: 1")], "logs": [log("fatal: no newline")]}
    assert read([json.dumps(document).encode()]) == [f"# {NAME}", "fatal: no newline", "ERROR: exit code: 1"]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"vertexes": None, "logs": None},
        {"logs": [{"vertex": STEP, "data": None}]},
        {"vertexes": [{"digest": STEP}]},
    ],
)
def test_what_may_be_left_out(document: Mapping[str, Any]) -> None:
    """The program leaves out what is empty."""
    assert read([json.dumps(document).encode()]) == []


def test_output_that_is_no_progress_at_all() -> None:
    """A usage message, a panic, a broken document: told as it is."""
    assert read([b"unknown flag: --provenance\n\nSee 'docker buildx build --help'.\n"]) == [
        "unknown flag: --provenance",
        "See 'docker buildx build --help'.",
    ]
    assert read([b'{"vertexes": [\npanic: out of memory\n']) == ['{"vertexes": [', "panic: out of memory"]


def test_what_the_engine_does_for_every_build_is_not_told() -> None:
    """Neither its own bookkeeping nor the mounts of a step, which hide what the step does."""
    names = [
        "[internal] load build definition from Dockerfile",
        "[context python] load metadata for imagematrix/node:0",
        "copy /context /",
        "[paddle 1/1] RUN --mount=type=cache,target=/c     --mount=type=secret,id=uv     uv pip install",
    ]
    stream = "".join(json.dumps({"vertexes": [started(name, f"sha256:{name}")]}) + "\n" for name in names)
    assert list(Reader().feed(stream.encode())) == ["# [paddle 1/1] RUN uv pip install"]
