"""Programs: their output as it comes, their exit codes, and that all of them can be stopped."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imagematrix import shell
from imagematrix.shell import Answer, OpenShell, Shell

SOON = 10.0
"""Seconds within which something must have happened; it takes a small part of them."""


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def test_output_exit_code_and_input() -> None:
    """Both streams in the order they were written, bytes as they are; what goes in is read to its end."""
    parts: list[bytes] = []
    code = Shell().run(
        ["sh", "-c", r"cat; echo err >&2; printf '\377'; exit 3"], stdin=b"in\n" * 100_000, sink=parts.append
    )

    assert code == 3
    assert b"".join(parts) == b"in\n" * 100_000 + b"err\n\xff"


def test_output_is_handed_on_as_it_comes(tmp_path: Path) -> None:
    """Not at the end: the program waits until its first line has arrived."""
    arrived = tmp_path / "arrived"
    script = f"echo first; while [ ! -e {arrived} ]; do sleep 0.01; done; echo second"
    parts: list[bytes] = []

    def sink(chunk: bytes) -> None:
        parts.append(chunk)
        arrived.touch()

    assert Shell().run(["sh", "-c", script], sink=sink) == 0
    assert parts == [b"first\n", b"second\n"]


def test_the_environment_is_added_to() -> None:
    """What is given is added, the rest is inherited."""
    code, text = Shell().capture(["sh", "-c", 'echo "$GIVEN $PATH"'], env={"GIVEN": "1"})
    assert (code, text) == (0, f"1 {os.environ['PATH']}\n")


def test_a_signal_is_a_negative_exit_code() -> None:
    """As the system reports it."""
    assert Shell().capture(["sh", "-c", "kill -9 $$"]) == (-signal.SIGKILL, "")


def test_a_program_that_takes_too_long_is_stopped() -> None:
    """With all that it started, which would hold its output open."""
    with pytest.raises(TimeoutError, match=r"sh took longer than 0\.1 s"):
        Shell().run(["sh", "-c", "sleep 600 & sleep 600"], sink=lambda _chunk: None, seconds=0.1)
    assert Shell().run(["true"], sink=lambda _chunk: None, seconds=600.0) == 0


def test_a_program_that_is_not_there() -> None:
    """A missing program is an error to run, and exit code 127 to ask something of."""
    with pytest.raises(FileNotFoundError):
        Shell().run(["imagematrix-no-such-program"], sink=lambda _: None)
    assert Shell().capture(["imagematrix-no-such-program"]) == (127, "imagematrix-no-such-program: not found")


def test_a_sink_that_fails_leaves_no_process(tmp_path: Path) -> None:
    """Its error comes through; the program is stopped."""
    pid = tmp_path / "pid"

    def sink(_: bytes) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        Shell().run(["sh", "-c", f"echo $$ > {pid}; echo go; exec sleep 60"], sink=sink)
    assert not alive(int(pid.read_text()))


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Started:
    """A program that runs in a thread of its own, its children's ids as it prints them."""

    def __init__(self, running: Shell, script: str) -> None:
        self.code: int | None = None
        self._text = b""
        self._thread = threading.Thread(target=self._run, args=(running, script))
        self._thread.start()

    def _run(self, running: Shell, script: str) -> None:
        self.code = running.run(["sh", "-c", script], sink=self._take)

    def _take(self, chunk: bytes) -> None:
        self._text += chunk

    def pids(self, number: int) -> list[int]:
        until(lambda: self._text.count(b"\n") >= number)
        return [int(line) for line in self._text.split()]

    def ended(self) -> bool:
        self._thread.join(SOON)
        return not self._thread.is_alive()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("sleep 60 & echo $!; echo $$; wait", id="one that heeds"),
        pytest.param("trap '' TERM; sleep 60 & echo $!; echo $$; wait; sleep 60", id="one that does not"),
        pytest.param("(trap '' TERM; sleep 60; sleep 60) & echo $!; echo $$; wait", id="one whose child does not"),
    ],
)
def test_cancel_stops_all_that_a_program_started(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """The whole group is gone within moments, politely or not, and the waiting thread continues."""
    monkeypatch.setattr(shell, "_GRACE_SECONDS", 0.2)
    running = Shell()
    programs = [Started(running, script) for _ in range(3)]
    pids = [pid for program in programs for pid in program.pids(2)]
    assert all(map(alive, pids))

    began = time.monotonic()
    running.cancel()
    assert all(program.ended() for program in programs)
    assert time.monotonic() - began < SOON / 2
    until(lambda: not any(map(alive, pids)))
    assert all(program.code and program.code < 0 for program in programs)


def test_cancel_is_polite_first(tmp_path: Path) -> None:
    """Who heeds it has the time to clean up: what it started included, though the program itself has ended."""
    done = tmp_path / "done"
    running = Shell()
    program = Started(running, f"(trap 'sleep 0.1; touch {done}; exit' TERM; echo $$; while :; do sleep 0.01; done)")
    program.pids(1)

    running.cancel()
    assert program.ended()
    assert done.exists()


def test_after_cancel_nothing_starts(tmp_path: Path) -> None:
    """A run that is stopped begins nothing more."""
    running = Shell()
    running.cancel()
    running.cancel()

    with pytest.raises(InterruptedError):
        running.run(["touch", str(tmp_path / "started")], sink=lambda _: None)
    assert not (tmp_path / "started").exists()


def test_ctrl_c_reaches_only_us() -> None:
    """A program is in a session of its own: a terminal's Ctrl-C does not end it behind our back."""
    _, text = Shell().capture([sys.executable, "-c", "import os; print(os.getsid(0))"])
    assert int(text) != os.getsid(0)


def test_an_open_shell_answers_each_command_by_itself() -> None:
    """Its code, both its streams to the byte, and nothing of what an earlier command left behind."""
    opened = OpenShell(["sh"])
    try:
        first = opened.run("here=1; cat; printf 'no line end'; printf '\\377' >&2; exit 3")
        assert first == Answer(code=3, stdout=b"no line end", stderr=b"\xff")
        many = opened.run(
            f"{sys.executable} - <<'END'\nimport sys\nfor f in sys.stderr, sys.stdout: f.write('x' * 10**6)\nEND"
        )
        assert (many.code, len(many.stdout), len(many.stderr)) == (0, 10**6, 10**6)
        assert opened.run('echo "it\'s ${here-gone}"').stdout == b"it's gone\n"
    finally:
        opened.close()


def test_an_open_shell_that_ended_says_so_and_is_opened_again() -> None:
    """As when its container was stopped."""
    opened = OpenShell(["sh", "-c", "echo opened >&2; exec sh"])
    try:
        assert opened.run("kill -9 $PPID").code == -signal.SIGKILL
        assert opened.run("echo here") == Answer(code=0, stdout=b"here\n", stderr=b"opened\n")
        assert (
            OpenShell(["sh", "-c", "echo no such container >&2; exit 125"]).run("true").stderr == b"no such container\n"
        )
    finally:
        opened.close()


def test_what_was_interrupted_does_not_answer_the_next_command() -> None:
    def interrupt(*_: object) -> None:
        raise TimeoutError

    opened = OpenShell(["sh"])
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(TimeoutError):
            opened.run("sleep 60; echo late")
        assert opened.run("echo next").stdout == b"next\n"
    finally:
        signal.signal(signal.SIGALRM, before)
        opened.close()
