"""`add`: which rows are accepted, where they are written, what is reported, and that nothing is half done."""

import sys
from pathlib import Path

import pytest
from tests import projects
from tests.projects import FILES, MATRIX
from tests.unit.test_cli import Said, run, tree
from tests.unit.test_requirements import LOCKED, FakeResolver

from imagematrix.commands.add import run as adding
from imagematrix.errors import ExitCode, FlagError, InputError, NoIndexError
from imagematrix.planning.cost import Cost
from imagematrix.project import open_project
from imagematrix.report.console.add import added_text
from imagematrix.repository import Repository
from imagematrix.repository.leaves import LeafFolders

ADD = "pytorch torch=2.5.0 python=3.11 base=debian"
"""A row that can be: a new torch on one base."""
FACTS = """
[facts.torch."2.3.0"]
torchvision = "0.18.0"

[facts.torch."2.4.1"]
torchvision = "0.19.1"
"""
VISION = {**FILES, "common/layers/torch/files/requirements.txt.j2": "torch=={{ torch }}\nvision=={{ torchvision }}\n"}
"""A template that wants a fact of torch."""
READ = {
    **FILES,
    "common/layers/torch/files/requirements.txt.j2": "torch=={{ torch }}\n# {{ torchvision | default('') }}\n",
}
"""One that takes the fact where it is known."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a small monorepo as the current directory, on a machine without an engine."""
    projects.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    return tmp_path


