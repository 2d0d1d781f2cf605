"""Dask, configured for builds before it is imported: it reads some of its settings only then."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Final

from imagematrix.cluster.messages import SCALE

_BYTES_A_SECOND: Final = 100_000_000
"""How fast a machine is thought to pull an image: a network of 1 Gbit/s."""
BANDWIDTH: Final = _BYTES_A_SECOND // SCALE
"""The same, in the unit of weights."""

SETTINGS: Final = {
    # A try that was running on a machine that died fails; `execution.worker` decides about the next one.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.bandwidth": BANDWIDTH,
    # It would remove weights from machines that have the image.
    "distributed.scheduler.active-memory-manager.start": False,
    # Tasks without parents are placed like all others.
    "distributed.scheduler.rootish-taskgroup": 0,
    "distributed.scheduler.rootish-taskgroup-dependencies": 0,
    "distributed.scheduler.worker-saturation": "inf",
    "distributed.scheduler.unknown-task-duration": "20s",
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.profile.enabled": False,
    "distributed.worker.daemon": False,
    # Dask would measure every message, and look at the health of its loops 50 times a second.
    "distributed.comm.offload": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    # It would keep the last 1,000 messages of each connection, with the jobs in them.
    "distributed.admin.low-level-log-length": 0,
    "distributed.comm.timeouts.connect": "10s",
    "distributed.comm.retry.count": 0,
    "distributed.diagnostics.nvml": False,
    "distributed.version": 2,
}


def dask() -> ModuleType:
    """Return `distributed`, imported with our settings: 2 s, so only commands that need it call this."""
    import dask as settings

    settings.config.set(SETTINGS)
    import distributed

    for name in ("distributed", "tornado.application"):  # what matters of it is an error of ours
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return distributed


def submitting(
    priorities: Mapping[tuple[str, str], float], machines: Mapping[tuple[str, str], Sequence[str]]
) -> AbstractContextManager[None]:
    """Let tasks that are submitted in this `with` have a priority and machines of their own, by their names."""
    from dask.base import annotate

    return annotate(priority=priorities.__getitem__, workers=machines.__getitem__)
