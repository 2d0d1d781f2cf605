"""What people see of a run on many machines: a build is shown from when a machine begins it, with the machine."""

from collections.abc import Callable, Iterable

from imagematrix.model import Key, Outcome, Plan, Pushed, Retry, Step
from imagematrix.report import Progress


class MachineProgress:
    """Passes news on to what shows them. `output` and `waiting` may be called from any thread."""

    def __init__(self, plan: Plan) -> None:
        self._steps = {step.node.key: step for step in plan.steps}
        self._next: Progress | None = None
        self._begun: Callable[[], Iterable[tuple[Key, str]]] = tuple

    def show(self, progress: Progress, begun: Callable[[], Iterable[tuple[Key, str]]]) -> None:
        """Pass news on to `progress` from now on; `begun` gives the jobs that began since, with their machines."""
        self._next, self._begun = progress, begun

    def started(self, step: Step) -> None:
        """Do nothing: a job on its way waits for a machine."""

    def retried(self, step: Step, retry: Retry) -> None:
        """Pass it on."""
        self._tell_begun()
        if self._next:
            self._next.retried(step, retry)

    def finished(self, step: Step, outcome: Outcome) -> None:
        """Pass it on."""
        self._tell_begun()
        if self._next:
            self._next.finished(step, outcome)

    def pushed(self, step: Step, pushed: Pushed) -> None:
        """Pass it on."""
        if self._next:
            self._next.pushed(step, pushed)

    def output(self, key: Key, line: str) -> None:
        """Pass it on."""
        if self._next:
            self._next.output(key, line)

    def waiting(self, key: Key, cache: str) -> None:
        """Pass it on."""
        if self._next:
            self._next.waiting(key, cache)

    def tick(self) -> None:
        """Tell which builds began."""
        self._tell_begun()
        if self._next:
            self._next.tick()

    def _tell_begun(self) -> None:
        for key, machine in self._begun():
            if self._next and key in self._steps:
                self._next.started(self._steps[key], machine)
