"""Texts at the head of a document that hold for all of its images."""

import re
from typing import Final

from imagematrix.text import names, platforms
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Table

PLATFORMS: Final = "platforms"
COMPRESSIONS: Final = ("gzip", "zstd")
PLACE: Final = {
    "language": (re.compile(r"C\.UTF-8|[a-z]{2,3}_[A-Z]{2}\.UTF-8"), "en_US.UTF-8"),
    "timezone": (re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*"), "Europe/Berlin"),
}
"""What people meet in an image: grammar and an example of each."""


def place(document: Table, key: str) -> str:
    """Return the language or time zone of all images, if the document names it; a base may say another."""
    text = document.text(key)
    grammar, example = PLACE[key]
    if key in document and not grammar.fullmatch(text):
        document.wrong(key, f"{text!r} is not a valid {key}", f"expected, say, {example}")
        return ""
    return text


def prefix(document: Table) -> str:
    """Return what the names of images without a registry begin with."""
    found = document.text("prefix")
    if found and not names.is_repository(f"{found}/x"):
        document.wrong("prefix", f"no registry accepts the name {found!r}", names.REPOSITORY_RULE)
    return found


def compression(document: Table) -> str:
    """Return how filesystem layers are compressed."""
    found = document.text("compression", COMPRESSIONS[0])
    if found not in COMPRESSIONS:
        document.wrong("compression", f"{found!r} is not a valid compression", f"expected {' or '.join(COMPRESSIONS)}")
    return found


def docker_platforms(table: Table, key: str = PLATFORMS) -> dict[str, KeyPath]:
    """Return the Docker platforms that a table names, each with where; report invalid ones."""
    found = {} if isinstance(table.raw(key), dict) else table.texts(key)
    if table.raw(key) == []:
        table.wrong(key, "the list is empty", 'name at least one platform, like "linux/amd64", or remove it')
    for platform, at in found.items():
        if wrong := platforms.fault(platform):
            what, _, hint = wrong.partition("\n    ")
            table.wrong(at[len(table.at) :], what, hint)
    return {platform: at for platform, at in found.items() if platforms.is_platform(platform)}
