"""Temporary folders for what may hold a secret: private, gone afterwards, and swept by the next run after a kill."""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_MINE: Final = 0o700


@contextmanager
def folder(purpose: str) -> Iterator[Path]:
    """Give an empty folder that only this user may look into, until the end; what killed runs left is removed first."""
    with living(_root(), prefix=f"{purpose}-") as made:
        yield made


@contextmanager
def living(
    root: Path,
    *,
    prefix: str = "",
    killed: Callable[[str], None] = lambda _: None,
    clean: Callable[[], bool] = lambda: True,
) -> Iterator[Path]:
    """Give an empty folder in a root until the end, and remove those whose runs died; `killed` hears their names.

    `clean` says at the end whether the run left nothing elsewhere; where it did, the next run takes this one for dead.
    """
    from filelock import FileLock

    with FileLock(root / "guard"):  # no clean-up removes a folder whose lock is not yet taken
        _remove_killed(root, killed)
        made = Path(tempfile.mkdtemp(dir=root, prefix=prefix))
        # If this lock is free, the run that held it is dead.
        lock = FileLock(made.with_suffix(".lock"))
        lock.acquire()
    try:
        yield made
    finally:
        if clean():
            _remove(made.with_suffix(".lock"))
        lock.release()


def _root() -> Path:
    """Return this user's folder of such folders; a new one if its place is taken by someone else's."""
    path = Path(tempfile.gettempdir(), f"imagematrix-{os.getuid()}")
    with suppress(FileExistsError):
        path.mkdir(mode=_MINE)
    found = path.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == _MINE
    return path if is_ours else Path(tempfile.mkdtemp(prefix="imagematrix-"))


def _remove_killed(root: Path, killed: Callable[[str], None]) -> None:
    from filelock import FileLock, Timeout

    for left in sorted(root.glob("*.lock")):
        lock = FileLock(left)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):  # its run lives, or the lock is not ours
            continue
        killed(left.stem)
        _remove(left)
        lock.release()


def _remove(lock: Path) -> None:
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)
