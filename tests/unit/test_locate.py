"""Line numbers: every key of every TOML text, where a person would look for it."""

import tomllib
from collections.abc import Iterator

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from imagematrix.text.locate import KeyPath, locate

EVERYTHING = r'''# a comment with [brackets] and = signs
title = "a \"quoted\" [title] # no comment"   # a comment
a.b . "c d" = 1
'lit.key' = 'C:\'
"esc\u0041\U00000042\t" = 1979-05-27 07:32:00
multi = """
x = 1
[not.a.table] \""" still ""inside"""""
raw = \'\'\'
y = '2'
\'\'\'
list = [ # comment, with ] bracket
  "1.0", [1, {x = 2}],
  { y.z = "}", "w,w" = [] },
]

[sub.deep]
k = true
[ sub ]
k = 1.5e3
[[row]]
base = "x"
  [[row.inner]]
  v = 0x1F
  [[row.inner]]
  [[row.inner]]
  [row.table]
  t = inf
[[row]]
'''.replace("\\'", "'")


def paths(value: object, at: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key path of a document as tomllib reads it."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*at, key)
        yield from paths(child, (*at, key))


KEYS = st.sampled_from(["a", "b", "row", "2", "-x_", '"q.q"', "'l l'", '"e\\"\\u0041\\\\"', '""'])
DOTTED = st.lists(KEYS, min_size=1, max_size=3).map(".".join) | st.lists(KEYS, min_size=2, max_size=2).map(" . ".join)
SCALARS = st.sampled_from(
    [
        "1",
        "-2.5e+7",
        "true",
        "nan",
        "07:32:00.5",
        "1979-05-27 07:32:00Z",
        "1979-05-27",
        '""',
        "''",
        '"a # \\" [b] = \\\\"',
        "'C:\\'",
        '"""one"""',
        '"""\n""two""\\"""""',
        "'''\n[x]\ny = '1'\n'''",
        "'''a'''''",
        '"""b\\\n   c"""',
    ]
)


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Make lists over one line or several, with comments and a last comma, and inline tables."""
    many = st.lists(values, max_size=3)
    return (
        many.map(lambda parts: f"[{', '.join(parts)}]")
        | many.map(lambda parts: "[ # ]\n" + "".join(f"  {part} , # {{,\n" for part in parts) + "]")
        | st.lists(st.tuples(DOTTED, values), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key} = {value}" for key, value in pairs) + "}"
        )
    )


VALUES = st.recursive(SCALARS, lists, max_leaves=6)
PAIRS = st.lists(st.tuples(DOTTED, VALUES).map(lambda pair: f"{pair[0]}={pair[1]}"), max_size=4)
HEADERS = st.tuples(st.sampled_from(["[{}]", "[[{}]]", "  [ {} ] # x", "[[ {} ]]"]), DOTTED).map(
    lambda pair: pair[0].format(pair[1])
)
BLOCKS = st.tuples(HEADERS, PAIRS).map(lambda block: [block[0], *block[1]])
TEXTS = st.tuples(PAIRS, st.lists(BLOCKS, max_size=5)).map(
    lambda text: [*text[0], *(line for block in text[1] for line in block)]
)


@given(lines=TEXTS, newline=st.sampled_from(["\n", "\r\n", "\n\n\t# c\n"]), ended=st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None)
def test_finds_the_keys_that_tomllib_reads(lines: list[str], newline: str, *, ended: bool) -> None:
    """Whatever is valid TOML, the paths found are those of the document, none more and none less."""
    text = newline.join(lines) + (newline if ended else "")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(condition=False)
    assert set(locate(text)) == set(paths(document))


def test_every_construct_at_once() -> None:
    """All kinds of keys, tables and strings together give the same paths as tomllib."""
    assert set(locate(EVERYTHING)) == set(paths(tomllib.loads(EVERYTHING)))


def test_keys_are_where_they_are_written() -> None:
    """A key is at its own part, a list element at its value, a table at its own header."""
    places = locate(EVERYTHING)
    lines = EVERYTHING.splitlines()

    def at(*path: str | int) -> str:
        line, column = places[path]
        return lines[line - 1][column - 1 :]

    assert at("title").startswith("title = ")
    assert at("a", "b", "c d") == '"c d" = 1'
    assert at("escAB\t").startswith('"esc')
    assert at("list", 1, 1) == "{x = 2}],"
    assert at("list", 2, "y", "z").startswith("z = ")
    assert at("sub") == "sub ]"
    assert at("sub", "deep") == "deep]"
    assert at("row", 0, "inner", 1) == "[[row.inner]]"
    assert places["row", 0, "inner", 0] < places["row", 0, "inner", 1] < places["row", 1]
    assert at("row", 0, "table", "t") == "t = inf"


def test_line_ends_of_windows_count_as_one() -> None:
    """The line of a key does not depend on how lines end."""
    text = "a = 1\n\nb = '''\n'''\nc = 2\n"
    assert locate(text.replace("\n", "\r\n")) == locate(text) == {("a",): (1, 1), ("b",): (3, 1), ("c",): (5, 1)}
