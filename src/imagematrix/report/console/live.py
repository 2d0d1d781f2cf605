"""A run as it happens: a live board on a terminal, one line per event in a log."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from imagematrix.model import Key, Outcome, Plan, Pushed, PushStatus, Retry, Status, Step, Verdict
from imagematrix.planning.forecast import Forecast
from imagematrix.report.console.board import Clock, RunningBoard, console
from imagematrix.text.formatting import approx_duration, count, duration, label

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_FORESEEN_EVERY_SECONDS = 5.0
"""A forecast of 5,000 nodes takes some 20 ms."""
_FORETOLD_EVERY_SECONDS = 60.0
"""How often a log says how long it will take."""
_SILENT_SECONDS = 30.0
"""How long a log may say nothing: some systems end a job that is silent for longer."""
_WAITS_SECONDS = 2.0
"""A wait that is shorter is not worth a line."""
_LONGEST_LINE = 60
"""Letters of a tool's line that a log quotes: a step, bytes, per cent."""
_NAMED = 3
"""How many of the builds that run a log names when it has nothing else to say."""

_STYLES: Mapping[Status, str] = {
    Status.BUILT: "green",
    Status.FAILED: "bold red",
    Status.SKIPPED: "yellow",
    Status.INTERRUPTED: "yellow",
    Status.REUSED: "dim",
}


class Progress(AbstractContextManager["Progress"], Protocol):
    """A listener of `schedule.run` to be used in a `with`; it also takes output lines."""

    def started(self, step: Step, machine: str = "") -> None:
        """Hear that a build begins: on a machine of a cluster, if it is named."""

    def retried(self, step: Step, retry: Retry) -> None:
        """Hear that a build is tried again after a wait."""

    def finished(self, step: Step, outcome: Outcome) -> None:
        """Hear how a step ended."""

    def pushed(self, step: Step, pushed: Pushed) -> None:
        """Hear what became of a push."""

    def output(self, key: Key, line: str) -> None:
        """Hear a line that a running build printed; may be called from any thread."""

    def waiting(self, key: Key, cache: str) -> None:
        """Hear that a build waits for a cache that another one uses, or with an empty name that it no longer does.

        May be called from any thread.
        """

    def tick(self) -> None:
        """Hear that time passes: several times a second, from the thread that all but output and waits come from."""


def listener(stream: TextIO, plan: Plan, forecast: Forecast, *, clock: Clock = time.monotonic) -> Progress:
    """Choose how to show a run: a board where a terminal can draw one, else plain lines."""
    drawing = console(stream)
    return Board(drawing, plan, forecast, clock=clock) if drawing else PlainLog(stream, plan, forecast, clock=clock)


class PlainLog:
    """One line per event, with the time since the run began: `[  12.3s] built   python debian12  (14.2s)`."""

    def __init__(self, stream: TextIO, plan: Plan, forecast: Forecast, *, clock: Clock = time.monotonic) -> None:
        self._stream = stream
        self._lines = _Lines(plan, clock)
        self._end = _End(forecast, clock)
        self._clock = clock
        self._foretold = self._printed = clock()
        self._running: dict[Key, tuple[Step, float]] = {}
        self._waits: dict[Key, tuple[str, float]] = {}
        """Written by the threads that build: each entry is replaced or removed as a whole."""
        self._told_waits: set[Key] = set()
        self._last_lines: dict[Key, str] = {}
        """As `_waits`."""

    def __enter__(self) -> Self:
        self._print(f"{self._lines.opening()}; takes {approx_duration(self._end.left())}")
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def started(self, step: Step, machine: str = "") -> None:
        """Print that a build begins."""
        self._end.started(step.node.key)
        self._running[step.node.key] = (step, self._clock())
        self._print(self._lines.event("start", step, f"  on {machine}" if machine else ""))
        self._foretell()

    def retried(self, step: Step, retry: Retry) -> None:
        """Print why a build is tried again, and when."""
        self._print(self._lines.retry(step, retry))

    def finished(self, step: Step, outcome: Outcome) -> None:
        """Print an outcome, unless it has nothing new."""
        self._end.finished(step.node.key)
        self._running.pop(step.node.key, None)
        self._last_lines.pop(step.node.key, None)
        if _is_news(outcome):
            self._print(self._lines.outcome(step, outcome))
            self._foretell()

    def pushed(self, step: Step, pushed: Pushed) -> None:
        """Print it."""
        self._print(self._lines.push(step, pushed))

    def output(self, key: Key, line: str) -> None:
        """Remember the last line, for when nothing else is printed: the full output is in the node's log."""
        self._last_lines[key] = line

    def waiting(self, key: Key, cache: str) -> None:
        """Note it: it is printed when it lasts."""
        if cache:
            self._waits[key] = (cache, self._clock())
        else:
            self._waits.pop(key, None)

    def tick(self) -> None:
        """Print what waits, and what runs when nothing was printed for long."""
        now = self._clock()
        for key, (cache, since) in tuple(self._waits.items()):
            if key in self._running and key not in self._told_waits and now - since >= _WAITS_SECONDS:
                self._told_waits.add(key)
                self._print(self._lines.event("wait", self._running[key][0], f"  (for the cache {cache})"))
        self._told_waits &= self._waits.keys()
        if self._running and now - self._printed >= _SILENT_SECONDS:
            self._print(self._lines.note("; ".join(filter(None, (*self._still(now), self._end.words())))))

    def _still(self, now: float) -> Iterator[str]:
        waits = dict(self._waits)
        for key, (step, begun) in tuple(self._running.items())[:_NAMED]:
            verb, since = ("waits", waits[key][1]) if key in waits else ("builds", begun)
            last = self._last_lines.get(key, "") if verb == "builds" else ""
            yield f"{label(step)} {verb} ({duration(now - since)})" + (f": {_short(last)}" if last else "")
        if len(self._running) > _NAMED:
            yield f"{len(self._running) - _NAMED} more"

    def _foretell(self) -> None:
        if self._clock() - self._foretold >= _FORETOLD_EVERY_SECONDS:
            self._foretold = self._clock()
            if words := self._end.words():
                self._print(self._lines.note(words))

    def _print(self, line: str) -> None:
        self._printed = self._clock()
        self._stream.write(line + "\n")
        self._stream.flush()


