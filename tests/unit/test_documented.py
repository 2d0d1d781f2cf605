"""What the documents show works: commands and flags exist, and what they write into matrix.toml is valid."""

import json
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from invoke import Collection, Exit
from invoke.exceptions import ParseError
from invoke.parser import Parser

from imagematrix.matrix import schema

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted(
    {*ROOT.glob("docs/*.md"), *ROOT.glob("docs/zh/*.md"), *ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md")}
    - {ROOT / "CHANGELOG.md"}
)
CALL: Final = re.compile(r"(?:imagematrix|invoke|scripts/inv) (?:images\.)?(?P<words>[a-z].*)")
FENCED: Final = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
INDENTED: Final = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)
PAGE: Final = re.compile(r"^[a-z-]+$", re.MULTILINE)
"""A page, in a table of contents."""
SCHEMA: Final[Mapping[str, Any]] = json.loads(schema.text())


def collection() -> Collection:
    """Return the commands of this repository: imagematrix's, and those of its tasks.py."""
    found: Collection = runpy.run_path(str(ROOT / "tasks.py"))["ns"]
    return found


COMMANDS: Final = collection()


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def spans(text: str) -> Iterator[str]:
    """Yield what a document shows as code: the lines of its blocks, and the spans within sentences."""
    for block in FENCED.finditer(text):
        yield from block["text"].splitlines()
    rest = FENCED.sub("", text)
    yield from (line.strip() for line in rest.splitlines() if line.startswith("    "))
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest))


def calls(text: str) -> Iterator[str]:
    """Yield the words behind the program's name: of whole command lines, and of `gc --keep 0` in a sentence."""
    for span in spans(text):
        first, _, rest = span.partition(" ")
        if found := CALL.match(span):
            yield found["words"]
        elif first in COMMANDS.task_names and rest.startswith("--"):
            yield span


def words(call: str) -> list[str]:
    """Return the words of a command line, without a comment, a redirection and the end of a sentence."""
    return shlex.split(re.split(r" [>#|]| && ", call)[0].rstrip("."))


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_commands_and_their_flags_exist(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = []
    for call in calls(path.read_text(encoding="utf-8")):
        monkeypatch.setattr(sys, "argv", ["imagematrix", *words(call)])  # Varargs counts its words there
        try:
            Parser(contexts=COMMANDS.to_contexts()).parse_argv(words(call))
        except (ParseError, Exit) as error:
            if "needed value" not in str(error):  # "`push --workers` publishes them": a flag without its value
                wrong.append(f"{call}: {error}")
    assert wrong == []


def test_commands_are_found() -> None:
    """A whole line, several commands, one in a sentence, one without the program's name."""
    text = "`invoke plan`\nor `gc --keep\n0`.\n\n    imagematrix build --matrix verify --matrix   # all\n"
    assert list(map(words, calls(text))) == [
        ["build", "--matrix", "verify", "--matrix"],
        ["plan"],
        ["gc", "--keep", "0"],
    ]


def tables(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield what the blocks of a document write into a matrix; a block of another file has none of its keys."""
    blocks = [block["text"] for block in FENCED.finditer(text)]
    for block in (*blocks, *INDENTED.findall(FENCED.sub("", text))):
        try:
            table = tomllib.loads(block)
        except tomllib.TOMLDecodeError:
            continue
        if table.keys() & SCHEMA["properties"].keys():
            yield table


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_keys_of_a_matrix_exist(path: Path) -> None:
    """A block shows a part of a matrix, so nothing is required there."""
    judge = jsonschema.Draft7Validator(SCHEMA)
    found = tables(path.read_text(encoding="utf-8"))
    wrong = [each.message for table in found for each in judge.iter_errors(table) if each.validator != "required"]
    assert wrong == []


def test_tables_are_found() -> None:
    text = "```toml\nnodes = 'a/b'\n```\n\n    [site]\n    index = 1\n\n```toml\nport = 80\n```\n"
    assert list(tables(text)) == [{"nodes": "a/b"}, {"site": {"index": 1}}]


def test_each_how_to_is_in_chinese_too() -> None:
    """The table of contents of the Chinese pages has what the English one has below "How to"."""
    english = (ROOT / "docs/index.md").read_text(encoding="utf-8").partition(":caption: How to\n")[2]
    chinese = (ROOT / "docs/zh/index.md").read_text(encoding="utf-8")
    assert [name for name in PAGE.findall(english.partition("```")[0]) if f"\n{name}\n" not in chinese] == []


def test_variables_exist() -> None:
    read = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    read += "".join(path.read_text(encoding="utf-8") for path in (ROOT / "scripts").rglob("*") if path.is_file())
    named = {
        name for path in DOCUMENTS for name in re.findall(r"IMAGEMATRIX_[A-Z_]+", path.read_text(encoding="utf-8"))
    }
    assert named
    assert {name for name in named if name not in read} == set()


@pytest.mark.parametrize("path", sorted({*ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md")}), ids=relative)
def test_links_lead_somewhere(path: Path) -> None:
    """Those of the pages that the site does not have: it is built with an error for each that leads nowhere."""
    links = re.findall(r"\]\(([^)#:]+)(?:#([^)]+))?\)", path.read_text(encoding="utf-8"))
    wrong = [
        f"{to}#{anchor}"
        for to, anchor in links
        if not (path.parent / to).exists() or (anchor and anchor not in anchors(path.parent / to))
    ]
    assert wrong == []


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.*)", path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
