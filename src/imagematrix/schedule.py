"""Runs a plan on an executor: longest remaining path first. The only home of threads.

It knows no Docker, no disk and no process. All state belongs to the coordinating thread, which is the one
that calls `run`: workers take a step, try to build it, and hand back an outcome.
"""

import heapq
import operator
import queue
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import tenacity

from imagematrix import backoff
from imagematrix.model import Attempt, FlakeKind, Key, Node, Outcome, Plan, Retry, Status, Step, Verdict
from imagematrix.planning import estimates
from imagematrix.planning.ready_queue import ReadyQueue

_POLL_SECONDS: Final = 0.1
"""How long a stop that comes from a signal handler or another thread may go unseen."""

_TRACE_LINES: Final = 15

_ENGINE_POLLS: Final = 180
_ENGINE_POLL_SECONDS: Final = 1.0
"""How often an engine that went away is asked whether it is back: for three minutes, long enough for most restarts."""

_LONGEST_WAIT_SECONDS: Final = 600.0
"""The longest wait that a source can ask for."""

_INTERRUPTED: Final = "interrupted"


class Executor(Protocol):
    """Builds nodes, several at once."""

    def build(self, step: Step) -> Attempt:
        """Try once to build a step; runs in a worker thread."""

    def answers(self) -> bool:
        """Whether the executor answers: asked after a failure, before another try; runs in a worker thread."""

    def cancel(self) -> None:
        """Make every `build` return soon, those that have not begun too; may be called more than once."""


class Listener(Protocol):
    """Is told what happens, always from the coordinating thread, so it needs no lock."""

    def started(self, step: Step) -> None:
        """Hear that a build begins."""

    def retried(self, step: Step, retry: Retry) -> None:
        """Hear that a try failed for a transient reason; another follows after a wait."""

    def finished(self, step: Step, outcome: Outcome) -> None:
        """Hear how a step ended: once for each step, reused and skipped ones too."""


def anything(_step: Step, _running: Collection[Key]) -> str:
    """Refuse nothing."""
    return ""


def nothing() -> None:
    """Do nothing."""


def run(  # noqa: PLR0913  (each is its caller's choice)
    plan: Plan,
    executor: Executor,
    listener: Listener,
    *,
    jobs: int,
    stop: threading.Event,
    retries: int = 2,
    fail_fast: bool = False,
    seconds: Mapping[Key, float] | None = None,
    refuses: Callable[[Step, Collection[Key]], str] = anything,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] | None = None,
    tick: Callable[[], None] = nothing,
) -> tuple[Outcome, ...]:
    """Build what the plan says; return one outcome for each step, in plan order.

    - At most `jobs` builds at once. A transient failure is retried up to `retries` times, with exponential back-off and
      jitter, at least Retry-After, at most ten minutes; after a failure of the engine, not before it answers, for up to
      three minutes. A waiting node keeps its place among the `jobs`.
    - A failed node skips only what is built on it. With `fail_fast` nothing starts after it.
    - Setting `stop` (best from a signal handler, which then cannot hit between two lines) or Ctrl-C cancels
      the executor and waits for what runs. What ran is `INTERRUPTED`, what had not begun is `SKIPPED`, what
      was finished keeps its outcome. Ctrl-C during that wait cancels again and gives up waiting: the outcomes
      are still complete.
    - `seconds` says how long builds take, by default what their layers typically do. `refuses` is asked before each
      start, with what runs. While it gives a reason nothing starts; when nothing runs either, all that is left is
      skipped for it.
    - `sleep` is how a retry waits; by default it ends at once when `stop` is set. `tick` is called several times a
      second while builds run, from the coordinating thread as the listener is.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    worker = _Worker(executor=executor, retries=retries, stop=stop, clock=clock, sleep=sleep or stop.wait)
    coordinator = _Coordinator(
        plan, listener, worker, jobs=jobs, fail_fast=fail_fast, seconds=seconds, refuses=refuses, tick=tick
    )
    try:
        coordinator.work()
    except KeyboardInterrupt:
        stop.set()
    finally:  # also when a listener raised: no build outlives the run
        coordinator.wind_down_despite_interrupts()
    return coordinator.outcomes()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A step that a worker has, since when, and whose place it takes."""

    step: Step
    started: float
    lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Retried:
    step: Step
    retry: Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    step: Step
    outcome: Outcome


_News = _Retried | _End


