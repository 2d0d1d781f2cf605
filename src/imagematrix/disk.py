"""What the disk refuses, as an error that a person can act on."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from imagematrix.errors import DiskError


@contextmanager
def telling() -> Iterator[None]:
    """Turn what the disk refuses into an error a person can act on."""
    try:
        yield
    except OSError as error:
        raise DiskError(f"cannot write {error.filename or 'a file'}: {disk_words(error)}") from error


def disk_words(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC:
            return "the disk is full. Free some space (`docker system df` shows what images use) and run it again"
        case errno.EROFS:
            return "the file system is read-only"
        case errno.EACCES | errno.EPERM:
            return "permission denied"
        case errno.ENOENT:
            return "no such file"
        case _:
            return error.strerror or str(error)