@pytest.fixture
def add(
    root: Path,  # noqa: ARG001 - where it runs
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> "Add":
    return Add(capsys, monkeypatch)


class Add:
    """Runs the command as a process would: it reads how many words it has from the process's arguments."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, words: str, *more: str) -> Said:
        argv = ["add", *words.split(), *more]
        self._monkeypatch.setattr(sys, "argv", ["imagematrix", *argv])
        return run(self._capsys, *argv)


def test_a_row_is_added_rendered_and_told(add: Add, root: Path) -> None:
    assert add(ADD).out == (
        "pytorch:2.5.0-python3.11-debian: added to matrix.toml\n"
        "      21 [[families.pytorch.row]]\n"
        '      22 base = "debian"\n'
        '      23 python = "3.11"\n'
        '      24 torch = "2.5.0"\n'
        "note: CUDA 12.4 needs a host driver of 525.60.13 or newer (550.54.15 for all of it)\n"
        "5 nodes: 3 shared, 5 to build\n"
        "    base    build  shared with plain:3.11-debian, pytorch:2.3.0-python3.10-debian and 3 more\n"
        "    system  build  shared with plain:3.11-debian, pytorch:2.3.0-python3.10-debian and 3 more\n"
        "    python  build  shared with plain:3.11-debian, pytorch:2.3.0-python3.11-debian and 1 more\n"
        "    torch   build  only for this row\n"
        "    boot    build  only for this row\n"
        "which nodes exist is unknown: no Docker Engine answers\n"
        "also written: images/pytorch/2.5.0-python3.11-debian/; commit all together\n"
        "next: invoke build --only 'pytorch:2.5.0-python3.11-debian'\n"
    )
    row = '\n[[families.pytorch.row]]\nbase = "debian"\npython = "3.11"\ntorch = "2.5.0"\n'
    end = 'torch = ["2.3.0", "2.4.1"]\n'
    assert (root / "matrix.toml").read_text() == MATRIX.replace(end, end + row)
    project = open_project("matrix.toml")
    leaf = project.files(project.leaves(row for row in project.matrix.rows if row.values.get("torch") == "2.5.0"))
    assert list(project.repository.leaves.stale(leaf, keep=project.directories())) == []


def test_one_more_value_where_that_gives_just_this_row(add: Add, root: Path) -> None:
    assert '      27 python = ["3.11", "3.12"]\n' in add("plain python=3.12 base=debian").out
    assert (root / "matrix.toml").read_text() == MATRIX.replace(
        'base = ["debian"]\npython = ["3.11"]', 'base = ["debian"]\npython = ["3.11", "3.12"]'
    )


def test_a_row_for_several_platforms(add: Add, root: Path) -> None:
    """It is judged, locked and rendered for each; one edit of the matrix adds all."""
    both = MATRIX.replace("schema = 1", 'schema = 1\nplatforms = ["linux/amd64", "linux/arm64"]', 1)
    (root / "matrix.toml").write_text(both)
    assert add("plain python=3.12 base=debian").code == 0
    assert (root / "matrix.toml").read_text() == both.replace(
        'base = ["debian"]\npython = ["3.11"]', 'base = ["debian"]\npython = ["3.11", "3.12"]'
    )
    assert {leaf.name for leaf in (root / "images/plain").iterdir()} == {"3.12-debian", "3.12-debian-arm64"}
    before = tree(root)
    refused = add("pytorch torch=2.5.0 python=3.14 base=debian")
    assert (refused.code, tree(root)) == (2, before)


def test_a_row_for_another_platform(add: Add, root: Path) -> None:
    """A row that exists gets its twin; where one of several platforms has it, the message names the others."""
    there = "plain python=3.11 base=debian platforms="
    both = add(there + "linux/amd64,linux/arm64")
    assert (both.code, both.err) == (
        ExitCode.BAD_INPUT,
        (
            "matrix.toml:26: plain:3.11-debian exists already, from the axes of the family: nothing to add\n"
            "    for the others: invoke add plain python=3.11 base=debian platforms=linux/arm64\n"
        ),
    )
    said = add(there + "linux/arm64")
    assert said.out.endswith("next: invoke build --only 'plain:3.11-debian-arm64'\n")
    row = '\n[[families.plain.row]]\nbase = "debian"\npython = "3.11"\nplatforms = ["linux/arm64"]\n'
    assert (root / "matrix.toml").read_text().endswith(row)
    assert {leaf.name for leaf in (root / "images/plain").iterdir()} == {"3.11-debian-arm64"}


def test_a_row_that_names_its_platforms(add: Add, root: Path) -> None:
    """The output names a leaf for each; the platforms of its family need no word."""
    said = add("plain python=3.12 base=debian platforms=linux/amd64,linux/arm64", "--dry-run")
    assert 'platforms = ["linux/amd64", "linux/arm64"]\n' in said.out
    assert said.out.endswith("images/plain/3.12-debian/, images/plain/3.12-debian-arm64/\n")
    assert "platforms" not in add("plain python=3.12 base=debian platforms=linux/amd64").out
    assert 'python = ["3.11", "3.12"]' in (root / "matrix.toml").read_text()


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("platforms=arm64", 'expected "os/architecture", like "linux/arm64"'),
        ("platforms=linux/amd64,linux/x86_64", "did you mean 'linux/amd64'?"),
        ("platform=linux/arm64", "did you mean 'platforms'?"),
        ("platforms=", "axes of plain: base, python"),
    ],
)
def test_platforms_that_are_not_there(add: Add, word: str, hint: str) -> None:
    said = add(f"plain python=3.12 base=debian {word}")
    assert (said.code, said.err.splitlines()[-1].strip()) == (ExitCode.BAD_INPUT, hint)


def test_a_platform_on_which_the_row_works(add: Add, root: Path) -> None:
    """What works on some of the platforms is offered for these; other rows are offered if they work on all."""
    both = MATRIX.replace("schema = 1", 'schema = 1\nplatforms = ["linux/amd64", "linux/arm64"]', 1)
    (root / "matrix.toml").write_text(both)
    said = add("pytorch torch=2.5.1 python=3.13 base=debian --dry-run")
    offers = [line.strip() for line in said.err.splitlines() if "invoke add" in line and "allow" not in line]
    assert offers[0] == "invoke add pytorch torch=2.5.1 python=3.13 base=debian platforms=linux/amd64"
    for offer in offers:
        assert add(f"{offer.removeprefix('invoke add ')} --dry-run").code == 0


def test_a_dry_run_tells_the_same_and_writes_nothing(add: Add, root: Path) -> None:
    before = tree(root)
    said = add("--dry-run " + ADD)
    assert said.out.startswith("pytorch:2.5.0-python3.11-debian: would be added to matrix.toml\n")
    assert said.out.endswith(
        "nothing was written (--dry-run); also to be written: images/pytorch/2.5.0-python3.11-debian/\n"
    )
    assert tree(root) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "name the row to add: invoke add FAMILY AXIS=VALUE …\n    families: plain, pytorch\n"),
        ("torch=2.5.0 pytorch", "name the row to add: invoke add FAMILY AXIS=VALUE …\n    families: plain, pytorch\n"),
        ("pytorhc torch=2.5.0", "add pytorhc: unknown family\n    did you mean 'pytorch'?\n"),
        (
            "plain",
            "add plain: no value for base\n    known: cuda, debian\nadd plain: no value for python\n    known: 3.11\n",
        ),
        (
            "plain base=cdua pyton=3.12 python python=1 python=2 python=",
            (
                "base=cdua: there is no such base\n    did you mean 'cuda'?\n"
                "pyton=3.12: plain has no axis 'pyton'\n    did you mean 'python'?\n"
                "python: expected AXIS=VALUE\n    axes of plain: base, python\n"
                "python=2: python is given twice, before as '1'\n    keep one of them\n"
                "python=: expected AXIS=VALUE\n    axes of plain: base, python\n"
            ),
        ),
        (
            "plain base=debian python=3.11",
            "matrix.toml:26: plain:3.11-debian exists already, from the axes of the family: nothing to add\n",
        ),
        ("plain base=debian python=3/12", "plain base=debian python=3/12 cannot be added:\n"),
        (
            "pytorch torch=2.3.0 python=3.13 base=debian",
            (
                "pytorch torch=2.3.0 python=3.13 base=debian cannot be built: torch 2.3.0 has no wheel for Python 3.13:"
                " wheels exist for 3.8-3.12; the first torch with 3.13 is 2.5.0\n"
                "    nothing was written; this would work:\n"
                "        invoke add pytorch torch=2.3.0 python=3.12 base=debian\n"
                "        invoke add pytorch torch=2.5.0 python=3.13 base=debian\n"
                "    the nearest existing row: pytorch:2.3.0-python3.11-debian\n"
            ),
        ),
    ],
)
def test_what_cannot_be_is_told_with_what_can_and_nothing_is_written(
    add: Add, root: Path, words: str, message: str
) -> None:
    before = tree(root)
    said = add(words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(message)
    assert tree(root) == before


def test_offers_have_what_templates_want(add: Add, root: Path) -> None:
    """Values that lack it are not offered, unless the catalogue knows what it is: then `add` says it."""
    wheel = {**VISION, "common/layers/python/Dockerfile.j2": "ENV INSTALLER={{ installer }}\n"}
    installers = "".join(f'\n[facts.python."{each}"]\ninstaller = "i{each}"\n' for each in ("3.10", "3.11"))
    projects.write(root, matrix=MATRIX + FACTS + installers, files=wheel)

    def offers(words: str) -> list[str]:
        lines = add(words).err.splitlines()
        return [line.removeprefix("        invoke add ") for line in lines if line.startswith("        invoke add ")]

    assert offers("pytorch torch=2.2.0 python=3.13 base=debian torchvision=0.17.0") == [
        "pytorch torch=2.2.0 python=3.11 base=debian torchvision=0.17.0"
    ]
    found = offers("pytorch torch=1.12.1 python=3.11 base=debian torchvision=0.13.1")
    assert found == [
        "pytorch torch=1.12.1 python=3.10 base=debian torchvision=0.13.1",
        "pytorch torch=2.0.0 python=3.11 base=debian",
    ]
    for words in found:
        assert add(words, "--dry-run").code == 0


def test_a_base_without_what_the_tag_names(add: Add, root: Path) -> None:
    """Is told as what the row lacks."""
    told = MATRIX.replace('tag = "{python}-{base}"', 'tag = "{python}-{release}"')
    told = told.replace('os = "debian12"', 'os = "debian12"\nrelease = "12"')
    projects.write(root, matrix=told)
    assert add("plain python=3.11 base=cuda").err.startswith(
        "plain python=3.11 base=cuda cannot be added:\n"
        "matrix.toml:24: error: families.plain.tag: a row has no release: base=cuda, python=3.11 [IM2000 matrix]\n"
    )


def test_what_upstream_broke_needs_a_reason(add: Add, root: Path) -> None:
    matrix = MATRIX.replace('os = "ubuntu22.04"', 'os = "ubuntu22.04"\ntorchvision = "0.18.0"')
    projects.write(root, matrix=matrix.replace('"2.3.0", "2.4.1"', '"2.3.0"'))
    words = "pytorch torch=2.4.1 base=cuda python=3.10"
    said = add(words)
    assert said.code == 2
    assert said.err == (
        "pytorch torch=2.4.1 base=cuda python=3.10 is known to be broken: torchvision 0.18.0 does not go with"
        " torch 2.4.1: it is for torch==2.3.0; take torchvision=0.19.1\n"
        "    nothing was written; this would work:\n"
        "        invoke add pytorch torch=2.4.1 base=debian python=3.10\n"
        "    the nearest existing row: pytorch:2.3.0-python3.10-cuda\n"
        f'    to build it anyway, say why: invoke add {words} allow="…"\n'
    )
    said = add(words, "allow=we patch it")
    assert said.code == 0
    assert '      26 allow = "we patch it"\n' in said.out
    assert "note: torchvision 0.18.0 does not go with torch 2.4.1: allowed: we patch it\n" in said.out


def test_an_exclude_forbids_a_row_with_its_reason(add: Add, root: Path) -> None:
    exclude = '\n[[families.pytorch.exclude]]\ntorch = "<2.4"\nbase = "cuda"\nreason = "too old"\n'
    projects.write(root, matrix=MATRIX.replace('"2.4.1"]\n', f'"2.4.1"]\n{exclude}'))
    said = add("pytorch torch=2.3.1 base=cuda python=3.10")
    assert said.code == 2
    assert "families.pytorch.row: an exclude forbids this row: too old (line 21) [IM2000 matrix]\n" in said.err
    assert "invoke add pytorch torch=2.3.1 base=debian python=3.10\n" in said.err


def test_a_tag_that_another_row_has_is_told(add: Add, root: Path) -> None:
    projects.write(root, matrix=MATRIX.replace('tag = "{python}-{base}"', 'tag = "{base}"'))
    said = add("plain base=debian python=3.12")
    assert said.code == 2
    assert said.err == (
        "plain base=debian python=3.12 cannot be added: its tag 'debian' is that of base=debian, python=3.11\n"
        "    put {python} into the tag of family plain\n"
    )


def test_a_row_by_hand_is_told_with_its_line(add: Add) -> None:
    assert add(ADD).code == 0
    again = add(ADD)
    assert again.code == 2
    assert again.err == (
        "matrix.toml:21: pytorch:2.5.0-python3.11-debian exists already, from its own [[row]]: nothing to add\n"
    )


def test_a_row_that_the_matrix_says_cannot_be_had(add: Add, root: Path) -> None:
    row = '\n[[families.pytorch.row]]\nbase = "cuda"\npython = "3.10"\ntorch = "1.0.0"\nimpossible = "deleted"\n'
    projects.write(root, matrix=MATRIX.replace('"2.4.1"]\n', f'"2.4.1"]\n{row}'))
    assert add("pytorch torch=1.0.0 python=3.10 base=cuda").err == (
        "matrix.toml:21: pytorch:1.0.0-python3.10-cuda exists already, from its own [[row]]:"
        " it is impossible: deleted\n"
    )
    assert add(ADD).code == 0


def test_the_base_of_a_family_need_not_be_said(add: Add, root: Path) -> None:
    matrix = MATRIX.replace('tag = "{python}-{base}"', 'tag = "{python}-{base}"\nbase = "debian"')
    projects.write(root, matrix=matrix.replace('base = ["debian"]\n', ""))
    assert 'python = ["3.11", "3.12"]\n' in add("plain python=3.12").out
    said = add("plain python=3.12 base=cuda")
    assert '[[families.plain.row]]\n      30 python = "3.12"\n      31 base   = "cuda"\n' in said.out


def test_a_base_may_be_abbreviated(add: Add, root: Path) -> None:
    """To the beginning of its letters and digits, where that is but one base, of the family's own first."""
    long = "cuda12.4.1-cudnn-devel-ubuntu22.04"
    more = "".join(
        f'\n[bases."{base}"]\nimage = "nvidia/cuda:{base}"\nos = "ubuntu22.04"\n'
        for base in (long, "cuda12.6.3-devel-ubuntu24.04", "debianish")
    )
    projects.write(root, matrix=MATRIX + more)

    said = add("pytorch torch=2.4.1 python=3.11 base=cuda124", "--dry-run")
    assert said.out.startswith(f"pytorch:2.4.1-python3.11-{long}: would be added")
    said = add("pytorch torch=2.4.1 python=3.12 base=deb", "--dry-run")
    assert said.out.startswith("pytorch:2.4.1-python3.12-debian: would be added")
    said = add("pytorch torch=2.4.1 python=3.11 base=cuda12")
    assert said.err == f"base=cuda12: more than one base begins so\n    known: {long}, cuda12.6.3-devel-ubuntu24.04\n"


def test_facts_that_templates_want_are_proposed_and_taken(add: Add, root: Path) -> None:
    """Where the catalogue knows them, they come with the row, also in a dry run; given words win."""
    projects.write(root, matrix=MATRIX + FACTS, files=VISION)
    before = tree(root)
    dry = add(ADD, "--dry-run")
    facts = '      40 [facts.torch."2.5.0"]\n      41 torchvision = "0.20.0"\n'
    assert facts in dry.out
    assert "proposed by the catalogue: torchvision 0.20.0 (to leave out: torchvision=)\n" in dry.out
    assert tree(root) == before
    said = add(f"{ADD} torchvision=0.20.0")
    assert (said.code, facts in said.out, "proposed" in said.out) == (0, True, False)
    assert open_project("matrix.toml").matrix.rows[-1].values["torchvision"] == "0.20.0"
    refused = add("pytorch torch=2.5.0 python=3.10 base=debian torchvision=1")
    assert refused.err == (
        "torchvision=1: torch 2.5.0 has torchvision = '0.20.0' already\n    leave it out, or change it there\n"
    )


def test_facts_that_nobody_knows_are_named_and_can_be_said(add: Add, root: Path) -> None:
    installers = "".join(f'\n[facts.python."{each}"]\ninstaller = "i{each}"\n' for each in ("3.10", "3.11"))
    wheel = {**FILES, "common/layers/python/Dockerfile.j2": "# one\nENV INSTALLER={{ installer }}\n"}
    projects.write(root, matrix=MATRIX + installers, files=wheel)
    said = add("pytorch torch=2.3.0 python=3.12 base=debian")
    assert said.code == 2
    assert said.err == (
        "common/layers/python/Dockerfile.j2:2: error: a template wants this:"
        ' installer for python 3.12 is not known: facts.python."3.12" [IM2104 undefined]\n'
        "    say it too: invoke add pytorch torch=2.3.0 python=3.12 base=debian installer=…\n"
    )
    assert add("pytorch torch=2.3.0 python=3.12 base=debian installer=i312").code == 0


def test_a_proposal_can_be_declined(add: Add, root: Path) -> None:
    projects.write(root, matrix=MATRIX + FACTS, files=READ)
    said = add(f"{ADD} torchvision=")
    assert (said.code, "torchvision" in said.out) == (0, False)
    assert "torchvision" not in open_project("matrix.toml").matrix.rows[-1].values


def test_what_a_shared_value_cannot_say_the_row_says_itself(add: Add, root: Path) -> None:
    """Other rows have the base, the torch and the Python: none of them may change."""
    reads = {
        **FILES,
        "common/layers/torch/Dockerfile.j2": "# {{ torch_build | default('') }} {{ pins | default('') }}\n",
    }
    projects.write(root, files=reads)
    before = open_project("matrix.toml").matrix.rows
    words = "pytorch torch=2.4.1 python=3.12 base=cuda torch_build=cu118"
    refused = add(words, "pins=numpy<2 protobuf<4")
    index = "torch_index=https://download.pytorch.org/whl/cu118"
    assert f"invoke add {words} pins='numpy<2 protobuf<4' {index}\n" in refused.err
    said = add(f"{words} {index}", "pins=numpy<2 protobuf<4")
    assert said.code == 0
    assert '      25 torch_build = "cu118"\n' in said.out
    assert '      27 pins = "numpy<2 protobuf<4"\n' in said.out
    after = open_project("matrix.toml").matrix.rows
    assert [row for row in after if row in before] == list(before)
    [new] = [row for row in after if row not in before]
    assert (new.values["torch_build"], new.values["pins"]) == ("cu118", "numpy<2 protobuf<4")
    assert new.axes.keys() == {"base", "python", "torch"}


def test_a_fact_that_no_other_row_reads_is_said_of_the_shared_value(add: Add, root: Path) -> None:
    """As a person would write it: it is of that value, wherever it is used."""
    installer = {**FILES, "common/layers/torch/Dockerfile.j2": "# {{ miniconda | default('') }}\n"}
    matrix = MATRIX.replace('python = ["3.11"]', 'python = ["3.11", "3.12"]')
    projects.write(root, matrix=matrix, files=installer)
    said = add("pytorch torch=2.4.1 python=3.12 base=cuda miniconda=Miniconda3-py312_26.5.3-1-Linux-x86_64.sh")
    assert said.code == 0
    assert '[facts.python."3.12"]\n' in said.out


def test_facts_of_a_base_are_not_said_by_a_row(add: Add) -> None:
    assert add(f"{ADD} os=debian12").err == (
        "os=debian12: os follows from the base\n    choose another base, or write one\n"
    )


def test_a_fact_of_other_families_is_no_warning(add: Add, root: Path) -> None:
    """What no template of this one reads need not be known."""
    wheel = {**FILES, "common/layers/torch/Dockerfile.j2": "ENV INSTALLER={{ installer }}\n"}
    installers = "".join(f'\n[facts.python."{each}"]\ninstaller = "i{each}"\n' for each in ("3.10", "3.11"))
    projects.write(root, matrix=MATRIX + installers, files=wheel)
    assert "installer" not in add("plain python=3.12 base=debian").out
    assert "installer for python 3.12 is not known" in add("pytorch torch=2.3.0 python=3.12 base=debian").err


def test_a_fact_that_the_catalogue_knows_is_proposed(add: Add, root: Path) -> None:
    """As soon as some of the other values have it."""
    row = '\n[[families.pytorch.row]]\nbase = "debian"\npython = "3.11"\ntorch = "2.6.0"\n'
    projects.write(root, matrix=MATRIX + FACTS + row, files=READ)
    assert "proposed by the catalogue: torchvision 0.20.0" in add(ADD).out


def test_what_the_catalogue_does_not_know_is_a_warning(add: Add) -> None:
    assert "warning: torch 9.9.9 is newer than the catalogue" in add("pytorch torch=9.9.9 python=3.11 base=debian").out


def test_rows_with_faults_of_their_own_do_not_stop_another(add: Add, root: Path) -> None:
    projects.write(root, files={**FILES, "common/layers/torch/files/requirements.txt.j2": "{{ nonsense }}\n"})
    said = add("plain python=3.12 base=debian")
    assert said.code == 0
    assert "not compared, because they cannot be rendered: pytorch:2.3.0-python3.10-cuda, " in said.out


def test_a_matrix_that_is_wrong_is_told_first(add: Add, root: Path) -> None:
    projects.write(root, matrix=MATRIX.replace('"2.3.0"', "2.3"))
    assert add(ADD).err.startswith("matrix.toml:19: ")


# --- locks, and half-done things ---------------------------------------------------------------------------


def added(root: Path, resolver: FakeResolver, words: str = ADD, *, dry: bool = False) -> Cost:
    project = open_project(str(root / "matrix.toml"))
    return adding.run(project, words.split(), resolver=lambda: resolver, images=(), dry=dry, say=lambda _: None)


def test_what_the_row_lacks_is_locked_and_nothing_else(root: Path) -> None:
    projects.write(root, files=LOCKED)
    resolver = FakeResolver()
    made = added(root, resolver)
    assert [question.asker.layer for question in resolver.asked] == ["python", "torch"]
    assert made.locks == 2
    assert len(open_project(str(root / "matrix.toml")).repository.locks()) == 2
    assert (root / "images/pytorch/2.5.0-python3.11-debian/torch/requirements.lock").exists()
    assert "also written: 2 locks and images/pytorch/2.5.0-python3.11-debian/; commit all together" in added_text(made)


def test_sizes_are_told(root: Path) -> None:
    files = {**LOCKED, "common/layers/python/files/requirements.txt": "pip==26.0\n"}
    projects.write(root, files=files)
    assert "Python packages: 2.0 MB to download, about 6.2 MB in the image\n" in added_text(added(root, FakeResolver()))


@pytest.mark.parametrize("dry", [True, False])
def test_without_a_solution_nothing_is_written(root: Path, dry: bool) -> None:
    projects.write(root, files=LOCKED)
    before = tree(root)
    with pytest.raises(FlagError) as caught:
        added(root, FakeResolver(impossible=["torch==2.5.0"]), dry=dry)
    assert str(caught.value) == (
        "common/layers/torch/files/requirements.txt.j2: error: pytorch:2.5.0-python3.11-debian:"
        " requirements of layer torch have no solution for Python 3.11 [IM2203 unsolvable]\n"
        "    No solution found\n\n    hint: sorry\n"
        "nothing was written\nthe nearest existing row: pytorch:2.4.1-python3.11-debian"
    )
    assert tree(root) == before


def test_a_version_that_nobody_released(root: Path) -> None:
    """The message has the resolver's reason, and what the catalogue knows instead."""
    projects.write(root, files=LOCKED)
    with pytest.raises(FlagError, match=r"torch 2\.5\.77 is not in the catalogue .*: known of 2\.5: 2\.5\.0, 2\.5\.1"):
        added(root, FakeResolver(impossible=["torch==2.5.77"]), ADD.replace("2.5.0", "2.5.77"))


def test_without_an_index_nothing_is_written(root: Path) -> None:
    projects.write(root, files=LOCKED)
    before = tree(root)
    with pytest.raises(NoIndexError):
        added(root, FakeResolver(is_down=True))
    assert tree(root) == before


@pytest.mark.parametrize(
    ("actor", "step"), [(Repository, "write_locks"), (LeafFolders, "write_more"), (Repository, "replace_matrix")]
)
def test_a_killed_run_leaves_the_old_matrix_and_the_next_one_finishes(
    root: Path, monkeypatch: pytest.MonkeyPatch, actor: type, step: str
) -> None:
    projects.write(root, files=LOCKED)

    def killed(*_: object, **_flags: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(actor, step, killed)
        with pytest.raises(KeyboardInterrupt):
            added(root, FakeResolver())
    assert (root / "matrix.toml").read_text() == MATRIX
    resolver = FakeResolver()
    made = added(root, resolver)
    assert bool(resolver.asked) == (step == "write_locks")
    assert made.addition.text == (root / "matrix.toml").read_text() != MATRIX


def test_a_matrix_that_changed_meanwhile_stays(root: Path) -> None:
    projects.write(root, files=LOCKED)
    edited = MATRIX + "# edited\n"

    class Slow(FakeResolver):
        def measure(self, question, locked):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            (root / "matrix.toml").write_text(edited)
            return super().measure(question, locked)

    with pytest.raises(
        FlagError, match=r"matrix\.toml was changed in the meantime and is left unchanged: run the command again"
    ):
        added(root, Slow())
    assert (root / "matrix.toml").read_text() == edited


def test_a_row_that_cannot_be_written_without_harm_is_left_to_its_author(root: Path) -> None:
    """The family is in one line, so its table has no place."""
    inline = 'plain = {layers = ["boot"], tag = "{python}", base = "debian", axes = {python = ["3.11"]}}\n'
    head = MATRIX.partition("[families.pytorch]")[0]
    projects.write(root, matrix=f"{head}[families]\n{inline}")
    with pytest.raises(FlagError) as caught:
        added(root, FakeResolver(), "plain python=3.12 allow=so")
    assert str(caught.value).startswith(
        "plain:3.12 can be built, but matrix.toml cannot hold it without changing other rows\n    write it by hand"
    )


def test_unrendered_templates_are_errors_as_ever(root: Path) -> None:
    projects.write(root, files={**FILES, "common/layers/boot/Dockerfile.j2": "ENV A={{ tourch }}\n"})
    with pytest.raises(InputError, match="'tourch' is undefined"):
        added(root, FakeResolver())
