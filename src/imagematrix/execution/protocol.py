"""What `schedule` needs of an executor, and what it reports to a listener."""

from typing import Protocol

from imagematrix.model import Attempt, BuildJob, Outcome, Retry, Step


class Executor(Protocol):
    """Does jobs, several at once: an engine on this machine, many machines, a test's fake.

    A job has everything that is needed for a node; what a machine adds (mirrors, proxies, secrets) belongs to the
    executor. Before a job begins, its parent's was done by the same executor or its image was found there.
    """

    def build(self, job: BuildJob) -> Attempt:
        """Try once to do a job; runs in a worker thread.

        An attempt that is `ok` names the image that it made; children's jobs name it as their parent's. What failed in
        passing says so by its `flake`. Whatever is raised fails the node alone, and is not tried again.
        """

    def answers(self) -> bool:
        """Whether the executor answers: asked after a failure, before another try; runs in a worker thread."""

    def cancel(self) -> None:
        """Make every `build` return soon, those that have not begun too; may be called more than once."""


class Listener(Protocol):
    """Hears what happens, always from the coordinating thread, so it needs no lock."""

    def started(self, step: Step) -> None:
        """Hear that a build begins."""

    def retried(self, step: Step, retry: Retry) -> None:
        """Hear that a try failed for a transient reason; another follows after a wait."""

    def finished(self, step: Step, outcome: Outcome) -> None:
        """Hear how a step ended: once for each step, reused and skipped ones too."""
