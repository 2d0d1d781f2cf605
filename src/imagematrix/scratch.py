"""Temporary folders for what may hold a secret: private, gone afterwards, and swept by the next run after a kill."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_MINE: Final = 0o700


@contextmanager
def folder(purpose: str) -> Iterator[Path]:
    """Give an empty folder that only this user may look into, until the end; what killed runs left is removed first."""
    from filelock import FileLock

    root = _root()
    with FileLock(root / "guard"):  # nobody sweeps a folder whose lock is not yet taken
        _sweep(root)
        made = Path(tempfile.mkdtemp(dir=root, prefix=f"{purpose}-"))
        # Whoever finds this lock free knows that we are dead.
        lock = FileLock(made.with_suffix(".lock"))
        lock.acquire()
    try:
        yield made
    finally:
        _remove(made.with_suffix(".lock"))
        lock.release()


def _root() -> Path:
    """Return this user's folder of such folders; a new one where somebody else made what is in its place."""
    path = Path(tempfile.gettempdir(), f"imagematrix-{os.getuid()}")
    with suppress(FileExistsError):
        path.mkdir(mode=_MINE)
    found = path.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == _MINE
    return path if is_ours else Path(tempfile.mkdtemp(prefix="imagematrix-"))


def _sweep(root: Path) -> None:
    from filelock import FileLock, Timeout

    for left in sorted(root.glob("*.lock")):
        lock = FileLock(left)
        with suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            _remove(left)
            lock.release()


def _remove(lock: Path) -> None:
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)
