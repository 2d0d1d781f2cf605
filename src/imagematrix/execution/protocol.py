"""What `schedule` calls: an executor, which builds, and a listener, which reports."""

from typing import Protocol

from imagematrix.model import Attempt, BuildJob, Outcome, Retry, Step


class Executor(Protocol):
    """Does jobs, several at once: an engine on this machine, many machines, a test's fake.

    A job is all that an executor knows of a node. What belongs to a machine (mirrors, proxies, secrets) is the
    executor's own. A job starts after the job of its parent has succeeded, or if the parent's image exists.
    """

    def build(self, job: BuildJob) -> Attempt:
        """Try once to do a job; runs in a worker thread.

        A successful attempt names the image that it made, and the jobs of its children name it as their parent's. An
        attempt with a `flake` is retried. An exception fails this node alone, without a retry.
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
