"""Edits of matrix.toml as a person would make them: text in, text out. The only home of tomlkit.

An edit only inserts text; `keeps` says whether everything that was there before still is. tomlkit reads the tables and
writes keys, strings and inline tables. The place is found here: to tomlkit the comment that heads the next section is
the end of the one before, and an array loses its last comma.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from imagematrix.text import versions
from imagematrix.text.locate import KeyPath, locate

_ROW: Final = "row"
_BOM: Final = "\ufeff"
_DIGITS: Final = re.compile(r"(\d+)")
_QUOTED: Final = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'")
_LONE: Final = re.compile(r"(?P<comma>,?)[ \t]*(?:#[^\r]*)?(?P<ending>\r?)")
"""What is behind an element that has a line of its own."""
_PAIR: Final = re.compile(r"\s*[^#\s=][^=]*=")


def with_value(text: str, family: str, axis: str, value: str) -> str:
    """Return the text with one more value in an axis: where its order wants it, in the style of its array."""
    import tomlkit

    document: Any = tomlkit.parse(text.removeprefix(_BOM))
    values = [str(each) for each in document["families"][family]["axes"][axis]]
    lines = _Lines(text.removeprefix(_BOM), family)
    path = ("families", family, "axes", axis)
    return _bom(text) + lines.with_element(path, _index(values, value), tomlkit.item(value).as_string())


Value = str | Sequence[str]


def with_row(text: str, family: str, values: Mapping[str, Value]) -> str:
    """Return the text with one more row of a family: behind its last one, or at the end of its section.

    The keys come in the order of the axes, then in that of `values`; they are aligned where its neighbours are.
    """
    import tomlkit

    document: Any = tomlkit.parse(text.removeprefix(_BOM))
    table = document["families"][family]
    ordered = _ordered(values, table)
    rows = table.get(_ROW, [])
    if isinstance(rows, tomlkit.items.Array):  # row = [{…}, {…}]
        item = tomlkit.inline_table()
        item.update({key: value if isinstance(value, str) else [*value] for key, value in ordered.items()})
        rows.append(item)
        return _bom(text) + str(tomlkit.dumps(document))
    return _bom(text) + _Lines(text.removeprefix(_BOM), family).with_row(ordered)


def with_facts(text: str, family: str, at: tuple[str, str], facts: Mapping[str, str]) -> str:
    """Return the text with what is known of a value `at` (axis, value): behind its axis' facts, or the family."""
    return _bom(text) + _Lines(text.removeprefix(_BOM), family).with_facts(at, facts)


def keeps(old: str, new: str) -> bool:
    """Whether every line of the old text is in the new one, in order; one of them may have been written into."""
    before, after = old.split("\n"), new.split("\n")
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    touched = before[start : len(before) - end]
    put_in = iter("\n".join(after[start : len(after) - end]))
    return (
        len(touched) <= 1 and len(before) <= len(after) and all(character in put_in for character in "\n".join(touched))
    )


def inserted(old: str, new: str) -> tuple[tuple[int, str], ...]:
    """Return the lines that edits made or changed, with their numbers; without blank ones."""
    before, after = old.split("\n"), new.split("\n")
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    there, now = before[start : len(before) - end], after[start : len(after) - end]
    matcher = difflib.SequenceMatcher(None, there, now, autojunk=False)
    changed = (range(at, to) for tag, _, _, at, to in matcher.get_opcodes() if tag != "equal")
    return tuple((start + at + 1, now[at].rstrip("\r")) for run in changed for at in run if now[at].strip())


