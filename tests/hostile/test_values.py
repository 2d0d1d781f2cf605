"""Values of a matrix with control characters: they would end a line of a Dockerfile, or drive a terminal."""

import json
from pathlib import Path

import pytest
from tests import projects

from imagematrix.errors import InputError
from imagematrix.project import open_project

LETTERS = ("\n", "\r", "\t", "\x1b[2J", "\x7f", "\x85", "\u2028", "\x9b2J", "\b")
PLACES = (
    '[facts.torch."2.3.0"]\nnote = {value}',
    '[facts.torch."2.3.0"]\nlist = [{value}]',
    "[facts.torch.{value}]\nnote = 'x'",
    "[facts.{value}.x]\nnote = 'x'",
    "[bases.other]\nimage = {value}",
    "[bases.{value}]\nimage = 'debian:12'",
    "[families.other]\nlayers = ['system']\ntag = {value}",
    "[families.other]\nlayers = [{value}]\ntag = 'x'",
    "[families.other]\nlayers = ['system']\ntag = 'x'\ngroups = [{value}]",
    "[[families.plain.row]]\nbase = 'debian'\npython = {value}",
    "[[families.plain.row]]\nbase = 'debian'\npython = '3.12'\nallow = {value}",
    "[[families.plain.row]]\nbase = 'debian'\npython = '3.12'\nimpossible = {value}",
    "[[families.pytorch.exclude]]\ntorch = '2.3.0'\nreason = {value}",
    "[destinations.art]\nregistry = {value}",
    "[site]\nindex_url = {value}",
    "[sites.{value}]\nnetwork = 'host'",
)


@pytest.mark.parametrize("letter", LETTERS, ids=[letter.encode("unicode_escape").decode() for letter in LETTERS])
@pytest.mark.parametrize("place", PLACES)
def test_a_control_character_is_refused_with_its_line(tmp_path: Path, place: str, letter: str) -> None:
    added = place.format(value=json.dumps(f"x{letter}RUN evil"))
    file = projects.write(tmp_path, matrix=f"{projects.MATRIX}\n{added}\n")
    first = projects.MATRIX.count("\n") + 2

    with pytest.raises(InputError) as caught:
        open_project(str(file))

    words = str(caught.value)
    assert any(first <= problem.line <= first + added.count("\n") for problem in caught.value.diagnostics), words
    assert all(line.isprintable() for line in words.split("\n"))


def test_a_string_of_several_lines_that_is_one(tmp_path: Path) -> None:
    """Lines that end with a backslash are joined: nothing is wrong with those."""
    added = '[facts.torch."2.3.0"]\npins = """\\\n  numpy<2 \\\n  protobuf<7"""\n'
    opened = open_project(str(projects.write(tmp_path, matrix=f"{projects.MATRIX}\n{added}")))
    assert {row.values.get("pins") for row in opened.matrix.rows} == {"numpy<2 protobuf<7", None}
