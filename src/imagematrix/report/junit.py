"""A run in, JUnit XML for CI systems out: its nodes are one test suite, the checks of each image another."""

from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET

from imagematrix.model import Status
from imagematrix.planning.checks import UNCHECKED, CheckOutcome, CheckResult, ImageOutcome
from imagematrix.report.document import NodeEntry
from imagematrix.report.runs import PastLeaf, PastRun


def text(run: PastRun) -> str:
    """Write the XML; an image that was to be checked and is not built, or has no checks, is a failure of its own."""
    root = ET.Element("testsuites")
    if run.nodes:
        _suite(root, "nodes", [_node(node) for node in run.nodes])
    for leaf in run.leaves:
        if leaf.verification:
            _suite(root, leaf.name, [*(_check(check) for check in leaf.checks), *_unproven(leaf)])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ET.Element, name: str, cases: list[ET.Element]) -> None:
    totals = {
        "name": name,
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "time": f"{sum(float(case.get('time', '0')) for case in cases):.3f}",
    }
    ET.SubElement(root, "testsuite", totals).extend(cases)


def _node(node: NodeEntry) -> ET.Element:
    case = _case(node.layer, node.label, node.seconds)
    if node.outcome is Status.FAILED:
        ET.SubElement(case, "failure", message=_xml(node.why)).text = _xml("\n".join(node.tail))
    elif node.outcome is Status.SKIPPED:
        ET.SubElement(case, "skipped", message=_xml(node.why))
    return case


def _check(check: CheckResult) -> ET.Element:
    case = _case(check.owner, check.name, check.seconds)
    if check.outcome is CheckOutcome.FAILED:
        ET.SubElement(case, "failure", message=_xml(check.why)).text = _xml("\n".join(check.tail))
    elif check.outcome is CheckOutcome.SKIPPED:
        ET.SubElement(case, "skipped", message=_xml(check.why))
    return case


_UNPROVEN: Final = {
    ImageOutcome.MISSING: ("build", "the image exists", "not built"),
    ImageOutcome.UNCHECKED: ("verify", "the image is checked", f"unchecked: an image {UNCHECKED}"),
}


def _unproven(leaf: PastLeaf) -> Iterator[ET.Element]:
    if leaf.verification in _UNPROVEN:
        owner, name, why = _UNPROVEN[leaf.verification]
        case = _case(owner, name, 0.0)
        ET.SubElement(case, "failure", message=why)
        yield case
    elif leaf.verification is ImageOutcome.NOT_CHECKED:  # no failure of the image
        case = _case("verify", "the checks finished", 0.0)
        ET.SubElement(case, "error", message=_xml(f"not checked: {leaf.interruption}"))
        yield case


def _case(owner: str, name: str, seconds: float) -> ET.Element:
    return ET.Element("testcase", classname=_xml(owner), name=_xml(name), time=f"{seconds:.3f}")


def _xml(words: str) -> str:
    """Leave out what XML cannot say: terminals' control characters."""
    return "".join(letter for letter in words if letter.isprintable() or letter in "\n\t")
