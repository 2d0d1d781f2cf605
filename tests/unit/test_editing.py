"""matrix.toml edited as a person would: where a value or a row goes, and that nothing else is touched."""

import string
from collections.abc import Mapping

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from imagematrix.planning import editing
from imagematrix.text import toml_text

TEXT = """\
schema = 1  # of the file

[families.pytorch]
layers = ["torch"]  # one

[families.pytorch.axes]
base   = ["cuda9", "cuda11"]  # by age
python = [
    "3.11",  # the newest
    "3.10",
]
torch  = ["2.3.0"]
# 2.3.1 was never built

# --- plain ---

[families.plain]
base = "debian"

[[families.plain.row]]
python = "3.11"
name = "a"

[[families.plain.row]]
# the last one
python = "3.12"
name = "b"
# (nobody uses it)

# --- facts ---

[facts.torch."2.3.0"]
torchvision = "0.18.0"

[facts.python."3.11"]
tk = "yes"
"""


@pytest.mark.parametrize(
    ("axis", "value", "line"),
    [
        ("torch", "2.4.1", 'torch  = ["2.3.0", "2.4.1"]'),
        ("torch", "2.2.0", 'torch  = ["2.2.0", "2.3.0"]'),
        ("base", "cuda10", 'base   = ["cuda9", "cuda10", "cuda11"]  # by age'),
        ("base", "cuda121", 'base   = ["cuda9", "cuda11", "cuda121"]  # by age'),
    ],
)
def test_a_value_goes_where_the_order_of_its_axis_wants_it(axis: str, value: str, line: str) -> None:
    old = TEXT.splitlines()
    new = editing.with_value(TEXT, "pytorch", axis, value).splitlines()
    assert [each for each in new if each not in old] == [line]
    assert len(new) == len(old)


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("3.12", ['    "3.12",', '    "3.11",  # the newest', '    "3.10",']),
        ("3.9", ['    "3.11",  # the newest', '    "3.10",', '    "3.9",']),
    ],
)
def test_an_array_of_many_lines_gets_one_more_also_when_it_goes_down(value: str, lines: list[str]) -> None:
    new = editing.with_value(TEXT, "pytorch", "python", value)
    assert new == TEXT.replace('    "3.11",  # the newest\n    "3.10",', "\n".join(lines))


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        ('["2", "4",]', '["2", "3", "4",]'),
        ("[ '2' ]", "[ '2', \"3\" ]"),
        ('["4","5"]', '["3", "4","5"]'),
        ('[\n  "2"  # a\n]', '[\n  "2",  # a\n  "3"\n]'),
        ('[\n  # old\n  "2",\n\n  # new\n  "4",\n]', '[\n  # old\n  "2",\n  "3",\n\n  # new\n  "4",\n]'),
        ('[\n  "1", "2",\n  "4", "5",\n]', '[\n  "1", "2", "3",\n  "4", "5",\n]'),
        ('[\n  "4",  # a\n]', '[\n  "3",\n  "4",  # a\n]'),
    ],
)
def test_arrays_keep_their_style(array: str, wanted: str) -> None:
    text = TEXT.replace('["2.3.0"]', array)
    assert editing.with_value(text, "pytorch", "torch", "3") == TEXT.replace('["2.3.0"]', wanted)


def test_values_in_no_order_are_followed_by_the_new_one() -> None:
    text = TEXT.replace('["2.3.0"]', '["2.3.0", "2.5.0", "2.4.0"]')
    assert 'torch  = ["2.3.0", "2.5.0", "2.4.0", "2.3.1"]\n' in editing.with_value(text, "pytorch", "torch", "2.3.1")


def test_the_first_row_stands_at_the_end_of_its_familys_section() -> None:
    """In the order of the axes, aligned as they are, before the heading of what follows."""
    values = {"allow": 'so "they" say', "torch": "2.5.0", "python": "3.10", "base": "cuda9"}
    row = (
        '\n[[families.pytorch.row]]\nbase   = "cuda9"\npython = "3.10"\ntorch  = "2.5.0"\n'
        'allow  = "so \\"they\\" say"\n'
    )
    new = editing.with_row(TEXT, "pytorch", values)
    assert new == TEXT.replace("# 2.3.1 was never built\n", f"# 2.3.1 was never built\n{row}")


