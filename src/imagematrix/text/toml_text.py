"""The one reader of TOML: text in, a document or a syntax error with its line out."""

import re
import tomllib
from typing import Any, Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError

_POSITION: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_STRINGS: Final = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|#.*")
# `2.3.0`, `3.10rc1`, `cu121`, `v2`: what people write for a version and TOML takes for no value at all.
_BARE_VERSION: Final = re.compile(r"(?:=|\[|,)\s*(?!true\b|false\b|inf\b|nan\b)([A-Za-z]*\d[\w.+-]*)\s*(?:,|\]|\}|$)")
_WRONG_CASE: Final = re.compile(r"(?:=|\[|,)\s*(true|false)\b", re.IGNORECASE)
_SLIPS: Final = (
    (
        re.compile("[\u2018\u2019\u201c\u201d\u300c\u300d\uff02\uff07]"),
        'these quotes are not those of a keyboard: write "…"',
    ),
    (re.compile("[\uff0c\uff1d\uff1a\u3001]"), "write the signs , = . of a keyboard, not those of Chinese"),
    (re.compile(r"=\s*[<>=~!]|[<>~!]="), 'a condition is a text: write key = "<2.5"'),
    (re.compile(r'""\s+(?:""|[\w"-]+\s*=)|""\s*[\[{]|\]\s+""|\}\s*\{'), "is a comma missing between two values?"),
    (re.compile(r"""^[^"']*["'][^"']*$"""), "is a quote missing at the end of the text?"),
    (re.compile(r"^\s*\[[^\]]*$"), "is a ] missing at the end of the line?"),
    (re.compile(r"^\s*[\w.\"-]+\s*:"), "TOML writes key = value, with = and not with :"),
    (re.compile(r"=\s*[A-Za-z_/.][^\"'\[{]*$"), 'a text must be quoted: "…"'),
    (re.compile(r"^\s*[\w.\"-]+\s*=.*$"), "is a comma or a closing bracket missing here, or in a line above?"),
)
"""What people slip into, in a line without its comments and with empty strings, and what to do; the first that fits."""
_CONFLICT: Final = ("<<<<<<<", "=======", ">>>>>>>")


def read(text: str, *, file: str) -> dict[str, Any]:
    """Return the document a TOML text holds; raise InputError where it is no TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError([Diagnostic(file=file, message="values are nested too deeply", code="syntax")]) from None
    except ValueError as error:  # TOMLDecodeError, and int() on a number of thousands of digits
        raise InputError([_diagnostic(str(error), text, file=file)]) from error


def _diagnostic(message: str, text: str, *, file: str) -> Diagnostic:
    lines = text.splitlines() or [""]
    position = _POSITION.search(message)
    number = int(position[1] or len(lines)) if position else 0
    what = f"TOML syntax: {_POSITION.sub('', message)}"
    if position and position[2]:
        what += f" (near column {position[2]})"
    hint = _hint(message, lines[number - 1] if number else "")
    return Diagnostic(file=file, line=number, message=what, hint=hint, code="syntax")


def _hint(message: str, line: str) -> str:
    """Return what was probably meant in the line at which reading stopped; empty if nothing comes to mind."""
    if line.startswith(_CONFLICT):
        return "a merge conflict is not resolved"
    if message.startswith(("Cannot declare", "Cannot overwrite")):
        return "the same key or table is already defined above"
    code = _STRINGS.sub('""', line)
    if version := _BARE_VERSION.search(code):
        return f'versions must be quoted: "{version[1]}"'
    boolean = _WRONG_CASE.search(code)
    if boolean and not boolean[1].islower():
        return f"true/false are lower case: {boolean[1].lower()}"
    return next((hint for slip, hint in _SLIPS if slip.search(code)), "")
