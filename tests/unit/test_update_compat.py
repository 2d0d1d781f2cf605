"""scripts/update-compat: recorded answers of the index in, the data files of the catalogue out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from scripts.lib import update_compat
from scripts.lib.update_compat import Listed, Metadata, Notes, Source

from imagematrix.compat import catalogue
from imagematrix.compat.catalogue import Corrections

RECORDED = json.loads((Path(__file__).parent / "recorded_index.json").read_text(encoding="utf-8"))
"""What PyPI listed on 2026-11-29 of some releases, and what their wheels asked for of a few packages."""

RELEASES = {
    "torch": {
        "releases": ["2.14.1", "2.15.0"],
        "torchvision": ["0.29.0", "0.29.1", "0.29.2"],
        "torchaudio": ["2.10.0", "2.11.0", "2.11.1"],
    },
    "tensorflow": {"releases": ["1.4.1", "1.15.0", "1.15.2", "2.15.1", "2.20.0", "2.21.0"]},
    "paddle": {"releases": ["2.6.2", "3.3.1"]},
    "numpy": {"releases": ["2.3.5", "2.4.0", "2.5.5"]},
    "tensorrt": {"releases": ["8.6.0", "10.0.0b6", "11.4.0.106"]},
    "horovod": {"releases": ["0.28.1"]},
    "arm64": {
        "torch": ["2.14.1", "2.15.0"],
        "tensorflow": ["2.15.1", "2.20.0", "2.21.0"],
        "paddle": ["2.6.2"],
    },
}
"""Data file -> part -> those of its releases that were recorded."""

Documents = dict[str, dict[str, Any]]


def documents() -> Documents:
    """Return the data files with the recorded releases alone."""
    return {
        name: {
            part: [each for each in facts if each["release"] in parts[part]] if part in parts else facts
            for part, facts in catalogue.packaged(name).items()
        }
        for name, parts in RELEASES.items()
    }


def source(without: str = "", **more: list[list[str]]) -> Source:
    """Return what the index tells: without files that begin so, and with other ones."""
    pythons = [each["python"] for each in catalogue.packaged("python")["python"]]
    files = {**RECORDED["files"], **{name.replace("_", "-"): files for name, files in more.items()}}
    index = {
        package: update_compat.releases(
            [
                Listed(name=name, url=name, requires_python=python or "", is_yanked=bool(yanked))
                for name, python, *yanked in listed
                if not without or not name.startswith(without)
            ],
            ["3.3", "3.4", *pythons],
        )
        for package, listed in files.items()
    }
    known = {
        tuple(key.split()): Metadata(requires=tuple(said["requires"]), extras=frozenset(said["extras"]))
        for key, said in RECORDED["metadata"].items()
    }
    return Source(index=index, known=known)


def refreshed(before: Documents, told: Source) -> tuple[Mapping[str, Mapping[str, Any]], Notes]:
    """Return the refreshed data files, and what a person must look at."""
    notes = Notes()
    return update_compat.refreshed(before, told, notes), notes


def test_without_news_nothing_changes() -> None:
    """All that is known agrees with what the index told."""
    before = documents()
    after, notes = refreshed(before, source())
    assert notes.lost == []
    assert {name: document for name, document in after.items() if document != before[name]}.keys() <= {"tensorflow"}
    added = [
        each["release"] for each in after["tensorflow"]["releases"] if each not in before["tensorflow"]["releases"]
    ]
    assert added in ([], ["1.8.0"])


@pytest.mark.parametrize(
    ("name", "part", "release", "by_hand"),
    [
        ("torch", "releases", "2.15.0", {"builds", "complete"}),
        ("torch", "torchvision", "0.29.2", {"build", "checks"}),
        ("torch", "torchaudio", "2.11.1", {"build", "checks"}),
        ("tensorflow", "releases", "2.21.0", {"cuda", "cudnn"}),
        ("paddle", "releases", "3.3.1", {"gpu_builds"}),
        ("numpy", "releases", "2.5.5", set()),
        ("tensorrt", "releases", "11.4.0.106", set()),
        ("arm64", "torch", "2.15.0", {"glibc"}),
        ("arm64", "tensorflow", "2.21.0", {"glibc"}),
    ],
)
def test_a_new_release_comes_with_all_that_the_index_tells(
    name: str, part: str, release: str, by_hand: set[str]
) -> None:
    """What the catalogue knows of the newest releases is found again; what people add is not made up."""
    before = documents()
    known = before[name][part].pop()
    assert known["release"] == release
    after, notes = refreshed(before, source())
    assert notes.lost == []
    found = after[name][part][-1]
    assert {key: value for key, value in found.items() if value not in ({}, [])} == {
        key: value for key, value in known.items() if key not in by_hand
    }


def test_a_release_that_cannot_be_judged_is_left_out() -> None:
    """Torchaudio 2.11.0 does not declare which torch it goes with; of Horovod the index has nothing but the name."""
    before = documents()
    before["torch"]["torchaudio"] = [each for each in before["torch"]["torchaudio"] if each["release"] != "2.11.0"]
    after, notes = refreshed(before, source(horovod=[["horovod-0.28.1.tar.gz", ""], ["horovod-0.29.0.tar.gz", ""]]))
    assert [each["release"] for each in after["torch"]["torchaudio"]] == ["2.10.0", "2.11.1"]
    assert after["horovod"] == before["horovod"]
    assert [each.split(":")[0] for each in notes.by_hand if "left out" in each] == [
        "torchaudio 2.11.0",
        "horovod 0.29.0",
    ]


def test_releases() -> None:
    """Wheels for Linux with any tags; no free-threaded ones, none for anything else, yanked only if all are."""
    files = [
        Listed(name="torch-2.16.0-cp312-cp312-manylinux_2_28_x86_64.whl"),
        Listed(name="torch-2.16.0-cp313-cp313t-manylinux_2_28_x86_64.whl"),
        Listed(name="torch-2.16.0-cp314-cp314-manylinux_2_28_aarch64.whl", is_yanked=True),
        Listed(name="torch-2.16.0-cp315-cp315-win_amd64.whl"),
        Listed(name="torch-2.15.0-2-cp310-cp310-manylinux1_x86_64.whl", is_yanked=True),
        Listed(name="torch-1.4.0-cp27-cp27mu-manylinux1_x86_64.whl"),
        Listed(name="torch-1.0.0-cp37-cp37m-manylinux1_x86_64.whl"),
        Listed(name="torch-0.9.0-py2.py3-none-any.whl"),
        Listed(name="torch-0.8.0-py3-none-manylinux_2_17_x86_64.whl", requires_python=">=3.12,<3.14"),
        Listed(name="torch-0.7.0-cp312-abi3-manylinux_2_17_x86_64.whl"),
        Listed(name="torch-0.6.0.tar.gz"),
        Listed(name="torch-0.5.0.exe"),
    ]
    found = update_compat.releases(files, ["2.7", "3.11", "3.12", "3.13", "3.14"])
    assert {release: (each.on("x86_64"), each.on("aarch64"), each.is_yanked) for release, each in found.items()} == {
        "0.6.0": ([], [], False),
        "0.7.0": (["3.12", "3.13", "3.14"], [], False),
        "0.8.0": (["3.12", "3.13"], [], False),
        "1.0.0": (["3.7"], [], False),
        "1.4.0": (["2.7"], [], False),
        "2.15.0": (["3.10"], [], True),
        "2.16.0": (["3.12"], ["3.14"], False),
    }
    assert found["2.16.0"].glibc == 28


def test_previews_yanked_and_old_releases_are_left_out() -> None:
    """What should not be used is not offered."""
    wheel = "numpy-{}-cp312-cp312-manylinux_2_28_x86_64.whl"
    files = [[wheel.format(release), ""] for release in ("1.0.0", "2.6.0rc1", "2.6.1")] + [
        [wheel.format("2.6.0"), "", "yanked"]
    ]
    before = documents()
    after, _ = refreshed(before, source(numpy=RECORDED["files"]["numpy"] + files))
    new = [each["release"] for each in after["numpy"]["releases"] if each not in before["numpy"]["releases"]]
    assert new == ["2.6.1"]


@pytest.mark.parametrize(
    ("others", "extras", "cpu", "gpu"),
    [
        (["tensorflow-gpu"], [], ["tensorflow"], ["tensorflow-gpu"]),
        (["tensorflow-gpu", "tensorflow-cpu"], [], ["tensorflow-cpu"], ["tensorflow", "tensorflow-gpu"]),
        (["tensorflow-cpu"], [], ["tensorflow-cpu"], ["tensorflow"]),
        (["tensorflow-cpu"], ["and-cuda"], ["tensorflow-cpu"], ["tensorflow", "tensorflow[and-cuda]"]),
    ],
)
def test_packages(others: list[str], extras: list[str], cpu: list[str], gpu: list[str]) -> None:
    """To 1.14, and from 1.15.2 to 2.0, `tensorflow` is for CPUs."""
    assert update_compat.packages(others, extras) == {"cpu": cpu, "gpu": gpu}


def test_all_known_packages_of_tensorflow_follow_from_what_exists() -> None:
    """The rule holds for all releases that were sorted by the sizes of their wheels."""
    for each in catalogue.packaged("tensorflow")["releases"]:
        packages = [*each["packages"]["cpu"], *each["packages"]["gpu"]]
        extras = ["and-cuda"] if "tensorflow[and-cuda]" in packages else []
        assert update_compat.packages(packages, extras) == each["packages"], each["release"]


@pytest.mark.parametrize(
    ("without", "lost"),
    [
        ("torch-2.15.0-cp311", "torch 2.15.0: python 3.11"),
        ("torchvision-0.29.1", "torchvision 0.29.1: "),
        ("tensorflow-1.15.2", "tensorflow 1.15.2: "),
        ("tensorflow_cpu-2.20.0", "tensorflow 2.20.0: packages"),
        ("numpy-2.3.5-cp314", "numpy 2.3.5: python 3.14"),
        ("tensorrt-8.6.0-cp310", "tensorrt 8.6.0: python 3.10"),
        ("horovod", "horovod 0.28.1: "),
        ("torch-2.15.0-cp312-cp312-manylinux_2_28_aarch64", "torch on aarch64 2.15.0: python 3.12"),
        ("tensorflow_cpu_aws-2.15.1-cp311", "tensorflow on aarch64 2.15.1: python 3.11"),
    ],
)
def test_a_known_fact_does_not_vanish(without: str, lost: str) -> None:
    """It is named, and stays."""
    before = documents()
    after, notes = refreshed(before, source(without))
    assert [each for each in notes.lost if each.startswith(lost)]
    for name, parts in RELEASES.items():
        for part in parts:
            stays = {each["release"]: each for each in after[name][part]}
            assert all(each == stays[each["release"]] for each in before[name][part])


@pytest.mark.parametrize(
    ("name", "part", "release", "field", "value"),
    [
        ("torch", "releases", "2.15.0", "default", "cu130"),
        ("torch", "torchaudio", "2.11.1", "torch", "==2.11.0"),
        ("tensorflow", "releases", "2.15.1", "numpy", "<3"),
        ("tensorflow", "releases", "1.15.2", "packages", {"cpu": ["tensorflow-cpu"], "gpu": ["tensorflow"]}),
    ],
)
def test_a_contradiction_is_named(name: str, part: str, release: str, field: str, value: object) -> None:
    """A person decides who is right."""
    before = documents()
    (entry,) = (each for each in before[name][part] if each["release"] == release)
    before[name][part][before[name][part].index(entry)] = {**entry, field: value}
    _, notes = refreshed(before, source())
    (lost,) = notes.lost
    assert release in lost
    assert field in lost


def test_paddle_deletes_releases() -> None:
    """A release that left the index is reported; nothing else moves."""
    before = documents()
    builds = {
        "cu90": {"suffix": ".post97", "by": "pypi", "python": []},
        "cu102": {"by": "pypi", "python": []},
        "cu101": {"suffix": "x", "by": "url", "python": []},
    }
    before["paddle"]["releases"].insert(
        0, {"release": "1.8.5", "cpu_on_pypi": True, "cpu_python": ["3.7"], "gpu_builds": builds}
    )
    there = [["paddlepaddle_gpu-1.8.5.post97-cp37-cp37m-manylinux1_x86_64.whl", ""]]
    after, notes = refreshed(before, source(paddlepaddle_gpu=RECORDED["files"]["paddlepaddle-gpu"] + there))
    assert after["paddle"]["releases"][0] == {
        "release": "1.8.5",
        "cpu_on_pypi": False,
        "cpu_python": ["3.7"],
        "gpu_builds": {**builds, "cu102": {"by": "index", "python": []}},
    }
    assert notes.deleted == ["paddlepaddle 1.8.5", "paddlepaddle-gpu 1.8.5"]
    assert notes.lost == []


def test_cuda_build() -> None:
    """By the name that the libraries had in their time."""
    assert (
        update_compat.cuda_build(["numpy", "nvidia-cuda-runtime-cu11 (==11.7.99) ; platform_system == 'Linux'"])
        == "cu117"
    )
    assert update_compat.cuda_build(["nvidia-cuda-runtime-cu12==12.1.105"]) == "cu121"
    assert update_compat.cuda_build(['cuda-toolkit[cublas]==13.2.2; platform_system == "Linux"']) == "cu132"
    assert update_compat.cuda_build(["nvidia-cudnn-cu11==8.5.0.96"]) == ""
    on_x86 = ["nvidia-cuda-runtime-cu12==12.8.90; platform_machine == 'x86_64'"]
    assert update_compat.cuda_build(on_x86) == "cu128"
    assert update_compat.cuda_build(on_x86, "aarch64") == ""


def test_requirement() -> None:
    """On Linux, without the extras; local versions are not asked for, and what differs by Python is left to people."""
    requires = [
        "numpy<2; platform_machine == 'arm64'",
        "numpy (>=1.20)",
        "torch (==1.10.0+cu102)",
        "scipy; extra == 'all'",
    ]
    assert update_compat.requirement(requires, "numpy") == ">=1.20"
    assert update_compat.requirement(requires, "torch") == "==1.10.0"
    assert update_compat.requirement(requires, "scipy") == ""
    by_python = ["numpy<2; python_version < '3.12'", "numpy>=2; python_version >= '3.12'"]
    assert update_compat.requirement(by_python, "numpy", ["3.11", "3.12"]) == ""
    assert update_compat.requirement(by_python, "numpy", ["3.10", "3.11"]) == "<2"


@pytest.mark.parametrize("name", sorted(RELEASES))
def test_text(name: str) -> None:
    """What did not change is written as it was."""
    text = (update_compat.DATA / f"{name}.json").read_text(encoding="utf-8")
    assert update_compat.text(json.loads(text)) == text


def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Source) -> Path:
    """Run it on a copy of the recorded releases; return the folder of the data files."""
    files = {**documents(), "python": dict(catalogue.packaged("python"))}
    for name, document in files.items():
        (tmp_path / f"{name}.json").write_text(update_compat.text(document), encoding="utf-8")
    monkeypatch.setattr(update_compat, "DATA", tmp_path)
    monkeypatch.setattr(update_compat, "asked_of_index", lambda _: told)
    update_compat.main()
    return tmp_path


def test_only_what_was_looked_at_gets_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run without news, the day is all that changes."""
    monkeypatch.setattr(update_compat, "today", lambda: "2027-01-31")
    written(tmp_path, monkeypatch, source("tensorflow-1.8.0"))
    for name in RELEASES:
        document = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        before = documents()[name]
        assert document.pop("_meta") == {**before.pop("_meta"), "collected": "2027-01-31"}
        assert {key: value for key, value in document.items() if value != before[key]}.keys() <= {"releases"}
    python = json.loads((tmp_path / "python.json").read_text(encoding="utf-8"))
    assert python["_meta"] == catalogue.packaged("python")["_meta"]


