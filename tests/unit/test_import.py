"""Existing Dockerfiles become layers and rows: what is shared, what is a row's, what is named as not imported."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from tests import leaf_folders
from tests.leaf_folders import folders, write
from tests.unit.test_cli import Said
from tests.unit.test_cli import run as run_command

from imagematrix.commands.importing import run as importing
from imagematrix.errors import InputError
from imagematrix.model import Leaf
from imagematrix.planning.importing import ImportResult, differences, scripts
from imagematrix.project import Project, open_project
from imagematrix.tree import Tree

Typed = Callable[..., Said]
END: Final = "-python3.8-some-base"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a repository as the current folder."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Give what runs a command line."""

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["imagematrix", *words])
        return run_command(capsys, *words)

    return run


def imported(*words: str, dry: bool = False) -> ImportResult:
    return importing.run(words, file="", dry=dry)


def leaves() -> Mapping[str, Leaf]:
    project = opened()
    return project.leaves(project.matrix.rows)


def opened() -> Project:
    return open_project("matrix.toml")


def steps(leaf: Leaf) -> list[str]:
    """Return the lines of a leaf's Dockerfile but those that the renderer adds."""
    text = "".join(stage.text.partition("LABEL imagematrix.row")[0] for stage in leaf.stages)
    added = ("FROM ", "ARG LC_ALL", "ARG EPOCH", "#")
    return [line for line in text.splitlines() if line.strip() and not line.startswith(added)]


def written(root: Path) -> set[str]:
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {str(path) for path in paths if path.parts[0] in ("common", "matrix.toml", "imported.toml")}


def told(result: ImportResult) -> list[tuple[str, str, int]]:
    return [(each.code, each.file, each.line) for each in result.draft.problems]


def test_what_dockerfiles_begin_with_is_one_layer(root: Path) -> None:
    """The one that ends there gives its name; each other one has a layer on it."""
    write(root, folders())
    result = imported("tools", "torch", "flow")
    assert result.draft.problems == result.differences == ()
    assert {name: leaf.row.family.layers for name, leaf in leaves().items()} == {
        f"flow:2.15.0{END}": ("tools-imported", "flow"),
        f"tools:1{END}": ("tools-imported",),
        f"torch:2.3.0{END}": ("tools-imported", "torch-imported"),
    }
    stages = {leaf.stages[0] for leaf in leaves().values()}
    assert len({stage.text.partition("LABEL")[0] for stage in stages}) == 1


def test_build_arguments_are_values_of_rows(root: Path) -> None:
    write(root, folders())
    imported("torch")
    [row] = opened().matrix.rows
    assert {name: row.values[name] for name in ("torch_version", "download_url", "python_version", "tools_pkg")} == {
        "torch_version": "2.3.0",
        "download_url": "https://example.com/whl/cu121",
        "python_version": "3.8",
        "tools_pkg": "tools-1.sh",
    }
    assert (row.base.image, row.family.tag) == ("debian:12", "{torch_version}-python{python_version}-some-base")
    assert steps(leaves()[row.name]) == [
        "WORKDIR /root",
        "ENV SHELL=/bin/sh",
        "RUN echo Asia/Shanghai > /zone",
        "ENV TZ=Asia/Shanghai",
        'ARG TOOLS_PKG="tools-1.sh"',
        "ENV PATH=/root/tools/bin:$PATH",
        "RUN mkdir -p /root/tools/bin && \\",
        '    echo "${TOOLS_PKG}" > /root/tools/name',
        "EXPOSE 22",
        "RUN mkdir -p /init/",
        "COPY torch-imported/init /init/",
        *leaf_folders.BEGIN.splitlines()[-2:],
        'ARG TORCH_VERSION="2.3.0"',
        'ARG TORCH_VERSION_SUFFIX=""',
        'ARG DOWNLOAD_URL="https://example.com/whl/cu121"',
        *leaf_folders.TORCH.splitlines()[-6:],
    ]


def test_the_files_that_are_copied_are_in_the_leaf(root: Path) -> None:
    """With their modes."""
    write(root, folders())
    imported("tools")
    [leaf] = leaves().values()
    assert [(file.path, file.executable) for file in leaf.stages[0].inputs] == [
        ("tools-imported/init/bin/supervisord", False),
        ("tools-imported/init/boot/boot.sh", True),
    ]


def test_one_dockerfile_with_other_values_is_one_family(root: Path) -> None:
    files = folders()
    other = {path.replace("torch/", "old/"): text for path, text in files.items() if path.startswith("torch/")}
    other["old/build-scripts.sh"] = files["torch/build-scripts.sh"].replace("2.3.0", "2.2.0").replace("whl/cu121", "")
    write(root, {**files, **other})
    imported("torch", "old")
    rows = opened().matrix.rows
    assert [row.name for row in rows] == [f"torch:2.2.0{END}", f"torch:2.3.0{END}"]
    assert [row.values["download_url"] for row in rows] == ["https://example.com/", "https://example.com/whl/cu121"]


def test_a_tag_that_names_a_value_which_other_tags_do_not(root: Path) -> None:
    """Each row has a value for each axis, even if nothing needs it there."""
    text = "FROM debian:12\nARG V\nRUN v $V\n"
    calls = (
        "P=3.8\ndocker build -t x:1-py$P --build-arg V=1 --build-arg P=$P x\ndocker build -t x:two --build-arg V=2 x\n"
    )
    write(root, {"x/Dockerfile": text, "build.sh": calls})
    imported(".")
    assert {row.name: row.values["p"] for row in opened().matrix.rows} == {"x:1-py3.8": "3.8", "x:two": ""}


