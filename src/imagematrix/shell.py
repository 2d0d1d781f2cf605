"""Runs programs: argument lists only, output streamed, everything in flight can be stopped. Only home of subprocess."""

import os
import re
import selectors
import shlex
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import IO

from imagematrix.execution import parallel

_CHUNK = 65536
_GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.02
_INTERRUPTED = 130
_ATTENTION_SECONDS = 0.2
"""How soon it is seen that a program ended."""


Source = bytes | Callable[[IO[bytes]], object]
"""What a program reads: bytes, or what writes them to a file."""


class Shell:
    """Starts programs, each in a process group of its own, and can stop them all."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._cancelled = False

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: Source = b"",
        sink: Callable[[bytes], None],
        seconds: float | None = None,
    ) -> int:
        """Run a program to its end, handing its output (both streams, as it comes) to `sink`.

        `env` is added to this process's own environment. Returns the exit code, negative for a signal. Raises
        FileNotFoundError when there is no such program, TimeoutError when it took longer than so many seconds: then it
        was stopped, with everything it had started.
        """
        with tempfile.TemporaryFile() as source:
            if callable(stdin):
                stdin(source)
            else:
                source.write(stdin)
            source.seek(0)
            process = self._start(argv, env or {}, source)
        limit = _Limit(process, seconds)
        try:
            while process.stdout and (chunk := os.read(process.stdout.fileno(), _CHUNK)):
                sink(chunk)
            code = process.wait()
        finally:
            limit.lift()
            self._stop(process)
            with self._lock:
                self._running.discard(process)
        if limit.passed:
            raise TimeoutError(f"{argv[0]} took longer than {seconds:g} s")
        return code

    def capture(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run a short program; return its exit code and all it printed; 127 where it is missing, as shells have it."""
        parts: list[bytes] = []
        try:
            code = self.run(argv, env=env, sink=parts.append)
        except FileNotFoundError:
            return 127, f"{argv[0]}: not found"
        return code, b"".join(parts).decode(errors="replace")

    def cancel(self) -> None:
        """Stop everything in flight, politely first, and refuse to start more."""
        with self._lock:
            self._cancelled = True
            running = tuple(self._running)
        _end(running)

    def _start(self, argv: Sequence[str], env: Mapping[str, str], source: IO[bytes]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._cancelled:
                raise InterruptedError("the run was stopped")
            process = subprocess.Popen(
                argv,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                # A group of its own: Ctrl-C reaches only this process, which stops everything that a program started.
                start_new_session=True,
            )
            self._running.add(process)
            return process

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            _signal(process, signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()


class EndedError(Exception):
    """A program ended before it answered: its exit code, and its last words."""

    def __init__(self, why: str, words: bytes) -> None:
        super().__init__(why)
        self.words = words


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a command: its exit code and what it wrote to each stream."""

    code: int
    stdout: bytes
    stderr: bytes


class OpenShell:
    """A POSIX shell that takes one command after the other, wherever it runs: faster than many `docker exec`."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = tuple(argv)
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> Answer:
        """Run a command in a shell of its own, with nothing to read.

        Where the open shell itself ended, its exit code and last words are the answer; the next command opens another.
        """
        process = self._process = self._process or self._open()
        try:
            answer = _answer(process, command)
        except BaseException:  # What was asked must not answer the next command.
            self.close()
            raise
        if process.poll() is not None:
            self.close()
        return answer

    def close(self) -> None:
        """End it."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _open(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(self._argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)


def _answer(process: subprocess.Popen[bytes], command: str) -> Answer:
    """Have an open shell run a command and say on both streams when it is done."""
    end = uuid.uuid4().hex
    tell = f"printf '\\n{end} %d\\n' $code"
    script = f"/bin/sh -c {shlex.quote(command)} < /dev/null; code=$?; {tell}; {tell} >&2\n"
    with suppress(BrokenPipeError):
        if process.stdin:
            process.stdin.write(script.encode())
    told = re.compile(rb"\n%b (\d+)\n" % end.encode())
    stdout, stderr = _until(told, *filter(None, (process.stdout, process.stderr)))
    found = told.search(stdout)
    code = int(found[1]) if found else process.wait()
    return Answer(code=code, stdout=told.split(stdout)[0], stderr=told.split(stderr)[0])


def _until(told: re.Pattern[bytes], *streams: IO[bytes]) -> list[bytes]:
    """Read streams, all at once, each until something is printed or it ends."""
    said = dict.fromkeys(streams, b"")
    with selectors.DefaultSelector() as reading:
        for stream in streams:
            reading.register(stream, selectors.EVENT_READ, stream)
        while reading.get_map():
            for key, _ in reading.select():
                chunk = os.read(key.fd, _CHUNK)
                said[key.data] += chunk
                if not chunk or told.search(said[key.data]):
                    reading.unregister(key.data)
    return list(said.values())


class OpenProgram:
    """A program that answers each line with a line, until it ends."""

    def __init__(self, argv: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        # A group of its own: Ctrl-C reaches only this process, which may need the program to stop others.
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)

    def ask(self, line: bytes) -> bytes:
        """Return the answer. Raises EndedError when the program ends instead."""
        try:
            answer = self._answer(line)
        except BaseException:  # What was asked must not be answered later.
            self.close()
            raise
        if not answer:
            _, words = self._process.communicate()
            raise EndedError(f"exit code {self._process.returncode}", words)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _answer(self, line: bytes) -> bytes:
        with suppress(BrokenPipeError):
            if self._process.stdin:
                self._process.stdin.write(line + b"\n")
                self._process.stdin.flush()
        return self._process.stdout.readline() if self._process.stdout else b""


class _Limit:
    """Ends a program that takes too long."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float | None) -> None:
        self.passed = False
        self._process = process
        self._timer = parallel.after(seconds, self._pass) if seconds is not None else None

    def lift(self) -> None:
        """Let the program be from now on."""
        if self._timer:
            self._timer.cancel()

    def _pass(self) -> None:
        self.passed = True
        _end([self._process])


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Stop programs with everything they started: SIGTERM first."""
    for process in processes:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    for process in processes:
        # Not the program alone: what it started may live on, and hold its output open.
        while _is_alive(process) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        _signal(process, signal.SIGKILL)


def attached(argv: Sequence[str], *, env: Mapping[str, str]) -> int:
    """Run a program whose output is ours, to its end; return its exit code, negative for a signal, 130 when stopped.

    `env` is added to this process's own environment.
    Ctrl-C and SIGTERM are handed on to it once, and it is waited for; a second Ctrl-C kills it.
    """
    with stoppable() as stop:
        # A group of its own: Ctrl-C reaches it through us, and only once.
        process = subprocess.Popen(argv, env={**os.environ, **env}, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            while process.poll() is None and not stop.wait(_ATTENTION_SECONDS):
                pass
            if stop.is_set():
                process.send_signal(signal.SIGTERM)
            code = process.wait()
            return _INTERRUPTED if stop.is_set() else code
        finally:
            if process.poll() is None:
                _signal(process, signal.SIGKILL)
                process.wait()


def _is_alive(process: subprocess.Popen[bytes]) -> bool:
    """Whether anything of a program's process group is left."""
    process.poll()  # buries the program itself, which would count as alive
    return _signal(process, 0)


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """Signal a program's process group; return whether there is one."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set; a second Ctrl-C is Python's own."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def halt(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, halt)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
