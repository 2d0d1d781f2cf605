"""The user's record of which image is which node, outside of every checkout.

A checkout may come from anyone, and several may share an engine: so trust is recorded in one file of the user. If the
file is lost, nodes are rebuilt, quickly from BuildKit's cache; nothing else is lost.
"""

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from imagematrix.errors import InputError
from imagematrix.model import File
from imagematrix.planning import trust
from imagematrix.planning.trust import Bond, Bonds
from imagematrix.text import documents, formatting
from imagematrix.tree import Tree

FILE: Final = "images.jsonl"
_MOST_BYTES: Final = 8 * 2**20
"""About 40,000 bonds; the older half of a file that is bigger is dropped."""


def folder(environment: Mapping[str, str]) -> Path | None:
    """Return the user's folder for it: that of $IMAGEMATRIX_STATE_DIR, else as the XDG base directories have it.

    None where the user has no home directory.
    """
    if own := environment.get("IMAGEMATRIX_STATE_DIR"):
        return Path(own).absolute()
    try:
        return Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local/state", "imagematrix")
    except RuntimeError:
        return None


class Ledger:
    """The bonds of a user. Several processes may add to it at once."""

    def __init__(self, spare: Path, *, warn: Callable[[str], None] = lambda _: None) -> None:
        """Take the folder that holds it where the user's own cannot be written to; `warn` hears of damage, once."""
        self._tree = Tree(_usable(folder(os.environ)) or spare)
        self._warn = warn
        self._has_warned = False
        self._added: list[Bond] = []
        """What this process has added: it is known even if it could not be written."""
        self._read: tuple[tuple[int, int], tuple[Bond, ...]] = ((0, 0), ())
        """The file's size and time when it was read, and what was in it: a command reads it several times."""

    @property
    def path(self) -> Path:
        """The file."""
        return self._tree.root / FILE

    def bonds(self) -> Bonds:
        """Return all records; damaged lines are skipped and reported once."""
        stamp = self._stamp()
        if self._read[0] != stamp:
            self._read = stamp, self._recorded()
        return Bonds((*self._read[1], *self._added))

    def _recorded(self) -> tuple[Bond, ...]:
        found, damaged = documents.read_lines(self._text(), trust.bond)
        if damaged:
            self._warn_once(f"{self.path}:{damaged[0]}; skipped {formatting.count(len(damaged), 'damaged line')}")
        return tuple(found)

    def add(self, *bonds: Bond) -> None:
        """Record bonds. Raises OSError where they cannot be written; this process knows them all the same."""
        self._added += bonds
        self._tree.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # The line before may be half-written.
            self._tree.append(FILE, "".join(f"\n{trust.line(bond)}" for bond in bonds))
        except InputError as error:  # a link, or no file: the run continues without its record
            raise OSError(errno.EINVAL, str(error)) from None
        if self._tree.size(FILE) > _MOST_BYTES:
            lines = self._text().split("\n")
            kept = "\n".join(lines[len(lines) // 2 :])
            self._tree.replace(FILE, File(path=FILE, content=kept.encode()))

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self.path.lstat()
        except OSError:
            return 0, 0
        return found.st_size, found.st_mtime_ns

    def _text(self) -> str:
        try:
            text = self._tree.read(FILE, most=2 * _MOST_BYTES) if self._tree.is_file(FILE) else b""
        except (InputError, OSError) as error:
            self._warn_once(f"{self.path}: {error}")
            return ""
        return text.decode(errors="replace")

    def _warn_once(self, what: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(what)


def _usable(path: Path | None) -> Path | None:
    """Return a folder that files can be written to, or that can be made; else None."""
    if path is None:
        return None
    there = next((each for each in (path, *path.parents) if each.exists()), path)
    return path if there.is_dir() and os.access(there, os.W_OK | os.X_OK) else None
