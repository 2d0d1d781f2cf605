"""One run of `lock` or `add`: which requests are open, and what was answered."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from imagematrix.planning import sizes
from imagematrix.planning.requirements.stack import (
    Locked,
    RequirementStack,
    ResolveRequest,
    answered,
    follow,
    installed,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request without a solution, in uv's words."""

    request: ResolveRequest
    why: str


class LockSession:
    """What must be resolved, round by round: given the results, it says which requests are open next.

    A lock is requested when a chosen stack lacks it, or when the one below it changed; an upgrade requests all that
    chosen stacks have.
    """

    def __init__(
        self,
        stacks: Collection[RequirementStack],
        committed: Mapping[str, str],
        *,
        chosen: Collection[RequirementStack],
        upgrade: bool,
    ) -> None:
        self._stacks = tuple(stacks)
        self._chosen = frozenset(chosen)
        self._committed = committed
        self._upgrade = upgrade
        self._new: dict[str, str] = {}
        self._moved: set[str] = set()
        self._failed: dict[str, Failure] = {}
        self._kept: dict[str, Failure] = {}

    def requests(self) -> tuple[ResolveRequest, ...]:
        """Return the requests that are open now; none when all is resolved."""
        asked = {request.path: request for _, request in self._openings() if request.path not in self._failed}
        return tuple(asked[path] for path in sorted(asked))

    def answer(self, request: ResolveRequest, text: str) -> None:
        """Take a lock."""
        path, old = request.path, self._committed.get(request.path)
        if old is not None and installed(text) == installed(old):
            text = old  # with the sizes and the cooldown that it has
        if text != old if old is not None else self._has_moved(request.constraints):
            self._moved.add(path)
        self._new[path] = text

    def unmeasured(self) -> tuple[tuple[ResolveRequest, Locked], ...]:
        """Return the locks of chosen stacks, and new ones, of which not all sizes are known, sorted by path."""
        everything = {**self._committed, **self._new}
        found = {
            request.path: (request, locked)
            for stack in self._stacks
            for request, locked in answered(stack, everything)
            if (stack in self._chosen or request.path in self._new)
            and sizes.unmeasured(locked.text, (below.text for below in request.constraints))
        }
        return tuple(found[path] for path in sorted(found))

    def measure(self, request: ResolveRequest, text: str) -> None:
        """Take a lock with its sizes."""
        self._new[request.path] = text

    def fail(self, request: ResolveRequest, why: str) -> None:
        """Take a refusal: a lock that was to be upgraded is left unchanged."""
        failure = Failure(request=request, why=why)
        if request.path in self._committed:
            self._kept[request.path] = failure
            self._new[request.path] = self._committed[request.path]
        else:
            self._failed[request.path] = failure

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What has no solution, sorted by path."""
        return tuple(self._failed[path] for path in sorted(self._failed))

    @property
    def kept(self) -> tuple[Failure, ...]:
        """What could not be upgraded, sorted by path."""
        return tuple(self._kept[path] for path in sorted(self._kept))

    def locks(self) -> Mapping[str, str]:
        """Return the locks that the stacks need, as far as they exist by now."""
        return {locked.path: locked.text for found, _ in self._walks() for locked in found}

    @property
    def is_complete(self) -> bool:
        """Whether the stacks need no other locks: while what they need is unknown, nothing may be removed."""
        return not any(request for _, request in self._walks())

    def _walks(self) -> Iterable[tuple[tuple[Locked, ...], ResolveRequest | None]]:
        everything = {**self._committed, **self._new}
        return (follow(stack, everything) for stack in self._stacks)

    def _openings(self) -> Iterable[tuple[RequirementStack, ResolveRequest]]:
        everything = {**self._committed, **self._new}
        for stack in self._stacks:
            is_chosen = stack in self._chosen
            _, request = follow(stack, self._new if self._upgrade and is_chosen else everything)
            if request and (is_chosen or self._has_moved(request.constraints)):
                yield stack, request

    def _has_moved(self, constraints: Sequence[Locked]) -> bool:
        return any(locked.path in self._moved for locked in constraints)
