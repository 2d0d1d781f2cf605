"""Whether what a node downloads has moved: which nodes to build again, and whether two contents are the same.

A refresh builds a node anew, at a later epoch. What it then holds is compared with what it held: only if that differs,
the later epoch is recorded in matrix.lock, and with it the node gets a new key.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from imagematrix.audit import Entry, Kind
from imagematrix.model import Key, Lock, Node
from imagematrix.planning.graph import Dag
from imagematrix.planning.reproducible import Difference, Fingerprint, difference

_NOISE: Final = re.compile(
    r"(?:tmp|run|var/tmp|var/log|var/cache|var/lib/apt/lists|dev|proc|sys)(?:/.*)?"
    r"|(?:root|home/[^/]+)/\.cache(?:/.*)?"
    r"|var/lib/dpkg/(?:.*-old|lock.*|triggers/Lock)|etc/(?:passwd|group|shadow|gshadow|subuid|subgid)-"
    r"|etc/(?:hostname|hosts|resolv\.conf|mtab)"
    r"|(?:.*/)?__pycache__(?:/.*)?"
    r"|(?:.*/)?\.git/(?:index|logs(?:/.*)?|objects(?:/.*)?|FETCH_HEAD|ORIG_HEAD)"
    r"|(?:.*/)?conda-meta/history"
)
"""Caches, logs and backups, and what is compiled of other files. Of git, refs name the content of the objects."""

_PASSWORDS: Final = "etc/shadow"
_DAYS: Final = re.compile(rb"^([^:\n]*:[^:\n]*):\d+:", re.MULTILINE)
"""The day on which a password was changed: that of the build, for each user that it makes."""


def due(dag: Dag, settled: Collection[str]) -> tuple[Node, ...]:
    """Return the nodes to refresh next: those whose downloads may move, on which nothing else waits to be refreshed.

    `settled` are the names of nodes that need no refresh any more.
    """
    waiting: set[Key] = set()
    found = []
    for node in dag.order():
        if any(key in waiting for key in (node.parent, node.packages)):
            waiting.add(node.key)
        elif node.moving and node.moving not in settled:
            waiting.add(node.key)
            found.append(node)
    return tuple(found)


def recorded(lock: Lock, names: Iterable[str], epoch: str) -> Lock:
    """Return a lock in which some nodes have moved at an epoch."""
    return replace(lock, moved={**lock.moved, **dict.fromkeys(names, epoch)})


def pruned(lock: Lock, dag: Dag) -> Lock:
    """Return a lock without the nodes that no longer exist, by the DAG of all rows."""
    names = {node.moving for node in dag.nodes.values()}
    return replace(lock, moved={name: epoch for name, epoch in lock.moved.items() if name in names})


def is_noise(path: str) -> bool:
    """Whether a path, relative to the root, may differ between two builds without anyone caring."""
    return bool(_NOISE.fullmatch(path))


def fingerprint(entry: Entry) -> Fingerprint:
    """Return what is compared of an entry of a filesystem layer: all but times."""
    content = ""
    if entry.kind is Kind.FILE:
        text = entry.text() if entry.path == _PASSWORDS else None
        content = entry.hashed() if text is None else _DAYS.sub(rb"\1::", text).decode(errors="replace")
    return Fingerprint(
        kind=entry.kind,
        mode=f"{entry.mode:o}",
        owner=f"{entry.uid}:{entry.gid}",
        time=0,
        target=entry.target,
        content=content,
    )


def change(old: Mapping[str, Fingerprint], new: Mapping[str, Fingerprint]) -> Difference | None:
    """Return the first difference that counts between two contents: path -> fingerprint; None: they are the same."""
    counted = ({path: each for path, each in one.items() if not is_noise(path)} for one in (old, new))
    return difference(*counted)
