"""Text from outside in, the same in characters that can be seen: what a build prints commands no terminal or page."""

import re
import unicodedata
from typing import Final

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What ends a line, or drives a terminal: no name and no value of a project may hold it."""
_COLOURS: Final = re.compile(r"\x1b\[[0-9;:]*m")
"""What only changes how text looks is left out."""
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode's categories of what is not seen: controls, and formats such as those that change the direction of text."""
_PICTURES: Final = 0x2400


def visible(text: str) -> str:
    """Return a line with every character that is not seen, tabs aside, as a picture or an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, _COLOURS.sub("", text)))


def _shown(character: str) -> str:
    if character == "\t" or unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    if code < 0x20:  # noqa: PLR2004  (the controls of ASCII, which have pictures in the same order)
        return chr(_PICTURES + code)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def printable(text: str) -> str:
    """Return foreign text on one line, with control characters made visible, so that no terminal obeys them."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
