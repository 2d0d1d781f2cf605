"""What commands print, fitted to a terminal: long lines are folded below their last column, and states have colours.

Anything else than a terminal (a file, a pipe, a log of CI) gets the text as it is.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, TextIO

from imagematrix.report.console.board import console

if TYPE_CHECKING:
    from rich.text import Text

_STYLES: Final[Mapping[str, str]] = {
    "error": "bold red",
    "wrong": "bold red",
    "impossible": "red",
    "warning": "yellow",
    "stale": "yellow",
    "missing": "yellow",
    "note": "cyan",
    "remote": "cyan",
    "ok": "green",
    "built": "green",
}
_WORDS: Final = re.compile(
    r"^(?P<first>ok|warning|wrong)(?=  )"  # of doctor
    r"|^\S+: (?P<level>error|warning|note)(?=: )"  # of check
    r"|^\S+ +(?P<state>built|remote|stale|missing|impossible)(?=  |$)"  # of list
)
_CODE: Final = re.compile(r" \[(?:IM\d{4} )?\w+\]$")
_COLUMN: Final = re.compile(r"(?<=\S) {2,}(?=\S)")


def show(text: str, stream: TextIO) -> None:
    """Print a text."""
    terminal = console(stream)
    if terminal is None:
        print(text, file=stream)
        return
    for line in text.splitlines():
        for part in folded(line, terminal.width):
            terminal.print(_styled(part), soft_wrap=True)


def folded(line: str, width: int) -> Iterator[str]:
    """Yield a line in parts that fit, the others below the last column of the first; a long word stays whole.

    A line that fits without the spaces that align its columns is one part.
    """
    close = _COLUMN.sub("  ", line)
    if min(len(line), len(close)) <= width:
        yield line if len(line) <= width else close
        return
    indent = len(line) - len(line.lstrip())
    columns = [match.end() for match in _COLUMN.finditer(line) if match.end() <= width * 2 // 3]
    hanging = " " * (columns[-1] if columns else indent + 4)
    yield from textwrap.wrap(
        line,
        width,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def _styled(line: str) -> "Text":
    from rich.text import Text

    text = Text(line)
    if (match := _WORDS.match(line)) and match.lastgroup:
        text.stylize(_STYLES[match[match.lastgroup]], *match.span(match.lastgroup))
    if match := _CODE.search(line):
        text.stylize("dim", *match.span())
    return text
