"""Pictures of a plan: everything on them, nothing on top of anything else."""

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests import projects

from imagematrix.model import Plan, Verdict
from imagematrix.project import open_project
from imagematrix.report import graph as drawing

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
BUILD, PULL, REUSE = "#fde8cf", "#d6e8fb", "#d7f0dd"


@pytest.fixture(scope="module")
def repository() -> Plan:
    """Give the plan of this repository's own matrix, for an engine that has one row of it, and what another is on."""
    opened = open_project(str(ROOT / "matrix.toml"))
    dag = projects.dag(opened)
    first, *_, last = dag.final_nodes.values()
    kept = {dag.nodes[last].parent or last: f"sha256:{last}"}
    image = projects.image(first)
    return opened.plan(dag, projects.believe(opened, image), kept=kept)


@pytest.fixture
def small(tmp_path: Path) -> Plan:
    return projects.plan(projects.project(tmp_path))


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314  # our own


def boxes(picture: ET.Element) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """Yield tooltip and place of each node's box: left, top, right, bottom."""
    for group in picture.iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect")
        assert box is not None
        x, y, width, height = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        yield group.findtext(f"{SVG}title", ""), (x, y, x + width, y + height)


@pytest.mark.parametrize("name", ["repository", "small"])
def test_svg(name: str, request: pytest.FixtureRequest) -> None:
    """Well-formed, every node once with its key and reason, no box on another or outside the picture."""
    plan: Plan = request.getfixturevalue(name)
    picture = parsed(drawing.svg(plan))
    drawn = dict(boxes(picture))

    assert len(drawn) == len(plan.steps)
    for step in plan.steps:
        (tooltip,) = (text for text in drawn if f"key {step.node.key[:12]}\n" in text)
        assert f"{step.verdict}: {step.reason}" in tooltip
        assert tooltip.splitlines()[-len(step.leaves) :] == list(step.leaves)
    for one, other in combinations(drawn.values(), 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    assert min(min(left, top) for left, top, _, _ in drawn.values()) >= 0
    assert max(right for _, _, right, _ in drawn.values()) <= width
    assert max(bottom for _, _, _, bottom in drawn.values()) <= height


@pytest.mark.parametrize("name", ["repository", "small"])
def test_texts_are_inside_their_boxes(name: str, request: pytest.FixtureRequest) -> None:
    """By 6.5 pixels a letter, as the widest usual font has it at this size."""
    picture = parsed(drawing.svg(request.getfixturevalue(name)))
    for group in picture.iter(f"{SVG}g"):
        box, *texts = (each for each in group if each.tag != f"{SVG}title")
        right = float(box.attrib["x"]) + float(box.attrib["width"])
        small = [each for each in texts if each.attrib["font-size"] == "11"]
        assert [each.text for each in small if float(each.attrib["x"]) + 6.5 * len(each.text or "") > right] == []


def test_nodes_are_coloured_by_what_is_done_with_them(repository: Plan) -> None:
    """As the legend says."""
    text = drawing.svg(repository)
    counted = {verdict: sum(step.verdict is verdict for step in repository.steps) for verdict in Verdict}

    assert min(counted.values()) > 0
    assert text.count(f'fill="{BUILD}"') == counted[Verdict.BUILD] + 1
    assert text.count(f'fill="{PULL}"') == counted[Verdict.PULL] + 1
    assert text.count(f'fill="{REUSE}"') == counted[Verdict.REUSE] + 1


def test_an_edge_for_each_parent(small: Plan) -> None:
    """From the right side of the parent's box to the left side of the node's."""
    picture = parsed(drawing.svg(small))
    place = {text.partition("key ")[2][:12]: box for text, box in boxes(picture)}
    edges = {
        (numbers[0], numbers[1], numbers[6], numbers[7])
        for path in picture.iter(f"{SVG}path")
        for numbers in [tuple(map(float, re.findall(r"[\d.]+", path.attrib["d"])))]
    }

    wanted = set()
    for step in small.steps:
        if step.node.parent:
            above, below = place[step.node.key[:12]], place[step.node.parent[:12]]
            wanted.add((below[2], (below[1] + below[3]) / 2, above[0], (above[1] + above[3]) / 2))
    assert edges == wanted


def test_dot(small: Plan) -> None:
    """A line for each node and for each parent."""
    lines = drawing.dot(small).splitlines()

    edges = {f'  "{step.node.parent[:12]}" -> "{step.node.key[:12]}";' for step in small.steps if step.node.parent}
    assert {line for line in lines if "->" in line} == edges
    assert sum("[label=" in line for line in lines) == len(small.steps)


def test_html(small: Plan) -> None:
    """A page with the picture in it."""
    page = drawing.html(small)
    assert page.startswith("<!doctype html>")
    assert drawing.svg(small) in page
    assert page.count("<option>") == len({row.family.name for row in small.rows.values()})
    ends = {number for pair in re.findall(r'data-from="(\d+)" data-to="(\d+)"', page) for number in pair}
    assert ends <= set(re.findall(r'data-node="(\d+)"', page))
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


@pytest.mark.parametrize("form", drawing.FORMS)
def test_no_rows(form: str, tmp_path: Path) -> None:
    """An empty plan is an empty picture."""
    opened = projects.project(tmp_path)
    assert drawing.FORMS[form](opened.plan(opened.dag({}), ()))


def test_the_same_plan_is_the_same_picture(tmp_path: Path, small: Plan) -> None:
    """To the byte: it may be committed."""
    assert drawing.svg(small) == drawing.svg(projects.plan(projects.project(tmp_path / "again")))