def test_a_row_stands_behind_the_last_one_and_looks_like_it() -> None:
    row = '\n[[families.plain.row]]\npython = "3.13"\nname = "c"\n'
    new = editing.with_row(TEXT, "plain", {"name": "c", "python": "3.13"})
    assert new == TEXT.replace("# (nobody uses it)\n", f"# (nobody uses it)\n{row}")


def test_rows_without_blank_lines_between_stay_so() -> None:
    text = TEXT.replace('name = "a"\n\n', 'name = "a"\n').replace("# (nobody uses it)\n", "")
    row = '[[families.plain.row]]\npython = "3.13"\nname = "c"\n'
    new = editing.with_row(text, "plain", {"name": "c", "python": "3.13"})
    assert new == text.replace('name = "b"\n', f'name = "b"\n{row}')


def test_rows_in_an_array_get_one_more_there() -> None:
    text = '[families.plain]\nrow = [\n    {python = "3.11", name = "a"},\n]\n'
    new = editing.with_row(text, "plain", {"name": "c", "python": "3.13"})
    assert new == text.replace("},\n", '},\n    {python = "3.13", name = "c"},\n')


@pytest.mark.parametrize("text", [TEXT.replace("\n", "\r\n"), "\ufeff" + TEXT, TEXT.partition("# (nobody")[0].rstrip()])
def test_line_ends_and_marks_stay(text: str) -> None:
    """A byte order mark, the line ends of another system, a last line without one."""
    ending = "\r\n" if "\r" in text else "\n"
    new = editing.with_row(text, "plain", {"name": "c", "python": "3.13"})
    assert editing.keeps(text, new)
    assert new.count("\r\n") == new.count("\n") * (ending == "\r\n")
    assert new.startswith("\ufeff") == text.startswith("\ufeff")
    assert ending.join(["", "[[families.plain.row]]", 'python = "3.13"', 'name = "c"', ""]) in new


def test_facts_stand_beside_those_of_their_axis_else_with_the_family() -> None:
    new = editing.with_facts(TEXT, "pytorch", ("torch", "2.4.1"), {"torchvision": "0.19.1", "x": "1"})
    block = '\n[facts.torch."2.4.1"]\ntorchvision = "0.19.1"\nx           = "1"\n'
    assert new == TEXT.replace('"0.18.0"\n', f'"0.18.0"\n{block}')
    alone = editing.with_facts(TEXT, "pytorch", ("base", "cuda9"), {"x": "1"})
    assert alone == TEXT.replace("never built\n", 'never built\n\n[facts.base.cuda9]\nx = "1"\n')


def test_what_an_edit_put_in_is_told_with_its_lines() -> None:
    new = editing.with_value(editing.with_row(TEXT, "plain", {"name": "c", "python": "4"}), "pytorch", "torch", "2.4")
    assert editing.inserted(TEXT, new) == (
        (12, 'torch  = ["2.3.0", "2.4"]'),
        (30, "[[families.plain.row]]"),
        (31, 'python = "4"'),
        (32, 'name = "c"'),
    )


@pytest.mark.parametrize(
    ("new", "is_kept"),
    [
        (TEXT, True),
        (TEXT.replace("# by age\n", ""), False),
        (TEXT.replace("# one", "# two"), False),
        (TEXT.replace('["2.3.0"]', '["2.3.0", "2.4.0"]'), True),
        (TEXT.replace('["2.3.0"]', '["2.4.0"]'), False),
        (TEXT.replace("\n\n", "\n", 1), False),
    ],
)
def test_keeping_means_that_nothing_is_gone(new: str, is_kept: bool) -> None:
    assert editing.keeps(TEXT, new) is is_kept


def test_an_edit_writes_into_one_line() -> None:
    """One that writes into two does more than was asked for, though nothing is gone."""
    old = 'x = ["1"]\ny = ["1"]\n'
    assert editing.keeps(old, 'x = ["1", "2"]\ny = ["1"]\n')
    assert not editing.keeps(old, 'x = ["1", "2"]\ny = ["1", "2"]\n')