def _alike(left: Sequence[str], right: Sequence[str]) -> int:
    """Return how many lines two texts have in common from the beginning."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(left), len(right)))


def _bom(text: str) -> str:
    return _BOM if text.startswith(_BOM) else ""


def _index(values: Sequence[str], value: str) -> int:
    """Return where a value belongs among those that are in order, up or down; else it is at the end."""
    keys = _keys([*values, value])
    *there, new = keys
    if there == sorted(there):
        return sum(key < new for key in there)
    if there == sorted(there, reverse=True):
        return sum(key > new for key in there)
    return len(there)


def _keys(values: Sequence[str]) -> list[Any]:
    """Return what values are ordered by: as versions, or else as names in which numbers count."""
    found = [versions.version(value) for value in values]
    if all(found):
        return found
    return [[(part.isdecimal(), part.zfill(20)) for part in _DIGITS.split(value) if part] for value in values]


def _written(value: Value) -> str:
    import tomlkit

    return str(tomlkit.item(value).as_string()) if isinstance(value, str) else list_of(value)


def list_of(words: Sequence[str]) -> str:
    """Return a list of strings as TOML writes it."""
    import tomlkit

    return str(tomlkit.item([*words]).as_string())


def _ordered(values: Mapping[str, Value], table: Mapping[str, Any]) -> dict[str, Value]:
    known: Iterable[str] = table.get("axes") or next(iter(table.get(_ROW, [])), {})
    return {key: values[key] for key in (*(key for key in known if key in values), *values)}


class _Lines:
    """A text by its lines, and what of it is about one family."""

    def __init__(self, text: str, family: str) -> None:
        self._lines = text.split("\n")
        self._places = locate(text)
        self._family: KeyPath = ("families", family)

    def with_element(self, array: KeyPath, index: int, element: str) -> str:
        """Put an element into an array that has some: behind another, or before the first."""
        line, column = self._places[(*array, max(index - 1, 0))]
        whole = self._lines[line - 1]
        before, rest = whole[: column - 1], whole[column - 1 :]
        there = match[0] if (match := _QUOTED.match(rest)) else rest
        behind = rest[len(there) :]
        lone = _LONE.fullmatch(behind) if not before.strip() else None
        if lone is None:
            made = [f"{before}{there}, {element}{behind}" if index else f"{before}{element}, {rest}"]
        elif index:
            made = [f"{before}{there},{behind.removeprefix(',')}", f"{before}{element}{lone['comma']}{lone['ending']}"]
        else:
            made = [f"{before}{element},{lone['ending']}", whole]
        return "\n".join([*self._lines[: line - 1], *made, *self._lines[line:]])

    def with_row(self, values: Mapping[str, Value]) -> str:
        rows = [path for path in self._places if path[:3] == (*self._family, _ROW) and len(path) == len("fnri")]
        model: KeyPath = rows[-1] if rows else (*self._family, "axes")
        made = self._table((*self._family, _ROW), values, like=model, brackets=2)
        return self._with(made, after=(*self._family, _ROW) if rows else self._family, is_dense=self._is_dense(rows))

    def with_facts(self, at: tuple[str, str], facts: Mapping[str, str]) -> str:
        axis, value = at
        beside = [path for path in self._places if path[:2] == ("facts", axis) and len(path) == len("fav")]
        beside.sort(key=self._line)
        made = self._table(("facts", axis, value), facts, like=beside[-1] if beside else ())
        return self._with(made, after=beside[-1] if beside else self._family, is_dense=self._is_dense(beside))

    def _with(self, made: Sequence[str], *, after: KeyPath, is_dense: bool) -> str:
        end = self._end(after)
        ending = "\r" if self._lines[end - 1].endswith("\r") else ""
        put_in = [line + ending for line in (*([] if is_dense else [""]), *made)]
        if end == len(self._lines):  # the last line has no end of its own
            return "\n".join([*self._lines, *put_in, ""])
        return "\n".join([*self._lines[:end], *put_in, *self._lines[end:]])

    def _table(self, path: KeyPath, values: Mapping[str, Value], *, like: KeyPath, brackets: int = 1) -> list[str]:
        """Return the lines of a table; aligned and indented as its model is."""
        import tomlkit

        keys = {key: tomlkit.key(key).as_string() for key in values}
        is_aligned = len({pair.index("=") for pair in self._pairs(like)}) <= 1
        width = max(map(len, keys.values())) if is_aligned else 0
        header = "[" * brackets + tomlkit.key(map(str, path)).as_string() + "]" * brackets
        lines = [header, *(f"{keys[key]:<{width}} = {_written(values[key])}" for key in values)]
        return [self._indent(like) + line for line in lines]

    def _pairs(self, table: KeyPath) -> list[str]:
        """Return the lines of a table's own keys, up to the sign."""
        lines = {self._line(path) for path in self._places if path[:-1] == table}
        return [match[0] for line in sorted(lines) if (match := _PAIR.match(self._lines[line - 1]))]

    def _indent(self, table: KeyPath) -> str:
        line = self._lines[self._line(table) - 1] if table in self._places else ""
        return line[: len(line) - len(line.lstrip())] if line.lstrip().startswith("[") else ""

    def _is_dense(self, rows: Sequence[KeyPath]) -> bool:
        """Whether the rows there are stand without a blank line between them."""
        return len(rows) > 1 and self._is_code(self._line(rows[-1]) - 1)

    def _end(self, within: KeyPath) -> int:
        """Return the number of the last line of what stands at a path, with a comment that hangs on to it."""
        last = max(self._line(path) for path in self._places if path[: len(within)] == within)
        following = (line for line, _ in self._places.values() if line > last)
        limit = min(following, default=len(self._lines) + 1)
        end = max(line for line in range(last, limit) if line == last or self._is_code(line))
        remark = next((line for line in range(end + 1, limit) if not self._is_comment(line)), limit)
        # Up to the next key without a blank line between, it is that one's heading.
        return remark - 1 if remark < limit or limit > len(self._lines) else end

    def _line(self, path: KeyPath) -> int:
        return self._places[path][0]

    def _is_code(self, line: int) -> bool:
        return bool(self._lines[line - 1].strip()) and not self._is_comment(line)

    def _is_comment(self, line: int) -> bool:
        return self._lines[line - 1].lstrip().startswith("#")
