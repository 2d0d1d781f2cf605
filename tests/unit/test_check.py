"""`invoke check`: one list of all problems, a verdict that agrees with it, and the forms in which CI reads it."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests import projects
from tests.projects import FILES
from tests.unit.test_cli import run
from tests.unit.test_requirements import LOCKED

MATRIX = """\
schema = 1

[bases.debian]
bootstrap = "bookworm"
os = "debian12"

[families.pytorch]
layers = ["system", "python", "torch", "boot"]
tag = "{torch}-python{python}"
base = "debian"

[families.pytorch.axes]
python = ["3.9", "3.12"]
torch = ["2.6.0"]
"""
WARNED = MATRIX.replace('"2.6.0"', '"2.96.0", "2.97.0", "2.98.0"')
IMPOSSIBLE = MATRIX.replace('"2.6.0"', '"2.3.0"').replace('"3.12"', '"3.13"')
BOOT = "common/layers/boot/Dockerfile.j2"
LOCK = 'schema = 1\n[bases]\n"debian:12" = "latest"\n'

Case = tuple[str, Mapping[str, str], list[tuple[str, str, int]]]
CASES: Mapping[str, Case] = {
    "nothing": (MATRIX, {}, []),
    "warnings alone": (WARNED, {}, []),
    "TOML that is none": (MATRIX + "[families\n", {}, [("syntax", "matrix.toml", 15)]),
    "a matrix that makes no sense": (
        MATRIX.replace('"boot"]', '"boat"]').replace('"debian12"', "12"),
        {},
        [("matrix", "matrix.toml", 8), ("wrong_type", "matrix.toml", 5)],
    ),
    "a row without a wheel": (IMPOSSIBLE, {}, [("torch_on_python", "matrix.toml", 14)]),
    "a template that is none": (MATRIX, {BOOT: "# one\n{% if %}\n"}, [("template", BOOT, 2)]),
    "two templates": (
        MATRIX,
        {BOOT: "# one\n{{ boat }}\n", "common/layers/system/Dockerfile.j2": "{{ sistem }}\n"},
        [("undefined", BOOT, 2), ("undefined", "common/layers/system/Dockerfile.j2", 1)],
    ),
    "a layer's file": (
        MATRIX,
        {"common/layers/boot/files/x.j2": "\n{{ boat }}"},
        [("undefined", "common/layers/boot/files/x.j2", 2)],
    ),
    "what is not locked": (
        MATRIX,
        LOCKED,
        [("unlocked", "common/layers/python/files/requirements.txt", 0)] * 2,
    ),
    "a lock": (MATRIX, {"matrix.lock": LOCK}, [("lock", "matrix.lock", 3)]),
    "a lock that is none": (MATRIX, {"matrix.lock": "<<<<<<< ours\n"}, [("syntax", "matrix.lock", 1)]),
    "matrix, lock and row at once": (
        IMPOSSIBLE,
        {"matrix.lock": LOCK, BOOT: "{{ boat }}\n"},
        [("lock", "matrix.lock", 3), ("torch_on_python", "matrix.toml", 14), ("undefined", BOOT, 1)],
    ),
    "a matrix that makes no sense, and a lock": (
        MATRIX.replace('"boot"]', '"boat"]'),
        {"matrix.lock": LOCK},
        [("lock", "matrix.lock", 3), ("matrix", "matrix.toml", 8)],
    ),
}


def write(root: Path, matrix: str, files: Mapping[str, str]) -> None:
    projects.write(root, matrix=matrix, files={**FILES, **files}, lock=files.get("matrix.lock", ""))


def check(capsys: pytest.CaptureFixture[str], root: Path, *flags: str) -> tuple[int, Any]:
    said = run(capsys, "check", "--file", str(root / "matrix.toml"), *flags)
    return said.code, json.loads(said.out)


@pytest.mark.parametrize("case", CASES)
def test_every_problem_is_in_one_list_and_the_verdict_agrees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    """In JSON and for people: the exit code, `good`, and whether anything is called fine."""
    matrix, files, errors = CASES[case]
    write(tmp_path, matrix, files)

    code, document = check(capsys, tmp_path, "--json")
    found = [each for each in document["diagnostics"] if each["level"] == "error"]
    assert sorted((each["code"], each["file"], each["line"]) for each in found) == errors
    assert (code, document["good"]) == ((2, False) if errors else (0, True))

    said = run(capsys, "check", "--file", str(tmp_path / "matrix.toml"))
    assert said.code == code
    assert all(f"{file}:{line}: " in said.out + said.err for _, file, line in errors if line)
    assert (said.out + said.err).count(" fine") == document["good"]
    assert (" fine" in (said.out + said.err).splitlines()[-1]) == document["good"]


def test_files_that_cannot_be_read_are_all_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rows of a matrix that can be are judged all the same."""
    write(tmp_path, IMPOSSIBLE, {})
    for layer in ("boot", "system"):
        (tmp_path / f"common/layers/{layer}/Dockerfile.j2").write_bytes(b"\xff")

    code, document = check(capsys, tmp_path, "--json")
    assert code == 2
    assert [each["code"] for each in document["diagnostics"][:3]] == ["encoding", "encoding", "torch_on_python"]


