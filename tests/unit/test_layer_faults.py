"""Instructions that a layer's template must not have: each an error with the template's line, told by every command."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import projects
from tests.projects import FILES

from imagematrix.errors import InputError
from imagematrix.model import Downloads
from imagematrix.project import Selection

BOOT = "common/layers/boot/Dockerfile.j2"
PART = "common/layers/boot/files/part.j2"


def faults(root: Path, text: str, **more: str) -> list[tuple[str, str, int]]:
    """Return code, file and line of what is wrong with a layer's template, in the row `plain:3.11-debian`."""
    files = {**FILES, BOOT: text, **({PART: more["part"]} if more else {})}
    opened = projects.project(root, files=files)
    try:
        opened.leaves(opened.rows(Selection(only=(projects.PLAIN,))))
    except InputError as error:
        return [(each.code, each.file, each.line) for each in error.diagnostics]
    return []


WRONG: Mapping[str, tuple[str, list[tuple[str, int]]]] = {
    "FROM": ("RUN a\nFROM scratch\n", [("dockerfile_from", 2)]),
    "from, indented": ("RUN a\n  from scratch AS x\n", [("dockerfile_from", 2)]),
    "FROM behind blank lines": ("\n\r\n\nFROM scratch\n", [("dockerfile_from", 4)]),
    "a syntax line": ("# syntax=docker/dockerfile:1\nRUN a\n", [("dockerfile_directive", 1)]),
    "two directives": (
        "# Escape = `\n#check=skip=all\nRUN a\n",
        [("dockerfile_directive", 1), ("dockerfile_directive", 2)],
    ),
    "ONBUILD": ("ONBUILD COPY a b\n", [("dockerfile_onbuild", 1)]),
    "a misspelt instruction": ("RUN a\nRUNN b\n", [("dockerfile_instruction", 2)]),
    "prose": ("RUN a\nhello world\n", [("dockerfile_instruction", 2)]),
    "a backslash at the end": ("RUN a \\\n    b \\\n", [("dockerfile_unterminated", 1)]),
    "a backslash before comments": ("ENV A=1 \\\n# c\n\n", [("dockerfile_unterminated", 1)]),
    "a here-document without its end": ("RUN a\nRUN <<EOF\nb\n EOF\n", [("dockerfile_unterminated", 2)]),
    "the second of two": ("COPY <<A <<B /x/\na\nA\nb\n", [("dockerfile_unterminated", 1)]),
    "RUN without a command": ("RUN\n", [("dockerfile_arguments", 1)]),
    "COPY without a destination": ("COPY --link init/boot.sh\n", [("dockerfile_arguments", 1)]),
    "a stage that there is not": ("COPY --link --from=builder /a /b\n", [("dockerfile_origin", 1)]),
    "a layer that is not the one below": ("COPY --from=system /a /b\n", [("dockerfile_origin", 1)]),
    "a stage by its number": ("COPY --from=0 /a /b\n", [("dockerfile_origin", 1)]),
    "a mount of one": ("RUN --mount=type=bind,from=systm,target=/x a\n", [("dockerfile_origin", 1)]),
    "a source that there is not": ("RUN a\nCOPY init/boot.sh nosuch /x/\n", [("missing_source", 2)]),
    "a mount of one that there is not": ("RUN a\nRUN --mount=source=x,target=/x \\\n  b\n", [("missing_source", 2)]),
    "a wildcard": ("\nCOPY init/*.sh /x/\n", [("dockerfile_source", 2)]),
    "the whole leaf": ("RUN a\nCOPY . /x\n", [("dockerfile_source", 2)]),
    "all at once": (
        "RUNN a\nFROM b\nCOPY nosuch /x\n",
        [("dockerfile_instruction", 1), ("dockerfile_from", 2), ("missing_source", 3)],
    ),
    "behind tags": (
        "{% if python %}\n\n{#\n#}\n{% for each in [1, 2] %}\nRUNN {{ each }}\n{% endfor %}\n{% endif %}\nFROM x\n",
        [("dockerfile_instruction", 6), ("dockerfile_from", 9)],
    ),
    "in a macro": (
        "{% macro m() %}\nRUN {{ 1 }}\nCOPY nosuch /x\n{% endmacro %}\nRUN a\n{{ m() }}\n",
        [("missing_source", 3)],
    ),
    "in an expression": ("RUN a\n\n{{ 'FROM ' ~ python }}\n", [("dockerfile_from", 3)]),
    "behind a macro of ours": (
        "{% import 'site.j2' as site %}\nRUN {{ site.apt(os) }} \\\n  a\nFROM b\n",
        [("dockerfile_from", 4)],
    ),
    "in a template that counts its own text": (
        "{% set text %}\na\n{% endset %}\nFROM x{{ text | length }}\n",
        [("dockerfile_from", 0)],
    ),
    "a template that includes itself": (f"RUN a\n{{% include '{BOOT}' %}}\n", [("template", 2)]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_instructions_have_their_line(tmp_path: Path, case: str) -> None:
    text, expected = WRONG[case]
    assert faults(tmp_path, text) == [(code, BOOT, line) for code, line in expected]


def test_an_included_file_is_to_blame_for_its_own_lines(tmp_path: Path) -> None:
    text = f"RUN a\n{{% include '{PART}' %}}\nRUNN b\n"
    assert faults(tmp_path, text, part="RUN c\n\nFROM d\n") == [
        ("dockerfile_instruction", BOOT, 3),
        ("dockerfile_from", PART, 3),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "run a\ncopy --link init/boot.sh /x\n",
        "RUN a\n# syntax=docker/dockerfile:1\n",
        'ENTRYPOINT []\nCMD\nSHELL ["a"]\n',
        "RUN <<EOF\nFROM here on\nEOF\n",
        "RUN <<-A cat <<'B'\n\tA\nFROM b\nB\nRUN c\n",
        "RUN echo 'x <<EOF y' && cat <<<z\n",
        "RUN a \\\n# remark\n\n    && b\n",
        "COPY --from=python /a /b\n",
        "COPY --from=wheelhouse /a /b\n",
        "COPY --from=busybox:1 /a /b\nCOPY --from=host/image /a /b\nCOPY --from=${IMAGE} /a /b\n",
        "ADD https://example.com/x /x\n",
        "MAINTAINER me\nVOLUME /x\nSTOPSIGNAL 9\nEXPOSE 1\nUSER 1\nHEALTHCHECK NONE\nARG A\nLABEL a=b\n",
    ],
)
def test_what_a_layer_may_have(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text) == []


def test_small_letters_count_as_capitals(tmp_path: Path) -> None:
    """What downloads has an epoch, and an entry point is one, however they are written."""
    text = 'add https://example.com/x /x\nrun --mount=id=apt,type=secret a\nentrypoint ["x"]\n'
    stages = []
    for number, each in enumerate([text, text.replace("add ", "ADD ").replace("run ", "RUN ")]):
        opened = projects.project(tmp_path / str(number), files={**FILES, BOOT: each})
        leaf = opened.renderer.leaf(opened.rows(Selection(only=(projects.PLAIN,)))[0])
        stages.append(leaf.stages[-1])
    assert [stage.downloads for stage in stages] == [Downloads.MOVING, Downloads.MOVING]
    assert all("\nARG EPOCH\n" in stage.text for stage in stages)
