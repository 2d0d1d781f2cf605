"""A Dockerfile in, the template that renders it for a row out: an argument has the row's value of its name.

`ARG GO_VERSION=1.22` is rendered with the row's `go_version`, where it has one: an axis, or a fact.
"""

import json
import re
from typing import Final

from imagematrix.planning import dockerfile
from imagematrix.planning.handwritten.reading import words
from imagematrix.text import names

_BRACE: Final = re.compile(r"\{(?=[{%#])")
"""What would begin a tag of the template."""
_TAKEN: Final = frozenset(
    {
        *("family", "tag", "layer", "layers", "parent", "tool", "services", "driver_requirement", "torch_local", "os"),
        *("and", "else", "false", "if", "import", "in", "is", "none", "not", "or", "true"),
        *("cycler", "dict", "joiner", "lipsum", "loop", "namespace", "range", "self", "super"),
    }
)
"""Names that mean something else in a template, and the fact that follows from a base without being declared."""


def template(text: str) -> str:
    """Return the template, line by line that of the Dockerfile."""
    lines = [plain(line) for line in text.split("\n")]
    for each in dockerfile.instructions(text):
        if each.word == "ARG" and not each.is_cut:
            height = each.raw.count("\n") + 1
            made = " ".join(["ARG", *map(_argument, words(each))])
            lines[each.line - 1 : each.line - 1 + height] = [made, *[""] * (height - 1)]
    return "\n".join(lines)


def variable(argument: str) -> str:
    """Return the name of the row's value that an argument has; empty: none can be."""
    name = argument.lower()
    return name if names.is_variable(name) and name not in _TAKEN else ""


def _argument(word: str) -> str:
    name, sign, default = word.partition("=")
    value = variable(name)
    if not value:
        return plain(word)
    given = f"""'="' ~ {escaped(value)} ~ '"' if {value} is defined else {json.dumps(sign + default)}"""
    return f"{name}{{{{ {given} }}}}"


def escaped(value: str) -> str:
    """Return the expression of a value as it stands between double quotes in a Dockerfile."""
    return rf"""{value} | replace('\\', '\\\\') | replace('"', '\\"') | replace('$', '\\$')"""


def plain(text: str) -> str:
    """Return a text that a template prints as it is."""
    return _BRACE.sub("{{ '{' }}", text)