def test_what_a_person_mends_comes_before_what_is_to_be_locked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, IMPOSSIBLE, LOCKED)
    codes = [each["code"] for each in check(capsys, tmp_path, "--json")[1]["diagnostics"] if each["level"] == "error"]
    assert codes[0] == "torch_on_python"
    assert "unlocked" in codes[1:]


def test_no_matrix_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = check(capsys, tmp_path, "--json")
    assert (code, document["good"], document["rows"]) == (2, False, None)
    assert [each["code"] for each in document["diagnostics"]] == ["unreadable"]
    code, issues = check(capsys, tmp_path, "--format", "gitlab")
    assert (code, len(issues)) == (2, 1)


def test_a_templates_problem_names_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, MATRIX, {BOOT: "{% if python == '3.9' %}{{ boat }}{% endif %}\n"})
    _, document = check(capsys, tmp_path, "--json")
    assert [each["rows"] for each in document["diagnostics"]][:1] == [["pytorch:2.6.0-python3.9"]]


def test_notes_are_counted_and_shown_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, MATRIX, {})
    quiet = run(capsys, "check", "--file", str(tmp_path / "matrix.toml")).out
    assert quiet.count("\n") == 1
    assert "2 notes (--notes shows them)" in quiet
    loud = run(capsys, "check", "--file", str(tmp_path / "matrix.toml"), "--notes").out
    assert "matrix.toml:13: note: " in loud
    assert "--notes" not in loud
    for form in ("github", "gitlab"):
        said = [
            run(capsys, "check", "--file", str(tmp_path / "matrix.toml"), "--format", form, *flags).out
            for flags in ((), ("--notes",))
        ]
        assert ["python_end" in text for text in said] == [False, True]


def test_warnings_of_one_cause_are_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With how many there are, and some of them; JSON has each."""
    write(tmp_path, WARNED.replace('"2.98.0"', '"2.98.0", "2.99.0"') + 'jupytre = ["1"]\n', {})
    out = run(capsys, "check", "--file", str(tmp_path / "matrix.toml")).out
    assert out.count(": warning: ") == 1
    assert out.count(" is newer than the catalogue") == 3
    assert "3 more like this" in out
    assert "; 4 warnings" in out
    _, document = check(capsys, tmp_path, "--json")
    assert sum(each["level"] == "warning" for each in document["diagnostics"]) == 4


# --- GitHub and GitLab --------------------------------------------------------------------------------------

COMMAND = re.compile(r"::(error|warning|notice) ((?:\w+=[^,:\r\n]*)(?:,\w+=[^,:\r\n]*)*)::([^\r\n]*)")
"""https://docs.github.com/actions/reference/workflow-commands-for-github-actions"""


def test_workflow_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One a line, the text in one line too; the verdict is a line that is none."""
    write(tmp_path, IMPOSSIBLE, {})
    said = run(capsys, "check", "--file", str(tmp_path / "matrix.toml"), "--format", "github", "--notes")
    *commands, verdict = said.out.splitlines()
    found = [match for line in commands if (match := COMMAND.fullmatch(line))]
    assert (said.code, len(found), verdict.startswith("matrix.toml: 1 error")) == (2, len(commands), True)
    assert [(match[1], match[2]) for match in found] == [
        ("error", "file=matrix.toml,line=14,title=IM3200 torch_on_python"),
        ("notice", "file=matrix.toml,line=13,title=IM3100 python_end"),
        ("notice", "file=matrix.toml,line=14,title=IM3122 cuda_used"),
    ]
    assert found[0][3].endswith("%0Apytorch:2.3.0-python3.13")


def test_workflow_commands_escape_what_users_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the text, and in the file's name, where colons and commas count too."""
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "50%, a:b"
    write(folder, MATRIX.replace('"boot"]', '"boot", "50%\\n::error::x"]'), {})
    out = run(capsys, "check", "--file", str(folder / "matrix.toml"), "--format", "github").out
    lines = [line for line in out.splitlines() if line.startswith("::")]
    assert lines
    assert all(COMMAND.fullmatch(line) for line in lines)
    assert "file=50%25%2C a%3Ab/matrix.toml," in lines[0]
    assert "'50%25" in lines[0]


