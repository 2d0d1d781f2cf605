"""A run in, plotly's figures of it out, as the JSON that plotly.js takes; the page gives them their colours and size.

A colour is the name of a variable of the page's style (`var(--built)`): what it is depends on light or dark.
"""

import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from imagematrix.model import Status
from imagematrix.report.document import NodeEntry
from imagematrix.report.overview import Overview
from imagematrix.report.runs import PastRun
from imagematrix.text.formatting import count, duration, size

Figure = Mapping[str, Any]

_SHORT_SECONDS: Final = 180
"""A shorter run is drawn by seconds, others by minutes."""
_SLOT_PIXELS: Final = 34
_FRAME_PIXELS: Final = 90
_TREE_PIXELS: Final = 620
_SEEN_PIXELS: Final = 4
_TILES_SEEN: Final = 250
"""A tile of less than this part of the whole is drawn as a dot."""
_ROOT: Final = "all"
_OUTCOMES: Final = (Status.BUILT, Status.FAILED)
_BADNESS: Final = {Status.FAILED: 3, Status.SKIPPED: 2, Status.BUILT: 1}


def figures(overview: Overview) -> Mapping[str, Figure]:
    """Return all figures by name; one without data is left out."""
    made = {"timeline": timeline(overview), "dag": dag(overview.run), "sizes": sizes(overview)}
    return {name: figure for name, figure in made.items() if figure["data"]}


def timeline(overview: Overview) -> Figure:
    """Draw when each node was built in which slot; the critical path has an edge."""
    nodes = [node for node in overview.run.nodes if node.ran and node.lane is not None]
    last = max((_began(node) + node.seconds for node in nodes), default=0)
    unit, seconds = ("seconds", 1) if last < _SHORT_SECONDS else ("minutes", 60)
    traces = [
        _bars(f"{outcome}, critical path" if critical else outcome.value, chosen, outcome, seconds, critical=critical)
        for outcome in _OUTCOMES
        for critical in (False, True)
        if (chosen := [n for n in nodes if n.outcome is outcome and (n.key in overview.critical) is critical])
    ]
    traces += _pulls(nodes, seconds)
    slots = 1 + max((node.lane or 0 for node in nodes), default=0)
    lines = _lines(overview.run, slots)
    traces += _pushes(overview.run, lines, seconds)
    axis = {"title": {"text": f"{unit} since the run began"}, "rangemode": "tozero"}
    machines = {node.lane: node.machine for node in nodes}
    builders = {
        "tickvals": list(range(slots + len(lines))),
        "ticktext": [
            *(machines.get(slot) or f"slot {slot + 1}" for slot in range(slots)),
            *(f"{name} pushes" for name in lines),
        ],
        "autorange": "reversed",
        "fixedrange": True,
    }
    layout = {"barmode": "overlay", "xaxis": axis, "yaxis": builders, "hovermode": "closest"}
    return {"data": traces, "layout": {**layout, "height": _FRAME_PIXELS + _SLOT_PIXELS * max(slots + len(lines), 3)}}


def _began(node: NodeEntry) -> float:
    """Return since when a node was really built: waits come first, and leave a gap."""
    return (node.started or 0) + node.waited


def _bars(name: str, nodes: Sequence[NodeEntry], outcome: Status, unit: int, *, critical: bool) -> Figure:
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "base": [round(_began(node) / unit, 3) for node in nodes],
        "x": [round(node.seconds / unit, 3) for node in nodes],
        "y": [node.lane for node in nodes],
        "width": 0.75,
        "hovertext": [_words(node) for node in nodes],
        "hoverinfo": "text",
        "marker": {
            "color": f"var(--{outcome})",
            "line": {"color": "var(--critical)" if critical else "var(--surface)", "width": 2.5 if critical else 0.5},
        },
    }


def _pulls(nodes: Sequence[NodeEntry], unit: int) -> list[Figure]:
    """Draw over the builds of machines when they pulled what they are built on, which comes first."""
    chosen = [node for node in nodes if node.pulled >= 1]
    spans = [(_began(node), node.pulled, node.lane, f"pulled for {duration(node.pulled)}") for node in chosen]
    return _thin("pull", spans, unit) if spans else []


def _lines(run: PastRun, slots: int) -> Mapping[str, int]:
    """Return where the pushes of each machine are drawn, below the worker slots."""
    names = sorted({push.machine for push in run.pushes if push.machine and push.started is not None})
    return {name: slots + number for number, name in enumerate(names)}


def _pushes(run: PastRun, lines: Mapping[str, int], unit: int) -> list[Figure]:
    """Draw when machines pushed."""
    spans = [
        (push.started or 0.0, push.seconds, lines[push.machine], f"{run.by_key[push.node].label}<br>{push.outcome}")
        for push in run.pushes
        if push.machine in lines and push.node in run.by_key
    ]
    return _thin("push", spans, unit) if spans else []


def _thin(name: str, spans: Sequence[tuple[float, float, int | None, str]], unit: int) -> list[Figure]:
    return [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "base": [round(begun / unit, 3) for begun, _, _, _ in spans],
            "x": [round(took / unit, 3) for _, took, _, _ in spans],
            "y": [line for _, _, line, _ in spans],
            "width": 0.3,
            "hovertext": [said for _, _, _, said in spans],
            "hoverinfo": "text",
            "marker": {"color": "var(--reused)"},
        }
    ]


