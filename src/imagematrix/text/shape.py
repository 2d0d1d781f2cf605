"""Tables of a TOML document, read by the type that is expected; what is wrong is collected by key path."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError, did_you_mean
from imagematrix.text import names
from imagematrix.text.locate import KeyPath, line_of, locate
from imagematrix.text.visible import CONTROL, printable

QUOTE_IT: Final = "versions are strings, put it in quotes: without them 3.10 is the number 3.1"

NO_CONTROL: Final = "write it on one line; in a string of several lines, end each with a backslash"
_SHOWN: Final = 60
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


class Mistakes:
    """What is wrong in one document, each thing once: diagnostics by key path, whose lines are looked up at the end."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._found: dict[tuple[KeyPath, str, str, KeyPath], str] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, at: KeyPath, what: str, hint: str = "", *, other: KeyPath = (), code: str = "") -> None:
        """Note a mistake at a key path; the line of `other`, a place it speaks of, is put behind it.

        `code` is that of a kind of mistake that any document can have.
        """
        self._found[at, what, hint, other] = code or self._code

    def raise_any(self, text: str, *, file: str) -> None:
        """Raise InputError with every mistake on its line of the text, if there is one."""
        if self._found:
            places = locate(text)
            raise InputError(
                Diagnostic(
                    code=code,
                    file=file,
                    line=line_of(at, places),
                    message=(f"{dotted(at)}: {what}" if at else what)
                    + (f" (line {line_of(other, places)})" if other else ""),
                    hint=hint,
                )
                for (at, what, hint, other), code in self._found.items()
            )


def dotted(at: KeyPath) -> str:
    """Return a key path as TOML writes it, without list indexes: `facts.torch."2.3.0"`."""
    parts = (part for part in at if isinstance(part, str))
    return ".".join(part if _BARE.fullmatch(part) else f'"{printable(part)}"' for part in parts)


class Table:
    """A table with its place. What is missing reads as empty; what has the wrong type also, and is noted."""

    def __init__(self, values: Mapping[str, object], at: KeyPath, mistakes: Mistakes) -> None:
        self.at = at
        self._values = values
        self._mistakes = mistakes

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def wrong(self, key: str | KeyPath, what: str, hint: str = "", *, code: str = "") -> None:
        """Note a mistake at a key of this table, or at a path below it."""
        self._mistakes.add((*self.at, *((key,) if isinstance(key, str) else key)), what, hint, code=code)

    def allow(self, *known: str) -> None:
        """Note every key that is not known."""
        for key in self._values:
            if key not in known:
                self.wrong(key, "unknown key", did_you_mean(key, known), code="unknown_key")

    def require(self, key: str, hint: str) -> None:
        """Note that a key is missing."""
        if key not in self._values:
            self._mistakes.add(self.at, f"{key!r} is missing", hint, code="missing_key")

    def raw(self, key: str) -> object:
        """Return a value of any type; None when it is missing."""
        return self._values.get(key)

    def text(self, key: str, default: str = "") -> str:
        """Return a string; of a number, which is wrong, what it would be as a string."""
        value = self._values.get(key, default)
        if isinstance(value, str):
            return value
        self._mistyped(key, value, "a string")
        return "" if isinstance(value, list | dict) else str(value)

    def texts(self, key: str) -> dict[str, KeyPath]:
        """Return the strings of a list, each with its path, in order; those that are repeated are noted."""
        value = self._values.get(key, [])
        if not isinstance(value, list):
            self._mistyped(key, value, "a list of strings")
            return {}
        found: dict[str, KeyPath] = {}
        for index, element in enumerate(value):
            if not isinstance(element, str):
                self._mistyped((key, index), element, "a string")
            elif element in found:
                self.wrong((key, index), f"{element!r} is given twice", "remove one of them", code="given_twice")
            else:
                found[element] = (*self.at, key, index)
        return found

    def table(self, key: str) -> "Table":
        """Return a table."""
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            self._mistyped(key, value, "a table")
            value = {}
        return Table(value, (*self.at, key), self._mistakes)

    def tables(self, key: str) -> "tuple[Table, ...]":
        """Return the tables of a list of tables."""
        value = self._values.get(key, [])
        if not isinstance(value, list):
            self._mistyped(key, value, f"a list of tables, [[{dotted((*self.at, key))}]]")
            return ()
        for index, element in enumerate(value):
            if not isinstance(element, dict):
                self._mistyped((key, index), element, "a table")
        return tuple(
            Table(element, (*self.at, key, index), self._mistakes)
            for index, element in enumerate(value)
            if isinstance(element, dict)
        )

    def _mistyped(self, key: str | KeyPath, value: object, expected: str) -> None:
        mistyped((*self.at, *((key,) if isinstance(key, str) else key)), value, expected, self._mistakes)


def refuse_control_characters(value: object, at: KeyPath, mistakes: Mistakes) -> None:
    """Note every string below a value with a control character: it would end a line of a Dockerfile, or of YAML."""
    match value:
        case str() if CONTROL.search(value):
            shown = value.encode("unicode_escape").decode()[:_SHOWN]
            mistakes.add(at, f"{shown!r} contains a control character", NO_CONTROL, code="control_character")
        case dict():
            for key, inner in value.items():
                if CONTROL.search(key):
                    mistakes.add(
                        (*at, key),
                        f"the name {key!r} contains a control character",
                        NO_CONTROL,
                        code="control_character",
                    )
                refuse_control_characters(inner, (*at, key), mistakes)
        case list():
            for index, inner in enumerate(value):
                refuse_control_characters(inner, (*at, index), mistakes)
        case _:
            pass


def mistyped(at: KeyPath, value: object, expected: str, mistakes: Mistakes) -> None:
    """Note that a value has another type than expected."""
    hint = f"expected {expected}"
    if isinstance(value, int | float) and not isinstance(value, bool) and expected == "a string":
        hint = QUOTE_IT
    elif isinstance(value, str) and expected == "a list of strings":
        hint = f'write it in brackets: ["{value}"]'
    mistakes.add(at, f"{_kind(value)} is not {expected.partition(',')[0]}", hint, code="wrong_type")


def check_variables(table: Table, found: Iterable[str]) -> None:
    """Note the keys among these that templates could not use as variables."""
    for name in found:
        if name in table and not names.is_variable(name):
            table.wrong(name, "not a valid name for an axis or fact", f"expected {names.VARIABLE_RULE}")


def _kind(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the string {value!r}"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return f"the date {value}"