def test_a_value_that_only_some_images_have(root: Path) -> None:
    """Is empty in the others."""
    files = {
        "a/Dockerfile": "FROM debian:12\nARG X\nRUN echo $X\n",
        "b/Dockerfile": "FROM debian:12\nARG X\nRUN echo $X\n",
        "build.sh": "docker build -t i:a --build-arg X=1 a\ndocker build -t i:b b\n",
    }
    write(root, files)
    assert imported(".").differences == ()
    made = leaves()
    assert [steps(made[name])[0] for name in ("i:a", "i:b")] == ['ARG X="1"', 'ARG X=""']


def test_arguments_below_count_above(root: Path) -> None:
    """A layer is a stage, which knows no arguments of the stage below: they are declared again."""
    begin = "FROM debian:12\nARG A\nARG B=b c\nRUN one\n"
    write(root, {"x/Dockerfile": begin + "RUN two\n", "y/Dockerfile": begin + "RUN three\n"})
    assert imported("x", "y").differences == ()
    for name in ("x:latest", "y:latest"):
        assert [line for line in leaves()[name].stages[1].text.splitlines() if line.startswith("ARG")][1:] == [
            "ARG A",
            'ARG B="b"',
            "ARG c",
        ]


def test_other_files_are_another_beginning(root: Path) -> None:
    text = "FROM debian:12\nRUN one\nCOPY f /f\nRUN two\n"
    write(root, {"x/Dockerfile": text, "x/f": "1\n", "y/Dockerfile": text, "y/f": "2\n"})
    imported("x", "y")
    assert {name: leaf.row.family.layers for name, leaf in leaves().items()} == {
        "x:latest": ("shared", "x"),
        "y:latest": ("shared", "y"),
    }
    assert "RUN two" in leaves()["x:latest"].stages[1].text


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("RUN a  b", "RUN a b", True),
        ("RUN a \\\n    b", "RUN a \\\n  b", True),
        ("RUN echo 'a  b'", "RUN echo 'a b'", False),
        ("RUN <<E\na\nE", "RUN <<E\na\n\nE", False),
        ("# why\nRUN a", "RUN a", True),
        ("COPY f /f", "COPY ./f /f", False),
        ("ARG A=1\nRUN a", "ARG A=2\nRUN a", True),
        ("ARG A=1\nARG B=$A\nRUN a", "ARG A=1\nARG B=${A}\nRUN a", False),
    ],
)
def test_which_steps_are_the_same(root: Path, one: str, other: str, is_same: bool) -> None:
    texts = {"x/Dockerfile": f"FROM debian:12\n{one}\nRUN x\n", "y/Dockerfile": f"FROM debian:12\n{other}\nRUN y\n"}
    write(root, {**texts, "x/f": "f\n", "y/f": "f\n"})
    assert imported("x", "y").differences == ()
    assert ("shared" in leaves()["x:latest"].row.family.layers) is is_same


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RUN one", "RUN two"),
        ("RUN one\n", ""),
        ("RUN one\n", "RUN one\nRUN two\n"),
        ("ENV B=1\nRUN one", "RUN one\nENV B=1"),
        ('ARG A="1"', 'ARG A="2"'),
        ('ARG A="1"\n', ""),
        ("--chmod=755 ", ""),
        ("COPY --chmod=755 x/f /f", "COPY --chmod=755 x/g /f"),
        (" /f", " /g"),
    ],
)
def test_each_difference_of_a_leaf_is_found(root: Path, old: str, new: str) -> None:
    """Whatever drafted it."""
    text = "FROM debian:12\nARG A=1\nENV B=1\nRUN one\nCOPY --chmod=755 f /f\n"
    write(root, {"x/Dockerfile": text, "x/f": "f\n"})
    [row] = imported("x").draft.rows
    assert list(differences(row, leaves()["x:latest"], {})) == []
    template = root / "common/layers/x/Dockerfile.j2"
    assert old in template.read_text()
    template.write_text(template.read_text().replace(old, new))
    write(root, {"common/layers/x/files/g": "g\n"})
    found = list(differences(row, leaves()["x:latest"], {}))
    assert {(each.code, each.file) for each in found} == {("import_difference", "x/Dockerfile")}
    assert all(each.line for each in found)


def test_what_does_no_work_is_not_shared(root: Path) -> None:
    write(root, {f"{name}/Dockerfile": f"FROM debian:12\nENV A=1\nRUN {name}\n" for name in "xy"})
    imported("x", "y")
    assert {leaf.row.family.layers for leaf in leaves().values()} == {("x",), ("y",)}


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("debian:bookworm-slim", "debian-bookworm-slim"),
        ("continuumio/miniconda3:24.1.2-0", "miniconda3-24.1.2-0"),
        ("ubuntu:22.04", "ubuntu22.04"),
        ("registry.example.com/team/base", "base"),
    ],
)
def test_what_a_base_is_called(root: Path, image: str, name: str) -> None:
    """Its image's name and tag, parted where they would run into one another."""
    write(root, {"a/Dockerfile": f"FROM {image}\nRUN true\n"})
    imported("a")
    assert opened().matrix.bases[name].image == image


