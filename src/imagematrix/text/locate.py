"""Where each key of a TOML text stands: key path -> (line, column).

tomllib gives values without positions. This scanner gives positions without values; it trusts that
tomllib has accepted the text, and runs only when there is an error to report.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Final

KeyPath = tuple[str | int, ...]
"""Keys and list indexes from the root of the document: `("families", "pytorch", "row", 1, "torch")`."""

_BLANK: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' + r"|'''.*?'{3,5}" + r'|"(?:\\.|[^"\\])*"' + r"|'[^']*'",
    re.DOTALL,
)
# A date and its time may be parted by a blank: the only scalar that holds one.
_SCALAR: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]+|[^\s,\]}#]+")
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


def locate(text: str) -> dict[KeyPath, tuple[int, int]]:
    """Return the line and column, both from 1, of every key and list element of a valid TOML text.

    A table is where its own header is, else where its first key is; a list element where its value is.
    """
    return _Scanner(text.replace("\r\n", "\n")).scan()


def line_of(at: KeyPath, places: Mapping[KeyPath, tuple[int, int]]) -> int:
    """Return the line of a path, or of the nearest table around what is missing; 0: that of nothing."""
    while at and at not in places:
        at = at[:-1]
    return places[at][0] if at else 0


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._found: dict[KeyPath, tuple[int, int]] = {}
        self._sizes: dict[KeyPath, int] = {}
        """Elements so far of each array of tables."""

    def scan(self) -> dict[KeyPath, tuple[int, int]]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._found

    def _header(self) -> KeyPath:
        opening = self._at
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        path: KeyPath = ()
        start = opening
        for part, start in self._key():
            if path in self._sizes:
                path = (*path, self._sizes[path] - 1)
            path = (*path, part)
            self._found.setdefault(path, self._position(start))
        self._at += brackets
        if brackets == 1:
            self._found[path] = self._position(start)
            return path
        index = self._sizes.get(path, 0)
        self._sizes[path] = index + 1
        path = (*path, index)
        self._found[path] = self._position(opening)
        return path

    def _pair(self, table: KeyPath) -> None:
        path = table
        for part, start in self._key():
            path = (*path, part)
            self._found.setdefault(path, self._position(start))
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _key(self) -> Iterator[tuple[str, int]]:
        """Yield the parts of a dotted key, each with its offset, and stop after it."""
        while True:
            self._skip(_SPACE)
            start = self._at
            yield self._part(), start
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return
            self._at += 1

    def _part(self) -> str:
        quote = self._text[self._at]
        if quote not in "\"'":
            return self._take(_BARE)
        part = self._take(_STRING)[1:-1]
        return _ESCAPE.sub(_unescape, part) if quote == '"' else part

    def _value(self, path: KeyPath) -> None:
        match self._text[self._at]:
            case "[":
                self._list(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_SCALAR)

    def _list(self, path: KeyPath) -> None:
        self._next()
        index = 0
        while self._text[self._at] != "]":
            self._found[(*path, index)] = self._position(self._at)
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._next()
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._next()
        while self._text[self._at] != "}":
            self._pair(path)
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._next()
        self._at += 1

    def _next(self) -> None:
        self._at += 1
        self._skip(_BLANK)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"not valid TOML at {self._position(self._at)}")
        self._at = match.end()
        return match[0]

    def _position(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if code[0] in "uU" else _ESCAPES[code]
