"""Dask, configured for builds before it is imported: it reads some of its settings only then."""

import logging
from types import ModuleType
from typing import Final

SETTINGS: Final = {
    # There are no tasks of Dask's to be moved.
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.work-stealing": False,
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
