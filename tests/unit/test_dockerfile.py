"""The paths that a stage reads: every one that BuildKit would look for, no other."""

import pytest

from imagematrix.planning import dockerfile


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        pytest.param("FROM a AS b\nENV X=1\nRUN true\n", (), id="nothing is read"),
        pytest.param("COPY a /x\n", ("a",), id="one file"),
        pytest.param("copy a b/c /x/\n", ("a", "b/c"), id="several, in lower case"),
        pytest.param("ADD a /x\n", ("a",), id="ADD"),
        pytest.param("COPY\ta\t/x\n", ("a",), id="tabs"),
        pytest.param("COPY --link --chown=1:1 --chmod=755 a /x\n", ("a",), id="flags"),
        pytest.param("COPY --from=other a /x\n", (), id="from another stage"),
        pytest.param("COPY --link --from=img:1 a /x\n", (), id="from an image, after another flag"),
        pytest.param('COPY ["a b", "c", "/x"]\n', ("a b", "c"), id="JSON form"),
        pytest.param('COPY --link ["a", "/x"]\n', ("a",), id="JSON form with flags"),
        pytest.param("ADD https://example.com/x.tar /x\n", (), id="ADD of a URL"),
        pytest.param("ADD a https://example.com/x /x/\n", ("a",), id="ADD of a file and a URL"),
        pytest.param("COPY init/ /init/\nCOPY ./init/boot /b\n", ("init", "init/boot"), id="slashes are dropped"),
        pytest.param("COPY /a /x\n", ("a",), id="an absolute source is relative to the context"),
        pytest.param("COPY a \\\n  b \\\n  /x\n", ("a", "b"), id="continued lines"),
        pytest.param("COPY a \\  \n  b /x\n", ("a", "b"), id="blanks after the backslash"),
        pytest.param("COPY pro\\\nfile.sh /x\n", ("profile.sh",), id="a word cut in two by a continuation"),
        pytest.param("COPY a \\\n# a comment \\\n\n  # another\n  b /x\n", ("a", "b"), id="comments inside"),
        pytest.param("# COPY a /x\nRUN true # COPY b /x\n", (), id="comments are no instructions"),
        pytest.param("RUN --mount=type=bind,source=a,target=/a true\n", ("a",), id="a bind mount"),
        pytest.param("RUN --mount=source=a,target=/a true\n", ("a",), id="bind is the default type"),
        pytest.param("RUN --mount=type=bind,src=a,dst=/a true\n", ("a",), id="src for source"),
        pytest.param("RUN --mount=type=bind,from=wheels,source=a,target=/a true\n", (), id="a bind mount from a stage"),
        pytest.param("RUN --mount=type=cache,source=a,target=/a true\n", (), id="a cache"),
        pytest.param("RUN --mount=type=secret,id=a --mount=type=tmpfs,target=/b true\n", (), id="neither binds"),
        pytest.param(
            "RUN --network=none --mount=type=cache,target=/c \\\n    --mount=type=bind,source=a,target=/a \\\n"
            "    --mount=type=bind,source=b/c,target=/b \\\n    cp --mount=type=bind,source=no /a /b\n",
            ("a", "b/c"),
            id="several mounts, and a flag that is the program's own",
        ),
        pytest.param('RUN cp a b\nENTRYPOINT ["COPY", "a"]\nCMD COPY a b\n', (), id="other instructions"),
        pytest.param("COPY <<EOF /x\nCOPY a /b\nEOF\nCOPY c /x\n", ("c",), id="a file written in the Dockerfile"),
        pytest.param("COPY a <<-'E' /x/\n\tCOPY b /b\n\tE\nCOPY c /x\n", ("a", "c"), id="an indented one, quoted"),
        pytest.param("RUN <<A cat <<B\nCOPY a /x\nA\nCOPY b /x\nB\nCOPY c /x\n", ("c",), id="a script, two of them"),
        pytest.param("RUN echo $((1<<4)) && cat <<<x\nCOPY c /x\n", ("c",), id="a shift and a here-string"),
    ],
)
def test_context_paths(text: str, paths: tuple[str, ...]) -> None:
    """All sources of COPY, ADD and bind mounts that come from the build context, sorted, each once."""
    assert dockerfile.context_paths(text) == paths


@pytest.mark.parametrize("path", ["*", "a/*.txt", "a?", "[ab].txt", "dir/[ab]"])
@pytest.mark.parametrize("form", ["COPY {} /x/", "ADD ok {} /x/", "RUN --mount=type=bind,source={},target=/x true"])
def test_wildcards_are_refused(form: str, path: str) -> None:
    """A reader of the stage would not see what a wildcard matches."""
    with pytest.raises(ValueError, match=r"^source '.*' has a wildcard: name the file or its folder$"):
        dockerfile.context_paths(form.format(path))


@pytest.mark.parametrize(
    "text", ["COPY . /x\n", "COPY ./ /x\n", "COPY / /x\n", 'ADD [".", "/x"]\n', "RUN --mount=target=/x true\n"]
)
def test_the_whole_leaf_is_refused(text: str) -> None:
    """The leaf's folder holds what its other stages and its reader need: that is in no key of this stage."""
    with pytest.raises(ValueError, match=r"^source '\.' is the whole leaf: name the file or its folder$"):
        dockerfile.context_paths(text)