class _Coordinator:
    """The state of one run; only the thread that calls `run` touches it."""

    def __init__(
        self,
        plan: Plan,
        listener: Listener,
        worker: "_Worker",
        *,
        jobs: int,
        fail_fast: bool,
        seconds: Mapping[Key, float] | None,
        refuses: Callable[[Step, Collection[Key]], str],
        tick: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._listener = listener
        self._worker = worker
        self._lanes = list(range(jobs))
        """A heap of those that are free."""
        self._fail_fast = fail_fast
        self._refuses = refuses
        self._tick = tick
        self._ready = ReadyQueue(plan.steps, seconds or estimates.seconds(plan.steps))
        self._news: queue.SimpleQueue[_News] = queue.SimpleQueue()
        self._threads: dict[Key, threading.Thread] = {}
        self._begun: dict[Key, _Begun] = {}
        self._outcomes: dict[Key, Outcome] = {}
        self._clock_at_start = worker.clock()

    def work(self) -> None:
        """Start what is ready and take in what ends, until nothing is left or `stop` is set."""
        for step in self._plan.steps:
            if step.verdict is Verdict.REUSE:
                self._record(step, Outcome(key=step.node.key, status=Status.REUSED))
        while not self._worker.stop.is_set():
            self._start_ready()
            if not self._threads:
                return
            self._tick()
            try:
                self._take_in(self._news.get(timeout=_POLL_SECONDS))
            except queue.Empty:
                continue  # look at `stop` again

    def wind_down_despite_interrupts(self) -> None:
        """Cancel what still runs and take in how it ended; Ctrl-C meanwhile gives up the wait, not the outcomes."""
        try:
            self._wind_down(wait=True)
        except KeyboardInterrupt:
            self._wind_down(wait=False)

    def outcomes(self) -> tuple[Outcome, ...]:
        """Return all outcomes in plan order."""
        return tuple(self._outcomes[step.node.key] for step in self._plan.steps)

    def _start_ready(self) -> None:
        while self._lanes and (step := self._ready.take()):
            refusal = self._refuses(step, self._threads.keys())
            if refusal:
                self._ready.give_back(step)
                if not self._threads:
                    self._skip_rest(refusal)
                return
            self._start(step)

    def _start(self, step: Step) -> None:
        key = step.node.key
        begun = _Begun(step=step, started=self._now(), lane=heapq.heappop(self._lanes))
        self._begun[key] = begun
        # daemon: a build that does not let itself be cancelled must not keep the process from exiting
        thread = threading.Thread(
            target=self._worker.work,
            args=(begun, self._news.put),
            name=f"build-{key[:12]}",
            daemon=True,
        )
        self._threads[key] = thread
        self._listener.started(step)
        thread.start()

    def _take_in(self, news: _News) -> None:
        if isinstance(news, _Retried):
            self._listener.retried(news.step, news.retry)
            return
        self._threads.pop(news.step.node.key, None)
        heapq.heappush(self._lanes, self._begun[news.step.node.key].lane)
        self._record(news.step, news.outcome)
        if news.outcome.status in {Status.BUILT, Status.REUSED}:
            self._ready.done(news.step.node.key)
        elif news.outcome.status is Status.FAILED:
            self._cascade(news.step.node)

    def _cascade(self, failed: Node) -> None:
        for step in self._ready.failed(failed.key):
            self._skip(step, f"skipped: {failed.layer} failed", blame=failed.key)
        if self._fail_fast:
            self._skip_rest(f"not started after {failed.layer} failed (--fail-fast)")

    def _skip_rest(self, why: str) -> None:
        for step in self._ready.drain():
            self._skip(step, f"skipped: {why}")

    def _skip(self, step: Step, why: str, *, blame: Key | None = None) -> None:
        self._record(step, Outcome(key=step.node.key, status=Status.SKIPPED, why=why, blame=blame))

    def _record(self, step: Step, outcome: Outcome) -> None:
        self._outcomes[step.node.key] = outcome
        self._listener.finished(step, outcome)

    def _wind_down(self, *, wait: bool) -> None:
        if self._threads:
            self._worker.stop.set()
            self._worker.executor.cancel()
        if wait:
            for thread in filter(threading.Thread.is_alive, tuple(self._threads.values())):
                thread.join()
        while not self._news.empty():
            self._take_in(self._news.get_nowait())
        for step in self._plan.steps:
            if step.node.key not in self._outcomes:
                self._record(step, self._unfinished(step.node.key))

    def _unfinished(self, key: Key) -> Outcome:
        begun = self._begun.get(key)
        if begun:
            return Outcome(
                key=key,
                status=Status.INTERRUPTED,
                seconds=self._now() - begun.started,
                attempts=1,
                started=begun.started,
                lane=begun.lane,
                why=_INTERRUPTED,
            )
        return Outcome(key=key, status=Status.SKIPPED, why="skipped: interrupted before it started")

    def _now(self) -> float:
        """Return the seconds since the run began."""
        return self._worker.clock() - self._clock_at_start


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worker:
    """What a worker thread does: tries, waits, tries again. It shares nothing but `stop` and the queue."""

    executor: Executor
    retries: int
    stop: threading.Event
    clock: Callable[[], float]
    sleep: Callable[[float], object]

    def work(self, begun: _Begun, put: Callable[[_News], None]) -> None:
        """Build a step, with retries, and put its outcome: always exactly one."""
        step, spent, waited, retries = begun.step, list[float](), list[float](), list[Retry]()

        def attempt() -> Attempt:
            if self.stop.is_set():
                return Attempt(ok=False, why=_INTERRUPTED)
            if retries and retries[-1].flake.kind is FlakeKind.ENGINE:
                self._await_engine()
            before = self.clock()
            made = _guarded(self.executor, step)
            spent.append(self.clock() - before - made.waited)
            waited.append(made.waited)
            return made

        def tell(retry: Retry) -> None:
            retries.append(retry)
            put(_Retried(step=step, retry=retry))

        last = self._retrying(tell)(attempt)
        status, why = self._verdict(step, last)
        outcome = Outcome(
            key=step.node.key,
            status=status,
            seconds=sum(spent),
            waited=sum(waited),
            attempts=len(spent),
            retries=tuple(retries),
            started=begun.started,
            lane=begun.lane,
            why=why,
            tail=last.tail,
            log=last.log,
            image=last.image,
        )
        put(_End(step=step, outcome=outcome))

    def _verdict(self, step: Step, last: Attempt) -> tuple[Status, str]:
        if last.ok:
            return Status.BUILT if step.verdict is Verdict.BUILD else Status.REUSED, ""
        if self.stop.is_set():
            return Status.INTERRUPTED, _INTERRUPTED
        return Status.FAILED, last.why

    def _retrying(self, tell: Callable[[Retry], None]) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_result(_may_pass),
            stop=tenacity.stop_after_attempt(self.retries + 1) | tenacity.stop_when_event_set(self.stop),
            wait=backoff.wait(_asked, longest=_LONGEST_WAIT_SECONDS),
            sleep=self._nap,
            before_sleep=lambda state: tell(_retry(state)),
            retry_error_callback=_result,
        )

    def _await_engine(self) -> None:
        """Wait until the engine answers, or for so long that it may as well be tried."""
        tenacity.Retrying(
            retry=tenacity.retry_if_result(operator.not_),
            stop=tenacity.stop_after_attempt(_ENGINE_POLLS) | tenacity.stop_when_event_set(self.stop),
            wait=tenacity.wait_fixed(_ENGINE_POLL_SECONDS),
            sleep=self._nap,
            retry_error_callback=lambda _state: None,
        )(self.executor.answers)

    def _nap(self, seconds: float) -> None:
        self.sleep(seconds)


def _guarded(executor: Executor, step: Step) -> Attempt:
    """Build; whatever is raised becomes a failed attempt, so that no node is lost."""
    try:
        return executor.build(step)
    except BaseException as error:  # noqa: BLE001  (SystemExit too: it would end the thread without a word)
        lines = "".join(traceback.format_exception(error)).splitlines()
        return Attempt(ok=False, why=f"{type(error).__name__}: {error}", tail=tuple(lines[-_TRACE_LINES:]))


def _may_pass(attempt: Attempt) -> bool:
    return not attempt.ok and attempt.flake is not None


def _asked(state: tenacity.RetryCallState) -> float:
    flake = _result(state).flake
    return flake.retry_after if flake else 0.0


def _retry(state: tenacity.RetryCallState) -> Retry:
    attempt = _result(state)
    assert attempt.flake is not None  # noqa: S101  (else it would not be tried again)
    return backoff.noted(state, why=attempt.why, flake=attempt.flake)


def _result(state: tenacity.RetryCallState) -> Attempt:
    assert state.outcome is not None  # noqa: S101  (tenacity sets it before it asks)
    result: Attempt = state.outcome.result()
    return result
