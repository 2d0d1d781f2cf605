"""The published images for their users: what is in each, what it needs, how to pull it, what changed last."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from imagematrix import compat
from imagematrix.model import Row, Service
from imagematrix.planning.checks import is_checked
from imagematrix.report import overview
from imagematrix.report.overview import VersionChange
from imagematrix.report.runs import PastLeaf, PastRun


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """An image that can be pulled."""

    row: Row
    names: tuple[str, ...]
    """All that it is published as; the first is the one to use."""
    digest: str
    """The first name's, in its registry."""
    bytes: int | None
    """Uncompressed; None: not known."""
    versions: Mapping[str, str]
    cuda: str
    """What it uses, of its base or its wheels; empty: none, or not known."""
    driver: str
    """The oldest host driver that its CUDA runs on; empty: not known, or it has no CUDA."""
    since: datetime
    """When the run began that published what it is now."""
    changes: tuple[VersionChange, ...]
    """What moved then."""
    update_bytes: int
    """What a machine with the image before that downloads, compressed; 0: not known, or there was none."""
    unchecked: bool
    """None of its layers has a check."""
    unverified: bool
    """Its moving tags do not stand for it: it waits for its checks, or has failed them."""
    services: tuple[Service, ...]
    """Those that its containers start; none: they run a command and end."""

    @property
    def pull(self) -> str:
        """The command that brings exactly this image."""
        repository, _, _ = self.names[0].rpartition(":")
        return f"docker pull {repository}@{self.digest}" if self.digest else f"docker pull {self.names[0]}"

    @property
    def run(self) -> str:
        """The command that starts it."""
        gpus = " --gpus all" if compat.cuda_of(self.row.values) else ""
        if not self.services:
            return f"docker run --rm --interactive --tty --shm-size 8g{gpus} {self.names[0]}"
        secrets = {
            setting.name for service in self.services for setting in service.settings if setting.kind == "secret"
        }
        ports = (f" --publish 127.0.0.1:{service.host_port}:{service.port}" for service in self.services)
        given = (f" --env {name}" for name in sorted(secrets))
        return f"docker run --detach --shm-size 8g{gpus}{''.join(given)}{''.join(ports)} {self.names[0]}"


def make(
    rows: Iterable[Row],
    past: Sequence[PastRun],
    checked: Container[str],
    services: Callable[[Row], tuple[Service, ...]] = lambda _: (),
) -> tuple[CatalogueEntry, ...]:
    """Return the rows that are published, by name; of each what the last run that published it says.

    `checked` are the layers that have checks; `services` gives those that a row's containers start.
    """
    entries = (_entry(row, past, checked, services) for row in sorted(rows, key=lambda row: row.name))
    return tuple(entry for entry in entries if entry)


def _entry(
    row: Row, past: Sequence[PastRun], checked: Container[str], services: Callable[[Row], tuple[Service, ...]]
) -> CatalogueEntry | None:
    told = [(run, leaf) for run in past if (leaf := run.by_name.get(row.name)) and leaf.names]
    if not told:
        return None
    now = told[-1][1]
    same = next((at for at in range(len(told) - 1, 0, -1) if _digest(told[at - 1][1], row) != _digest(now, row)), 0)
    changes = overview.moved(told[same - 1][1], told[same][1]) if same else ()
    names = sorted(now.names, key=lambda name: not name.endswith(f":{row.published_tag}"))
    use = compat.cuda_of(row.values)
    return CatalogueEntry(
        row=row,
        names=tuple(names),
        digest=_digest(now, row),
        bytes=_last(leaf.bytes for _, leaf in told),
        versions=now.versions,
        cuda=use.version if use else "",
        driver=use.driver if use else "",
        since=told[same][0].started,
        changes=tuple(changes),
        update_bytes=(told[same][1].update_bytes or 0) if same else 0,
        unchecked=not is_checked(row, checked),
        unverified=not any(name.endswith(f":{row.published_tag}") for name in names),
        services=services(row),
    )


def _digest(leaf: PastLeaf, row: Row) -> str:
    """Return what the row's own tag stands for, else any of its names."""
    digests = leaf.names
    own = [digest for name, digest in digests.items() if name.endswith(f":{row.published_tag}")]
    return (own or list(digests.values()))[0]


def _last(values: Iterable[int | None]) -> int | None:
    return next((value for value in reversed([*values]) if value is not None), None)
