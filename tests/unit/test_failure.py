"""Why a step failed: real logs of real tools, each with its cause and with whether it may pass by itself.

The logs were produced by the tools themselves against a broken index, mirror or source, or come from public reports.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from imagematrix.planning import failure, transient

LOGS = Path(__file__).parent / "logs"
EXPECTED: Mapping[str, Mapping[str, Any]] = tomllib.loads((LOGS / "reasons.toml").read_text(encoding="utf-8"))
MISLEADING = ("() -> handle", "Reading package lists", "WARNING", "hint:", "note:", "[notice]", "W: ")


def output(name: str) -> list[str]:
    return (LOGS / f"{name}.log").read_text(encoding="utf-8").split("\n")


def test_each_log_is_expected_to_mean_something() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == EXPECTED.keys()
    assert len(EXPECTED) > 100


@pytest.mark.parametrize("name", EXPECTED)
def test_reason(name: str) -> None:
    """It is the first error of the tool that failed, and not progress, a warning or advice."""
    cause = failure.find(output(name))
    assert (cause.text if cause else "") == EXPECTED[name].get("reason", "")
    assert cause is None or not any(words in cause.text for words in MISLEADING)


@pytest.mark.parametrize("name", EXPECTED)
def test_retry(name: str) -> None:
    """What may pass is tried again; a hash alarm, a missing package and an error in the code are not."""
    lines = output(name)
    flake = transient.flake(1, failure.judged(lines, failure.find(lines)))
    assert (flake.kind if flake else "") == EXPECTED[name].get("flake", "")


@pytest.mark.parametrize("name", EXPECTED)
def test_remedy(name: str) -> None:
    """What is not the build's own fault has one, which names what to look for; all else has none."""
    lines = output(name)
    found = failure.remedy(failure.judged(lines, failure.find(lines)))
    wanted = EXPECTED[name].get("remedy", ())
    assert bool(found) == bool(wanted)
    assert all(words in found for words in wanted)


@pytest.mark.parametrize("name", ["gcc-errors", "apt-no-such-package", "uv-hash", "pip-no-header", "python-chained"])
def test_what_was_survived_is_no_reason(name: str) -> None:
    """An error long before the end, of a command whose failure was allowed, does not count."""
    last = "curl: (6) Could not resolve host: a.example"
    lines = [*output(name), *(f"line {number}" for number in range(50)), last]
    cause = failure.find(lines)
    assert cause == failure.FailureCause(text=last, line=len(lines) - 1)
    quiet = failure.find([*output(name), *(f"Setting up package{number} ..." for number in range(50))])
    assert quiet is None or not quiet.text.startswith(EXPECTED[name]["reason"][:20])


def test_an_earlier_failure_of_the_same_tool_is_no_reason() -> None:
    """Errors belong together when they stand together; a compiler goes on, so its first one counts wherever it is."""
    between = [f"line {number}" for number in range(20)]
    first, second = "curl: (6) Could not resolve host: a.example", "curl: (22) The requested URL returned error: 404"
    assert failure.find([first, *between, second]) == failure.FailureCause(text=second, line=21)
    assert failure.find([first, "Warning: Problem : timeout.", second]) == failure.FailureCause(text=first, line=0)
    first, second = "a.c:1:1: error: unknown type name 'x'", "b.c:9:9: error: expected ';' before '}' token"
    assert failure.find([first, *between, second, "make: *** [a] Error 1"]) == failure.FailureCause(text=first, line=0)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("wget-nv-503", "127.0.0.1"),
        ("apt-no-such-host", "deb.invalid"),
        ("conda-http", "repo.anaconda.com"),
        ("pip-timeout", "download.pytorch.org"),
        ("uv-old-timeout", "files.example.com"),
    ],
)
def test_whose_fault_it_was(name: str, source: str) -> None:
    """The host that was asked, which some tools print above their error."""
    lines = output(name)
    flake = transient.flake(1, failure.judged(lines, failure.find(lines)))
    assert flake
    assert flake.source == source


def test_a_reason_has_the_exit_code_and_the_step() -> None:
    cause = failure.FailureCause(text="E: Unable to locate package nosuch", line=3)
    step = "Dockerfile:12 [system 2/3] RUN apt-get update && apt-get install -y nosuch " + "and-more " * 20
    said = failure.reason(cause, code="100", step=step)
    assert said.startswith(
        "E: Unable to locate package nosuch; exit code 100 of Dockerfile:12 [system 2/3] RUN apt-get"
    )
    assert len(said) < 160
    assert "memory" in failure.reason(None, code="137", step=step)
    assert failure.reason(None, code="1", step="RUN false") == "it printed no error; exit code 1 of RUN false"
