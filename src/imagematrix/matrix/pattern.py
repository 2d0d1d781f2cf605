"""Patterns: text with {name} of axes and facts, filled with the values of each row of a family."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from imagematrix.errors import did_you_mean
from imagematrix.matrix.grid import Cell, Grid
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Mistakes

_NAME: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BRACE: Final = re.compile(r"[{}]")
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_.-]")


def has_names(text: str) -> bool:
    """Whether a text is a pattern, well-formed or not, and no plain text."""
    return _BRACE.search(text) is not None


def fault(text: str) -> tuple[str, str] | None:
    """Return what is wrong with the form of a pattern, and a hint."""
    if not has_names(_NAME.sub("", text)):
        return None
    hint = "a pattern is text with {name} of an axis or fact, nothing else in braces"
    return f"the braces of {text!r} are wrong", hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What a pattern is for: a predicate of its filled text, the error for a text that does not fit, and the hint."""

    fits: Callable[[str], bool]
    refusal: str
    hint: str


@dataclass(slots=True, kw_only=True)
class _Example:
    """A mistake that many rows share: reported once, with the first row that has it and a count."""

    what: str
    hint: str
    rows: int = 0


class Pattern:
    """A pattern as one family fills it. What is wrong with it is noted, each cause once (see `note`)."""

    def __init__(self, text: str, at: KeyPath, purpose: Purpose, *, grid: Grid, mistakes: Mistakes) -> None:
        self._text = text
        self._at = at
        self._purpose = purpose
        self._mistakes = mistakes
        self._examples: dict[tuple[str, ...], _Example] = {}
        self.is_usable = self._is_usable(grid)
        """Whether it is well-formed and names only what the family's rows have."""

    def _is_usable(self, grid: Grid) -> bool:
        drafted = grid.declared.drafted  # what that row lacks is reported for the row, not for the pattern
        unknown = [name for name in _NAME.findall(self._text) if name not in grid.known and not drafted]
        for name in unknown:
            if not grid.may_be(name):
                self._mistakes.add(self._at, f"unknown name {{{name}}}", did_you_mean(name, grid.known))
        wrong = fault(self._text)
        if wrong:
            self._mistakes.add(self._at, *wrong)
        return bool(self._text) and not wrong and not unknown

    def fill(self, cell: Cell) -> str:
        """Return the result for a row; empty, and reported, if it is not valid."""
        if not self.is_usable:
            return ""
        try:
            filled = self._text.format_map(cell.values)
        except KeyError as error:
            self._note_missing(cell, str(error.args[0]))
            return ""
        if self._purpose.fits(filled):
            return filled
        self._note_unfit(cell, filled)
        return ""

    def count(self, cause: tuple[str, ...], what: str, hint: str) -> None:
        """Count one more row with a mistake of the same cause; the first is the example."""
        example = self._examples.setdefault(cause, _Example(what=what, hint=hint))
        example.rows += 1

    def note(self) -> None:
        """Note what was counted."""
        for example in self._examples.values():
            more = f", and {example.rows - 1} more like it" if example.rows > 1 else ""
            self._mistakes.add(self._at, example.what + more, example.hint)

    def _note_missing(self, cell: Cell, name: str) -> None:
        hint = f"give every row a {name}, as an axis or by facts"
        self.count(("missing", name), f"a row has no {name}: {shown(cell)}", hint)

    def _note_unfit(self, cell: Cell, filled: str) -> None:
        causes = sorted(set(_STRANGE.findall(filled))) or ["length or first character"]
        self.count(("unfit", *causes), f"{self._purpose.refusal} {filled!r}: {shown(cell)}", self._purpose.hint)


def shown(cell: Cell) -> str:
    """Return a row by its axes, which distinguish it from all others of its family."""
    return ", ".join(f"{part.axis}={part.value}" for part in cell.combination)
