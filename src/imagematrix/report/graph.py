"""A plan in, a picture of its DAG out: SVG, HTML or DOT text.

Each node has one parent, so the DAG of a grid is a forest: layers stand in columns, each leaf has a line of its own,
and a node is in the middle of the nodes built on it. Files of package layers have lines below them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Final
from xml.etree import ElementTree as ET

from imagematrix.model import Key, Plan, Step, Verdict
from imagematrix.text.formatting import label

_LETTER: Final = 6.9
"""Pixels that a letter of the small text takes at most, on the average of a name."""
_PADDING: Final = 12
_LONGEST: Final = 60
"""Letters of the text in a box; of a longer one the middle is left out, and the tooltip has all of it."""
_BOX_HEIGHT: Final = 40
_GAP: Final = 50
_LINE: Final = 52
_MARGIN: Final = 24
_LEGEND: Final = 40
_COLOURS: Final[Mapping[Verdict, tuple[str, str]]] = {
    Verdict.REUSE: ("#d7f0dd", "#2f855a"),
    Verdict.PULL: ("#d6e8fb", "#2b6cb0"),
    Verdict.BUILD: ("#fde8cf", "#c05621"),
}
"""Fill and edge of a node by what a build would do with it; each node's tooltip says it in words."""
_LEGEND_TEXT: Final = {Verdict.REUSE: "exists, is reused", Verdict.PULL: "is pulled", Verdict.BUILD: "must be built"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    column: int
    line: float
    width: int
    """Of all boxes of the picture."""

    @property
    def x(self) -> float:
        return _MARGIN + self.column * (self.width + _GAP)

    @property
    def y(self) -> float:
        return _MARGIN + _LEGEND + self.line * _LINE


def svg(plan: Plan) -> str:
    """Return the DAG as a stand-alone SVG picture; sizes are in pixels."""
    places = _places(plan)
    width = max((place.x + place.width for place in places.values()), default=600) + _MARGIN
    height = _MARGIN * 2 + _LEGEND + _LINE * (max((place.line for place in places.values()), default=0) + 1)
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {height}",
            "width": str(width),
            "height": str(height),
            "font-family": "system-ui, sans-serif",
        },
    )
    ET.SubElement(root, "rect", {"class": "page", "width": "100%", "height": "100%", "fill": "#ffffff"})
    _legend(root)
    numbers = {step.node.key: str(number) for number, step in enumerate(plan.steps)}
    for step in plan.steps:
        for below in filter(None, (step.node.parent, step.node.packages)):
            edge = _edge(root, places[below], places[step.node.key])
            edge.attrib |= {"data-from": numbers[below], "data-to": numbers[step.node.key]}
    for step in plan.steps:
        _box(root, step, places[step.node.key], number=numbers[step.node.key])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def html(plan: Plan) -> str:
    """Return a page with the picture, which zooms, finds nodes and shows one family; it works offline."""
    families = sorted({row.family.name for row in plan.rows.values()})
    options = "".join(f"<option>{escape(name)}</option>" for name in families)
    page = resources.files("imagematrix").joinpath("templates/report/graph.html").read_text(encoding="utf-8")
    return page.replace("<!-- families -->", options).replace("<!-- picture -->", svg(plan))


def dot(plan: Plan) -> str:
    """Return the DAG in Graphviz's language."""
    lines = ["digraph imagematrix {", "  rankdir=LR;", '  node [shape=box, style="filled,rounded"];']
    for step in plan.steps:
        fill, edge = _COLOURS[step.verdict]
        text = label(step).replace('"', r"\"")
        lines.append(f'  "{step.node.key[:12]}" [label="{text}", fillcolor="{fill}", color="{edge}"];')
    for step in plan.steps:
        below = filter(None, (step.node.parent, step.node.packages))
        lines += [f'  "{key[:12]}" -> "{step.node.key[:12]}";' for key in below]
    return "\n".join([*lines, "}", ""])


FORMS: Final[Mapping[str, Callable[[Plan], str]]] = {".svg": svg, ".html": html, ".dot": dot}
"""A picture format is a function here, by file ending."""