def test_an_image_that_is_built_on_another_one(root: Path) -> None:
    files = {
        "x/Dockerfile": "FROM r.example.com/team/y:1\nRUN x\n",
        "y/Dockerfile": "FROM debian:12\nRUN y\n",
        "build.sh": "docker build -t r.example.com/team/y:1 y\ndocker build -t r.example.com/team/x:1 x\n",
    }
    write(root, files)
    result = imported(".")
    assert {name: leaf.row.family.layers for name, leaf in leaves().items()} == {"x:1": ("y", "x"), "y:1": ("y",)}
    assert opened().matrix.registries == ("r.example.com/team",)
    assert result.differences == ()


def test_a_whole_dockerfile_takes_no_value_of_the_layers_below(root: Path) -> None:
    """Its arguments have the names of the row's values: those of other layers are called otherwise."""
    files = {
        **APP,
        "app/Dockerfile": "FROM y:1\nARG V=1\nCOPY . /app\nRUN x $V\n",
        "y/Dockerfile": "FROM debian:12\nARG V\nRUN y $V\n",
        "build.sh": "docker build -t y:1 --build-arg V=2 y\ndocker build -t app:1 app\n",
    }
    write(root, files)
    assert imported(".").differences[1:] == ()
    below, above = leaves()["app:1"].stages
    assert ('ARG V="2"' in below.text, "ARG V=1" in above.text) == (True, True)


def test_two_whole_dockerfiles_with_other_values(root: Path) -> None:
    """Of one argument cannot be one row."""
    files = {
        **APP,
        "app/Dockerfile": "FROM y:1\nARG V=1\nCOPY . /app\n",
        "y/Dockerfile": "FROM debian:12\nARG V\nCOPY . /y\n",
        "build.sh": "docker build -t y:1 --build-arg V=2 y\ndocker build -t app:1 app\n",
    }
    write(root, files)
    assert told(imported(".")) == [("import", "app/Dockerfile", 0)]


def test_an_image_that_is_built_on_one_that_is_left_out(root: Path) -> None:
    """Is left out too: no registry has what it is built on."""
    files = {
        "x/Dockerfile": "FROM y:1\nRUN x\n",
        "y/Dockerfile": "FROM debian:12\nRUNN y\n",
        "build.sh": "docker build -t y:1 y\ndocker build -t x:1 x\n",
    }
    write(root, files)
    assert told(imported(".")) == [("dockerfile_instruction", "y/Dockerfile", 2), ("import", "x/Dockerfile", 0)]


def test_an_argument_with_another_value_above(root: Path) -> None:
    """Of an image that is built on another one: each layer has a value of its own, and knows none of the one below."""
    files = {
        "x/Dockerfile": "FROM y:1\nARG V\nRUN x $V\n",
        "y/Dockerfile": "FROM debian:12\nARG V\nARG W\nRUN y\n",
        "build.sh": "docker build -t y:1 --build-arg V=1 --build-arg W=w y\ndocker build -t x:1 --build-arg V=2 x\n",
    }
    write(root, files)
    assert imported(".").differences == ()
    below, above = leaves()["x:1"].stages
    assert [line for line in below.text.splitlines() if line.startswith("ARG")][1:] == ['ARG V="1"', 'ARG W="w"']
    assert [line for line in above.text.splitlines() if line.startswith("ARG")][1:] == ['ARG V="2"']


def test_arguments_at_the_end_of_a_beginning_belong_to_what_follows(root: Path) -> None:
    write(root, {f"{name}/Dockerfile": f"FROM debian:12\nRUN a\nARG V=1\nRUN {name}\n" for name in "xy"})
    imported("x", "y")
    below, above = leaves()["x:latest"].stages
    assert ("ARG V" in below.text, "ARG V" in above.text) == (False, True)


def test_stages_on_one_another_are_taken_apart(root: Path) -> None:
    """An argument before the first FROM gives a value, that of the base is the row's."""
    text = (
        "ARG BASE=debian:12\nARG V=1.15\nFROM ${BASE} AS a\nARG BASE\nENV B=1\nFROM a AS b\nARG V\nRUN v $V\n"
        "FROM b\nRUN last\n"
    )
    write(root, {"x/Dockerfile": text, "y/Dockerfile": text.replace("1.15", "2.4").replace(":12", ":13")})
    assert imported("x", "y").differences == ()
    made = leaves()
    assert [(leaf.row.name, leaf.row.family.layers, leaf.base_image) for leaf in made.values()] == [
        ("x:latest", ("x", "x-2"), "debian:12"),
        ("y:latest", ("x", "x-2"), "debian:13"),
    ]
    assert steps(made["y:latest"]) == ["ENV B=1", 'ARG V="2.4"', "RUN v $V", "RUN last"]


WHOLE: Final[Mapping[str, tuple[str, int]]] = {
    "stages": ("FROM golang:1 AS a\nRUN make\nFROM debian:12\nCOPY --from=a /a /b\n", 3),
    "all of the context": ("FROM debian:12\nCOPY . /app\n", 2),
    "a wildcard": ("FROM debian:12\nCOPY *.py /app/\n", 2),
    "a template": ("FROM debian:12\nCOPY page.j2 /app/\n", 2),
    "a README": ("FROM debian:12\nCOPY README.md /app/\n", 2),
    "a mount": ("FROM debian:12\nRUN --mount=type=bind,target=/x make\n", 2),
}
APP: Final = {"app/main.py": "pass\n", "app/page.j2": "{{ x }}\n", "app/README.md": "# App\n"}


