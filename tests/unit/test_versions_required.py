"""`requires`: which versions of imagematrix may read a matrix."""

from pathlib import Path

import pytest
from tests import projects
from tests.projects import MATRIX

from imagematrix import __version__
from imagematrix.errors import InputError
from imagematrix.text import versions

PUBLIC = versions.public(__version__)
"""A range names no commit."""


def required(text: str) -> str:
    return MATRIX.replace("schema = 1\n", f"schema = 1\nrequires = {text}\n")


@pytest.mark.parametrize("text", [f'">={PUBLIC}"', f'"=={PUBLIC}"', '">=0,<1000"'])
def test_a_version_that_fits_changes_no_key(tmp_path: Path, text: str) -> None:
    plain = projects.keys(projects.project(tmp_path / "plain"))
    assert projects.keys(projects.project(tmp_path / "one", matrix=required(text))) == plain


def test_another_version_is_refused_and_the_rest_is_not_judged(tmp_path: Path) -> None:
    """It may be written for keys that this version does not know."""
    matrix = required('">=1000,<1001"') + '\n[novelty]\nkey = "value"\n'
    with pytest.raises(InputError) as caught:
        projects.project(tmp_path, matrix=matrix)
    [found] = caught.value.diagnostics
    assert (found.file, found.line) == ("matrix.toml", 2)
    assert __version__ in found.message
    assert "'imagematrix>=1000,<1001'" in found.hint


@pytest.mark.parametrize("text", ['"new"', "1", '">=one"'])
def test_what_is_no_range(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as caught:
        projects.project(tmp_path, matrix=required(text))
    assert {each.line for each in caught.value.diagnostics} == {2}
