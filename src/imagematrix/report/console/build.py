"""A finished run in, the page a person reads out: images first, then what broke and what it blocks."""

from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Final

from imagematrix.model import PushStatus, Status
from imagematrix.report import bound
from imagematrix.report.document import Document, LeafEntry, NodeEntry
from imagematrix.text.formatting import abbreviate, count, duration, size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_REUSED_SHOWN: Final = 40
_TAIL_LINES: Final = 15
_NAMES_SHOWN: Final = 12

_STYLES: Final[Mapping[Status, str]] = {
    Status.BUILT: "green",
    Status.REUSED: "dim",
    Status.FAILED: "bold red",
    Status.SKIPPED: "yellow",
}


def summary(report: Document, *, color: bool = False) -> str:
    """Write which images exist now, and which do not; `color` for a terminal."""
    if not report.pushes and report.leaves and all(leaf.outcome is Status.REUSED for leaf in report.leaves):
        return _up_to_date(len(report.leaves)) + "\n"
    console = _console(color=color)
    _draw_leaves(console, report)
    for node in report.nodes:
        if node.outcome is Status.FAILED and not node.interrupted:
            _draw_failure(console, node, [leaf for leaf in report.leaves if leaf.blame and leaf.blame.node == node.key])
    _draw_drifts(console, report)
    _draw_untried(console, report)
    _draw_pushes(console, report)
    _draw_machines(console, report)
    _say(console, _last_line(report), "bold")
    drawn: StringIO = console.file  # type: ignore[assignment]
    return "\n".join(line.rstrip() for line in drawn.getvalue().splitlines()) + "\n"


def _up_to_date(images: int) -> str:
    verb = "is" if images == 1 else "are"
    return f"{count(images, 'image')} {verb} up to date"


def _console(*, color: bool) -> "Console":
    from rich.console import Console

    # as wide as it takes: a name that is cut or wrapped cannot be copied
    return Console(file=StringIO(), width=1000, color_system="standard" if color else None, highlight=False)


def _say(console: "Console", line: str, style: str = "") -> None:
    from rich.text import Text

    console.print(Text(line, style), soft_wrap=True)


def _draw_leaves(console: "Console", report: Document) -> None:
    reused = [leaf for leaf in report.leaves if leaf.outcome is Status.REUSED]
    folded = len(reused) > _REUSED_SHOWN
    shown = [leaf for leaf in report.leaves if not (folded and leaf.outcome is Status.REUSED)]
    console.print(_table(shown, report))
    if folded:
        _say(console, _up_to_date(len(reused)), "dim")
    _say(console, "")


def _table(leaves: Iterable[LeafEntry], report: Document) -> "Table":
    from rich.table import Table
    from rich.text import Text

    sharing = _Sharing(report.nodes)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for heading in ("image", "outcome", "size", "own time", "shares"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in {"size", "own time"} else "left")
    for leaf in leaves:
        table.add_row(
            Text(leaf.image),
            Text(leaf.outcome or "", _STYLES[leaf.outcome] if leaf.outcome else ""),
            size(leaf.bytes) if leaf.bytes is not None else "",
            duration(leaf.seconds) if leaf.seconds else "",
            sharing.of(leaf.name),
        )
    return table


class _Sharing:
    """Which nodes each row shares with which others."""

    def __init__(self, nodes: Iterable[NodeEntry]) -> None:
        self._nodes: dict[str, list[NodeEntry]] = {}
        for node in nodes:
            for name in node.leaves:
                self._nodes.setdefault(name, []).append(node)

    def of(self, name: str) -> str:
        """Say it of one row: `3 of 5 nodes with 4 rows`."""
        nodes = self._nodes.get(name, [])
        shared = [node for node in nodes if len(node.leaves) > 1]
        others = {other for node in shared for other in node.leaves} - {name}
        return f"{len(shared)} of {count(len(nodes), 'node')} with {count(len(others), 'row')}" if shared else ""