@pytest.mark.parametrize(("text", "line"), WHOLE.values(), ids=WHOLE)
def test_what_is_not_taken_apart_is_a_whole_dockerfile(root: Path, text: str, line: int) -> None:
    """The differences name the line that is the reason."""
    write(root, {**APP, "app/Dockerfile": text})
    result = imported(".")
    assert ("import_difference", "app/Dockerfile", line) in [(e.code, e.file, e.line) for e in result.differences]
    assert opened().matrix.dockerfiles["app"].file == "app/Dockerfile"
    assert written(root) == {"matrix.toml"}
    assert list(leaves()) == ["app:latest"]


def test_arguments_of_a_whole_dockerfile(root: Path) -> None:
    text = "ARG V=1\nFROM golang:$V AS a\nFROM debian:12\nCOPY --from=a /a /b\n"
    write(root, {"app/Dockerfile": text, "app/build.sh": "docker build --build-arg V=2 --target= -t app:v2 .\n"})
    imported("app")
    assert "FROM golang:2 AS app-a" in leaves()["app:v2"].dockerfile


def test_a_script_is_read_as_far_as_it_tells(root: Path) -> None:
    """What it does not tell is named; other images are imported."""
    lines = [
        "#!/bin/sh",
        'cd "$(dirname "$0")"',
        "V=${1:-1.0}",
        "cp -r ../init .",
        "docker build -t x:$V . && docker push x:$V",
        "docker build -t x:$(date +%F) .",
        "for v in 1 2; do",
        "  docker build -t y:$v .",
        "done",
    ]
    write(root, {"x/Dockerfile": "FROM debian:12\nRUN x\n", "x/build.sh": "\n".join(lines) + "\n"})
    result = imported("x")
    assert [row.name for row in result.draft.rows] == ["x:1.0"]
    assert told(result) == [("import_call", "x/build.sh", 6), ("import_call", "x/build.sh", 8)]
    assert [(each.code, each.line) for each in result.differences] == [("import_unread", 4), ("import_unread", 7)]


def unread(*lines: str) -> list[tuple[str, int]]:
    return [(each.code, each.line) for each in scripts.read("\n".join(lines), file="b.sh")[1]]


@pytest.mark.parametrize(
    ("lines", "images"),
    [
        (["docker build -t a:1 ."], ["a:1"]),
        (["sudo DOCKER_BUILDKIT=1 docker buildx build --load --tag=a:1 --network host . > log 2>&1"], ["a:1"]),
        (["A=1; B=${A}-x", 'docker build -t "a:$B" . || exit 1'], ["a:1-x"]),
        (["export A='1'  # why", "docker build -t a:${A} . # -t b"], ["a:1"]),
        (["A=${1:-2}", "docker build -t a:${A:-3} ."], ["a:2"]),
        (["set -e && cd sub && docker build -t a:1 -t b:2 . && docker push a:1"], ["a:1 b:2"]),
        (["echo 'docker build -t no:1 .'", "docker build --build-arg 'X=>=1' -t a:1 ."], ["a:1"]),
        (["docker buildx bake", "docker build -t a:1 \\", "  . &"], ["a:1"]),
        (["docker build . --no-cache-filter b --provenance false -t a:1"], ["a:1"]),
    ],
)
def test_a_call_in_a_script(lines: list[str], images: list[str]) -> None:
    found, _ = scripts.read("\n".join(lines), file="b.sh")
    assert [" ".join(call.images) for call in found] == images
    assert {call.context for call in found} <= {".", "sub"}
    assert unread(*lines) == []


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["[ -n $A ] && docker build -t a:1 ."], [("import_call", 1)]),
        (["make x || docker build -t a:1 ."], [("import_call", 1)]),
        (["f() {", "docker build -t a:1 .", "}"], [("import_call", 2)]),
        (["A=1", "if x; then A=2; fi", "docker build -t a:$A ."], [("import_call", 3)]),
        (["A=1", "[ x ] && A=2", "docker build -t a:$A ."], [("import_call", 3)]),
        (["A=(x y)", "docker build ${A[@]} -t a:1 ."], [("import_call", 2)]),
        (["cat > x <<END", "docker build -t no:$(x) .", "END", "docker build -t a:1 ."], [("import_unread", 1)]),
        (
            ["case $1 in", "-a) A=$2; shift 2 ;;", "esac", "docker build -t a:$A ."],
            [("import_call", 4)],
        ),
        (["cp a b; cp c d", "mv x y", "docker build ."], [("import_unread", 1), ("import_unread", 2)]),
        (["cp a b", "mv x y"], []),
        (["docker build -t a:`date` ."], [("import_call", 1)]),
        (["docker build --secret id=x,src=y --label a=b -t a:1 ."], [("import_unread", 1)] * 2),
        (["echo 'never closed", "docker build -t a:1 ."], [("import_unread", 1)]),
    ],
)
def test_what_a_script_leaves_open(lines: list[str], found: list[tuple[str, int]]) -> None:
    """A call whose values, or whose running, only a run would tell."""
    assert unread(*lines) == found


