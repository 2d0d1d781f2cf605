"""The rows of a matrix with the state of their images: for a reader and for a machine."""

from collections import Counter
from collections.abc import Sequence

from imagematrix.report.outputs import RowEntry, RowsDocument
from imagematrix.row_state import RowState
from imagematrix.text import documents
from imagematrix.text.formatting import count


def rows_text(states: Sequence[RowState]) -> str:
    """Write a line for each row, and how many are in which state."""
    width = max((len(state.row.name) for state in states), default=0)
    wide = max((len(state.state) for state in states), default=0)
    lines = [f"{state.row.name:<{width}}  {state.state:<{wide}}  {_remark(state)}" for state in states]
    tally = Counter(state.state for state in states)
    numbers = ", ".join(f"{number} {state}" for state, number in sorted(tally.items()))
    return "\n".join([*(line.rstrip() for line in lines), "", f"{count(len(states), 'row')}: {numbers}"])


def _remark(state: RowState) -> str:
    if not state.reason:
        return ", ".join(state.row.family.groups)
    return f"{state.reason}; nearest: {state.nearest}" if state.nearest else state.reason


def rows_json(states: Sequence[RowState]) -> str:
    """Write the JSON that `invoke list --json` promises."""
    return documents.write(RowsDocument(rows=tuple(map(_entry, states)))).rstrip()


def _entry(state: RowState) -> RowEntry:
    row = state.row
    return RowEntry(
        family=row.family.name,
        tag=row.tag,
        axes=row.axes,
        platform=row.platform,
        groups=row.family.groups,
        image=row.image,
        directory=row.directory,
        key=state.key,
        state=state.state,
        reason=state.reason,
        nearest=state.nearest,
    )
