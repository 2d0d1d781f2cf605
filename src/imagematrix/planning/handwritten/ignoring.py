"""Which files of a context a pattern names, in .dockerignore and in COPY, by the rules of Docker.

https://docs.docker.com/build/concepts/context/#dockerignore-files
"""

import posixpath
import re
from functools import cache
from typing import Final

_CLASS: Final = re.compile(r"\[\^?(?:\\.|[^\]\\])+\]")
_LITERAL: Final = re.compile(r"[^*?\[\\$]*")
"""What is before the first wildcard, or the first variable."""


class Ignored:
    """What a .dockerignore leaves out."""

    def __init__(self, text: str) -> None:
        self._rules = [*map(_rule, filter(_is_rule, map(str.strip, text.splitlines())))]
        self.has_exceptions = any(is_exception for is_exception, _ in self._rules)
        """Whether a file may stay in a folder that is left out."""

    def __call__(self, path: str) -> bool:
        """Whether the file or folder at a path is left out: the last rule that names it counts."""
        named = (is_exception for is_exception, pattern in reversed(self._rules) if is_match(path, pattern))
        return not next(named, True)

    def keeps(self, path: str) -> bool:
        """Whether an exception names a file itself, or a folder that it is in."""
        return any(is_exception and is_match(path, pattern) for is_exception, pattern in self._rules)


def is_match(path: str, pattern: str) -> bool:
    """Whether a pattern names what is at a path, or a folder that it is in. `.` names everything."""
    return pattern == "." or _expression(pattern).fullmatch(path) is not None


def literal(pattern: str) -> str:
    """Return the folder or file that everything that a pattern may name is in; `.`: anywhere in the context."""
    start = _LITERAL.match(pattern)
    found = start[0] if start else ""
    return (found if found == pattern else found.rpartition("/")[0]) or "."


def _is_rule(line: str) -> bool:
    return bool(line.removeprefix("!").strip()) and not line.startswith("#")


def _rule(line: str) -> tuple[bool, str]:
    return line.startswith("!"), posixpath.normpath("/" + line.removeprefix("!").strip()).lstrip("/") or "."


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    found, at = "", 0
    while at < len(pattern):
        made, length = _next(pattern, at)
        found, at = found + made, at + length
    return re.compile(f"{found}(?:/.*)?", re.DOTALL)


def _next(pattern: str, at: int) -> tuple[str, int]:
    """Return the regular expression of what is next in a pattern, and its length there."""
    if pattern.startswith("**/", at):
        return "(?:.*/)?", len("**/")
    if pattern.startswith("**", at):
        return ".*", len("**")
    if (found := _CLASS.match(pattern, at)) is not None:
        return found[0], len(found[0])
    simple = {"*": "[^/]*", "?": "[^/]"}.get(pattern[at])
    if simple:
        return simple, 1
    if pattern[at] == "\\" and at + 1 < len(pattern):
        return re.escape(pattern[at + 1]), 2
    return re.escape(pattern[at]), 1
