"""Codes: each that can be printed is in the table, and each of the table can be printed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests import projects

from imagematrix import codes, errors
from imagematrix.compat import breakage, rules
from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import UserError
from imagematrix.planning import dockerfile
from imagematrix.project import examine

SOURCE: Final = Path(__file__).parents[2] / "src/imagematrix"


def written() -> Iterator[str]:
    """Yield the codes of diagnostics that stand in the source: as an argument `code`, by name, or of a document."""
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id == "Mistakes":
                yield from texts(call.args[0])
            for value in (each.value for each in call.keywords if each.arg == "code"):
                yield from texts(names.get(value.id, value) if isinstance(value, ast.Name) else value)
    yield from (f"dockerfile_{word.lower()}" for word in dockerfile._FORBIDDEN)
    yield from (rule.__name__ for rule in (*rules.RULES, breakage.known_breakage))


def texts(node: ast.expr) -> Iterator[str]:
    """Yield the words that an expression may be: a text, or one of two."""
    match node:
        case ast.Constant(value=str(text)) if re.fullmatch(r"[a-z_]+", text):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from (*texts(one), *texts(other))
        case _:
            pass


def kinds(kind: type[UserError] = UserError) -> Iterator[str]:
    yield kind.__name__
    for each in kind.__subclasses__():
        yield from kinds(each)


def test_each_diagnostic_has_a_code_and_each_code_a_diagnostic() -> None:
    assert sorted({*codes.FILES, *codes.VERSIONS}) == sorted(set(written()))


def test_each_kind_of_error_has_a_code() -> None:
    """Without those whose message is all there is to say, or holds diagnostics."""
    known = {name for name in kinds() if hasattr(errors, name)}
    assert sorted(codes.ENDS) == sorted(known - {"FlagError", "InputError"})


def test_a_number_is_of_one_code_and_begins_as_its_table() -> None:
    numbers = [each.number for each in codes.CODES.values()]
    assert len(set(numbers)) == len(numbers)
    for table, first in ((codes.ENDS, 1), (codes.FILES, 2), (codes.VERSIONS, 3)):
        assert {each.number // 1000 for each in table.values()} == {first}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("schema = 1", 'schema = 1\ncolour = "red"', "unknown_key"),
        ('tag = "{python}-{base}"', "", "missing_key"),
        ('python = ["3.11"]', "python = [3.11]", "wrong_type"),
        ('python = ["3.11"]', 'python = ["3.11", "3.11"]', "given_twice"),
        ('os = "debian12"', 'os = "debian\\u0007"', "control_character"),
        ('os = "debian12"', 'os = "debian12', "syntax"),
    ],
)
def test_mistakes_of_a_kind_have_its_code(tmp_path: Path, old: str, new: str, code: str) -> None:
    matrix = projects.MATRIX.replace(old, new)
    assert matrix != projects.MATRIX
    assert code in [each.code for each in examine(str(projects.write(tmp_path, matrix=matrix))).diagnostics]


def test_how_a_code_is_printed() -> None:
    """That of a plugin's finding is a name alone."""
    assert "[IM3200 torch_on_python]" in Diagnostic(code="torch_on_python", message="m", file="f").text
    assert "[of_house]" in Diagnostic(code="of_house", message="m", file="f").text
