"""What a measurement costs a machine: time, processor time, bytes written, disk."""

import os
import resource
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SECTOR: Final = 512
"""What the kernel counts in, whatever the disk (https://docs.kernel.org/admin-guide/iostats.html)."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Cost:
    """What was measured; complete once the measurement is over."""

    seconds: float = 0.0
    processor: float = 0.0
    """Seconds of the engine's daemons, of its steps and containers, and of what this process started."""
    written: int = 0
    """Bytes that the machine wrote to its disks, also for others."""
    peak: int = 0
    """Bytes that the disk held at most, more than before."""
    busy: float = 0.0
    """How many processors were busy on average, also for others."""

    def __str__(self) -> str:
        """Return it in words."""
        return (
            f"{self.seconds:.0f} s, {self.processor:.0f} s of processor time, {self.busy:.2f} processors busy, "
            f"{self.written / 1e9:.1f} GB written, {self.peak / 1e9:.1f} GB of disk at the peak"
        )


@contextmanager
def measured(engine: Path) -> Iterator[Cost]:
    """Measure what happens meanwhile with the private engine of a folder."""
    cost, over = Cost(), threading.Event()
    before, processor, written, busy = _used(engine), _processor(engine), _written(), _busy()

    def watch() -> None:
        while not over.wait(0.5):
            cost.peak = max(cost.peak, _used(engine) - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - begun
        over.set()
        watcher.join()
        cost.processor = _processor(engine) - processor
        cost.written = _written() - written
        cost.busy = (_busy() - busy) / cost.seconds


def _used(folder: Path) -> int:
    return shutil.disk_usage(folder).used


def _processor(engine: Path) -> float:
    """Return the seconds of an engine's daemons, of its steps, and of ours."""
    daemon = (engine / "docker.pid").read_text().strip()
    threads = Path(f"/proc/{daemon}/task").glob("*/children")  # it is a thread that has children
    children = (pid for thread in threads for pid in thread.read_text().split())
    ours = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(map(_process, (daemon, *children))) + _steps(engine) + ours.ru_utime + ours.ru_stime


def _process(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # proc(5): utime and stime. Steps are among its ended children, and in the control group.
    return sum(map(int, fields[11:13])) / _TICKS


def _steps(engine: Path) -> float:
    """Return the seconds of an engine's control group, of either version."""
    tag = (engine / ".imagematrix-engine").read_text().strip()
    old, new = Path("/sys/fs/cgroup/cpuacct", tag, "cpuacct.usage"), Path("/sys/fs/cgroup", tag, "cpu.stat")
    if old.exists():
        return int(old.read_text()) / 1e9
    return int(new.read_text().split()[1]) / 1e6 if new.exists() else 0.0


def _written() -> int:
    """Return the bytes written to whole disks."""
    disks = {path.name for path in Path("/sys/block").iterdir()}
    lines = (line.split() for line in Path("/proc/diskstats").read_text().splitlines())
    return sum(int(fields[9]) for fields in lines if fields[2] in disks) * _SECTOR


def _busy() -> float:
    """Return for how many seconds processors were neither idle nor waiting for a disk."""
    with Path("/proc/stat").open() as stat:
        user, nice, system, _idle, _waiting, *interrupts = map(int, stat.readline().split()[1:8])
    return (user + nice + system + sum(interrupts)) / _TICKS
