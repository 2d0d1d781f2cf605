"""What commands print on a terminal: folded to its width, with colours; elsewhere as it is."""

import io

import pytest

from imagematrix.report.console import terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _eighty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


LONG = "python:3.11-debian12  impossible  " + "its base is gone from the registry and nothing else has it " * 3


def test_a_file_gets_the_text_as_it_is() -> None:
    stream = io.StringIO()
    terminal.show(f"ok  matrix\n{LONG}", stream)
    assert stream.getvalue() == f"ok  matrix\n{LONG}\n"


def test_a_terminal_gets_lines_that_fit_below_the_last_column() -> None:
    first, *others = terminal.folded(LONG.rstrip(), 80)
    assert max(map(len, (first, *others))) <= 80
    assert others
    assert all(line.startswith(" " * 34) and line[34] != " " for line in others)
    assert " ".join([first, *(line.strip() for line in others)]) == LONG.rstrip()


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("a" + " " * 90 + "b", ["a  b"]),
        ("    " + "word " * 20, ["    " + ("word " * 15).rstrip(), "        " + ("word " * 5).rstrip()]),
        ("x" * 100, ["x" * 100]),
        ("", [""]),
    ],
)
def test_columns_and_long_words(line: str, parts: list[str]) -> None:
    """A line that fits without its alignment is not folded, and a name is never cut."""
    assert list(terminal.folded(line.rstrip(), 80)) == parts


@pytest.mark.parametrize(
    ("line", "coloured"),
    [
        ("wrong    registry", "\x1b[1;31mwrong\x1b[0m"),
        ("matrix.toml:7: warning: old [IM3100 python_end]", "\x1b[33mwarning\x1b[0m"),
        ("python:3.11  built  quickstart", "\x1b[32mbuilt\x1b[0m"),
        ("matrix.toml:7: error: no [of_plugin]", "\x1b[2m [of_plugin]\x1b[0m"),
    ],
)
def test_states_have_colours(line: str, coloured: str) -> None:
    stream = Terminal()
    terminal.show(line, stream)
    assert coloured in stream.getvalue()


def test_text_is_no_markup_and_colours_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    terminal.show("wrong    [bold]it[/bold]", stream)
    assert "\x1b[31m" not in stream.getvalue()
    assert "[bold]it[/bold]" in stream.getvalue()
