"""No filesystem layer has a credential: users of an image can read all of them, even what a later one removes."""

from collections.abc import Iterator

from imagematrix.audit import Entry, Evidence, contents, is_gone


def kept(entry: Entry) -> frozenset[tuple[str, bytes]] | None:
    if not contents.may_hold_secrets(entry.path):
        return None
    text = entry.text()
    return frozenset(contents.secrets(entry.path, text)) or None if text else None


def offences(evidence: Evidence) -> Iterator[str]:
    known = {(path, found) for layer in evidence.base for path, files in layer.kept.items() for found in files}
    for number, layer in enumerate(evidence.own):
        later = evidence.own[number + 1 :]
        new = {
            (path, what)
            for path, files in layer.kept.items()
            for what, text in files
            if (path, (what, text)) not in known
        }
        for path, what in sorted(new):
            hidden = any(is_gone(path, above, above.removed | above.emptied) for above in later)
            yield f"/{path} has {what}" + (", which a later layer only hides" if hidden else "")
