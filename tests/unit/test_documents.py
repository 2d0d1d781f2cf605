"""The site's reference is made from the code, and leaves nothing out; `test` builds the site itself."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
import yaml

from imagematrix import codes
from imagematrix.compat import catalogue
from imagematrix.errors import ExitCode
from imagematrix.matrix import declaration
from imagematrix.tasks import GROUPS

DOCS: Final = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_the_picture_of_the_readme_is_new(generate: ModuleType) -> None:
    """`scripts/inv docs` draws it again."""
    assert (DOCS / "pictures/graph.svg").read_text(encoding="utf-8") == generate.picture()
