"""Signs what the machines of a cluster have pushed: the private key is here, and no machine has it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from imagematrix.cluster.pushes import ClusterPushes
from imagematrix.commands.build.recorder import BesideBuilds
from imagematrix.errors import RegistryError
from imagematrix.execution import parallel
from imagematrix.model import Key, Pushed, PushStatus, Row
from imagematrix.registry.vouching import Voucher

_JOBS: Final = 4
"""How many nodes are signed at once."""


@contextmanager
def signed(pushes: ClusterPushes, voucher: Voucher) -> Iterator[BesideBuilds]:
    """Give pushes that have ended when they are signed; where nodes are not signed, those that are given."""
    if voucher.signer is None:
        yield pushes
        return
    with parallel.pool(_JOBS, name="sign") as pool:
        yield _SignedPushes(pushes, voucher, pool)


class _SignedPushes:
    """Pushes of machines. A node that cannot be signed counts as not pushed."""

    def __init__(self, pushes: ClusterPushes, voucher: Voucher, pool: parallel.ThreadPoolExecutor) -> None:
        self._pushes = pushes
        self._voucher = voucher
        self._pool = pool
        self._open: list[parallel.Future[Pushed]] = []
        self._ended: dict[Key, Pushed] = {}

    def offer_node(self, key: Key, image: str) -> None:
        """Do nothing: the machine that made an image pushes it."""

    def offer_row(self, row: Row, key: Key, image: str) -> None:
        """Do nothing: images of rows are published after the run."""

    def news(self) -> Iterator[Pushed]:
        """Yield what ended since this was last asked."""
        self._begin(self._pushes.news())
        yield from self._done()

    def rest(self) -> Iterator[Pushed]:
        """Yield what ends from now on, until everything is signed."""
        for pushed in self._pushes.rest():
            self._begin((pushed,))
            yield from self._done()
        for waiting in self._open:
            waiting.exception()  # it is over then
        yield from self._done()

    def nodes(self) -> tuple[Pushed, ...]:
        """Return how the pushes ended."""
        return tuple(self._ended.get(pushed.key, pushed) for pushed in self._pushes.nodes())

    def _begin(self, news: tuple[Pushed, ...]) -> None:
        self._open += [self._pool.submit(self._signed, pushed) for pushed in news]

    def _done(self) -> Iterator[Pushed]:
        done = [each for each in self._open if each.done()]
        self._open = [each for each in self._open if each not in done]
        for each in done:
            pushed = each.result()
            self._ended[pushed.key] = pushed
            yield pushed

    def _signed(self, pushed: Pushed) -> Pushed:
        """Sign what a machine pushed, if it is what that machine built; what the registry had already is signed."""
        if pushed.status is not PushStatus.PUSHED or not pushed.attempts:
            return pushed
        try:
            found = self._voucher.client.manifest(self._voucher.repository, pushed.digest)
            if self._pushes.image(pushed.key) not in {found.digest, found.config}:
                return replace(pushed, status=PushStatus.FAILED, why=_OTHERS, digest="")
            self._voucher.sign(pushed.key, pushed.digest)
        except RegistryError as error:
            return replace(pushed, status=PushStatus.FAILED, why=f"it is pushed, but not signed: {error}", digest="")
        return pushed


_OTHERS: Final = "the registry has another image under this key than the machine built: it is not signed"
