"""compat/*.toml: a monorepo corrects the catalogue, and no other project sees it."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests import projects

from imagematrix import compat
from imagematrix.commands.check import run as check
from imagematrix.compat import catalogue, nearest, overlay, rules, shapes
from imagematrix.compat.catalogue import Corrections, frameworks, store
from imagematrix.diagnostics import Severity
from imagematrix.errors import InputError
from imagematrix.project import Project, examine, open_project

COMPAT = Path(compat.__file__).parent
SOURCE = 'source = "tried here"'

CORRECT = f'[[torchvision]]\nrelease = "0.17"\ntorch = "==2.3.0"\n{SOURCE}\n'
"""In another spelling of the release than the catalogue's."""

MATRIX = """\
schema = 1

[bases.cuda]
image = "nvidia/cuda:12.1.0-devel-ubuntu22.04"
os = "ubuntu22.04"
cuda = "12.1.0"

[families.pytorch]
layers = ["torch"]
tag = "{torch}"

[families.pytorch.axes]
base = ["cuda"]
python = ["3.10"]
torch = ["2.3.0"]
torchvision = ["0.17.0"]
"""
LAYERS = {
    "common/layers/torch/Dockerfile.j2": "RUN echo {{ torch }} {{ torchvision }} {{ python }} {{ os }} {{ cuda }}\n"
}


def opened(root: Path, **overlays: str) -> Project:
    """Open a monorepo whose torchvision is not the one that the catalogue knows for its torch."""
    files = {f"compat/{name}.toml": text for name, text in overlays.items()}
    return projects.project(root, matrix=MATRIX, files={**LAYERS, **files})


def severities(project: Project, about: str) -> list[Severity]:
    """Return how bad it is what is found about an axis."""
    return [cause.severity for cause in project.proof() if cause.about == about]


def problems(files: Mapping[str, str]) -> list[tuple[str, int, str]]:
    """Return the diagnostics of overlays: file, line and text."""
    with pytest.raises(InputError) as caught:
        overlay.parse(files)
    return [(each.file, each.line, f"{each.message}\n{each.hint}") for each in caught.value.diagnostics]


def test_a_fact_is_replaced(tmp_path: Path) -> None:
    """The rules judge by what the project knows, in whatever spelling of the release; other facts of it stay."""
    assert severities(opened(tmp_path / "one"), "torchvision") == [Severity.BROKEN]
    assert severities(opened(tmp_path / "two", torch=CORRECT), "torchvision") == []
    before, after = catalogue.packaged("torch")["torchvision"], store.read("torch")["torchvision"]
    known = next(each for each in before if each["release"] == "0.17.0")
    assert {**known, "torch": "==2.3.0"} in after
    assert len(after) == len(before)


def test_a_release_is_added_in_order() -> None:
    """It is offered as any other."""
    text = f'[[releases]]\nrelease = "2.13.9"\npython = ["3.12"]\nbuilds = {{ cu126 = {{}} }}\n{SOURCE}\n'
    catalogue.use(overlay.parse({"compat/torch.toml": text}))
    names = nearest.catalogued("torch")
    assert names[names.index("2.13.9") + 1] == "2.14.0"
    assert [*catalogue.torch()["2.13.9"].builds] == ["cu126"]


def test_tables_are_merged_and_lists_replaced() -> None:
    """One tag is corrected without the others of its toolkit, one distribution without the other ones."""
    tags = f'[toolkits."12.1.0"]\n{SOURCE}\n[toolkits."12.1.0".images."ubuntu22.04"]\nflavours = ["devel"]\n'
    corrections = overlay.parse(
        {
            "compat/cuda.toml": tags,
            "compat/python.toml": f'[glibc]\nrocky10 = "2.39"\n{SOURCE}\n',
        }
    )
    before = catalogue.toolkits()["12.1.0"]
    catalogue.use(corrections)
    after = catalogue.toolkits()["12.1.0"]
    assert after.images["ubuntu22.04"].flavours == {"devel"}
    assert after.images["ubuntu22.04"].live == before.images["ubuntu22.04"].live
    assert {**after.images, "ubuntu22.04": None} == {**before.images, "ubuntu22.04": None}
    assert catalogue.glibc() == {**catalogue.packaged("python")["glibc"], "rocky10": "2.39"}


