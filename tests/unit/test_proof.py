"""`invoke check`, and who refuses an impossible row: through the command line, without an engine."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests import projects
from tests.projects import FILES

from imagematrix import project, row_state
from imagematrix.cli import program
from imagematrix.report.console.list import rows_json, rows_text

MATRIX = """\
schema = 1

[bases.cuda111]
image = "nvidia/cuda:11.1.1-cudnn8-devel-ubuntu20.04"
os = "ubuntu20.04"
cuda = "11.1.1"

[bases.debian]
bootstrap = "bookworm"
os = "debian12"

[families.pytorch]
layers = ["system", "python", "torch", "boot"]
tag = "{torch}-python{python}"
base = "debian"

[families.pytorch.axes]
python = ["3.13", "3.12"]
torch = ["2.3.0",
         "2.6.0"]

[families.tf]
layers = ["system", "python", "boot"]
tag = "{tensorflow}-python{python}"
base = "cuda111"

[[families.tf.row]]
python = "3.8"
tensorflow = "2.4.1"
pins = "protobuf<3.21"
"""

IMPOSSIBLE = (
    "matrix.toml:19: error: torch 2.3.0 has no wheel for Python 3.13 [IM3200 torch_on_python]\n"
    "    wheels exist for 3.8-3.12; the first torch with 3.13 is 2.5.0\n"
    "    pytorch:2.3.0-python3.13\n"
)
POSSIBLE = MATRIX.replace('"3.13", ', "")
FINE = POSSIBLE + 'allow = "libcusolver is linked"\n'


def run(root: Path, *words: str) -> int:
    """Run a command on the matrix of a folder; return its exit code."""
    command, *flags = words
    try:
        program.run(["imagematrix", command, "--file", str(root / "matrix.toml"), *flags])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def check(root: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    """Return the exit code of a check and the JSON that it prints."""
    code = run(root, "check", "--json")
    return code, json.loads(capfd.readouterr().out)


def brief(document: Any) -> list[tuple[str, str, int]]:
    return [(each["severity"], each["code"], each["line"]) for each in document["diagnostics"]]


def test_check_tells_every_cause_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What is impossible, then what is broken, then what is good to know; and fails."""
    projects.write(tmp_path, matrix=MATRIX)

    code, document = check(tmp_path, capfd)
    assert (code, document["file"], document["rows"], document["good"]) == (2, "matrix.toml", 5, False)
    assert document["diagnostics"][0] == {
        "severity": "impossible",
        "level": "error",
        "code": "torch_on_python",
        "id": "IM3200",
        "file": "matrix.toml",
        "line": 19,
        "about": "torch",
        "message": "torch 2.3.0 has no wheel for Python 3.13",
        "hint": "wheels exist for 3.8-3.12; the first torch with 3.13 is 2.5.0",
        "rows": ["pytorch:2.3.0-python3.13"],
    }
    assert brief(document)[1:] == [
        ("broken", "tensorflow_on_cuda", 29),
        ("note", "cuda_used", 6),
        ("note", "cuda_used", 19),
        ("note", "cuda_used", 20),
        ("note", "python_end", 28),
    ]