class Board:
    """What runs, with its time and last line, under the lines of what is done; redrawn in place."""

    def __init__(self, console: "Console", plan: Plan, forecast: Forecast, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._lines = _Lines(plan, clock)
        self._end = _End(forecast, clock)
        self._total = len(plan.steps)
        self._counts: Counter[Status] = Counter()
        self._last_lines: dict[Key, str] = {}
        self._waits: dict[Key, str] = {}
        self._board = RunningBoard[Key](console, remark=self._remark, tally=self._tally, clock=clock)

    def __enter__(self) -> Self:
        self._board.say(self._lines.opening())
        self._board.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self._board.__exit__(*_error)

    def started(self, step: Step, machine: str = "") -> None:
        """Give a build its line."""
        self._end.started(step.node.key)
        self._board.start(step.node.key, f"{machine}: {label(step)}" if machine else label(step))

    def retried(self, step: Step, retry: Retry) -> None:
        """Say above the board why a build is tried again; on it, that it waits."""
        self._last_lines[step.node.key] = f"attempt {retry.number + 1} begins within {retry.wait_seconds:.0f}s"
        self._board.say(self._lines.retry(step, retry), "yellow")

    def finished(self, step: Step, outcome: Outcome) -> None:
        """Count an outcome; say it above the board when there is news in it."""
        self._end.finished(step.node.key)
        self._counts[outcome.status] += 1
        self._last_lines.pop(step.node.key, None)
        self._board.end(step.node.key)
        if _is_news(outcome):
            self._board.say(self._lines.outcome(step, outcome), _STYLES[outcome.status])

    def pushed(self, step: Step, pushed: Pushed) -> None:
        """Say it above the board."""
        self._board.say(self._lines.push(step, pushed), "" if pushed.status is PushStatus.PUSHED else "bold red")

    def output(self, key: Key, line: str) -> None:
        """Show the last line that a build printed."""
        self._last_lines[key] = line

    def waiting(self, key: Key, cache: str) -> None:
        """Show that a build waits, and not what it printed last."""
        if cache:
            self._waits[key] = cache
        else:
            self._waits.pop(key, None)

    def tick(self) -> None:
        """Do nothing: the board is redrawn by itself."""

    def draw(self) -> "RenderableType":
        """Draw the board as it is now: at most half a screen of builds, under the counts."""
        return self._board.draw()

    def _remark(self, key: Key) -> str:
        wait = self._waits.get(key)
        return f"waits for the cache {wait}" if wait else self._last_lines.get(key, "")

    def _tally(self) -> str:
        counts = " · ".join(f"{self._counts[status]} {status}" for status in Status if self._counts[status])
        waits = sum(key in self._waits for key in self._board.running)
        settled = f"{sum(self._counts.values())} of {count(self._total, 'node')}"
        spent = duration(self._clock() - self._begun)
        waiting = f", {waits} waiting" if waits else ""
        took = ", ".join(filter(None, (spent, self._end.words())))
        return f"{settled}{f' ({counts})' if counts else ''}{waiting}  {took}"


class _End:
    """When a run will end: foreseen as things happen, by the thread they happen in, and read by any."""

    def __init__(self, forecast: Forecast, clock: Clock) -> None:
        self._forecast = forecast
        self._clock = clock
        self._moment = self._foreseen = 0.0
        self._foresee()

    def started(self, key: Key) -> None:
        self._forecast.started(key, self._clock())
        self._foresee_again()

    def finished(self, key: Key) -> None:
        self._forecast.finished(key)
        self._foresee_again()

    def left(self) -> float:
        """Return how many seconds are left."""
        return max(0.0, self._moment - self._clock())

    def words(self) -> str:
        """Say how long the rest will take; nothing once that time has passed."""
        left = self.left()
        return f"{approx_duration(left)} left" if left else ""

    def _foresee_again(self) -> None:
        if self._clock() - self._foreseen >= _FORESEEN_EVERY_SECONDS:
            self._foresee()

    def _foresee(self) -> None:
        self._foreseen = self._clock()
        self._moment = self._foreseen + self._forecast.left(self._foreseen)


class _Lines:
    """The lines that a log and a board both print."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self._clock = clock
        self._begun = clock()
        self._plan = plan

    def opening(self) -> str:
        """Say what is ahead."""
        steps = self._plan.steps
        verdicts = Counter(step.verdict for step in steps)
        pulled = f" ({verdicts[Verdict.PULL]} to pull)" if verdicts[Verdict.PULL] else ""
        to_build = verdicts[Verdict.BUILD]
        return f"{count(len(steps), 'node')}: {to_build} to build, {len(steps) - to_build} reused{pulled}"

    def note(self, words: str) -> str:
        """Say something of the whole run."""
        return f"[{self._clock() - self._begun:6.1f}s] {words}"

    def event(self, what: str, step: Step, more: str = "") -> str:
        """Say that something happened to a node."""
        return self.note(f"{what:<7} {label(step)}{more}")

    def retry(self, step: Step, retry: Retry) -> str:
        """Say why and when a node is tried again."""
        why = f"attempt {retry.number} failed: {retry.why}"
        return self.event("retry", step, f"  ({why}; next in {retry.wait_seconds:.0f}s)")

    def push(self, step: Step, pushed: Pushed) -> str:
        """Say what became of a push."""
        tries = f", {pushed.attempts} attempts" if pushed.attempts > 1 else ""
        if pushed.status is PushStatus.PUSHED:
            return self.event("pushed", step, f"  ({duration(pushed.seconds)}{tries})")
        return self.event("not pushed", step, f"  ({duration(pushed.seconds)}{tries}): {pushed.why}")

    def outcome(self, step: Step, outcome: Outcome) -> str:
        """Say how a node ended."""
        verb = "pulled" if outcome.status is Status.REUSED else _VERBS.get(outcome.status, outcome.status.value)
        return self.event(verb, step, "".join(_details(outcome)))


_VERBS: Mapping[Status, str] = {Status.INTERRUPTED: "stopped"}


def _details(outcome: Outcome) -> Iterator[str]:
    if outcome.status is Status.SKIPPED:
        yield f"  ({outcome.why})"
        return
    tries = f", {outcome.attempts} attempts" if outcome.attempts > 1 else ""
    where = f", on {outcome.machine}" if outcome.machine else ""
    waited = f", waited {duration(outcome.waited)}" if outcome.waited >= _WAITS_SECONDS else ""
    yield f"  ({duration(outcome.seconds)}{where}{tries}{waited})"
    if outcome.status is Status.FAILED:
        yield f": {outcome.why}"
        yield f"; log: {outcome.log}" if outcome.log else ""


def _short(line: str) -> str:
    """Return the beginning of a line that a tool printed, without what moves a cursor or rings a bell."""
    plain = "".join(letter for letter in line if letter.isprintable()).strip()
    return plain if len(plain) <= _LONGEST_LINE else f"{plain[: _LONGEST_LINE - 1]}…"


def _is_news(outcome: Outcome) -> bool:
    """Leave out what was there, or was never begun because the run stopped: it is counted, not listed."""
    if outcome.status is Status.REUSED:
        return outcome.attempts > 0
    return outcome.status is not Status.SKIPPED or outcome.caused_by is not None
