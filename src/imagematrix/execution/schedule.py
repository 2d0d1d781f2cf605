"""Runs a plan on an executor: longest remaining path first.

It knows no Docker, no disk and no process. All state belongs to the coordinating thread, which is the one
that calls `run`: workers take a job, try to do it, and hand back an outcome.
"""

import functools
import heapq
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from imagematrix.execution import parallel
from imagematrix.execution.protocol import Executor, Listener
from imagematrix.execution.worker import INTERRUPTED, Begun, News, Settle, StepRetried, StepSettles, Worker, settled
from imagematrix.model import BuildJob, Key, Node, Outcome, Plan, Status, Step, Verdict
from imagematrix.planning import estimates
from imagematrix.planning.ready_queue import ReadyQueue

_POLL_SECONDS: Final = 0.1
"""How long a stop from a signal handler or another thread may go unnoticed."""


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
    job: Callable[[Step, Mapping[Key, str]], BuildJob],
    images: Mapping[Key, str] | None = None,
    jobs: int,
    limits: Mapping[str, int] = MappingProxyType({}),
    stop: threading.Event,
    retries: int = 2,
    fail_fast: bool = False,
    seconds: Mapping[Key, float] | None = None,
    refuses: Callable[[Step, Collection[Key]], str] = anything,
    settle: Settle = settled,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] | None = None,
    tick: Callable[[], None] = nothing,
) -> tuple[Outcome, ...]:
    """Build what the plan says; return one outcome for each step, in plan order.

    - `job` makes the job of a step, from the ids of the images that exist: `images` at the start, later also what was
      built and pulled.
    - At most `jobs` builds at once, and of a Docker platform that has a limit in `limits` at most so many: where its
      machines are not those of the others, its builds would leave these idle. A transient failure is retried up to
      `retries` times, with exponential back-off and jitter, at least Retry-After, at most ten minutes; after a failure
      of the engine, not before it answers, for up to three minutes. A waiting node keeps its place among the `jobs`.
    - A failed node skips only what is built on it. With `fail_fast` nothing starts after it.
    - Setting `stop` (best from a signal handler, which then cannot hit between two lines) or Ctrl-C cancels
      the executor and waits for what runs. What ran is `INTERRUPTED`, what had not begun is `SKIPPED`, what
      was finished keeps its outcome. Ctrl-C during that wait cancels again and gives up waiting: the outcomes
      are still complete.
    - `seconds` says how long builds take, by default what their layers typically do. `refuses` is asked before each
      start, with what runs. While it gives a reason nothing starts; when nothing runs either, all that is left is
      skipped for it.
    - `settle` waits until an attempt whose success can still be lost cannot be lost any more, and returns it, or how it
      was lost: a failure, which may be retried. Meanwhile its place among the `jobs` is another one's.
    - `sleep` is how a retry waits; by default it ends at once when `stop` is set. `tick` is called several times a
      second while builds run, from the coordinating thread as the listener is.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    worker = Worker(executor=executor, settle=settle, retries=retries, stop=stop, clock=clock, sleep=sleep or stop.wait)
    policy = _Policy(jobs=jobs, limits=limits, fail_fast=fail_fast, refuses=refuses, job=job, tick=tick)
    ready = ReadyQueue(plan.steps, seconds or estimates.seconds(plan.steps))
    coordinator = _Coordinator(plan, listener, worker, policy, ready, images or {})
    try:
        coordinator.work()
    except KeyboardInterrupt:
        stop.set()
    finally:  # also when a listener raised: no build outlives the run
        coordinator.wind_down_despite_interrupts()
    return coordinator.outcomes()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    """What the caller of `run` chose."""

    jobs: int
    limits: Mapping[str, int]
    fail_fast: bool
    refuses: Callable[[Step, Collection[Key]], str]
    job: Callable[[Step, Mapping[Key, str]], BuildJob]
    tick: Callable[[], None]


class _Coordinator:
    """The state of one run; only the thread that calls `run` touches it."""

    def __init__(
        self,
        plan: Plan,
        listener: Listener,
        worker: Worker,
        policy: _Policy,
        ready: ReadyQueue,
        images: Mapping[Key, str],
    ) -> None:
        self._plan = plan
        self._listener = listener
        self._worker = worker
        self._policy = policy
        self._ready = ready
        self._images = dict(images)
        """The ids of the images that exist."""
        self._slots = list(range(policy.jobs))
        """A heap of those that are free."""
        self._taken: dict[Key, int] = {}
        self._running: Counter[str] = Counter()
        """Slots that are taken, by Docker platform."""
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._threads: dict[Key, threading.Thread] = {}
        self._begun: dict[Key, Begun] = {}
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
            self._policy.tick()
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
        while self._slots and (step := self._ready.take(self._full())):
            refusal = self._policy.refuses(step, self._threads.keys())
            if refusal:
                self._ready.give_back(step)
                if not self._threads:
                    self._skip_rest(refusal)
                return
            self._start(step)

    def _full(self) -> Collection[str]:
        return [platform for platform, most in self._policy.limits.items() if self._running[platform] >= most]

    def _start(self, step: Step) -> None:
        key = step.node.key
        slot = self._taken[key] = heapq.heappop(self._slots)
        self._running[step.node.platform] += 1
        begun = Begun(step=step, job=self._policy.job(step, self._images), started=self._now(), slot=slot)
        self._begun[key] = begun
        work = functools.partial(self._worker.work, begun, self._news.put)
        thread = parallel.thread(work, name=f"build-{key[:12]}")
        self._threads[key] = thread  # before it starts: Ctrl-C between the two must not leave a build that runs
        self._listener.started(step)
        thread.start()

    def _take_in(self, news: News) -> None:
        if isinstance(news, StepRetried):
            self._listener.retried(news.step, news.retry)
            return
        self._free_slot(news.step.node)
        if isinstance(news, StepSettles):
            return
        self._threads.pop(news.step.node.key, None)
        self._record(news.step, news.outcome)
        if news.outcome.status in {Status.BUILT, Status.REUSED}:
            self._images[news.step.node.key] = news.outcome.image
            self._ready.done(news.step.node.key)
        elif news.outcome.status is Status.FAILED:
            self._cascade(news.step.node)

    def _free_slot(self, node: Node) -> None:
        """Free the worker slot of a step, unless it was freed before: what is tried again after that needs none."""
        if node.key in self._taken:
            heapq.heappush(self._slots, self._taken.pop(node.key))
            self._running[node.platform] -= 1

    def _cascade(self, failed: Node) -> None:
        for step in self._ready.failed(failed.key):
            self._skip(step, f"{failed.layer} failed", caused_by=failed.key)
        if self._policy.fail_fast:
            self._skip_rest(f"not started after {failed.layer} failed (--fail-fast)")

    def _skip_rest(self, why: str) -> None:
        for step in self._ready.drain():
            self._skip(step, why)

    def _skip(self, step: Step, why: str, *, caused_by: Key | None = None) -> None:
        self._record(step, Outcome(key=step.node.key, status=Status.SKIPPED, why=why, caused_by=caused_by))

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
                slot=begun.slot,
                why=INTERRUPTED,
            )
        return Outcome(key=key, status=Status.SKIPPED, why="interrupted before it started")

    def _now(self) -> float:
        """Return the seconds since the run began."""
        return self._worker.clock() - self._clock_at_start
