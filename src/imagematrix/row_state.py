"""The states of rows: whether their images exist and are up to date."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from imagematrix.compat import nearest
from imagematrix.model import EngineImage, Key, Row
from imagematrix.planning.checks import is_checked
from imagematrix.planning.graph import Dag
from imagematrix.planning.trust import doubts, nodes
from imagematrix.project import Project

UNCHECKED: Final = "unchecked: none of its layers has a check"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowState:
    """A row with the state of its image on the engine."""

    row: Row
    key: Key
    """Empty when the row is impossible."""
    state: str
    """`built`: the image is up to date; `remote`: it is in the node cache, not on the engine; `stale`: it has another
    key; `missing`: there is no image; `impossible`: the row cannot be built."""
    reason: str = ""
    """Why it is impossible; that an existing image is unchecked; why the image of its name is not accepted."""
    nearest: str = ""
    """For an impossible row, the nearest row of its family that works; empty: there is none."""


def states(
    project: Project,
    rows: Sequence[Row],
    images: Collection[EngineImage],
    kept: Callable[[Dag, Collection[Key]], Collection[Key]] = lambda *_: (),
    *,
    unknown: str = "",
) -> tuple[RowState, ...]:
    """Return rows with the states of their images, sorted by name; an impossible row is not even rendered.

    `kept` says which nodes of a DAG the registry has, besides those of the engine. `unknown` says why it is not known
    what the engine has, if it is not.
    """
    impossible = {row.name: reason for row in rows if (reason := project.impossible(row))}
    dag = project.dag(project.leaves(row for row in rows if row.name not in impossible))
    final_nodes, checked = dag.final_nodes, project.repository.common.checks()
    named = {name for image in images for name in image.names}
    bonds = project.state.bonds()
    present, doubted = nodes(images, bonds), doubts(images, bonds)
    remote = kept(dag, present)
    families: dict[str, list[Row]] = {}
    for row in project.matrix.rows if impossible else ():
        families.setdefault(row.family.name, []).append(row)

    def state(row: Row) -> RowState:
        if row.name in impossible:
            near = nearest.existing(row.axes, families[row.family.name])
            reason, name = impossible[row.name], near.name if near else ""
            return RowState(row=row, key=Key(""), state="impossible", reason=reason, nearest=name)
        key = final_nodes[row.name]
        missing = "stale" if row.image in named else "missing"
        found = "built" if key in present else "remote" if key in remote else missing
        reason = doubted.get(key, unknown) if found == missing else "" if is_checked(row, checked) else UNCHECKED
        return RowState(row=row, key=key, state=found, reason=reason)

    return tuple(state(row) for row in rows)
