"""Whole Dockerfiles as layers, and source folders: what is in the leaf, what is in the key, what is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import projects

from imagematrix.errors import InputError
from imagematrix.model import Downloads, Leaf
from imagematrix.planning import handwritten
from imagematrix.planning.handwritten import Ignored, is_match
from imagematrix.project import Project, open_project

MATRIX: Final = """\
schema = 1

[dockerfiles.app]
file = "services/app/Dockerfile"

[bases.debian]
image = "debian:12"

[bases.below]
image = "debian:13"

[families.app]
layers = ["app"]
tag = "{go_version}-{base}"

[families.app.axes]
base = ["debian"]
go_version = ["1.22", "1.23"]
"""
DOCKERFILE: Final = """\
# syntax=docker/dockerfile:1
ARG GO_VERSION=1.21
ARG BASE
FROM golang:${GO_VERSION} AS build
ARG GO_VERSION
COPY go.mod go.* ./
COPY . .
RUN --mount=type=bind,target=/x \\
    # within
    go build -o /app '{{.X}}' ${#X}
FROM ${BASE} AS runtime
RUN echo ready
FROM runtime
COPY --from=build /app /app
COPY --from=0 /src /src
COPY <<END /hi
hello
END
COPY ["src/a b", "/z/"]
"""
APP: Final[Mapping[str, str]] = {
    "services/app/Dockerfile": DOCKERFILE,
    "services/app/go.mod": "module app\n",
    "services/app/go.sum": "",
    "services/app/main.go": "package main\n",
    "services/app/src/a b": "x",
    "services/app/build/out": "made\n",
    "services/app/.dockerignore": "build\n",
}
ROW: Final = "app:1.23-debian"


def opened(root: Path, files: Mapping[str, str] = APP, *, matrix: str = MATRIX) -> Project:
    (root / ".git").mkdir(exist_ok=True)
    return projects.project(root, matrix=matrix, files=files)


def leaf(root: Path, dockerfile: str = DOCKERFILE, *, matrix: str = MATRIX, name: str = ROW, **more: str) -> Leaf:
    project = opened(root, {**APP, "services/app/Dockerfile": dockerfile, **more}, matrix=matrix)
    return project.leaves(project.matrix.rows)[name]


def text(root: Path, dockerfile: str, **more: str) -> list[str]:
    return own(leaf(root, dockerfile, **more))


def own(made: Leaf, stage: int = 0) -> list[str]:
    """Return the lines of a stage without what the renderer adds to each."""
    lines = made.stages[stage].text.partition("LABEL ")[0].splitlines()
    return [each for each in lines if not each.startswith(("ARG LC_ALL", "ARG EPOCH"))]


def keys(root: Path, files: Mapping[str, str] = APP, **more: str) -> Mapping[tuple[str, str], str]:
    return projects.keys(opened(root, files, **more))


def refused(
    root: Path, dockerfile: str = DOCKERFILE, *, matrix: str = MATRIX, **more: str
) -> list[tuple[str, str, int]]:
    try:
        leaf(root, dockerfile, matrix=matrix, **more)
    except InputError as error:
        return [(each.code, each.file, each.line) for each in error.diagnostics]
    return []


def test_the_stages_are_those_of_the_dockerfile(tmp_path: Path) -> None:
    """On the row's base, under names of the layer's, with the row's values, and copying out of the layer's folder."""
    assert text(tmp_path, DOCKERFILE) == [
        "FROM golang:1.23 AS app-build",
        'ARG GO_VERSION="1.23"',
        "COPY app/go.mod app/go.* ./",
        "COPY app/ .",
        "RUN --mount=type=bind,target=/x,source=app/ \\",
        "    # within",
        "    go build -o /app '{{.X}}' ${#X}",
        "",
        "FROM ${BASE_IMAGE} AS app-runtime",
        "RUN echo ready",
        "",
        "FROM app-runtime AS app",
        "COPY --from=app-build /app /app",
        "COPY --from=app-build /src /src",
        "COPY <<END /hi",
        "hello",
        "END",
        'COPY ["app/src/a b", "/z/"]',
    ]


def test_the_leaf_holds_what_the_dockerfile_copies(tmp_path: Path) -> None:
    """All that .dockerignore leaves: it is copied whole."""
    made = leaf(tmp_path)
    assert [file.path for file in made.stages[0].inputs] == [
        *("app/.dockerignore", "app/Dockerfile", "app/go.mod", "app/go.sum", "app/main.go", "app/src/a b"),
    ]


def test_a_file_that_is_not_copied_is_not_in_the_leaf(tmp_path: Path) -> None:
    made = leaf(tmp_path, "FROM debian\nCOPY go.* src/a* /x/\n")
    assert [file.path for file in made.stages[0].inputs] == ["app/go.mod", "app/go.sum", "app/src/a b"]


def test_its_own_dockerignore_comes_first(tmp_path: Path) -> None:
    own = {"services/app/Dockerfile.dockerignore": "*\n!main.go\n"}
    made = leaf(tmp_path, "FROM debian\nCOPY . /x/\n", **own)
    assert [file.path for file in made.stages[0].inputs] == ["app/main.go"]


def test_a_key_follows_from_the_files_that_are_copied(tmp_path: Path) -> None:
    before = keys(tmp_path)
    assert keys(tmp_path, {**APP, "services/app/build/out": "other\n"}) == before
    changed = keys(tmp_path, {**APP, "services/app/main.go": "package other\n"})
    assert {each for each in before if before[each] == changed[each]} == set()


def test_a_change_makes_leaves_stale(tmp_path: Path) -> None:
    project = opened(tmp_path)
    keep = project.directories()
    project.repository.leaves.write(project.files(project.leaves(project.matrix.rows)), keep=keep)
    assert (tmp_path / "images/app/1.22-debian/app/go.mod").read_text() == "module app\n"
    again = opened(tmp_path, {**APP, "services/app/go.mod": "module other\n"})
    stale = [*again.repository.leaves.stale(again.files(again.leaves(again.matrix.rows)), keep=keep)]
    assert [each.partition(":")[0] for each in stale] == [
        f"images/app/{version}-debian/app/go.mod" for version in ("1.22", "1.23")
    ]


def test_an_argument_without_a_value_of_the_row_keeps_its_default(tmp_path: Path) -> None:
    dockerfile = 'ARG A="x y"\nARG B=${A}-z\nFROM debian\nARG A\nARG B C=3 D\n'
    assert text(tmp_path, dockerfile)[1:] == ['ARG A="x y"', 'ARG B="x y-z" C=3 D']


def test_what_an_argument_is_not_given(tmp_path: Path) -> None:
    """What a row has under names that mean something else; and braces are no template."""
    matrix = MATRIX.replace('image = "debian:12"', 'image = "debian:12"\npython = "3.11"')
    dockerfile = "FROM debian\nARG TAG=1 OS=2 FAMILY=3 LAYER=4 IF=5 PYTHON=6 X='{{ x }}{% y' Y={#\n"
    stage = leaf(tmp_path, dockerfile, matrix=matrix)
    assert own(stage)[1] == "ARG TAG=1 OS=2 FAMILY=3 LAYER=4 IF=5 PYTHON=\"3.11\" X='{{ x }}{% y' Y={#"


def test_only_what_the_target_needs(tmp_path: Path) -> None:
    matrix = MATRIX.replace('Dockerfile"\n', 'Dockerfile"\ntarget = "test"\n')
    dockerfile = "FROM golang:1 AS a\nFROM debian AS b\nFROM b AS test\nFROM nosuch:${X} AS late\n"
    stage = leaf(tmp_path, dockerfile, matrix=matrix).stages[0]
    assert [line for line in stage.text.splitlines() if line.startswith("FROM")] == [
        "FROM ${BASE_IMAGE} AS app-b",
        "FROM app-b AS app",
    ]


def test_it_is_a_layer_like_others(tmp_path: Path) -> None:
    """On a layer, and below one; an image whose name is that of a stage of the leaf stays that image."""
    matrix = MATRIX.replace('["app"]', '["system", "app", "top"]')
    more = {
        "common/layers/system/Dockerfile.j2": "ENV A=1\n",
        "common/layers/top/Dockerfile.j2": "COPY --from=app /a /b\n",
    }
    dockerfile = "FROM system AS a\nFROM debian\nCOPY --from=top /a /b\nCOPY --from=a /x /y\n"
    made = leaf(tmp_path, dockerfile, matrix=matrix, **more)
    assert [stage.layer for stage in made.stages] == ["system", "app", "top"]
    assert own(made, 1) == [
        "FROM system:latest AS app-a",
        "",
        "",
        "FROM system AS app",
        "COPY --from=top:latest /a /b",
        "COPY --from=app-a /x /y",
    ]


def test_windows_line_ends(tmp_path: Path) -> None:
    project = opened(tmp_path)
    (tmp_path / "services/app/Dockerfile").write_bytes(b"FROM debian\r\nRUN a \\\r\n    b\r\n")
    again = open_project(str(project.repository.matrix_file))
    assert "\r" not in again.leaves(again.matrix.rows)[ROW].dockerfile


@pytest.mark.parametrize(
    ("dockerfile", "kind"),
    [
        ("FROM debian\nENV A=1\n", Downloads.NOTHING),
        ("FROM golang:1 AS a\nFROM debian\nCOPY --from=a /a /b\n", Downloads.MOVING),
        (f"FROM golang@sha256:{'a' * 64} AS a\nFROM debian\nCOPY --from=a /a /b\n", Downloads.PINNED),
        ("FROM debian AS a\nRUN curl -O https://example.com/a\nFROM a\n", Downloads.MOVING),
    ],
)
def test_what_it_downloads(tmp_path: Path, dockerfile: str, kind: Downloads) -> None:
    assert leaf(tmp_path, dockerfile).stages[0].downloads is kind


WRONG: Final[Mapping[str, tuple[str, list[tuple[str, int]]]]] = {
    "nothing": ("", [("dockerfile_from", 1)]),
    "no FROM": ("RUN a\n", [("dockerfile_from", 1)]),
    "something before FROM": ("RUN a\nFROM debian\n", [("dockerfile_from", 1)]),
    "a FROM with too much": ("FROM debian AS\n", [("dockerfile_from", 1)]),
    "a misspelt instruction": ("FROM debian\nRUNN a\n", [("dockerfile_instruction", 2)]),
    "another escape": ("# escape=`\nFROM debian\n", [("dockerfile_directive", 1)]),
    "another frontend": ("# syntax=example.com/mine:1\nFROM debian\n", [("dockerfile_directive", 1)]),
    "ONBUILD": ("FROM debian\nONBUILD RUN a\n", [("dockerfile_onbuild", 2)]),
    "a here-document without its end": ("FROM debian\nRUN <<E\na\n", [("dockerfile_unterminated", 2)]),
    "an argument without a value": (
        "ARG TAG\nFROM golang:$TAG AS a\nFROM debian\nCOPY --from=a /a /b\n",
        [("dockerfile_argument", 2)],
    ),
    "names that arguments cannot have": (
        "ARG =1\nFROM debian\nARG a-b --c A\n",
        [("dockerfile_arguments", 1), ("dockerfile_arguments", 3), ("dockerfile_arguments", 3)],
    ),
    "scratch": ("FROM debian AS a\nFROM scratch\nCOPY --from=a /a /b\n", [("dockerfile_scratch", 2)]),
    "two stages of one name": ("FROM debian AS a\nFROM debian AS A\n", [("dockerfile_stage", 2)]),
    "a circle": (
        "FROM debian AS a\nCOPY --from=b /a /b\nFROM debian AS b\nCOPY --from=a /a /b\n",
        [("dockerfile_cycle", 1)],
    ),
    "a stage by a number that there is not": ("FROM debian\nCOPY --from=7 /a /b\n", [("dockerfile_origin", 2)]),
    "a file that there is not": ("FROM debian\nCOPY go.mod nosuch /x/\n", [("missing_source", 2)]),
    "a file that is ignored": ("FROM debian\nCOPY build/out /x\n", [("missing_source", 2)]),
    "what it has no copy for": ("FROM debian\nCOPY --parents go.mod /x/\n", [("dockerfile_parents", 2)]),
    "all at once": ("FROM debian\nRUNN a\nCOPY a\n", [("dockerfile_instruction", 2), ("dockerfile_arguments", 3)]),
}


@pytest.mark.parametrize(("dockerfile", "found"), WRONG.values(), ids=WRONG)
def test_what_keeps_a_dockerfile_from_being_a_layer(
    tmp_path: Path, dockerfile: str, found: list[tuple[str, int]]
) -> None:
    assert refused(tmp_path, dockerfile) == [(code, "services/app/Dockerfile", line) for code, line in found]


def test_scratch_below_nothing(tmp_path: Path) -> None:
    """Is the base of that name; on anything else, nothing of that would be in the image."""
    dockerfile = "FROM scratch AS a\nCOPY go.mod /a\nFROM scratch\nCOPY --from=a /a /b\n"
    made = leaf(tmp_path, dockerfile, matrix=MATRIX.replace('"debian:12"', '"scratch"'))
    assert own(made)[0] == "FROM ${BASE_IMAGE} AS app-a"
    matrix = MATRIX.replace('"debian:12"', '"scratch"').replace('["app"]', '["x", "app"]')
    more = {"common/layers/x/Dockerfile.j2": "ENV A=1\n"}
    assert [code for code, _, _ in refused(tmp_path, dockerfile, matrix=matrix, **more)] == ["dockerfile_scratch"]


def test_a_stage_with_the_name_of_a_layer(tmp_path: Path) -> None:
    matrix = MATRIX.replace('["app"]', '["app", "app-a"]')
    more = {"common/layers/app-a/Dockerfile.j2": "ENV A=1\n"}
    dockerfile = "FROM golang:1 AS a\nFROM debian\nCOPY --from=a /a /b\n"
    assert [code for code, _, _ in refused(tmp_path, dockerfile, matrix=matrix, **more)] == ["dockerfile_stage"]


DECLARED_WRONG: Final[Mapping[str, tuple[str, str]]] = {
    "no such file": ('"services/app/Dockerfile"', '"services/app/Nosuch"'),
    "a folder": ('"services/app/Dockerfile"', '"services/app"'),
    "outside": ('"services/app/Dockerfile"', '"../Dockerfile"'),
    "absolute": ('"services/app/Dockerfile"', '"/etc/Dockerfile"'),
    "no file": ('file = "services/app/Dockerfile"', 'context = "services/app"'),
    "no such context": ('Dockerfile"\n', 'Dockerfile"\ncontext = "nosuch"\n'),
    "a taken name": ("[dockerfiles.app]", '[dockerfiles.python]\nfile = "services/app/Dockerfile"\n[dockerfiles.app]'),
    "a misspelt key": ('Dockerfile"\n', 'Dockerfile"\ncontxt = "."\n'),
    "no such source": ("[bases.debian]", '[sources]\nlib = "nosuch"\n\n[bases.debian]'),
    "a source outside": ("[bases.debian]", '[sources]\nlib = "../lib"\n\n[bases.debian]'),
    "a file as a source": ("[bases.debian]", '[sources]\nlib = "services/app/go.mod"\n\n[bases.debian]'),
}


@pytest.mark.parametrize(("old", "new"), DECLARED_WRONG.values(), ids=DECLARED_WRONG)
def test_what_is_declared_wrong(tmp_path: Path, old: str, new: str) -> None:
    """Is reported where it is declared."""
    assert MATRIX.count(old) == 1
    matrix = MATRIX.replace(old, new)
    changed = [number for number, line in enumerate(matrix.split("\n"), start=1) if line not in MATRIX.split("\n")]
    [(code, file, line)] = refused(tmp_path, matrix=matrix)
    assert code in ("folder", "matrix", "missing_key", "unknown_key")
    assert file == "matrix.toml"
    assert line in range(changed[0] - 1, changed[-1] + 1)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (".env", "A=1\n"),
        ("conf/.env.production", "A=1\n"),
        ("id_ed25519", "x\n"),
        ("key.pem", "-----BEGIN PRIVATE KEY-----\nMIIE\n"),
        (".netrc", "machine a login b password c\n"),
    ],
)
def test_a_file_that_looks_secret(tmp_path: Path, path: str, content: str) -> None:
    """Is refused unless .dockerignore leaves it out, or names it as an exception."""
    secret = {f"services/app/{path}": content}
    assert refused(tmp_path, **secret) == [("secret", f"services/app/{path}", 0)]
    for line in (path, f"!{path}"):
        assert refused(tmp_path, **secret, **{"services/app/.dockerignore": f"{line}\n"}) == []
    assert refused(tmp_path, "FROM debian\nCOPY go.mod /x\n", **secret) == []


@pytest.mark.parametrize("path", [".env.example", ".env", "ca.pem"])
def test_a_file_that_does_not_look_secret(tmp_path: Path, path: str) -> None:
    assert refused(tmp_path, **{f"services/app/{path}": "" if path == ".env" else "A=1\n"}) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Unless it is left out."""
    opened(tmp_path)
    (tmp_path / "services/app/link").symlink_to("/etc/passwd")
    assert refused(tmp_path) == [("unsafe_path", "services/app/link", 0)]
    assert refused(tmp_path, **{"services/app/.dockerignore": "link\n"}) == []


@pytest.mark.parametrize("target", ["loop", "..", "/etc", "src"])
def test_a_link_on_the_way(tmp_path: Path, target: str) -> None:
    """Is reported by its own path, wherever it leads."""
    opened(tmp_path)
    (tmp_path / "services/app/loop").symlink_to(target)
    found = refused(tmp_path, "FROM debian\nCOPY loop/passwd /x\n")
    assert found == [("unsafe_path", "services/app/loop", 0)]


def test_the_repository_as_context(tmp_path: Path) -> None:
    """Without git's files, and without the leaves themselves."""
    matrix = MATRIX.replace('Dockerfile"\n', 'Dockerfile"\ncontext = "."\n')
    more = {"images/app/1.23-debian/old": "old\n", ".git/HEAD": "x\n", "lib/images/a": "a\n"}
    made = leaf(tmp_path, "FROM debian\nCOPY . /src\n", matrix=matrix, **more)
    paths = {file.path for file in made.stages[0].inputs}
    assert {"app/lib/images/a", "app/services/app/go.mod", "app/matrix.toml"} <= paths
    assert {path for path in paths if path.startswith(("app/images", "app/.git/", "app/.imagematrix"))} == set()


def test_a_folder_beside_that_of_the_matrix(tmp_path: Path) -> None:
    """A matrix in a folder of a repository reaches all of the repository, and no more."""
    (tmp_path / ".git").mkdir()
    files = {f"../../{path}": content for path, content in APP.items()}
    matrix = MATRIX.replace('"services', '"../../services')
    project = projects.project(tmp_path / "infra/images", matrix=matrix, files=files)
    assert "app/go.mod" in {file.path for file in project.leaves(project.matrix.rows)[ROW].stages[0].inputs}


SOURCES: Final = MATRIX.replace("[bases.debian]", '[sources]\nlib = "libs/lib"\n\n[bases.debian]').replace(
    '["app"]', '["app", "top"]'
)
LIB: Final[Mapping[str, str]] = {
    "libs/lib/a.py": "a\n",
    "libs/lib/sub/template.j2": "{{ as it is }}\n",
    "libs/lib/unread.txt": "u\n",
    "common/layers/top/Dockerfile.j2": "COPY --link sources/lib/a.py sources/lib/sub /lib/\n",
}


def test_stages_copy_from_source_folders(tmp_path: Path) -> None:
    """The leaf has what they copy, as it is, and no more."""
    project = opened(tmp_path, {**APP, **LIB}, matrix=SOURCES)
    made = project.leaves(project.matrix.rows)
    files = {file.path: file.content for file in project.files(made)["images/app/1.23-debian"]}
    assert {path: files[path] for path in files if path.startswith("sources/")} == {
        "sources/lib/a.py": b"a\n",
        "sources/lib/sub/template.j2": b"{{ as it is }}\n",
    }


def test_a_source_folder_is_a_named_context_of_a_dockerfile(tmp_path: Path) -> None:
    """Unless a stage has the name."""
    dockerfile = (
        "FROM golang:1 AS other\nFROM debian\nCOPY --link --from=lib a.py sub/*.j2 /lib/\n"
        "RUN --mount=from=lib,source=sub,target=/x --mount=from=other,target=/y a\nCOPY --from=other /a /b\n"
    )
    made = leaf(tmp_path, dockerfile, matrix=SOURCES, **LIB)
    assert own(made)[-3:] == [
        "COPY --link sources/lib/a.py sources/lib/sub/*.j2 /lib/",
        "RUN --mount=source=sources/lib/sub,target=/x --mount=from=app-other,target=/y a",
        "COPY --from=app-other /a /b",
    ]
    assert [file.path for file in made.stages[0].inputs] == ["sources/lib/a.py", "sources/lib/sub/template.j2"]
    wrong = "FROM debian\nCOPY --from=lib nosuch /x\n"
    assert refused(tmp_path, wrong, matrix=SOURCES, **LIB) == [("missing_source", "services/app/Dockerfile", 2)]


def test_a_source_folder_is_in_the_keys_of_what_copies_it(tmp_path: Path) -> None:
    before = keys(tmp_path, {**APP, **LIB}, matrix=SOURCES)
    assert keys(tmp_path, {**APP, **LIB, "libs/lib/unread.txt": "v\n"}, matrix=SOURCES) == before
    changed = keys(tmp_path, {**APP, **LIB, "libs/lib/a.py": "b\n"}, matrix=SOURCES)
    assert {layer for row, layer in before if before[row, layer] != changed[row, layer]} == {"top"}


def test_a_source_that_there_is_not(tmp_path: Path) -> None:
    more = {**LIB, "common/layers/top/Dockerfile.j2": "COPY --link sources/lib/nosuch sources/other/a /lib/\n"}
    found = refused(tmp_path, matrix=SOURCES, **more)
    assert found == [("missing_source", "common/layers/top/Dockerfile.j2", 1)] * 2


@pytest.mark.parametrize(
    ("rules", "path", "is_left_out"),
    [
        ("a", "a", True),
        ("a", "a/b/c", True),
        ("a", "b/a", False),
        ("/a/", "a/b", True),
        ("*.md", "x.md", True),
        ("*.md", "x/y.md", False),
        ("**/*.md", "x.md", True),
        ("**/*.md", "x/y/z.md", True),
        ("a/**", "a/b", True),
        ("a/**/z", "a/b/c/z", True),
        ("a?", "ab", True),
        ("a?", "a/", False),
        ("[ab]c", "bc", True),
        ("[^ab]c", "bc", False),
        ("*.md\n!README.md", "README.md", False),
        ("!README.md\n*.md", "README.md", True),
        ("*\n!a/b", "a/b", False),
        ("*\n!a/b", "a/c", True),
        ("# a\n\n!", "a", False),
        (r"\*a", "*a", True),
        (r"\*a", "ba", False),
        (".", "a", True),
    ],
)
def test_what_a_dockerignore_leaves_out(rules: str, path: str, is_left_out: bool) -> None:
    """The examples of https://docs.docker.com/build/concepts/context/#dockerignore-files, and their edges."""
    assert Ignored(rules)(path) is is_left_out


def test_a_bracket_that_is_not_closed_is_a_bracket() -> None:
    assert is_match("a[b", "a[b")


@pytest.mark.parametrize(
    ("image", "given", "root"),
    [
        ("debian:$V", "13", "debian:13"),
        ("debian:${V}", "", "debian:12"),
        ("debian:${W:-11}", "13", "debian:11"),
        ("debian:${V:-11}", "13", "debian:13"),
        ("debian${V:+:slim}", "13", "debian:slim"),
        ("debian${W:+:slim}", "13", "debian"),
        ("debian:$W", "13", "debian:$W"),
        ("debian:$TARGETARCH", "13", "debian:$TARGETARCH"),
    ],
)
def test_the_image_that_variables_name(image: str, given: str, root: str) -> None:
    """By a build argument, else by the default before the first FROM; what only the build tells stays as it is."""
    arguments = {"V": given} if given else {}
    whole = handwritten.read(f"ARG V=12\nARG W\nFROM {image}\n", given=arguments)
    assert whole.root(whole.stages[-1]) == root


@given(st.text())
def test_a_quoted_text_is_read_back(text: str) -> None:
    assert handwritten.unquoted(handwritten.quoted(text)) == text
