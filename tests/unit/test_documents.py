"""The site's reference is made from the code, and leaves nothing out; `test` builds the site itself."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Final
from xml.etree import ElementTree as ET

import pytest
import yaml

from imagematrix import codes
from imagematrix.compat import catalogue
from imagematrix.errors import ExitCode
from imagematrix.matrix import declaration
from imagematrix.tasks import GROUPS

DOCS: Final = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    """Load it as the site does: with its folder on the path."""
    sys.path.insert(0, str(DOCS))
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(DOCS))


def test_the_reference_names_everything(generate: ModuleType) -> None:
    pages = generate.pages()
    commands = [command for group in GROUPS.values() for command in group]
    assert [each.name for each in commands if f"### {each.name}\n" not in pages["commands"]] == []
    flags = {f"--{name}" for each in commands for name, option in each.options.items() if not option.varargs}
    assert [flag for flag in flags if flag.replace("_", "-").lstrip("-") not in pages["commands"]] == []
    assert [key for key in (*declaration.KEYS, *declaration.SITE_KEYS) if f"`{key}`" not in pages["matrix"]] == []
    assert [each.id for each in codes.CODES.values() if f"### {each.id}\n" not in pages["codes"]] == []
    assert [code for code in ExitCode if f"| `{int(code)}` |" not in pages["codes"]] == []
    assert [name for name in catalogue.names() if f"## {name}\n" not in pages["catalogue"]] == []
    for name in ("apt_install", "packages", "install", "compile", "driver"):
        assert f"`site.{name}" in pages["macros"]
    for name in ("row", "image", "host", "python", "job", "machine", "restricted", "start", "gpu"):
        assert f"| `{name}` |" in pages["fixtures"]
    for name in ("TZ", "LANG", "SERVICES", "SSH_PORT", "JUPYTER_TOKEN"):
        assert f"| `{name}` |" in pages["settings"]


def test_no_row_of_a_table_is_empty(generate: ModuleType) -> None:
    """Each thing of the reference has its meaning."""
    rows = [line for text in generate.pages().values() for line in text.splitlines() if line.startswith("| `")]
    assert rows
    assert [row for row in rows if re.fullmatch(r"\| `[^|]*` \|\s*\|", row)] == []


def test_the_example_builds_the_site_with_each_change_and_publishes_it_from_main_alone() -> None:
    jobs = yaml.safe_load((DOCS / "examples/documents/github-workflow.yml").read_text())["jobs"]
    assert {"run": "scripts/inv docs"} in jobs["site"]["steps"]
    assert "if" not in jobs["site"]
    assert (jobs["publish"]["needs"], jobs["publish"]["if"]) == ("site", "github.ref == 'refs/heads/main'")


def test_the_pictures_are_new(generate: ModuleType) -> None:
    """`scripts/inv docs` draws them again; each is shown somewhere."""
    drawn = generate.pictures()
    assert {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "pictures").iterdir()} == drawn
    shown = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("index.md", "concepts.md"))
    assert [name for name in drawn if f"](pictures/{name}.svg)" not in shown] == []


def test_boxes_of_pictures_do_not_overlap_and_hold_their_texts(generate: ModuleType) -> None:
    for name, text in generate.pictures().items():
        if name == "graph":  # it has tests of its own
            continue
        root = ET.fromstring(text)  # noqa: S314  # our own
        boxes = [each.attrib for each in root.iter("{http://www.w3.org/2000/svg}rect") if "x" in each.attrib]
        places = [(float(box["x"]), float(box["y"]), float(box["width"]), float(box["height"])) for box in boxes]
        for one, other in combinations(places, 2):
            assert one[0] + one[2] < other[0] or other[0] + other[2] < one[0] or abs(one[1] - other[1]) > one[3], name
        texts = [each for each in root.iter("{http://www.w3.org/2000/svg}text") if each.attrib["font-size"] == "13"]
        assert [
            each.text for each, place in zip(texts, places, strict=True) if 7 * len(each.text or "") > place[2]
        ] == []
