"""Ends two machines that build one key with one image: the later one takes over what the other one pushed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event

from imagematrix.errors import NoEngineError, RegistryError, SilentRegistryError
from imagematrix.execution.protocol import Executor
from imagematrix.model import Attempt, BuildJob, NodePull
from imagematrix.registry import Client
from imagematrix.registry.vouching import Voucher


@dataclass(frozen=True, slots=True, kw_only=True)
class TakingOver:
    """An executor that asks the node cache after each build, before anything is built on the result.

    Another machine may have pushed the node since the plan was made. Its image is then used, and this machine's is
    removed. What is not believed to be the node, and a registry that does not answer, change nothing.
    """

    executor: Executor
    client: Client
    voucher: Voucher
    remove: Callable[[str], None]
    """Removes an image, by its id."""
    silent: Event = field(default_factory=Event)
    """Set once the registry did not answer: it is not asked again."""

    def build(self, job: BuildJob) -> Attempt:
        """Do a job; return the image of the node, made here or elsewhere."""
        made = self.executor.build(job)
        if not made.ok or not job.push_to or isinstance(job.work, NodePull) or self.silent.is_set():
            return made
        digest = self._others(job, made.image)
        if not digest:
            return made
        pull = NodePull(repository=job.push_to, digest=digest)
        # Its log is one of its own: the build's stays.
        pulled = self.executor.build(replace(job, work=pull, layer=f"{job.layer}-pull"))
        if not pulled.ok or pulled.image == made.image:
            return made
        self._remove(made.image)
        return replace(made, image=pulled.image)

    def answers(self) -> bool:
        """Whether the executor answers."""
        return self.executor.answers()

    def cancel(self) -> None:
        """Make every build return soon."""
        self.executor.cancel()

    def _others(self, job: BuildJob, image: str) -> str:
        """Return the digest of another image that the node cache has of a node; empty: it has none to take over."""
        try:
            digest = self.client.digest(job.push_to, job.key)
            if not digest or self.voucher.doubt(job.key, digest):
                return ""
            found = self.client.manifest(job.push_to, digest)
        except SilentRegistryError:
            self.silent.set()
            return ""  # the push reports it
        except RegistryError:
            return ""
        return "" if image in (found.digest, found.config) else digest

    def _remove(self, image: str) -> None:
        try:
            self.remove(image)
        except NoEngineError:
            return  # what the image is built into reports it
