"""What destinations forbid, and the leaves for them do not do."""

import re
from pathlib import Path
from typing import Final

import pytest

from imagematrix.model import Leaf
from imagematrix.project import Selection, open_project

ROOT = Path(__file__).parents[2]
OFFICIAL: Final = re.compile(r"^swr\.")
FORBIDDEN: Final = {
    "a package of the distribution": re.compile(r"\bapt-get\b|\byum\b|\bdpkg\b"),
    "a write under a folder that must stay as it is": re.compile(
        r"(?:^(?:COPY|ADD)\b.*|\b(?:ln|cp|mv|install|mkdir|touch|tee)\b[^&|;]*|>+)\s/(?:bin|sbin|usr|lib|lib64)/",
        re.MULTILINE,
    ),
    "a setuid bit": re.compile(
        r"\bchmod\b[^&|;]*(?:[ugoa]*\+[rwx]*s|\s[2-7]\d{3}\b)|\binstall\b[^&|;]*-m\s?[2-7]\d{3}\b"
    ),
    "a program that is in no description of the bases": re.compile(r"\bcurl\b"),
    "a log file": re.compile(r">+\s*/var/log/"),
}


@pytest.fixture(scope="module")
def leaves() -> tuple[Leaf, ...]:
    """Those that are built on an official base of ModelArts."""
    project = open_project(str(ROOT / "matrix.toml"))
    rendered = project.leaves(project.possible(project.rows(Selection(groups=("modelarts",)))))
    return tuple(leaf for leaf in rendered.values() if OFFICIAL.match(leaf.base_image))


@pytest.mark.parametrize("what", FORBIDDEN)
def test_modelarts_leaves_keep_its_rules(leaves: tuple[Leaf, ...], what: str) -> None:
    assert len(leaves) >= 5
    found = {leaf.row.name: said for leaf in leaves if (said := FORBIDDEN[what].findall(_code(leaf)))}
    assert found == {}


def _code(leaf: Leaf) -> str:
    """Return what a Dockerfile does, an instruction a line, without what is only mounted while it is done."""
    lines = [line for line in leaf.dockerfile.splitlines() if not line.startswith("#")]
    return re.sub(r"--mount=\S+", "", re.sub(r"\\\n", " ", "\n".join(lines)))


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a package of the distribution", "RUN apt-get update"),
        ("a write under a folder that must stay as it is", "RUN a && ln -s /opt/x /usr/local/bin/x"),
        ("a write under a folder that must stay as it is", "COPY --link x /usr/bin/x"),
        ("a setuid bit", "RUN chmod 4755 /opt/x"),
        ("a setuid bit", "RUN chmod u+s /opt/x"),
        ("a log file", "CMD run > /var/log/run.log"),
    ],
)
def test_what_is_forbidden_would_be_found(what: str, line: str) -> None:
    assert FORBIDDEN[what].search(line)