def test_bake(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that is another one's context is what that one is built on."""
    monkeypatch.setattr(importing, "_bake", lambda _: (BAKE, ""))
    files = {
        "b/docker-bake.hcl": "",
        "b/app/Dockerfile": "FROM below\nARG V\nRUN x\n",
        "b/below/Dockerfile": "FROM debian:12\nRUN y\n",
    }
    write(root, files)
    result = imported("b")
    assert {name: leaf.row.family.layers for name, leaf in leaves().items()} == {
        "app:1": ("below", "app"),
        "below:latest": ("below",),
    }
    assert told(result) == [("import_bake", "b/docker-bake.hcl", 0)]


def test_bake_that_fails(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Dockerfiles are imported as if there were no bake file."""
    monkeypatch.setattr(importing, "_bake", lambda _: ("", "no such variable"))
    write(root, {"b/docker-bake.hcl": "", "b/Dockerfile": "FROM debian:12\nRUN y\n"})
    result = imported("b")
    assert (told(result), [row.name for row in result.draft.rows]) == (
        [("import_bake", "b/docker-bake.hcl", 0)],
        ["b:latest"],
    )


@pytest.mark.parametrize("said", ["[]", "no JSON", '{"target": {"x": {"context": "https://example.com/x.git"}}}'])
def test_bake_that_says_nothing_of_use(root: Path, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_bake", lambda _: (said, ""))
    write(root, {"b/docker-bake.hcl": "", "b/Dockerfile": "FROM debian:12\nRUN y\n"})
    assert ("import_bake", "b/docker-bake.hcl", 0) in told(imported("b"))


BAKE: Final = """{"target": {
  "app": {"context": "app", "dockerfile": "Dockerfile", "contexts": {"below": "target:below"}, "args": {"V": "1"},
          "tags": ["app:1"]},
  "below": {"context": "below", "dockerfile": "Dockerfile"},
  "inline": {"context": ".", "dockerfile-inline": "FROM scratch"}
}}"""


def test_what_images_were_built_for(root: Path) -> None:
    """Platforms that all agree on are those of the matrix; else each image says what it was built for."""
    build = "docker buildx build --platform {} -t {}:1 {}\n"
    both = "linux/amd64,linux/arm64"
    files = {"a/Dockerfile": "FROM debian:12\nRUN x\n", "b/Dockerfile": "FROM debian:12\nRUN y\n"}
    write(root, {**files, "build.sh": build.format(both, "a", "a") + build.format(both, "b", "b")})
    assert imported(".").differences == ()
    assert leaves().keys() == {"a:1", "a:1-arm64", "b:1", "b:1-arm64"}

    (root / "matrix.toml").unlink()
    write(root, {**files, "build.sh": build.format(both, "a", "a") + build.format("linux/amd64", "b", "b")})
    found = imported(".").differences
    assert [(each.code, each.line, each.hint) for each in found] == [
        ("import_difference", 1, 'name what the family is for: platforms = ["linux/amd64", "linux/arm64"]'),
        ("import_difference", 2, 'name what the family is for: platforms = ["linux/amd64"]'),
    ]
    assert leaves().keys() == {"a:1", "b:1"}


def test_an_image_that_begins_with_nothing(root: Path) -> None:
    """Has a base of that name, whether its Dockerfile is taken apart or not."""
    files = {
        "x/Dockerfile": "FROM scratch\nADD rootfs.tar /\n",
        "x/rootfs.tar": "t\n",
        "y/Dockerfile": "FROM golang:1 AS a\nFROM scratch\nCOPY --from=a /a /b\n",
    }
    write(root, files)
    assert imported(".").draft.problems == ()
    made = leaves()
    assert {leaf.base_image for leaf in made.values()} == {"scratch"}
    assert "FROM ${BASE_IMAGE} AS y\n" in made["y:latest"].dockerfile


def test_named_contexts_are_source_folders(root: Path) -> None:
    """Of a Dockerfile that copies out of them; one that means another folder by the name is left out."""
    text = "FROM debian:12\nCOPY --from=lib a.py /lib/\n"
    files = {"x/Dockerfile": text, "y/Dockerfile": text, "lib/a.py": "a\n", "other/a.py": "b\n"}
    calls = "docker build -t x:1 --build-context lib=lib x\ndocker build -t y:1 --build-context lib=./other y\n"
    write(root, {**files, "build.sh": calls})
    result = imported(".")
    assert told(result) == [("import", "y/Dockerfile", 0)]
    assert opened().matrix.sources == {"lib": "lib"}
    assert [file.content for file in leaves()["x:1"].stages[0].inputs] == [b"a\n"]


def test_a_named_context_that_is_an_image(root: Path) -> None:
    """May take the place of the base, and of nothing else."""
    calls = "docker build -t {0}:1 --build-context below=docker-image://debian:12 {0}\n"
    files = {
        "x/Dockerfile": "FROM below\nRUN x\n",
        "y/Dockerfile": "FROM debian:13\nCOPY --from=below /a /b\n",
        "build.sh": calls.format("x") + calls.format("y"),
    }
    write(root, files)
    assert told(imported(".")) == [("import", "y/Dockerfile", 2)]
    assert leaves()["x:1"].base_image == "debian:12"


def test_a_context_above_the_dockerfile(root: Path) -> None:
    """Where nothing says it, the context is the nearest folder that has what is copied."""
    write(root, {"docker/web/Dockerfile": "FROM debian:12\nCOPY src/a.py /a.py\n", "src/a.py": "a\n"})
    result = imported(".")
    assert (told(result), [each.code for each in result.differences]) == ([], ["import_difference"])
    [leaf] = leaves().values()
    assert [file.path for file in leaf.stages[0].inputs] == ["web/src/a.py"]


def test_an_argument_that_no_row_can_give(root: Path) -> None:
    """Of a whole Dockerfile: that is a difference."""
    call = "docker build -t app:1 --build-arg TAG=2 .\n"
    write(root, {**APP, "app/Dockerfile": "FROM debian:12\nARG TAG=1\nCOPY . /app\n", "app/b.sh": call})
    said = [each.message for each in imported("app").differences]
    assert [message for message in said if " TAG " in message]
    assert "ARG TAG=1" in leaves()["app:1"].dockerfile


def test_the_argument_that_is_the_base_of_a_whole_dockerfile(root: Path) -> None:
    """Is not repeated in the row."""
    write(root, {**APP, "app/Dockerfile": "ARG B\nFROM $B\nCOPY . /app\n", "app/b.sh": SCRIPT_OF_APP})
    imported("app")
    [row] = opened().matrix.rows
    assert (row.base.image, "b" in row.values) == ("debian:13", False)


def test_arguments_on_one_line_before_the_first_stage(root: Path) -> None:
    """Each of them is the Dockerfile's, not only the first."""
    call = "docker build -t app:1 --build-arg VERSION=13 .\n"
    dockerfile = "ARG OTHER=1 VERSION=12\nFROM debian:$VERSION\nRUN x\n"
    write(root, {"app/Dockerfile": dockerfile, "app/b.sh": call})
    result = imported("app")
    assert ([row.base.image for row in opened().matrix.rows], result.differences) == (["debian:13"], ())


def test_each_difference_is_told(root: Path) -> None:
    """What a row cannot have of its image, at the line of the Dockerfile or of the call."""
    dockerfile = "FROM --platform=linux/amd64 debian:12\nCOPY --from=tools /a /a\nRUN x\n"
    call = "docker build -t a.io/one/app:1 -t a.io/one/again:1 --build-arg NONE=1 .\n"
    other = {"o/Dockerfile": "FROM debian:12\nRUN y\n", "o/b.sh": "docker build -t b.io/two/other:1 .\n"}
    write(root, {"app/Dockerfile": dockerfile, "app/b.sh": call, **other})
    told_at = {(each.file, each.line): each.message for each in imported("app", "o").differences}
    assert told_at.keys() >= {("app/Dockerfile", 1), ("app/Dockerfile", 0), ("app/b.sh", 1), ("o/b.sh", 1)}
    assert "NONE" in told_at["app/Dockerfile", 0]
    assert "COPY --from=tools:latest /a /a" in leaves()["app:1"].dockerfile


def test_a_default_that_only_quotes_can_hold(root: Path) -> None:
    write(root, {"a/Dockerfile": "FROM debian:12\nARG A='say \"x\" \\ once'\nRUN echo\n"})
    imported("a")
    assert steps(leaves()["a:latest"])[0] == r'ARG A="say \"x\" \\ once"'


SCRIPT_OF_APP: Final = "docker build -t app:1 --build-arg B=debian:13 .\n"

HOSTILE: Final[Mapping[str, tuple[Mapping[str, str], str, int, str]]] = {
    "an unknown instruction": (
        {"bad/Dockerfile": "FROM debian\nRUNN x\n"},
        "bad/Dockerfile",
        2,
        "dockerfile_instruction",
    ),
    "another escape": ({"bad/Dockerfile": "# escape=`\nFROM debian\n"}, "bad/Dockerfile", 1, "dockerfile_directive"),
    "no end": ({"bad/Dockerfile": "FROM debian\nRUN <<E\nx\n"}, "bad/Dockerfile", 2, "dockerfile_unterminated"),
    "ONBUILD": ({"bad/Dockerfile": "FROM debian\nONBUILD RUN x\n"}, "bad/Dockerfile", 2, "dockerfile_onbuild"),
    "not text": ({"bad/Dockerfile": "\x00\x01\nFROM debian\n"}, "bad/Dockerfile", 1, "dockerfile_instruction"),
    "not UTF-8": ({"bad/Dockerfile": "FROM debian\n# \udcff\n"}, "bad/Dockerfile", 0, "encoding"),
    "empty": ({"bad/Dockerfile": ""}, "bad/Dockerfile", 1, "dockerfile_from"),
    "an argument without a default": ({"bad/Dockerfile": "ARG B\nFROM $B\n"}, "bad/Dockerfile", 2, "import"),
    "a name that no registry accepts": ({"bad/Dockerfile": "FROM Debian\n"}, "bad/Dockerfile", 1, "import"),
    "a file that there is not": ({"bad/Dockerfile": "FROM debian\nCOPY x /\n"}, "bad/Dockerfile", 2, "missing_source"),
    "a secret": ({"bad/Dockerfile": "FROM debian\nCOPY .env /\n", "bad/.env": "A=1\n"}, "bad/Dockerfile", 2, "secret"),
    "no Dockerfile": ({"bad/notes.txt": ""}, "bad", 0, "import_nothing"),
    "a script without its Dockerfile": ({"bad/b.sh": "docker build -t x:1 .\n"}, "bad/b.sh", 1, "import"),
    "a context elsewhere": (
        {"bad/Dockerfile": "FROM debian\n", "bad/b.sh": "docker build -t x:1 -f Dockerfile ..\n"},
        "bad/b.sh",
        1,
        "import",
    ),
    "nothing but its base": ({"bad/Dockerfile": "FROM debian\n"}, "bad/Dockerfile", 0, "import"),
    "a value of several lines": (
        {"bad/Dockerfile": "FROM debian\nARG V\nRUN x\n", "bad/b.sh": "docker build --build-arg 'V=a\tb' .\n"},
        "bad/b.sh",
        1,
        "import",
    ),
    "itself": (
        {"bad/Dockerfile": "FROM x:1\nRUN y\n", "bad/b.sh": "docker build -t x:1 .\n"},
        "bad/Dockerfile",
        0,
        "import_cycle",
    ),
    "a named context that is a target": (
        {
            "bad/Dockerfile": "FROM debian\nCOPY --from=x /a /b\n",
            "bad/b.sh": "docker build --build-context x=target:y .\n",
        },
        "bad/Dockerfile",
        2,
        "import",
    ),
    "a name twice": (
        {"bad/Dockerfile": "FROM debian\nRUN z\n", "bad/b.sh": "docker build -t good:latest .\n"},
        "bad/b.sh",
        1,
        "import_twice",
    ),
}


@pytest.mark.parametrize(("files", "file", "line", "code"), HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_imported_is_named_and_the_others_are_imported(
    root: Path, files: Mapping[str, str], file: str, line: int, code: str
) -> None:
    write(root, {**files, "good/Dockerfile": "FROM debian:12\nRUN good\n"})
    result = imported("good", "bad")
    assert (told(result), [row.name for row in result.draft.rows]) == ([(code, file, line)], ["good:latest"])
    assert list(leaves()) == ["good:latest"]


def test_a_circle_of_images(root: Path) -> None:
    files = {
        "a/Dockerfile": "FROM b:1\n",
        "b/Dockerfile": "FROM a:1\n",
        "build.sh": "docker build -t a:1 a\ndocker build -t b:1 b\n",
        "c/Dockerfile": "FROM a:1\n",
    }
    write(root, files)
    result = imported(".")
    assert {code for code, _, _ in told(result)} == {"import_cycle"}
    assert not result.draft.rows
    assert written(root) == set()


def test_a_link_in_the_folder_of_a_whole_dockerfile(root: Path) -> None:
    """Leaves could not hold it: the image is left out."""
    write(
        root, {**APP, "app/Dockerfile": "FROM debian:12\nCOPY . /app\n", "good/Dockerfile": "FROM debian:12\nRUN a\n"}
    )
    (root / "app/link").symlink_to("/etc/passwd")
    result = imported(".")
    assert told(result) == [("unsafe_path", "app/link", 0)]
    assert list(leaves()) == ["good:latest"]


def test_windows_line_ends(root: Path) -> None:
    files = {path: text.replace("\n", "\r\n") for path, text in folders().items()}
    write(root, files)
    assert imported("tools").differences == ()
    [leaf] = leaves().values()
    assert "\r" not in leaf.dockerfile
    assert leaf.row.name == f"tools:1{END}"


def test_leaves_are_not_imported(root: Path) -> None:
    """A folder that has images imports those that nothing rendered."""
    write(root, folders())
    imported("tools")
    project = opened()
    project.repository.leaves.write(project.files(leaves()), keep=project.directories())
    write(root, {"images/mine/Dockerfile": "FROM debian:12\nRUN a\n"})
    assert [row.name for row in imported("images").draft.rows] == ["mine:latest"]


def test_a_dry_run_writes_nothing(root: Path) -> None:
    write(root, folders())
    result = imported("tools", dry=True)
    assert "[families.tools]" in result.text
    assert written(root) == set()


def test_a_dry_run_beside_a_matrix_writes_nothing(root: Path) -> None:
    write(root, {**folders(), "matrix.toml": MATRIX})
    before = {path for path in root.rglob("*") if path.is_file()}
    assert imported("tools", dry=True).is_added
    assert {path for path in root.rglob("*") if path.is_file()} == before
    assert (root / "matrix.toml").read_text() == MATRIX


def test_a_file_that_cannot_be_read(root: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no reason for a traceback, and nothing is written."""
    write(root, folders())

    def refuse(*_: object, **__: object) -> bytes:
        raise PermissionError(13, "Permission denied", "tools/Dockerfile")

    monkeypatch.setattr(Tree, "read", refuse)
    said = typed("import", "tools")
    assert (said.code, "cannot read tools/Dockerfile" in said.err, "Traceback" in said.err) == (1, True, False)
    assert written(root) == set()


def test_a_folder_that_there_is_not(root: Path, typed: Typed) -> None:
    said = typed("import", "nosuch")
    assert (said.code, said.out, "nosuch is not a folder" in said.err) == (2, "", True)
    assert written(root) == set()


def test_exit_codes(root: Path, typed: Typed) -> None:
    """0: all is imported; 1: something is not; 2: nothing is."""
    write(root, {"good/Dockerfile": "FROM debian:12\nRUN a\n", "bad/Dockerfile": "RUN x\n"})
    assert typed("import", "bad").code == 2
    assert typed("import", "good", "bad").code == 1
    assert typed("import", "good").code == 2  # it is a row already
    assert typed("import").code == 2


MATRIX: Final = """\
schema = 1  # mine

[bases.mine]
image = "debian:12"

[families.tools]
layers = ["boot"]
tag = "{flavour}"
base = "mine"
row = [{flavour = "plain"}]
"""


def test_a_matrix_that_exists_is_continued(root: Path) -> None:
    """Its text and its rows stay; a base with the same image is used again; a family of that name stays what it is."""
    old = MATRIX
    write(root, {**folders(), "matrix.toml": old})
    before = opened().matrix.rows
    result = imported("tools")
    assert (root / "matrix.toml").read_text().startswith(old)
    rows = {row.name: row for row in opened().matrix.rows}
    assert [rows[row.name] for row in before] == list(before)
    assert rows[f"tools-imported:1{END}"].base.name == "mine"
    assert result.is_added
    assert [each.code for each in result.differences] == ["import_difference"]


def test_a_matrix_with_windows_line_ends_keeps_them(root: Path) -> None:
    write(root, {**folders(), "matrix.toml": MATRIX.replace("\n", "\r\n")})
    imported("torch")
    text = (root / "matrix.toml").read_bytes()
    assert text.count(b"\n") == text.count(b"\r\n")


def test_a_matrix_that_cannot_be_continued_is_left_as_it_is(root: Path) -> None:
    """Its tables are inline: the draft is a matrix of its own beside it, and can be rendered."""
    old = MATRIX.replace('[bases.mine]\nimage = "debian:12"', 'bases = {mine = {image = "debian:13"}}')
    write(root, {**folders(), "matrix.toml": old})
    result = imported("tools")
    assert (root / "matrix.toml").read_text() == old
    assert (result.matrix, bool(result.why_beside)) == ("imported.toml", True)
    project = open_project("imported.toml")
    assert list(project.leaves(project.matrix.rows)) == [f"tools-imported:1{END}"]


def test_a_matrix_is_not_continued_if_that_changes_a_row(root: Path) -> None:
    write(root, {**folders(), "matrix.toml": MATRIX})
    draft = imported("tools", dry=True).draft
    text = MATRIX + draft.sections
    assert importing._why_not(opened(), draft, text) == ""
    assert "tools:plain" in importing._why_not(opened(), draft, text.replace('layers = ["boot"]', 'layers = ["tools"]'))


def test_a_matrix_that_is_wrong_is_reported_first(root: Path) -> None:
    write(root, {**folders(), "matrix.toml": "schema = 1\ncolour = 1\n"})
    with pytest.raises(InputError):
        imported("tools")
    assert written(root) == {"matrix.toml"}


def test_a_folder_outside_the_repository(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Is copied from, where it can be taken apart; a whole Dockerfile would lie outside."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere, {**folders(), **APP, "app/Dockerfile": "FROM debian:12\nCOPY . /app\n"})
    result = imported(str(elsewhere / "tools"), str(elsewhere / "app"))
    assert [row.name for row in result.draft.rows] == [f"tools:1{END}"]
    assert told(result) == [("import", f"{elsewhere}/app/Dockerfile", 2)]


def test_values_that_a_template_could_take_for_its_own(root: Path) -> None:
    text = "FROM debian:12\nARG A\nRUN echo '{{ x }} {% y %} {# z' ${#A} \"$A\"\n# {{ comment\nENV B='{{'\n"
    write(root, {"x/Dockerfile": text, "x/b.sh": "docker build -t x:1 --build-arg A='a\"b\\c' .\n"})
    assert imported("x").differences == ()
    assert steps(leaves()["x:1"]) == [
        'ARG A="a\\"b\\\\c"',
        "RUN echo '{{ x }} {% y %} {# z' ${#A} \"$A\"",
        "ENV B='{{'",
    ]


def test_a_tag_that_follows_from_nothing(root: Path) -> None:
    """Is a value of its row."""
    text = "FROM debian:12\nARG V\nRUN v\n"
    scripts = "docker build -t x:one --build-arg V=1.0 x\ndocker build -t x:two --build-arg V=2.0 x\n"
    write(root, {"x/Dockerfile": text, "build.sh": scripts})
    imported(".")
    assert [row.name for row in opened().matrix.rows] == ["x:one", "x:two"]


def test_folders_without_a_script(root: Path) -> None:
    """Folders and the endings of Dockerfiles are their names."""
    text = "FROM debian:12\nRUN {0}\n"
    paths = ("pytorch/2.3/Dockerfile", "web/Dockerfile", "web/Dockerfile.gpu", "docker/web.Dockerfile", "Dockerfile.j2")
    write(root, {path: text.format(path) for path in paths})
    imported(".")
    assert {row.name for row in opened().matrix.rows} == {"pytorch:2.3", "web:latest", "web-gpu:gpu"}


def test_an_argument_whose_name_rules_judge(root: Path) -> None:
    """Is not taken for what they mean by it."""
    write(
        root,
        {"x/Dockerfile": "FROM debian:12\nARG CUDA\nRUN x\n", "x/b.sh": "docker build -t x:1 --build-arg CUDA=a .\n"},
    )
    imported("x")
    [row] = opened().matrix.rows
    assert ("cuda" in row.values, row.values["arg_cuda"]) == (False, "a")
