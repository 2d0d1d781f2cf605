"""What it runs, and what its supervisor runs, writes to standard output, where the destination reads."""

from collections.abc import Iterator

from imagematrix.audit import Entry, Evidence, contents, stacked


def kept(entry: Entry) -> bytes | None:
    return entry.text() if contents.is_supervisors(entry.path) else None


def offences(evidence: Evidence) -> Iterator[str]:
    yield from contents.kept_by_command(evidence.command)
    for path, text in sorted(stacked({}, evidence.own).items()):
        yield from (f"/{path}: {fault}" for fault in contents.kept_by_supervisor(text.decode(errors="replace")))