ISSUE: Mapping[str, Any] = {
    "type": "object",
    "required": ["description", "check_name", "fingerprint", "severity", "location"],
    "properties": {
        "description": {"type": "string", "pattern": "^[^\\n]+$"},
        "check_name": {"type": "string", "minLength": 1},
        "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
        "location": {
            "type": "object",
            "required": ["path", "lines"],
            "properties": {
                "path": {"type": "string", "not": {"pattern": "^[./]"}},
                "lines": {
                    "type": "object",
                    "required": ["begin"],
                    "properties": {"begin": {"type": "integer", "minimum": 1}},
                },
            },
        },
    },
}
"""https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format"""


@pytest.mark.parametrize("case", CASES)
def test_code_quality_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    import jsonschema

    matrix, files, errors = CASES[case]
    write(tmp_path, matrix, files)
    code, issues = check(capsys, tmp_path, "--format", "gitlab")
    jsonschema.validate(issues, {"type": "array", "items": ISSUE})
    assert sorted(
        (each["check_name"], each["location"]["path"], each["location"]["lines"]["begin"])
        for each in issues
        if each["severity"] in ("major", "critical", "blocker")
    ) == [(name, file, line or 1) for name, file, line in errors]
    assert code == (2 if errors else 0)
    assert len({each["fingerprint"] for each in issues}) == len(issues)


def test_fingerprints_stay_while_lines_move(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, IMPOSSIBLE + WARNED.partition("debian12")[2].partition("\n")[2].replace("pytorch", "torch"), {})
    _, before = check(capsys, tmp_path, "--format", "gitlab", "--notes")
    matrix = tmp_path / "matrix.toml"
    matrix.write_text("# one line more\n" + matrix.read_text())
    _, after = check(capsys, tmp_path, "--format", "gitlab", "--notes")
    assert len(before) > 4
    assert [each["fingerprint"] for each in after] == [each["fingerprint"] for each in before]
    assert [each["location"]["lines"] for each in after] != [each["location"]["lines"] for each in before]


def test_fingerprints_of_equal_problems_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As of two lines with the same mistake."""
    write(tmp_path, MATRIX, {BOOT: "RUNN a\nRUNN b\n"})
    _, issues = check(capsys, tmp_path, "--format", "gitlab")
    assert [each["location"]["lines"]["begin"] for each in issues] == [1, 2]
    assert len({each["fingerprint"] for each in issues}) == 2


@pytest.mark.parametrize("git", ["folder", "file"])
def test_paths_are_those_of_the_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str], git: str) -> None:
    """A matrix may lie in a folder of it; in a worktree `.git` is a file."""
    write(tmp_path / "docker/images", IMPOSSIBLE, {BOOT: "{{ boat }}\n"})
    if git == "folder":
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    else:
        (tmp_path / ".git").write_text("gitdir: elsewhere\n")
    _, issues = check(capsys, tmp_path / "docker/images", "--format", "gitlab")
    assert {each["location"]["path"] for each in issues} == {f"docker/images/{BOOT}", "docker/images/matrix.toml"}
    out = run(capsys, "check", "--file", str(tmp_path / "docker/images/matrix.toml"), "--format", "github").out
    assert "::error file=docker/images/matrix.toml,line=14," in out


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--format", "xml"), 2),
        (("--json", "--format", "github"), 2),
        (("--json", "--format", "json"), 0),
        (("--format", "text"), 0),
    ],
)
def test_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], code: int) -> None:
    write(tmp_path, MATRIX, {})
    said = run(capsys, "check", "--file", str(tmp_path / "matrix.toml"), *flags)
    assert (said.code, bool(said.out), bool(said.err)) == (code, code == 0, code != 0)
