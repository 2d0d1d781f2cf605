"""What a worker thread does with one job: tries, waits, tries again."""

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from imagematrix.execution import backoff
from imagematrix.execution.backoff import Backoff, Passing
from imagematrix.execution.protocol import Executor
from imagematrix.model import Attempt, BuildJob, FlakeKind, Outcome, Retry, Status, Step, Verdict

INTERRUPTED: Final = "interrupted"
_TRACE_LINES: Final = 15

ENGINE_SECONDS: Final = 180.0
"""How long an engine that went away is waited for: long enough for most restarts."""
_ENGINE_POLL_SECONDS: Final = 1.0
"""How often it is asked whether it is back."""

_LONGEST_WAIT_SECONDS: Final = 600.0
"""The longest wait that a source can ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A step that a worker has, since when, and whose place it takes."""

    step: Step
    job: BuildJob
    started: float
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRetried:
    """A try failed in passing; another follows."""

    step: Step
    retry: Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettles:
    """A step is done but for a wait: its worker slot is free."""

    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A step ended."""

    step: Step
    outcome: Outcome


News = StepRetried | StepSettles | StepEnded
Settle = Callable[[BuildJob, Attempt], Attempt]


def settled(_job: BuildJob, attempt: Attempt) -> Attempt:
    """Take it that nothing is to be waited for."""
    return attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What a worker thread does: tries, waits, tries again. It shares nothing but `stop` and the queue."""

    executor: Executor
    settle: Settle
    retries: int
    stop: threading.Event
    clock: Callable[[], float]
    sleep: Callable[[float], object]

    def work(self, begun: Begun, put: Callable[[News], None]) -> None:
        """Build a step, with retries, and put its outcome: always exactly one."""
        step, retries = begun.step, list[Retry]()
        spent, waited, queued, pulled = list[float](), list[float](), list[float](), list[float]()

        def attempt() -> Attempt:
            if self.stop.is_set():
                return Attempt(ok=False, why=INTERRUPTED)
            if retries and retries[-1].flake.kind is FlakeKind.ENGINE:
                there = _guarded(self._await_engine)
                if not there.ok:
                    return there
            before = self.clock()
            made = _guarded(self.executor.build, begun.job)
            busy = self.clock() - before - made.waited if made.seconds is None else made.seconds
            spent.append(busy)
            waited.append(made.waited)
            queued.append(made.queued)
            pulled.append(made.pulled)
            if made.ok and not made.is_settled:
                put(StepSettles(step=step))
                return _guarded(self.settle, begun.job, made)
            return made

        def tell(retry: Retry) -> None:
            retries.append(retry)
            put(StepRetried(step=step, retry=retry))

        trying = Backoff(tries=self.retries + 1, longest=_LONGEST_WAIT_SECONDS, stop=self.stop, sleep=self.sleep)
        last = trying.settle(attempt, _passing, tell)
        status, why = self._verdict(step, last)
        outcome = Outcome(
            key=step.node.key,
            status=status,
            seconds=sum(spent),
            waited=sum(waited),
            pulled=sum(pulled),
            attempts=len(spent),
            retries=tuple(retries),
            started=begun.started + sum(queued[:1]),
            slot=begun.slot if last.slot is None else last.slot,
            machine=last.machine,
            why=why,
            tail=last.tail,
            log=last.log,
            image=last.image,
            drifted=last.drifted,
            lost_source=last.lost_source,
        )
        put(StepEnded(step=step, outcome=outcome))

    def _verdict(self, step: Step, last: Attempt) -> tuple[Status, str]:
        if last.ok:
            return Status.BUILT if step.verdict is Verdict.BUILD else Status.REUSED, ""
        if self.stop.is_set():
            return Status.INTERRUPTED, INTERRUPTED
        return Status.FAILED, last.why

    def _await_engine(self) -> Attempt:
        """Wait until the engine answers, or for so long that it may as well be tried; return that it may."""
        backoff.poll(
            self.executor.answers,
            times=round(ENGINE_SECONDS / _ENGINE_POLL_SECONDS),
            seconds=_ENGINE_POLL_SECONDS,
            stop=self.stop,
            sleep=self.sleep,
        )
        return Attempt(ok=True)


def _guarded(act: Callable[..., Attempt], *words: object) -> Attempt:
    """Build, or settle; whatever is raised becomes a failed attempt, so that no node is lost."""
    try:
        return act(*words)
    except BaseException as error:  # noqa: BLE001  (SystemExit too: it would end the thread without a word)
        lines = "".join(traceback.format_exception(error)).splitlines()
        return Attempt(ok=False, why=f"{type(error).__name__}: {error}", tail=tuple(lines[-_TRACE_LINES:]))


def _passing(attempt: Attempt) -> Passing | None:
    return Passing(why=attempt.why, flake=attempt.flake) if attempt.flake and not attempt.ok else None
