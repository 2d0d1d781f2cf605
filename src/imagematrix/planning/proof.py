"""What `check` finds, as data: every problem of a project's files and rows in one list, judged."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from imagematrix.diagnostics import Diagnostic, Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """All that there is to say of a project, the worst first."""

    file: str
    is_read: bool
    """Whether the matrix could be read; if not, nothing is known about its rows."""
    rows: int
    """Those that are not declared impossible."""
    families: int
    impossible: int
    """Rows that are declared impossible."""
    diagnostics: tuple[Diagnostic, ...]

    @property
    def refused(self) -> frozenset[str]:
        """Rows that cannot be built as they are."""
        return frozenset(row for each in self.of(Level.ERROR) for row in each.rows)

    @property
    def good(self) -> bool:
        """Whether no diagnostic is an error, as the exit code says too."""
        return not self.of(Level.ERROR)

    def at(self, placed: Callable[[str], str]) -> "Proof":
        """Return the same, with paths as `placed` makes them of those relative to the project's root."""
        moved = tuple(replace(each, file=placed(each.file)) for each in self.diagnostics)
        return replace(self, file=placed(self.file), diagnostics=moved)

    def of(self, level: Level) -> tuple[Diagnostic, ...]:
        """Return the diagnostics of a level."""
        return tuple(each for each in self.diagnostics if each.severity.level is level)