def _places(plan: Plan) -> Mapping[Key, _Place]:
    """Give each node its column (how many nodes are below it) and its line (the middle of those built on it).

    Files of a package layer are in the column before the first that links them.
    """
    columns: dict[Key, int] = {}
    children: dict[Key, list[Key]] = {}
    for step in plan.steps:  # parents first
        parent = step.node.parent
        columns[step.node.key] = columns[parent] + 1 if parent else 0
        children.setdefault(step.node.key, [])
        if parent:
            children[parent].append(step.node.key)
    lines: dict[Key, float] = {}
    free = iter(range(len(plan.steps)))
    files = [step.node.key for step in plan.steps if step.node.stage.tool]
    roots = [step.node.key for step in plan.steps if not step.node.parent and not step.node.stage.tool]
    for key in (*_children_first(roots, children), *files):
        above = [lines[child] for child in children[key]]
        lines[key] = (min(above) + max(above)) / 2 if above else float(next(free))
    columns |= _columns_of_files(plan, columns)
    width = _box_width(plan)
    return {key: _Place(column=columns[key], line=lines[key], width=width) for key in columns}


def _box_width(plan: Plan) -> int:
    """Return the width in which every text fits."""
    return round(2 * _PADDING + _LETTER * max((len(_detail(step)) for step in plan.steps), default=0))


def _columns_of_files(plan: Plan, columns: Mapping[Key, int]) -> Mapping[Key, int]:
    found: dict[Key, int] = {}
    for step in plan.steps:
        if files := step.node.packages:
            before = max(columns[step.node.key] - 1, 0)
            found[files] = min(found.get(files, before), before)
    return found


def _children_first(roots: list[Key], children: Mapping[Key, list[Key]]) -> list[Key]:
    """Return all nodes in depth-first order, each after the nodes built on it: subtrees stay together."""
    stack, order = list(roots), []
    while stack:
        key = stack.pop()
        order.append(key)
        stack += children[key]
    return order[::-1]


def _legend(root: ET.Element) -> None:
    for index, (verdict, text) in enumerate(_LEGEND_TEXT.items()):
        fill, edge = _COLOURS[verdict]
        x = _MARGIN + index * 180
        box = {
            "x": str(x),
            "y": str(_MARGIN - 8),
            "width": "16",
            "height": "16",
            "rx": "4",
            "fill": fill,
            "stroke": edge,
        }
        ET.SubElement(root, "rect", box)
        _text(root, text, x=x + 24, y=_MARGIN + 5, size=13)


def _edge(root: ET.Element, start: _Place, end: _Place) -> ET.Element:
    x1, y1, x2, y2 = start.x + start.width, start.y + _BOX_HEIGHT / 2, end.x, end.y + _BOX_HEIGHT / 2
    middle = (x1 + x2) / 2
    path = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
    return ET.SubElement(root, "path", {"d": path, "fill": "none", "stroke": "#a0aec0", "stroke-width": "1.5"})


def _box(root: ET.Element, step: Step, place: _Place, *, number: str) -> None:
    fill, edge = _COLOURS[step.verdict]
    group = ET.SubElement(root, "g", {"class": step.verdict.value, "data-node": number})
    tooltip = [label(step), f"{step.verdict}: {step.reason}", f"key {step.node.key[:12]}", *step.leaves]
    ET.SubElement(group, "title").text = "\n".join(tooltip)
    box = {"x": str(place.x), "y": str(place.y), "width": str(place.width), "height": str(_BOX_HEIGHT), "rx": "7"}
    ET.SubElement(group, "rect", {**box, "fill": fill, "stroke": edge, "stroke-width": "1.5"})
    name, detail = step.node.layer, _detail(step)
    _text(group, name, x=place.x + _PADDING, y=place.y + 17, size=13, weight="600")
    _text(group, detail, x=place.x + _PADDING, y=place.y + 32, size=11)


def _detail(step: Step) -> str:
    """Return what distinguishes a node from its neighbours: its only leaf, or how many share it."""
    if len(step.leaves) > 1:
        text = f"{step.node.leaf.row.base.name}, shared by {len(step.leaves)} rows"
    else:
        text = step.leaves[0] if step.leaves else ""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[: half - 1]}…{text[-half:]}"


def _text(root: ET.Element, text: str, *, x: float, y: float, size: int, weight: str = "400") -> None:
    shape = {"x": str(x), "y": str(y), "font-size": str(size), "font-weight": weight, "fill": "#1a202c"}
    ET.SubElement(root, "text", shape).text = text
