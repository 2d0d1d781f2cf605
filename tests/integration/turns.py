"""What only one test on this machine does at a time."""

import tempfile
from pathlib import Path

from filelock import FileLock

PORTS = FileLock(Path(tempfile.gettempdir()) / "imagematrix-ports.lock")
"""Held while ports are published, and while an engine starts: it disturbs the ports of another."""

ROOM = FileLock(Path(tempfile.gettempdir()) / "imagematrix-room.lock")
"""Held by builds that take 20 GB of the disk, until they have given most of it back."""

CLUSTER = FileLock(Path(tempfile.gettempdir()) / "imagematrix-cluster.lock")
"""Held while there are machines of a cluster: the names of their bridge and networks are fixed."""