def test_check_with_a_reason(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A broken row that says why is fine, and the reason is a note."""
    projects.write(tmp_path, matrix=FINE)

    code, document = check(tmp_path, capfd)
    assert (code, document["good"]) == (0, True)
    [allowed] = [each for each in document["diagnostics"] if each["code"] == "tensorflow_on_cuda"]
    assert (allowed["severity"], allowed["line"]) == ("note", 29)
    assert "libcusolver is linked" in allowed["hint"]


def test_check_warns(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of what the catalogue does not know, and does not fail."""
    projects.write(tmp_path, matrix=FINE.replace("2.6.0", "2.96.0"))

    code, document = check(tmp_path, capfd)
    assert (code, brief(document)[0]) == (0, ("unknown", "torch_on_python", 20))


def test_check_names_the_row_where_it_does_not_name_the_value(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its base is that of the family."""
    projects.write(tmp_path, matrix=FINE.replace("cuda:11.1.1-", "cuda:11.2.1-"))

    code, document = check(tmp_path, capfd)
    assert (code, ("note", "base_tag", 27) in brief(document)) == (0, True)


@pytest.mark.parametrize("words", [("render",), ("render", "--check"), ("plan",), ("build", "--matrix")])
def test_what_cannot_be_had_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """In the same words, before an engine is looked for and anything is written."""
    projects.write(tmp_path, matrix=MATRIX)

    assert run(tmp_path, *words) == 2
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", IMPOSSIBLE)
    assert not (tmp_path / "images").exists()


def test_only_selected_rows_are_refused(tmp_path: Path) -> None:
    """What is broken upstream may still be rendered; what another row cannot do is its own affair."""
    projects.write(tmp_path, matrix=POSSIBLE)
    assert run(tmp_path, "render") == 0

    projects.write(tmp_path, matrix=MATRIX)
    opened = project.open_project(str(tmp_path / "matrix.toml"))
    chosen = opened.rows(project.Selection(only=("pytorch:*3.12",)))
    assert opened.possible(chosen) == chosen


def test_list(tmp_path: Path) -> None:
    """An impossible row is listed, with the reason and the nearest row that works."""
    opened = projects.project(tmp_path, matrix=MATRIX)
    states = row_state.states(opened, opened.matrix.rows, ())
    [reason] = filter(None, map(opened.impossible, opened.matrix.rows))

    assert rows_text(states).splitlines()[:3] == [
        "pytorch:2.3.0-python3.12  missing",
        f"pytorch:2.3.0-python3.13  impossible  {reason}; nearest: pytorch:2.3.0-python3.12",
        "pytorch:2.6.0-python3.12  missing",
    ]
    assert rows_text(states).endswith("5 rows: 1 impossible, 4 missing")
    document = {row["tag"]: (row["state"], row["reason"]) for row in json.loads(rows_json(states))["rows"]}
    assert document["2.3.0-python3.13"] == ("impossible", reason)
    assert document["2.4.1-python3.8"] == ("missing", "")


GONE = (
    MATRIX.replace('"3.13", ', "")
    + """\
impossible = "the platform deleted its base"

[[families.tf.row]]
python = "3.12"
tensorflow = "2.18.1"
pins = ""
allow = "tried"
"""
)


@pytest.mark.parametrize("words", [("plan",), ("render",), ("lock",), ("graph",), ("build", "--matrix")])
def test_rows_that_say_that_they_cannot_be_had_are_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """By every command that acts on rows; a note says how many."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    projects.write(tmp_path, matrix=GONE)

    assert run(tmp_path, *words) == (3 if words[0] == "build" else 0)
    told = capfd.readouterr()
    assert told.err.startswith("1 row is impossible: see `invoke list")
    assert "2.4.1-python3.8" not in told.out
    assert not (tmp_path / "images/tf/2.4.1-python3.8").exists()


@pytest.mark.parametrize("words", [("plan",), ("lock",), ("graph",), ("build",)])
def test_nothing_but_rows_that_cannot_be_had(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """The reasons, as for any other impossible row; nothing is written."""
    projects.write(tmp_path, matrix=GONE)

    assert run(tmp_path, *words, "--only", "tf:2.4*") == 2
    told = capfd.readouterr()
    refusal = "matrix.toml:31: error: this row is impossible: the platform deleted its base [IM3000 impossible]"
    assert (told.out, told.err) == ("", f"{refusal}\n    tf:2.4.1-python3.8\n")


def test_check_notes_what_cannot_be_had(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With its reason alone: what else is known of it is of no use."""
    projects.write(tmp_path, matrix=GONE)

    code, document = check(tmp_path, capfd)
    assert (code, document["rows"], document["impossible"]) == (0, 3, 1)
    [gone] = [each for each in document["diagnostics"] if each["rows"] == ["tf:2.4.1-python3.8"]]
    assert (gone["level"], gone["code"], gone["line"]) == ("note", "impossible", 31)
    assert "the platform deleted its base" in gone["message"]


def test_list_names_what_cannot_be_had(tmp_path: Path) -> None:
    """Its state is that of a row that the catalogue refuses, the reason its own."""
    opened = projects.project(tmp_path, matrix=GONE)
    states = row_state.states(opened, opened.matrix.rows, ())

    assert (
        "tf:2.4.1-python3.8        impossible  the platform deleted its base; nearest: tf:2.18.1-python3.12\n"
        in rows_text(states)
    )
    document = {row["tag"]: (row["state"], row["reason"], row["key"]) for row in json.loads(rows_json(states))["rows"]}
    assert document["2.4.1-python3.8"] == ("impossible", "the platform deleted its base", "")


def test_the_repository_is_fine(capfd: pytest.CaptureFixture[str]) -> None:
    """Its own matrix: notes at most."""
    assert run(Path(__file__).parents[2], "check") == 0
    assert "warning" not in capfd.readouterr().out


def test_a_row_that_cannot_be_had_is_not_even_rendered(tmp_path: Path) -> None:
    """It may lack facts that its templates ask for: `list` names it all the same."""
    template = '{% if python == "3.13" and torch == "2.3.0" %}{{ missing }}{% endif %}\n'
    opened = projects.project(tmp_path, matrix=MATRIX, files={**FILES, "common/layers/torch/Dockerfile.j2": template})
    states = row_state.states(opened, opened.matrix.rows, ())
    assert {state.row.tag: state.key for state in states if state.state == "impossible"} == {"2.3.0-python3.13": ""}
