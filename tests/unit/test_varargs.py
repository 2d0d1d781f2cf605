"""Commands that take any number of words, with invoke's own program and parser."""

import sys

import pytest
from invoke import Collection, Program

from imagematrix.commands.command import command
from imagematrix.commands.options import AddDryRun, File, Words


@command
def put(*, words: Words, dry_run: AddDryRun, file: File) -> None:
    """Print what it was given."""
    print(words, dry_run, file)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("put", "[] False \n"),
        ("put a", "['a'] False \n"),
        ("put a b=1 c=2", "['a', 'b=1', 'c=2'] False \n"),
        ("put a --dry-run b=1", "['a', 'b=1'] True \n"),
        ("put --file x=y.toml a b=1", "['a', 'b=1'] False x=y.toml\n"),
        ("put a --file=x.toml b=1", "['a', 'b=1'] False x.toml\n"),
        ("put put put", "['put', 'put'] False \n"),
        ("--echo put a b", "['a', 'b'] False \n"),
        ("deep.put a b", "['a', 'b'] False \n"),
        ("put a -- b", "['a'] False \n"),
    ],
)
def test_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str, said: str) -> None:
    """All behind the task's name that are no flags; what looks like another task is a word too."""
    monkeypatch.setattr(sys, "argv", ["invoke", *line.split()])
    Program(namespace=Collection(put, deep=Collection(put))).run(exit=False)
    assert capsys.readouterr() == (said, "")