def dag(run: PastRun) -> Figure:
    """Draw the DAG, which is a forest, from left to right: what is built on a node touches its right edge.

    Nodes that would be too low to be seen are drawn together with their like, those of one layer on one node, in the
    colour of the worst.
    """
    groups = _groups(run)
    whole = f"all {count(len(run.leaves), 'image')}"
    tree = {
        "type": "icicle",
        "ids": [_ROOT, *groups],
        "labels": [whole, *(_name(nodes) for nodes, _ in groups.values())],
        "parents": ["", *(parent for _, parent in groups.values())],
        "values": [
            sum(len(node.leaves) for node in run.nodes if not node.parent),
            *(sum(len(node.leaves) for node in nodes) for nodes, _ in groups.values()),
        ],
        "branchvalues": "total",
        "hovertext": [whole, *(_words_of(nodes) for nodes, _ in groups.values())],
        "hoverinfo": "text",
        "sort": False,
        "tiling": {"orientation": "h"},
        "pathbar": {"side": "top", "thickness": 24},
        "leaf": {"opacity": 1},
        "marker": {
            "colors": ["var(--code)", *(f"var(--{_worst(nodes)})" for nodes, _ in groups.values())],
            "line": {"color": "var(--surface)", "width": 1},
        },
    }
    return {"data": [tree] if run.nodes else [], "layout": {"height": _TREE_PIXELS}}


def _groups(run: PastRun) -> Mapping[str, tuple[Sequence[NodeEntry], str]]:
    """Return what is drawn as one: id -> nodes, and the id of their parent."""
    total = sum(len(node.leaves) for node in run.nodes if not node.parent)
    ids: dict[str, str] = {}
    groups: dict[str, tuple[list[NodeEntry], str]] = {}
    for node in run.nodes:  # parents first
        parent = ids[node.parent] if node.parent else _ROOT
        is_seen = len(node.leaves) * _TREE_PIXELS >= _SEEN_PIXELS * total
        ids[node.key] = node.key if is_seen else f"{parent} {node.layer}"
        groups.setdefault(ids[node.key], ([], parent))[0].append(node)
    return groups


def sizes(overview: Overview) -> Figure:
    """Draw what the nodes of each layer add to images, each node once; the smallest of a layer together."""
    total = sum(layer.bytes for layer in overview.layers)
    tiles: dict[str, tuple[list[NodeEntry], str]] = {}
    for node in overview.run.nodes:
        if node.bytes:
            layer = f"layer {node.layer}"
            is_seen = node.bytes * _TILES_SEEN >= total
            tiles.setdefault(node.key if is_seen else f"{layer}, small", ([], layer))[0].append(node)
    layers = [layer for layer in overview.layers if layer.bytes]
    tree = {
        "type": "treemap",
        "ids": [*(f"layer {layer.layer}" for layer in layers), *tiles],
        "labels": [*(_plain(layer.layer) for layer in layers), *(_name(nodes) for nodes, _ in tiles.values())],
        "parents": [*("" for _ in layers), *(parent for _, parent in tiles.values())],
        "values": [*(0 for _ in layers), *(_bytes(nodes) for nodes, _ in tiles.values())],
        "branchvalues": "remainder",
        "hovertext": [
            *(f"{_plain(layer.layer)}<br>{size(layer.bytes)} in {count(layer.nodes, 'node')}" for layer in layers),
            *(f"{_name(nodes)}<br>{size(_bytes(nodes))}<br>{_shared(nodes[0])}" for nodes, _ in tiles.values()),
        ],
        "hoverinfo": "text",
        "pathbar": {"thickness": 24},
        "marker": {"line": {"color": "var(--surface)", "width": 1}},
    }
    return {"data": [tree] if tiles else [], "layout": {"height": _TREE_PIXELS}}


def _bytes(nodes: Iterable[NodeEntry]) -> int:
    return sum(node.bytes or 0 for node in nodes)


def _name(nodes: Sequence[NodeEntry]) -> str:
    """Name a node in two lines, its layer first: a label that is long is written small."""
    if len(nodes) > 1:
        return f"{len(nodes)} x {_plain(nodes[0].layer)}"
    layer, _, rest = nodes[0].label.partition(" ")
    return f"{_plain(layer)}<br>{_plain(rest)}" if rest else _plain(layer)


def _words_of(nodes: Sequence[NodeEntry]) -> str:
    if len(nodes) == 1:
        return _words(nodes[0])
    counts = Counter(node.outcome for node in nodes)
    return f"{_name(nodes)}<br>" + ", ".join(f"{number} {outcome}" for outcome, number in counts.items())


def _worst(nodes: Sequence[NodeEntry]) -> Status:
    return max((node.outcome for node in nodes), key=lambda outcome: _BADNESS.get(outcome, 0))


def _words(node: NodeEntry) -> str:
    """Describe a node in plotly's own few tags."""
    took = f"{node.outcome}, {duration(node.seconds)}" if node.ran else node.outcome.value
    waited = f"waited {duration(node.waited)} for a cache" if node.waited >= 1 else ""
    lines = [
        node.label,
        took,
        f"on {node.machine}" if node.machine else "",
        waited,
        node.why,
        *_tries(node),
        _shared(node),
    ]
    return "<br>".join(_plain(line) for line in lines if line)


def _tries(node: NodeEntry) -> Iterable[str]:
    yield from (f"try {retry.number} failed: {retry.why}" for retry in node.retries)


def _shared(node: NodeEntry) -> str:
    return f"shared by {count(len(node.leaves), 'image')}" if len(node.leaves) > 1 else "only for one image"


def _plain(text: str) -> str:
    """Return a text that plotly takes for nothing but text."""
    return html.escape(text, quote=False)