@pytest.mark.parametrize(
    ("file", "text", "line", "said"),
    [
        ("torhc", SOURCE, 0, "did you mean 'torch'"),
        ("torch", "[[releases]\n", 1, "TOML syntax"),
        ("torch", f'[[release]]\nrelease = "2.3.0"\n{SOURCE}\n', 1, "did you mean 'releases'"),
        ("torch", f'[_meta]\ncollected = "2026-11-29"\n{SOURCE}\n', 1, "unknown key"),
        ("torch", '[[releases]]\nrelease = "2.3.0"\ndefault = "cu118"\n', 1, "'source' is missing"),
        ("torch", '[[releases]]\nrelease = "2.3.0"\nsource = " "\n', 1, "'source' is missing"),
        ("torch", f'[[releases]]\nrelease = "2.3.0"\npython = "3.12"\n{SOURCE}\n', 3, "is not a list"),
        ("torch", f'[[releases]]\nrelease = "2.3.0"\npython = ["3.12", 3.13]\n{SOURCE}\n', 3, "in quotes"),
        ("torch", f'[[releases]]\nrelease = "2.3.0"\npython = ["py312"]\n{SOURCE}\n', 3, '"3.12"'),
        ("torch", f'[[releases]]\nrelease = "nightly"\n{SOURCE}\n', 2, "expected a version"),
        ("torch", f'[[releases]]\nrelease = "2.99.0"\n{SOURCE}\n', 1, "'python' is missing"),
        ("torch", f"[[releases]]\nbuilds = {{}}\npython = []\n{SOURCE}\n", 1, "'release' is missing"),
        ("torch", f"[releases]\n{SOURCE}\n", 1, "is not a list"),
        (
            "torch",
            f'[[releases]]\nrelease = "2.3.0"\n{SOURCE}\n[[releases]]\nrelease = "2.3"\n{SOURCE}\n',
            4,
            "given twice",
        ),
        ("cuda", '[toolkits."12.1.0"]\ndriver = "530.30.02"\n', 1, "'source' is missing"),
        ("cuda", f"[toolkits.twelve]\nimages = {{}}\n{SOURCE}\n", 1, "expected a version"),
        ("cuda", '[toolkits]\n"12.1.0" = "530"\n', 2, "is not a table"),
        (
            "cuda",
            f'[toolkits."12.1.0"]\n{SOURCE}\n[toolkits."12.1.0".images."ubuntu26.04"]\nlive = true\n',
            3,
            "'flavours' is missing",
        ),
        ("python", '[glibc]\nrocky10 = "2.39"\n', 1, "'source' is missing"),
        ("python", f"[glibc]\nrocky10 = 2.39\n{SOURCE}\n", 2, "in quotes"),
        ("python", f'[[python]]\npython = "3.14"\neol = "soon"\n{SOURCE}\n', 3, "expected a day"),
        (
            "paddle",
            f'[[releases]]\nrelease = "2.6.2"\ncpu_by = "conda"\n{SOURCE}\n',
            3,
            "'conda' is not valid",
        ),
        ("horovod", f'[[releases]]\nrelease = "0.28.1"\ntorch = ["2.0.0"]\n{SOURCE}\n', 3, "expected 2 elements"),
        ("allow", f'[[alow]]\ntorch = "<2"\n{SOURCE}\n', 1, "did you mean 'allow'"),
        ("allow", f'[[allow]]\ntorch = "<2"\n{SOURCE}\n', 1, "'reason' is missing"),
        ("allow", '[[allow]]\ntorch = "<2"\nreason = "patched"\n', 1, "'source' is missing"),
        ("allow", f'[[allow]]\nreason = "patched"\n{SOURCE}\n', 1, "covers every row"),
        ("allow", f'[[allow]]\ntorch = "<two"\nreason = "patched"\n{SOURCE}\n', 2, "not a valid condition"),
        ("allow", f'[[allow]]\ntorch = 2.3\nreason = "patched"\n{SOURCE}\n', 2, "in quotes"),
    ],
)
def test_what_is_wrong_is_told_by_file_and_line(file: str, text: str, line: int, said: str) -> None:
    """Unknown files and keys, wrong types and values, facts without a source."""
    path = f"compat/{file}.toml"
    found = problems({path: text})
    assert [(where, at) for where, at, what in found if said in what] == [(path, line)], found


def test_a_link_is_refused(tmp_path: Path) -> None:
    """A correction is a file of the project."""
    opened(tmp_path)
    (tmp_path / "compat").mkdir()
    (tmp_path / "compat/torch.toml").symlink_to(tmp_path / "matrix.toml")
    with pytest.raises(InputError) as caught:
        open_project(str(tmp_path / "matrix.toml"))
    assert [each.file for each in caught.value.diagnostics] == ["compat/torch.toml"]