def test_nothing_is_written_where_a_fact_would_vanish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It exits with an error and names the fact."""
    with pytest.raises(SystemExit) as caught:
        written(tmp_path, monkeypatch, source("numpy-2.3.5-cp314"))
    assert caught.value.code not in (None, 0)
    assert "lost: numpy 2.3.5: python 3.14" in capsys.readouterr().out
    for name in RELEASES:
        assert json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8")) == documents()[name]


def test_rules_are_silent_on_what_an_index_does_not_know() -> None:
    """A release that was only just added has no builds and no CUDA."""
    from imagematrix.compat import paddle, tensorflow, torch

    bare: dict[str, dict[str, object]] = {
        "torch": {"builds": {}},
        "tensorflow": {"packages": {"cpu": [], "gpu": []}},
        "paddle": {"gpu_builds": {}},
    }
    known = {"release": "9.0", "python": ["3.13"], "cpu_python": ["3.13"], "cpu_on_pypi": True}
    files: dict[str, catalogue.Document] = {
        name: {**catalogue.packaged(name), "releases": [{**known, **more}]} for name, more in bare.items()
    }
    catalogue.use(Corrections(documents=files))
    assert [
        *torch.torch_build("9.0", "cu140"),
        *tensorflow.tensorflow_on_cuda("9.0", "14.0"),
        *tensorflow.tensorflow_on_cudnn("9.0", "10"),
        *paddle.paddle_on_cuda("9.0", "14.0"),
        *paddle.paddle_on_python("9.0", "", "3.13", "14.0"),
        *paddle.paddle_gpu_on_pypi("9.0", "14.0"),
        *tensorflow.tensorflow_on_os("9.0", "debian12"),
    ] == []
