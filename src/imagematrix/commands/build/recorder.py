"""Keeps each node the moment it is built."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from imagematrix import __version__
from imagematrix.commands.build.decision import BuildDecision
from imagematrix.execution.protocol import Listener
from imagematrix.model import Key, Outcome, Pushed, Retry, Row, Status, Step, Verdict
from imagematrix.planning.plan import Record
from imagematrix.planning.publication import Publication
from imagematrix.planning.trust import Bond
from imagematrix.registry.publishing import Ended
from imagematrix.state import State


class BesideBuilds(Protocol):
    """What is published beside the builds: `registry.publishing` does it here, `cluster` on many machines."""

    def offer_node(self, key: Key, image: str) -> None: ...

    def offer_row(self, row: Row, key: Key, image: str) -> None: ...

    def news(self) -> Iterable[Ended]: ...

    def rest(self) -> Iterable[Ended]: ...

    def nodes(self) -> tuple[Pushed, ...]: ...


class BuildListener(Listener, Protocol):
    """What hears of a run after its recorder."""

    def pushed(self, step: Step, pushed: Pushed) -> None: ...

    def tick(self) -> None: ...


class BuildRecorder:
    """A listener that keeps each node the moment it is built: on record, for all machines, and for its users.

    So a killed run loses nothing.
    """

    def __init__(
        self,
        listener: BuildListener,
        state: State,
        decided: BuildDecision,
        publishing: BesideBuilds,
        *,
        repository: str,
    ) -> None:
        self._next = listener
        self._repository = repository
        self._state = state
        self._steps = {step.node.key: step for step in decided.plan.steps}
        self._publishing = publishing
        self._to_publish = decided.to_publish
        self._published: list[Publication] = []
        for step in decided.plan.steps:
            if step.verdict is not Verdict.BUILD:
                key = step.node.key
                self._publish(key, decided.images[key].id if key in decided.images else "")

    def started(self, step: Step) -> None:
        self._next.started(step)

    def retried(self, step: Step, retry: Retry) -> None:
        self._next.retried(step, retry)

    def finished(self, step: Step, outcome: Outcome) -> None:
        node = step.node
        if outcome.image:
            pulled = [Bond(key=node.key, digest=step.digest, place=self._repository)] if step.digest else []
            self._state.bind(Bond(key=node.key, digest=outcome.image), *pulled)
        if outcome.status is Status.BUILT:
            self._state.remember(record(step, outcome.seconds))
        self._next.finished(step, outcome)
        if outcome.status is Status.BUILT:
            self._publishing.offer_node(node.key, outcome.image)
            self._publish(node.key, outcome.image)
        self._tell(self._publishing.news())

    def push(self, images: Mapping[Key, str]) -> None:
        """Push nodes that the engine has, key -> id, of those that are to be pushed."""
        for key, image in images.items():
            self._publishing.offer_node(key, image)

    def _publish(self, key: Key, image: str) -> None:
        if key in self._to_publish:
            self._publishing.offer_row(self._to_publish[key], key, image)

    def published(self) -> tuple[tuple[Pushed, ...], tuple[Publication, ...]]:
        """Wait for what is still being published; return what became of all nodes, and of all images of rows."""
        self._tell(self._publishing.rest())
        return self._publishing.nodes(), tuple(self._published)

    def _tell(self, news: Iterable[Ended]) -> None:
        self._next.tick()
        for ended in news:
            if isinstance(ended, Publication):
                self._published.append(ended)
                continue
            if ended.digest:
                self._state.bind(Bond(key=ended.key, digest=ended.digest, place=self._repository))
            self._next.pushed(self._steps[ended.key], ended)


def record(step: Step, seconds: float) -> Record:
    """Return what is remembered of a node that took some seconds to build."""
    node = step.node
    return Record(
        key=node.key,
        layer=node.layer,
        inputs=node.inputs,
        rows=step.leaves,
        seconds=seconds,
        version=__version__,
        given=step.given,
    )
