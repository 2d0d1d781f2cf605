"""What a fact looks like, learned from those that the package has: nothing else says which fields a data file may have.

A table whose keys hold a digit is a mapping (`cu121`, `12.4.0`, `ubuntu22.04`), as are a few others; the rest have
named fields.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from imagematrix.errors import did_you_mean
from imagematrix.text import versions
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Mistakes, mistyped

_DIGIT: Final = re.compile(r"\d")
_SAMPLE: Final = 10
"""From so many examples on, equal lengths mean that a list always has this length."""
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "by": frozenset(),
    "cpu_by": frozenset(),
    "checks": frozenset(),
    "severity": frozenset({"broken"}),
}
"""Fields whose values are a closed set -> those that the package does not use itself."""
_UNREAD: Final = frozenset({"last", "undeclared"})
"""Fields for people and scripts/update-compat: no rule follows from them."""
_MAPPINGS: Final = frozenset({"with", "unless", "instead"})
"""Tables whose keys are the names of values of a row."""

_KINDS: Final[Mapping[type, str]] = {str: "a string", bool: "true or false", int: "a number", list: "a list"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """What strings have in common."""

    expected: str
    matches: Callable[[str], bool]


def _is_comparison(text: str) -> bool:
    return bool(versions.COMPARISON.match(text)) and versions.comparison(text) is not None


_TEXTS: Final = (
    _Text(
        expected='two numbers, such as "3.12"',
        matches=lambda text: re.fullmatch(r"\d+\.\d+", text, re.ASCII) is not None,
    ),
    _Text(expected='a version, such as "2.3.0"', matches=lambda text: versions.version(text) is not None),
    _Text(
        expected='a day, such as "2026-10-31"', matches=lambda text: re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None
    ),
    _Text(expected='a condition, such as ">=2.3,<2.5"', matches=_is_comparison),
    _Text(
        expected='a requirement, such as "numpy<2"',
        matches=lambda text: _is_comparison(re.sub(r"^[A-Za-z0-9][A-Za-z0-9._-]*", "", text)),
    ),
)


_TABLE: Final = "a table"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldShape:
    """What the values at one place of a data file have in common."""

    kinds: frozenset[str]
    text: _Text | None = None
    words: frozenset[str] = frozenset()
    """The only strings there are; none: any."""
    fields: Mapping[str, "FieldShape"] = field(default_factory=dict)
    """Of a table; none: it is a mapping, whose keys are facts too."""
    required: frozenset[str] = frozenset()
    """Fields that each table has."""
    key: _Text | None = None
    """Of a mapping."""
    element: "FieldShape | None" = None
    """Of a list, or of a mapping."""
    length: int = 0
    """Of every list; 0: they differ."""

    @property
    def is_table(self) -> bool:
        """Whether it is one."""
        return _TABLE in self.kinds

    @property
    def of_elements(self) -> "FieldShape":
        """The shape of what is in it; where the package has nothing there, nothing is right."""
        return self.element or FieldShape(kinds=frozenset())


def learn(examples: Iterable[object], name: str = "") -> FieldShape:
    """Return what the values of a field have in common; null is a value that is missing."""
    values = [each for each in examples if each is not None]
    tables = [each for each in values if isinstance(each, Mapping)]
    lists = [each for each in values if isinstance(each, list)]
    texts = [each for each in values if isinstance(each, str)]
    keys = dict.fromkeys(key for table in tables for key in table if key not in _UNREAD)
    is_mapping = name in _MAPPINGS or any(map(_DIGIT.search, keys))
    elements = [each for some in lists for each in some]
    elements += [each for table in tables if is_mapping for each in table.values()]
    lengths = {len(each) for each in lists}
    return FieldShape(
        kinds=frozenset(map(_kind, values)),
        text=_common(texts),
        words=_WORDS[name].union(texts) if name in _WORDS else frozenset(),
        fields={} if is_mapping else {key: learn([table.get(key) for table in tables], key) for key in keys},
        required=frozenset(key for key in keys if all(table.get(key) is not None for table in tables)),
        key=_common(keys) if is_mapping else None,
        element=learn(elements) if elements else None,
        length=lengths.pop() if len(lists) >= _SAMPLE and len(lengths) == 1 else 0,
    )


def _common(texts: Collection[str]) -> _Text | None:
    return next((each for each in _TEXTS if texts and all(map(each.matches, texts))), None)


def _kind(value: object) -> str:
    return _TABLE if isinstance(value, Mapping) else _KINDS.get(type(value), "a date")


def check(value: object, shape: FieldShape, at: KeyPath, mistakes: Mistakes, *, known: object = None) -> None:
    """Note what is wrong with a fact; a table that is not known needs all fields that others have."""
    if _kind(value) not in shape.kinds:
        mistyped(at, value, " or ".join(sorted(shape.kinds)), mistakes)
    elif isinstance(value, Mapping):
        _check_table(value, shape, at, mistakes, known if isinstance(known, Mapping) else {})
    elif isinstance(value, list):
        _check_list(value, shape, at, mistakes)
    elif isinstance(value, str):
        _check_text(value, shape, at, mistakes)


def check_key(key: str, shape: FieldShape, at: KeyPath, mistakes: Mistakes) -> None:
    """Note that the key of a mapping is not like the others."""
    if shape.key and not shape.key.matches(key):
        mistakes.add(at, f"{key!r} is not a valid key", f"expected {shape.key.expected}")


def _check_table(
    table: Mapping[str, object], shape: FieldShape, at: KeyPath, mistakes: Mistakes, known: Mapping[str, object]
) -> None:
    for key, value in table.items():
        if not shape.fields:
            check_key(key, shape, (*at, key), mistakes)
            check(value, shape.of_elements, (*at, key), mistakes, known=known.get(key))
        elif key in shape.fields:
            check(value, shape.fields[key], (*at, key), mistakes, known=known.get(key))
        else:
            mistakes.add((*at, key), "nothing reads this key", did_you_mean(key, shape.fields))
    for key in sorted(shape.required - table.keys()) if shape.fields and not known else ():
        mistakes.add(
            at, f"{key!r} is missing", "the catalogue has no such entry yet: give every key that the others have"
        )


def _check_list(values: Sequence[object], shape: FieldShape, at: KeyPath, mistakes: Mistakes) -> None:
    for index, each in enumerate(values):
        check(each, shape.of_elements, (*at, index), mistakes)
    if shape.length and len(values) != shape.length:
        mistakes.add(at, f"a list of {len(values)} is not valid", f"expected {shape.length} elements")


def _check_text(value: str, shape: FieldShape, at: KeyPath, mistakes: Mistakes) -> None:
    if shape.words and value not in shape.words:
        mistakes.add(at, f"{value!r} is not valid", did_you_mean(value, shape.words))
    elif shape.text and not shape.text.matches(value):
        mistakes.add(at, f"{value!r} is not valid", f"expected {shape.text.expected}")
