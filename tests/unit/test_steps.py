"""The steps of the repository's own images: what they say, what they wait for, what they leave in the image."""

import re
from pathlib import Path

import pytest

from imagematrix.planning import dockerfile

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("images/*/*/Dockerfile"))
SILENT = r"\bwget\b[^&|]* (?:-q|--quiet)\b|\bcurl\b(?![^&|]* (?:--show-error|-\w*S))[^&|]* (?:-\w*s|--silent)\b"
LONG = r"\b(?:cmake|conda|curl|g?cc|git clone|localedef|make|pip|python|uv|wget)\b"
"""What takes long, or asks another source than apt's: nothing to have apt's lock meanwhile."""
SHORT = r"--mount=\S+|--no-install-recommends [^&]*|python -c 'import ctypes"
"""What only looks like it: names of packages, of caches, and a library that is loaded."""


def stages(text: str) -> list[str]:
    return [stage for stage in re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:] if "wheelhouse\n" not in stage]


def steps(text: str) -> list[str]:
    """Return the RUN instructions of a Dockerfile, each on one line, without comments."""
    joined = re.sub(r"\\\n(?:#.*\n)*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [line for line in joined.splitlines() if line.startswith("RUN ")]


def test_there_are_images() -> None:
    assert len(DOCKERFILES) > 60
    assert all(steps(path.read_text(encoding="utf-8")) for path in DOCKERFILES)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_steps(path: Path) -> None:
    """They speak English without a variable in the image, download aloud, and hold apt's lock for apt alone."""
    text = path.read_text(encoding="utf-8")
    for stage in stages(text):
        speaks = stage.splitlines()[1] == "ARG LC_ALL=C.UTF-8 LANGUAGE=C"
        assert speaks == any(line.startswith("RUN ") for line in stage.splitlines())
    assert not re.search(r"^ENV .*\bLC_ALL=", text, re.MULTILINE)
    for step in steps(text):
        assert not re.search(SILENT, step), step
        if "sharing=locked" in step:
            assert not re.search(LONG, re.sub(SHORT, "", step)), step


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("RUN true\n", True),
        ("# RUN true\nENV A=b\n", False),
        ("COPY a /a\nrun --mount=type=cache,target=/c \\\n    true\n", True),
        ("ENV A=b \\\n    RUN=c\n", False),
        ("COPY <<END /a\nRUN true\nEND\n", False),
        ("", False),
    ],
)
def test_which_stages_run_something(text: str, runs: bool) -> None:
    """Only those need a language."""
    assert dockerfile.runs(text) is runs
