"""Draws the pictures of concepts.md: each is chains of boxes, written `A -> B -[what the arrow says]-> C`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

PICTURES: Final[Mapping[str, Sequence[str]]] = {
    "rows": (
        "matrix.toml: 2 bases x 2 torch -[axes]-> row 2.3.0-debian12 -[render]-> images/pytorch/2.3.0-debian12/",
        "matrix.toml: 2 bases x 2 torch -> row 2.3.0-debian13 -> images/pytorch/2.3.0-debian13/",
        "matrix.toml: 2 bases x 2 torch -> row 2.4.1-debian12 -> images/pytorch/2.4.1-debian12/",
        "matrix.toml: 2 bases x 2 torch -> row 2.4.1-debian13 -> images/pytorch/2.4.1-debian13/",
    ),
    "nodes": (
        "debian12 -> system -> python -> torch 2.3.0 -> notebook, on 2.3.0 -> image pytorch:2.3.0",
        "python -> torch 2.4.1 -> notebook, on 2.4.1 -> image pytorch:2.4.1",
        "python -> image python:3.11",
    ),
    "locks": (
        "requirements.txt -[invoke lock]-> locks/LAYER/….txt -> keys of nodes",
        "[bases] -[invoke lock]-> matrix.lock -> keys of nodes",
        "site.apt_install -[invoke lock]-> locks/apt/….txt -> keys of nodes",
        "downloads that no lock names -[--fresh, nightly]-> epoch -> keys of nodes",
    ),
    "packages": (
        "tool: python 3.11 on debian12 -[installs once]-> files of torch 2.4.1 -[linked]-> torch on debian12",
        "files of torch 2.4.1 -> torch on debian13",
        "files of torch 2.4.1 -> torch on CUDA 12.4",
    ),
    "tags": (
        "image -[push]-> TAG-20261130-4f2a…: never moves",
        "image -[verify]-> all checks passed -> TAG and TAG-latest move here",
        "image -> a check failed -> TAG and TAG-latest stay",
    ),
    "site": (
        "leaf -> docker buildx build -> image",
        "[site]: index, proxy, certificates -[secrets]-> docker buildx build",
        "leaf -> key",
    ),
}
"""Name of the file -> its chains."""

_ARROW: Final = re.compile(r" -(?:\[(?P<says>[^]]*)\]-)?> ")
_LETTER: Final = 7.2
"""Pixels that a letter takes at most, on the average of a text."""
_PADDING: Final = 12
_HEIGHT: Final = 34
_LINE: Final = 52
_GAP: Final = 40
_MARGIN: Final = 12


@dataclass(frozen=True, slots=True)
class _Arrow:
    start: str
    end: str
    says: str


def svg(chains: Sequence[str]) -> str:
    """Return a picture: boxes in columns, from left to right."""
    arrows = [arrow for chain in chains for arrow in _arrows(chain)]
    boxes = dict.fromkeys(name for arrow in arrows for name in (arrow.start, arrow.end))
    columns = {name: _depth(name, arrows) for name in boxes}
    lines = _lines(boxes, arrows)
    widths = [
        max(_wide(name) for name in boxes if columns[name] == column) for column in range(max(columns.values()) + 1)
    ]
    gaps = [
        max([_GAP, *(_wide(arrow.says) for arrow in arrows if arrow.says and columns[arrow.end] == column + 1)])
        for column in range(len(widths))
    ]
    left = [_MARGIN + sum(widths[:column]) + sum(gaps[:column]) for column in range(len(widths))]
    places = {name: (left[columns[name]], _MARGIN + 10 + lines[name] * _LINE, widths[columns[name]]) for name in boxes}
    size = (left[-1] + widths[-1] + _MARGIN, round(2 * _MARGIN + 10 + max(lines.values()) * _LINE + _HEIGHT))
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {size[0]} {size[1]}",
            "width": str(size[0]),
            "height": str(size[1]),
            "font-family": "system-ui, sans-serif",
        },
    )
    ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
    for arrow in arrows:
        _draw_arrow(root, arrow, places)
    for name, place in places.items():
        _draw_box(root, name, place)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _arrows(chain: str) -> list[_Arrow]:
    first, *others = _ARROW.split(chain)
    found = []
    for says, name in zip(others[::2], others[1::2], strict=True):
        found.append(_Arrow(first, name, says or ""))
        first = name
    return found


def _depth(name: str, arrows: Sequence[_Arrow]) -> int:
    return max((_depth(arrow.start, arrows) + 1 for arrow in arrows if arrow.end == name), default=0)


def _lines(boxes: Mapping[str, None], arrows: Sequence[_Arrow]) -> Mapping[str, float]:
    """Give each box its line: the last ones and those that join others one after another, the rest between theirs."""
    found: dict[str, float] = {}
    joins = {arrow.end for arrow in arrows if sum(each.end == arrow.end for each in arrows) > 1}

    def line(name: str) -> float:
        if name not in found:
            ends = [arrow.end for arrow in arrows if arrow.start == name and arrow.end not in joins]
            below = [line(end) for end in dict.fromkeys(ends)]
            found[name] = (below[0] + below[-1]) / 2 if below else float(len({*found.values()} - {-1.0}))
        return found[name]

    for name in boxes:
        if name not in joins:
            line(name)
    for name in boxes:
        if name in joins:
            starts = [line(arrow.start) for arrow in arrows if arrow.end == name]
            found[name] = (min(starts) + max(starts)) / 2
    for name in boxes:  # what follows a join is beside it
        before = [arrow.start for arrow in arrows if arrow.end == name and arrow.start in joins]
        if before:
            found[name] = found[before[0]]
    return found


def _wide(text: str) -> int:
    return round(2 * _PADDING + _LETTER * len(text))


def _draw_arrow(root: ET.Element, arrow: _Arrow, places: Mapping[str, tuple[int, float, int]]) -> None:
    (x1, y1, width), (x2, y2, _) = places[arrow.start], places[arrow.end]
    x1, y1, y2 = x1 + width, y1 + _HEIGHT / 2, y2 + _HEIGHT / 2
    middle = (x1 + x2) / 2
    line = {"fill": "none", "stroke": "#718096", "stroke-width": "1.5"}
    ET.SubElement(root, "path", {"d": f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}", **line})
    ET.SubElement(root, "path", {"d": f"M{x2 - 7} {y2 - 4} L{x2} {y2} L{x2 - 7} {y2 + 4}", **line})
    if arrow.says:
        said = {
            "x": str(middle),
            "y": str((y1 + y2) / 2 - 6),
            "font-size": "12",
            "text-anchor": "middle",
            "fill": "#4a5568",
        }
        ET.SubElement(root, "text", said).text = arrow.says


def _draw_box(root: ET.Element, name: str, place: tuple[int, float, int]) -> None:
    x, y, width = place
    box = {"x": str(x), "y": str(y), "width": str(width), "height": str(_HEIGHT), "rx": "7"}
    ET.SubElement(root, "rect", {**box, "fill": "#ebf4ff", "stroke": "#2b6cb0", "stroke-width": "1.5"})
    words = {"x": str(x + width / 2), "y": str(y + 22), "font-size": "13", "text-anchor": "middle", "fill": "#1a202c"}
    ET.SubElement(root, "text", words).text = name