def test_all_problems_are_told_at_once() -> None:
    """Of all files, and more than one of each."""
    found = problems(
        {
            "compat/torch.toml": '[[releases]]\nrelease = "2.3.0"\npthon = []\n',
            "compat/other.toml": "",
            "compat/allow.toml": "[[allow]]\n",
        }
    )
    places = [(file, line) for file, line, _ in found]
    assert places == [("compat/allow.toml", 1)] * 3 + [
        ("compat/other.toml", 0),
        ("compat/torch.toml", 1),
        ("compat/torch.toml", 3),
    ]


def test_the_documented_example_counts(tmp_path: Path) -> None:
    """What docs/compat.md shows is valid as it stands, and changes the catalogue."""
    text = (Path(__file__).parents[2] / "docs/compat.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"^```toml\n# compat/(\w+)\.toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert {*files} == {"torch", "cuda", "python", "allow"}
    opened(tmp_path, **files)
    assert catalogue.glibc()["rocky10"] == "2.39"
    assert len(catalogue.allowances()) == 1


def test_nothing_is_half_applied(tmp_path: Path) -> None:
    """Where one file is wrong, the good one beside it does not count either."""
    good = CORRECT
    with pytest.raises(InputError):
        opened(tmp_path, torch=good, cuda="[toolkit]\n")
    found = check.judge(examine(str(tmp_path / "matrix.toml")))
    assert [(each.code, each.place) for each in found.diagnostics] == [("unknown_key", "compat/cuda.toml:1")]
    assert catalogue.torch()["2.3.0"] == frameworks._torch(
        next(each for each in catalogue.packaged("torch")["releases"] if each["release"] == "2.3.0")
    )


def test_allow(tmp_path: Path) -> None:
    """Known breakage of the rows that meet all conditions becomes a note, what is impossible stays so."""
    broken = '[[allow]]\ntorch = "<2.4"\ncuda = "12.1.0"\nreason = "ours is patched"\n' + SOURCE
    assert severities(opened(tmp_path / "met", allow=broken), "torchvision") == [Severity.NOTE]
    assert severities(opened(tmp_path / "unmet", allow=broken.replace("<2.4", "<2.3")), "torchvision") == [
        Severity.BROKEN
    ]
    project = opened(tmp_path / "impossible", allow=broken)
    (row,) = project.obtainable
    object.__setattr__(row, "values", {**row.values, "python": "3.15"})
    assert Severity.IMPOSSIBLE in [each.severity for each in compat.findings(row)]


def test_what_changes_nothing_is_told_by_file_and_line(tmp_path: Path) -> None:
    """An entry that the catalogue has by now, and an allow that no broken row needs; what is needed is not told."""
    same = f'[[torchvision]]\nrelease = "0.18.0"\ntorch = "==2.3.0"\n{SOURCE}\n\n'
    other = f'[[torchvision]]\nrelease = "0.18.1"\ntorch = "==2.3.0"\n{SOURCE}\n'
    allow = "".join(
        f'[[allow]]\ntorch = "{condition}"\nreason = "patched"\n{SOURCE}\n' for condition in ("==2.3.*", ">=2.4", "<")
    ).replace('"<"', '"1.0"')
    project = opened(tmp_path, torch=same + other, allow=allow)
    told = [(cause.file, cause.line, cause.severity) for cause in project.proof() if cause.file != "matrix.toml"]
    assert told == [
        ("compat/torch.toml", 1, Severity.UNKNOWN),
        ("compat/allow.toml", 5, Severity.UNKNOWN),
        ("compat/allow.toml", 9, Severity.UNKNOWN),
    ]


def test_no_project_sees_the_corrections_of_another(tmp_path: Path) -> None:
    """Verdicts are cached, and yet right whichever project was open before."""
    opened(tmp_path / "corrected", torch=CORRECT)
    opened(tmp_path / "plain")
    found = [
        severities(open_project(str(tmp_path / name / "matrix.toml")), "torchvision")
        for name in ("plain", "corrected", "plain", "corrected")
    ]
    assert found == [[Severity.BROKEN], [], [Severity.BROKEN], []]


def test_no_key_has_corrections_in_it(tmp_path: Path) -> None:
    """What is known of an image is not in the image."""
    plain, corrected = opened(tmp_path / "plain"), opened(tmp_path / "corrected", torch=CORRECT)
    assert projects.keys(plain) == projects.keys(corrected)


def test_verdicts_follow_the_corrections() -> None:
    """A verdict that was cached is of the catalogue that it was made by."""
    arguments = ("2.15.0", "3.15")
    rule = rules.RULES[[each.__name__ for each in rules.RULES].index("torch_on_python")]
    assert rules._judged(rule, arguments) == ()
    document = catalogue.packaged("torch")
    wrong = {**document, "releases": [{**each, "python": ["3.12"]} for each in document["releases"]]}
    catalogue.use(Corrections(documents={"torch": wrong}))
    assert [finding.severity for finding in rules._judged(rule, arguments)] == [Severity.IMPOSSIBLE]


def test_the_same_corrections_keep_what_is_cached() -> None:
    """A project that is opened twice is not judged twice."""
    catalogue.use(Corrections(documents={"torch": dict(catalogue.packaged("torch"))}))
    before = catalogue.torch()
    catalogue.use(Corrections(documents={"torch": dict(catalogue.packaged("torch"))}))
    assert catalogue.torch() is before


def test_no_cache_outlives_the_catalogue() -> None:
    """Rules use the catalogue's cache; functools' own is for what no fact changes, as rows."""
    users = {
        path.relative_to(COMPAT).as_posix()
        for path in COMPAT.rglob("*.py")
        if "functools" in path.read_text(encoding="utf-8")
    }
    assert users == {"catalogue/store.py", "platforms.py", "rules.py"}
    kept = re.findall(r"^@cache\b.*\ndef (\w+)", (COMPAT / "rules.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert kept == ["_reads"]


class _Recorded(Mapping[str, Any]):
    """A table that remembers which of its keys were read."""

    def __init__(self, values: Mapping[str, Any], read: Callable[[str], None], at: str) -> None:
        self._values = {key: _recorded(value, read, f"{at}.{key}") for key, value in values.items()}
        self._read, self._at = read, at

    def __getitem__(self, key: str) -> Any:
        self._read(f"{self._at}.{key}")
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _recorded(value: Any, read: Callable[[str], None], at: str) -> Any:
    if isinstance(value, Mapping):
        return _Recorded(value, read, at)
    return [_recorded(each, read, at) for each in value] if isinstance(value, list) else value


_ARGUMENTS = {
    "architectures": ("torch", "tensorflow", "paddle"),
    "collected": catalogue.names(),
    "partners": ("torchvision", "torchaudio"),
    "partner_wheels": ("torchvision", "torchaudio"),
    "tensorflow_wheels": ("tensorflow",),
}
"""Accessors that take one -> what they are asked for."""


def _ask_everything() -> None:
    """Ask the catalogue for all that it has."""
    for name, each in vars(catalogue).items():
        is_accessor = hasattr(each, "cache_clear") and each.__module__.startswith(catalogue.__name__)
        if is_accessor and name not in ("packaged", "names"):
            for arguments in [(argument,) for argument in _ARGUMENTS[name]] if name in _ARGUMENTS else [()]:
                each(*arguments)


@pytest.mark.parametrize("name", catalogue.names())
def test_every_field_of_a_data_file_is_read(name: str) -> None:
    """A key is known because the data files have it: so none may be there that nothing reads."""
    read: set[str] = set()
    document = catalogue.packaged(name)
    catalogue.use(Corrections(documents={name: _recorded(document, read.add, name)}))
    _ask_everything()
    parts = {part: facts for part, facts in document.items() if part != "_meta" and not isinstance(facts, str)}
    fields = {*_fields(shapes.learn([parts]), name)}
    assert fields <= read


def _fields(shape: shapes.FieldShape, at: str) -> list[str]:
    """Return the named fields of a shape by their paths; what is below a mapping is seen with its keys only."""
    below = [shape.element] if shape.element and not shape.is_table else []
    return (
        [f"{at}.{key}" for key in shape.fields]
        + [path for key, each in shape.fields.items() for path in _fields(each, f"{at}.{key}")]
        + [path for each in below for path in _fields(each, at)]
    )


def _lists() -> list[tuple[str, str]]:
    return [
        (name, part)
        for name in catalogue.names()
        for part, facts in catalogue.packaged(name).items()
        if isinstance(facts, list)
    ]


@pytest.mark.parametrize(("name", "part"), _lists())
def test_an_entry_with_what_all_have_is_whole(name: str, part: str) -> None:
    """No accessor asks for more than an overlay must give."""
    document = catalogue.packaged(name)
    shape = shapes.learn([document[part]]).of_elements
    (first, *_) = shape.required & {"release", "series", "python", "package", "versions"} or shape.required
    entry = {key: value for key, value in document[part][0].items() if key in shape.required}
    entry[first] = "99.0.0" if shape.fields[first].text is not shapes._TEXTS[0] else "99.0"
    catalogue.use(Corrections(documents={name: {**document, part: [*document[part], entry]}}))
    _ask_everything()
