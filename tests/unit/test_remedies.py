"""A remedy that names a value names it as `add` takes it: by an axis or fact that some rule reads."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Final

from tests.unit.test_compat import WRONG, row
from tests.unit.test_seeds import SEEDS

from imagematrix import compat
from imagematrix.compat import catalogue
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.model import Row

_WORD: Final = re.compile(r"(?<![\w.\"])([a-z][a-z_0-9]*)=([^\s,;:]+)")
"""`axis=value`; neither a comparison nor what stands in quotes."""
_FACT: Final = re.compile(r"\b([a-z]+_[a-z_]+)\b")
"""A word with an underscore can only be the name of a fact, or part of one of the values below."""

_CUDAS: Final = ("", "11.2.2", "11.8.0", "12.0.1", "12.4.1", "13.0.1")
_SYSTEMS: Final = ("", "ubuntu18.04", "debian12", "alpine3.20")


def rows() -> Iterator[Row]:
    """Yield rows of many kinds, most of which are wrong."""
    yield from (row(**values) for values, _ in (*WRONG.values(), *SEEDS.values()))
    for cuda, os in product(_CUDAS, _SYSTEMS):
        for release in catalogue.tensorflow_wheels("tensorflow").pythons:
            for package in ("", "tensorflow-cpu", "tensorflow-gpu", "tensorflow[and-cuda]"):
                yield row(tensorflow=release, tensorflow_package=package, python="3.9", cuda=cuda, os=os, cudnn="8")
        for release in catalogue.paddle_wheels().pythons:
            for package in ("", "paddlepaddle", "paddlepaddle-gpu"):
                yield row(paddle=release, paddle_package=package, python="3.12", cuda=cuda, os=os)
        for release in catalogue.torch_wheels().pythons:
            yield row(torch=release, torch_build="cu118", torchvision="0.17.0", python="3.8", cuda=cuda, os=os)
            yield row(torch=release, horovod="0.23.0", tensorrt="10.6.0", tensorflow="2.18.1", cuda=cuda, os=os)


def found() -> frozenset[Diagnostic]:
    """Return what is found of them, on both processors."""
    return frozenset(
        finding
        for each in rows()
        for platform in ("linux/amd64", "linux/arm64")
        for finding in compat.findings(replace(each, platform=platform), demands={"base_python_layers": "python"})
        if finding.hint
    )


def test_remedies_name_what_add_takes() -> None:
    """Never a word for which it has no place."""
    taken = compat.read()
    findings = found()
    words = {(name, finding.hint) for finding in findings for name, _ in _WORD.findall(finding.hint)}
    assert len(words) > 100
    assert {(name, remedy) for name, remedy in words if name not in taken} == set()


def test_a_fact_that_is_named_is_named_with_its_value() -> None:
    """A template that reads `tensorflow_package` gets a hint."""
    told = {
        (fact, finding.hint)
        for finding in found()
        if finding.severity in (Severity.IMPOSSIBLE, Severity.BROKEN)
        for fact in _FACT.findall(_WORD.sub("", finding.hint))
        if fact in compat.read() and not re.search(rf"{fact} ?= ?", finding.hint)
    }
    assert told == set()
