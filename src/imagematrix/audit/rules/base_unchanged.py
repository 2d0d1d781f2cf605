"""Nothing of the base is changed below /usr, /bin, /sbin and /lib (Huawei ModelArts' guide to images)."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from imagematrix.audit import Entry, Evidence, Globs, Kind, matches, stacked

_PROTECTED: Final = ("bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr")

Identity = tuple[str, int, int, int, int, int, str]
"""Kind, mode, uid, gid, size, checksum, target: equal for files that are the same, whenever they were written."""


def kept(entry: Entry, seen: Mapping[str, Identity], *, files: Globs = ()) -> Identity | None:
    if entry.path.partition("/")[0] not in _PROTECTED and not matches(entry.path, files):
        return None
    if entry.kind is Kind.HARDLINK and entry.target in seen:  # it is the same file once more
        return seen[entry.target]
    checksum = entry.checksum() if entry.kind is Kind.FILE else 0
    return (entry.kind.value, entry.mode, entry.uid, entry.gid, entry.size, checksum, entry.target)


def offences(
    evidence: Evidence,
    *,
    files: Annotated[Globs, "Globs of absolute paths: other files of the base that must stay as they are."] = (),  # noqa: ARG001  # `kept` has chosen them
) -> Iterator[str]:
    before = stacked({}, evidence.base)
    after = stacked(before, evidence.own)
    for path, identity in sorted(before.items()):
        if after.get(path) != identity:
            yield f"/{path} {'changed' if path in after else 'removed'}"