BLANKS = st.sampled_from(["", "\n", "# remark\n", "\n# heading\n", "# remark\n\n# heading\n\n"])
WORDS = st.text(string.ascii_letters + string.digits + ".-_", min_size=1, max_size=6)
VALUES = st.text(string.printable + "é€\u2028", min_size=1, max_size=8).filter(lambda text: text.isprintable())


@st.composite
def matrices(draw: st.DrawFn) -> str:
    """A family `f` with axes or rows, between other sections, in all manner of spacing."""
    keys = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True))
    gap = draw(st.sampled_from([" ", "   "]))

    def array(values: list[str]) -> str:
        style = draw(st.sampled_from(["one", "many", "loose", "trailing"]))
        quoted = [f'"{value}"' for value in values]
        if style == "one":
            return f"[{', '.join(quoted)}]"
        if style == "loose":
            return "[\n" + ",  # remark\n".join(f"  {each}" for each in quoted) + "  # last\n  ]"
        if style == "trailing":
            return f"[ {', '.join(quoted)}, ]"
        return "[\n" + "".join(f"    {each},\n" for each in quoted) + "]"

    def row() -> str:
        values = "".join(f'{key}{gap}= "{draw(WORDS)}"\n' for key in keys)
        return f"[[families.f.row]]\n{values}{draw(BLANKS)}"

    axes = "".join(f"{key}{gap}= {array(draw(st.lists(WORDS, min_size=1, max_size=4, unique=True)))}\n" for key in keys)
    parts = [
        f"# head\n{draw(BLANKS)}",
        f'[families.e]\nx = "1"\n{draw(BLANKS)}',
        f'[families.f]\ntag = "t"\n{draw(BLANKS)}',
        f"[families.f.axes]\n{axes}{draw(BLANKS)}",
        *(row() for _ in range(draw(st.integers(0, 2)))),
        draw(st.sampled_from(["", '[facts.a."1"]\nx = "1"\n'])),
    ]
    text = "".join(parts)
    return text if draw(st.booleans()) else text.rstrip("\n")


def document(text: str) -> Mapping[str, Mapping[str, Mapping[str, object]]]:
    return toml_text.read(text, file="x")


@settings(max_examples=60, deadline=None)
@given(matrices(), st.dictionaries(st.sampled_from("abcdef"), VALUES, min_size=1))
def test_any_row_is_put_in_and_all_else_stays(text: str, values: Mapping[str, str]) -> None:
    new = editing.with_row(text, "f", values)
    there, wanted = document(new), document(text)
    family = dict(wanted["families"]["f"])
    family["row"] = [*family.get("row", []), dict(values)]  # type: ignore[misc]
    assert there == {**wanted, "families": {**wanted["families"], "f": family}}
    assert editing.keeps(text, new)


@settings(max_examples=60, deadline=None)
@given(matrices(), WORDS)
def test_any_value_is_put_in_and_all_else_stays(text: str, value: str) -> None:
    axis, values = next(iter(document(text)["families"]["f"]["axes"].items()))  # type: ignore[attr-defined]
    assume(value not in values)
    new = editing.with_value(text, "f", axis, value)
    there = document(new)["families"]["f"]["axes"][axis]  # type: ignore[index]
    assert [each for each in there if each != value] == values
    assert there.count(value) == 1
    assert editing.keeps(text, new)


@settings(max_examples=60, deadline=None)
@given(matrices(), st.sampled_from("ab"), VALUES, VALUES)
def test_any_fact_is_put_in_and_all_else_stays(text: str, axis: str, value: str, fact: str) -> None:
    assume(value != "1")
    new = editing.with_facts(text, "f", (axis, value), {"x": fact})
    facts = dict(document(text).get("facts", {}))
    facts[axis] = {**facts.get(axis, {}), value: {"x": fact}}
    assert document(new) == {**document(text), "facts": facts}
    assert editing.keeps(text, new)