def _draw_failure(console: "Console", node: NodeEntry, blocked: Sequence[LeafEntry]) -> None:
    names = [leaf.name for leaf in blocked]
    tried = f"{count(node.attempts, 'attempt')}, {duration(node.seconds)}"
    _say(console, f"failed: {node.label}  ({tried})", _STYLES[Status.FAILED])
    _say(console, f"  {node.why}")
    for line in node.tail[-_TAIL_LINES:]:
        _say(console, f"  | {line}", "dim")
    if node.log:
        _say(console, f"  log:     {node.log}")
    _say(console, f"  blocks:  {count(len(names), 'image')}: {abbreviate(names, _NAMES_SHOWN)}")
    if names:
        _say(console, f"  repeat:  invoke build --only '{names[0]}'")
    _say(console, "")


def _draw_drifts(console: "Console", report: Document) -> None:
    drifted = [node for node in report.nodes if node.drifted and node.outcome is Status.BUILT]
    for node in drifted:
        _say(console, f"drifted: {node.label}: {abbreviate(node.drifted, _NAMES_SHOWN)}", _STYLES[Status.SKIPPED])
    if drifted:
        _say(console, "  the mirror no longer has what locks/apt names: `invoke lock --bases --upgrade` asks again\n")


def _draw_untried(console: "Console", report: Document) -> None:
    stopped = [node.label for node in report.nodes if node.interrupted]
    if stopped:
        _say(console, f"interrupted while building: {abbreviate(stopped, _NAMES_SHOWN)}", _STYLES[Status.SKIPPED])
        _say(console, "  what was finished is kept: run the same command to continue\n")
    untried: dict[str, list[str]] = {}
    for leaf in report.leaves:
        if leaf.outcome is Status.SKIPPED:
            untried.setdefault(leaf.why, []).append(leaf.name)
    for why, names in untried.items():
        _say(console, f"skipped: {count(len(names), 'image')}: {why}", _STYLES[Status.SKIPPED])
        _say(console, f"  {abbreviate(names, _NAMES_SHOWN)}\n")


def _draw_pushes(console: "Console", report: Document) -> None:
    """Say what was not pushed, alike failures together; `_last_line` counts what was."""
    labels = {node.key: node.label for node in report.nodes}
    failed: dict[str, list[str]] = {}
    for pushed in report.pushes:
        if pushed.outcome != PushStatus.PUSHED:
            failed.setdefault(pushed.why.removeprefix(f"{pushed.name}: "), []).append(labels[pushed.node])
    for why, names in failed.items():
        _say(console, f"not pushed: {count(len(names), 'node')}: {why}", _STYLES[Status.FAILED])
        _say(console, f"  {abbreviate(names, _NAMES_SHOWN)}")
        _say(console, "  what was pushed stays: run the same command to continue\n")


def _last_line(report: Document) -> str:
    outcomes = [leaf.outcome for leaf in report.leaves]
    counted = ", ".join(f"{outcomes.count(status)} {status}" for status in _STYLES if status in outcomes)
    built = sum(node.outcome is Status.BUILT for node in report.nodes)
    pushed = sum(each.outcome == PushStatus.PUSHED for each in report.pushes)
    pushes = f", {pushed} of {len(report.pushes)} pushed" if report.pushes else ""
    nodes = f"{count(built, 'node')} built{pushes}"
    ratio = bound.ratio(report)
    near = f", {ratio:.2f} x the shortest possible on {count(len(report.machines), 'machine')}" if ratio else ""
    return f"{count(len(outcomes), 'image')}: {counted}; {nodes} in {duration(report.seconds)}{near}"


def _draw_machines(console: "Console", report: Document) -> None:
    """Name the machines that failed too often for their own reasons."""
    for machine in report.machines:
        if machine.is_set_aside:
            said = f"{machine.name} was set aside: it failed {count(machine.faults, 'time')} for its own reasons"
            _say(console, said, _STYLES[Status.SKIPPED])
            _say(console, "  report.json has the tries that failed; `imagematrix cluster status` asks all machines\n")
