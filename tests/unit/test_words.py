"""One meaning a word: the glossary (docs/glossary.md) is true, and its words are not used otherwise in src."""

import ast
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
GLOSSARY: Final = ROOT / "docs/glossary.md"
JSON_KEYS: Final[Mapping[str, str]] = {
    "report/document.py": "blame lane",
    "report/merging.py": "blame lane",
    "report/record.py": "blame lane",
}
"""Module -> words that stay there, because they are keys of report.json."""
DOCUMENTS: Final = frozenset({*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")}) - {GLOSSARY}
HEAD_OF_LOCKS: Final = "# Resolved anew with all that it stands on, whose locks left no solution.\n"
"""It stays: committed locks have it."""
IDIOMS: Final = re.compile(
    r"\b(?:is|are|was|be) told\b|gone on with|cannot be had|(?<!there )\bis no (?!longer\b|more\b)[a-z]+"
    r"|\bdo(?:es)? without it|\bwhoever\b|\bnobody is\b|, be that\b|\bcosts (?:a|no) (?:line|retry|build)\b"
    r"|as it is by then|\b(?:is|are) said\b|\bwhat there is\b"
)
"""What reads as translated: the subject does the verb, and "is not valid" stands for "is no"."""


def table(heading: str) -> list[list[str]]:
    """Return the cells of the rows of the table below a heading of the glossary."""
    text = GLOSSARY.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "src/imagematrix").rglob("*.py")):
        yield path.relative_to(ROOT / "src/imagematrix").as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def names(tree: ast.Module) -> Iterator[str]:
    """Yield what a module names itself: functions, classes, arguments, variables, fields."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr
            case _:
                pass


def words(name: str) -> set[str]:
    """`_readyQueue` and `ready_queue` are the words `ready` and `queue`."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def class_names() -> list[str]:
    return [node.name for _, tree in trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def test_classes_of_the_glossary_exist() -> None:
    named = {name for row in table("Words") for name in re.findall(r"`(\w+)`", row[2])}
    assert named <= set(class_names())
    assert named


def test_a_class_with_a_word_of_the_glossary_is_what_the_word_means() -> None:
    """A class that is called like a word must be the one that the glossary names for it."""
    meant = {row[0].strip("`").lower(): set(re.findall(r"`(\w+)`", row[2])) for row in table("Words")}
    wrong = {
        name
        for name in class_names()
        if not name.startswith("_")
        and (word := " ".join(re.findall(r"[A-Z][a-z]*", name)).lower()) in meant
        and name not in meant[word]
    }
    assert wrong == set()


def test_words_that_are_not_used() -> None:
    banned = {row[0] for row in table("Words that are not used") if " " not in row[0]}
    assert banned
    wrong = [
        f"{file}: {name}"
        for file, tree in trees()
        for name in names(tree)
        if words(name) & (banned - set(JSON_KEYS.get(file, "").split()))
    ]
    assert wrong == []


def test_phrases_that_are_not_used() -> None:
    """In documents, and in messages and docstrings of src."""
    phrases = [row[0] for row in table("Words that are not used") if " " in row[0]]
    assert phrases
    texts = {path.name: path.read_text(encoding="utf-8") for path in DOCUMENTS}
    for file, tree in trees():
        literals = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        texts[file] = "\n".join(text for text in literals if isinstance(text, str) and text != HEAD_OF_LOCKS)
    plain = {file: " ".join(text.split()) for file, text in texts.items()}
    wrong = [f"{file}: {phrase}" for file, text in plain.items() for phrase in phrases if phrase in text]
    assert wrong == []


def prose(path: Path) -> str:
    """Return what people read in a file: of Python its comments and strings, of others all of it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    constants = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    texts = [value for value in constants if isinstance(value, str)]
    return "\n".join([*texts, *re.findall(r"(?m)(?:^|\s)#.*", text)])


def test_idioms_that_are_not_used() -> None:
    """Anywhere in the repository: tests, scripts and benchmarks are read as well."""
    git = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [
        ROOT / name
        for name in git.stdout.splitlines()
        if name.endswith((".py", ".md", ".sh")) or re.fullmatch(r"scripts/[a-z-]+", name)
        if not name.startswith(("images/", "tests/unit/logs/")) and ROOT / name not in {GLOSSARY, Path(__file__)}
    ]
    wrong = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in paths
        if path.is_file()
        for match in IDIOMS.finditer(" ".join(prose(path).split()))
    ]
    assert wrong == []


def test_the_words_are_in_order_and_each_has_one_meaning() -> None:
    listed = [row[0].strip("`").lower() for row in table("Words")]
    assert listed == sorted(set(listed))
