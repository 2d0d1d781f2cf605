"""A build script in, the images that it builds out: `docker build` with variables that are set in the script.

No shell runs. Assignments, `cd` and build commands are read; what else may decide over a build is named by its line.
"""

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.planning.importing.nouns import BuildCall, is_image
from imagematrix.text.platforms import is_platform

BUILDS: Final = re.compile(r"\b(?:docker|podman)(?:\s+(?:buildx|image|builder))?\s+build\b")
"""Whether a script builds an image."""
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE: Final = re.compile(
    r"\$(?:(?P<plain>\w+|[@*#?])|\{(?P<name>\w+)(?::?(?P<how>[-=])(?P<other>[^}]*))?\}|(?P<odd>\{[^}]*\}))"
)
_COMMAND: Final = re.compile(r"\$\((?:[^()]|\([^()]*\))*\)|`[^`]*`")
_OWN_FOLDER: Final = re.compile(r"""\bdirname\b|\$\{(?:0|BASH_SOURCE)""")
_OPENING: Final = frozenset({"if", "for", "while", "until", "case", "select"})
_CLOSING: Final = frozenset({"fi", "done", "esac", "}"})
_TESTS: Final = frozenset({"[", "[[", "test"})
_REDIRECTION: Final = re.compile(r"&?[<>]+[&|]?")
_HERE_DOCUMENT: Final = re.compile(r"""(?<!<)<<-?\s*["']?(\w+)["']?""")
_FUNCTION: Final = re.compile(r"\s*(?:function\s+)?[\w-]+\s*\(\)\s*\{?|\s*function\s+\w+")
_HARMLESS: Final = frozenset(
    {"set", "echo", "printf", "exit", "chmod", "true", ":", "export", "readonly", "exec", "pwd", "date"}
)
_SEPARATORS: Final = frozenset({"&&", ";", "||", "|", "&", ";;"})
_PREFIXES: Final = frozenset({"sudo", "env", "time", "exec"})
_UNKNOWN: Final = "\x00"
"""In a text: what only a run could tell."""
_VALUED: Final = {
    "-t": "tag",
    "--tag": "tag",
    "-f": "file",
    "--file": "file",
    "--target": "target",
    "--platform": "platform",
    "--build-arg": "arg",
    "--build-context": "contexts",
}
"""Options that are read: what their values say of an image."""
_OPTIONS_WITH_VALUE: Final = frozenset(
    {
        *("--add-host", "--allow", "--annotation", "--attest", "--builder", "--cache-from", "--cache-to", "--call"),
        *("--cgroup-parent", "--cpu-period", "--cpu-quota", "--cpu-shares", "-c", "--cpuset-cpus", "--cpuset-mems"),
        *("--iidfile", "--isolation", "--label", "--memory", "-m", "--memory-swap", "--metadata-file", "--network"),
        *("--no-cache-filter", "--output", "-o", "--progress", "--provenance", "--sbom", "--secret", "--security-opt"),
        *("--shm-size", "--ssh", "--ulimit"),
    }
)
"""Options of `docker build` whose next word is their value; of an image they say nothing, but for those of `_LOST`."""
_LOST: Final = frozenset({"--add-host", "--annotation", "--label", "--secret", "--ssh"})
"""Those that an image may differ by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A piece of a value, and the variable that it is all of."""

    text: str
    variable: str = ""


_Value = tuple[_Part, ...]


def _text(value: _Value) -> str:
    return "".join(part.text for part in value)


@dataclass(slots=True)
class _Shell:
    """What is known while a script is read."""

    file: str
    folder: str
    variables: dict[str, _Value] = field(default_factory=dict)
    depth: int = 0
    """In how many loops, conditions and functions."""
    depends: bool = False
    """Whether an earlier command of the line decides if this one runs."""
    calls: list[BuildCall] = field(default_factory=list)
    remarks: list[Diagnostic] = field(default_factory=list)


def read(text: str, *, file: str) -> tuple[list[BuildCall], list[Diagnostic]]:
    """Return what a script builds, and what of it was not read. `file` is its path in the tree."""
    shell = _Shell(file=file, folder=posixpath.dirname(file))
    for line, logical in _lines(text):
        _line(shell, line, logical)
    # What a script prepares matters only to a build that is read.
    return shell.calls, [each for each in shell.remarks if shell.calls or each.severity.is_error]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a script, continued ones joined, each with the number of its first."""
    parts: list[str] = []
    first = 0
    lines = enumerate(text.split("\n"), start=1)
    for number, line in lines:
        first = first if parts else number
        if line.endswith("\\"):
            parts.append(line[:-1])
            continue
        yield first, (logical := "".join([*parts, line]))
        parts = []
        if document := _HERE_DOCUMENT.search(logical):
            next((each for _, each in lines if each.strip() == document[1]), "")
    if parts:
        yield first, "".join(parts)


def _line(shell: _Shell, line: int, text: str) -> None:
    try:
        words = _words(text)
    except ValueError:
        _unread(shell, line, text)
        return
    command: list[str] = []
    shell.depends = False
    for word in [*words, ";"]:
        if word not in _SEPARATORS:
            command.append(word)
            continue
        if command:
            _command(shell, line, command)
        is_test = word == "&&" and bool(command) and command[0] in _TESTS
        shell.depends = word != ";" and (shell.depends or word == "||" or is_test)
        command = []


def _words(text: str) -> list[str]:
    """Return the words of a line, quotes removed, operators as words of their own. Raises ValueError."""
    lexer = shlex.shlex(_COMMAND.sub(_substituted, text), posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words = list(lexer)
    start = next((at for at, word in enumerate(words) if word.startswith("#")), len(words))
    return [*_without_redirections(words[:start])]


def _without_redirections(words: Sequence[str]) -> Iterator[str]:
    """Yield words without those that say where a command reads and writes: `2>&1`, `> log`."""
    todo = list(words)
    while todo:
        word = todo.pop(0)
        if _REDIRECTION.fullmatch(word):
            todo = todo[1:]
        elif not (word.isdecimal() and todo and _REDIRECTION.fullmatch(todo[0])):
            yield word


def _substituted(found: re.Match[str]) -> str:
    return "." if _OWN_FOLDER.search(found[0]) else _UNKNOWN


def _command(shell: _Shell, line: int, words: list[str]) -> None:
    words = words[1:] if words[0] in ("then", "else", "elif", "do") else words
    if not words:
        return
    first, is_certain = words[0], not (shell.depth or shell.depends)
    if first in _OPENING or first == "{" or _FUNCTION.fullmatch(" ".join(words)):
        _unread(shell, line, " ".join(words))
        shell.depth += 1
    elif first in _CLOSING:
        shell.depth = max(0, shell.depth - 1)
    elif (assigned := _assignments(words)) and is_certain:
        for name, raw in assigned:
            shell.variables[name] = _expanded(shell, raw)
    else:
        uncertain = (match[1] for word in words if (match := _ASSIGNMENT.fullmatch(word)))
        shell.variables |= dict.fromkeys(uncertain, (_Part(text=_UNKNOWN),)) if not is_certain else {}
        _program(shell, line, words)


def _assignments(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return what a command assigns, if it does nothing else."""
    rest = words[1:] if words[0] in ("export", "readonly", "local") else words
    found = [_ASSIGNMENT.fullmatch(word) for word in rest]
    return [(match[1], _scalar(match[2])) for match in found if match] if rest and all(found) else []


def _scalar(value: str) -> str:
    """Return a value; of a list, that it is not known."""
    return _UNKNOWN if value.startswith("(") else value


def _program(shell: _Shell, line: int, words: Sequence[str]) -> None:
    while words and (words[0] in _PREFIXES or _ASSIGNMENT.fullmatch(words[0])):
        words = words[1:]
    if not words:
        return
    if words[0] in ("docker", "podman"):
        _docker(shell, line, words)
    elif words[0] == "cd" and len(words) == len("cd"):
        folder = _text(_expanded(shell, words[1]))
        own = posixpath.dirname(shell.file)
        is_own = _UNKNOWN in folder or ("$" in words[1] and folder in (".", ""))
        shell.folder = own if is_own else posixpath.normpath(posixpath.join(shell.folder, folder))
    elif words[0] not in _HARMLESS and words[0] not in _TESTS:
        _unread(shell, line, " ".join(words))


def _docker(shell: _Shell, line: int, words: Sequence[str]) -> None:
    rest = [word for word in words[1:] if word not in ("buildx", "image", "builder")]
    if not rest or rest[0] != "build":
        return
    if shell.depth or shell.depends:
        what = "builds an image within a loop, a condition or a function"
        _wrong(shell, line, what, "write the command once for each image, with its values")
        return
    _build(shell, line, [_expanded(shell, word) for word in rest[1:]])


def _build(shell: _Shell, line: int, words: Sequence[_Value]) -> None:
    """Read one build command."""
    found = _options(shell, line, words)
    unknown = sorted({_text(word) for values in found.values() for word in values if _UNKNOWN in _text(word)})
    if unknown:
        shown = ", ".join(text.replace(_UNKNOWN, "$(…)") for text in unknown)
        _wrong(shell, line, f"needs a value that only a run of the script tells: {shown}", "write the value out")
    else:
        shell.calls.append(_call(shell, line, found))


def _options(shell: _Shell, line: int, words: Sequence[_Value]) -> Mapping[str, Sequence[_Value]]:
    """Return what the words of a build command say of the image, by kind; note what gets lost."""
    found: dict[str, list[_Value]] = {kind: [] for kind in (*_VALUED.values(), "context")}
    todo = list(words)
    while todo:
        word = todo.pop(0)
        name, sign, _ = _text(word).partition("=")
        if kind := _VALUED.get(name):
            found[kind].append(_behind(word, len(name) + 1) if sign else todo.pop(0) if todo else ())
        elif name in _OPTIONS_WITH_VALUE:
            value = _text(word) if sign or not todo else f"{name} {_text(todo.pop(0))}"
            if name in _LOST:
                _note(shell, line, f"is not imported: {value}")
        elif not name.startswith("-"):
            found["context"].append(word)
    return found


def _call(shell: _Shell, line: int, found: Mapping[str, Sequence[_Value]]) -> BuildCall:
    arguments = [(*_text(each).partition("=")[::2], each) for each in found["arg"]]
    variables = {
        each[-1].variable: name for name, _, each in arguments if len(each) > 1 and each[-1].variable and _is_all(each)
    }
    tag = found["tag"][0] if found["tag"] else ()
    return BuildCall(
        file=shell.file,
        line=line,
        dockerfile=_dockerfile(shell, found),
        context=_context(shell, found),
        target=_text(found["target"][-1]) if found["target"] else "",
        arguments={name: value for name, value, _ in arguments},
        images=tuple(map(_text, found["tag"])),
        platforms=tuple(name for each in found["platform"] for name in _text(each).split(",") if is_platform(name)),
        pattern=_pattern(tag, variables),
        contexts={
            name: value if is_image(value) else _place(shell, value)
            for name, _, value in (_text(each).partition("=") for each in found["contexts"])
        },
    )


def _is_all(argument: _Value) -> bool:
    """Whether an argument's value is that of one variable: `NAME=$VARIABLE`."""
    return _text(argument[:-1]).endswith("=")


def _behind(word: _Value, length: int) -> _Value:
    """Return a word without so many characters at its beginning, which no variable holds."""
    first, *rest = word
    return (_Part(text=first.text[length:], variable=first.variable), *rest)


def _dockerfile(shell: _Shell, found: Mapping[str, Sequence[_Value]]) -> str:
    if found["file"]:
        return _place(shell, _text(found["file"][-1]))
    context = _context(shell, found)
    return "Dockerfile" if context == "." else f"{context}/Dockerfile"


def _context(shell: _Shell, found: Mapping[str, Sequence[_Value]]) -> str:
    return _place(shell, _text(found["context"][-1]) if found["context"] else ".")


def _place(shell: _Shell, path: str) -> str:
    """Return a path of the script as one of the tree."""
    return posixpath.normpath(posixpath.join(shell.folder, path))


def _pattern(tag: _Value, variables: Mapping[str, str]) -> str:
    """Return the tag of a name, with build arguments in the place of the variables that they have their values from."""
    whole = "".join(f"{{{variables[part.variable]}}}" if part.variable in variables else part.text for part in tag)
    return whole.rpartition("/")[2].partition(":")[2]


def _expanded(shell: _Shell, raw: str) -> _Value:
    """Return a word with the values of its variables."""
    parts: list[_Part] = []
    at = 0
    for found in _VARIABLE.finditer(raw):
        parts += [_Part(text=raw[at : found.start()])] if found.start() > at else []
        parts += _value(shell, found)
        at = found.end()
    return (*parts, *([_Part(text=raw[at:])] if at < len(raw) else []))


def _value(shell: _Shell, found: re.Match[str]) -> _Value:
    name = found["plain"] or found["name"] or ""
    known = shell.variables.get(name)
    if known is None or (found["how"] and not _text(known)):
        other = found["other"]
        return _expanded(shell, other) if other is not None else (_Part(text=_UNKNOWN),)
    is_plain = all(not part.variable for part in known)
    return (_Part(text=_text(known), variable=name),) if is_plain else known


def _unread(shell: _Shell, line: int, text: str) -> None:
    """Note a line that is not read, once; within a loop or a condition its first line stands for all."""
    if shell.depth or any(each.line == line for each in shell.remarks):
        return
    shown = text.strip().replace(_UNKNOWN, "$(…)")
    _note(shell, line, f"is not read: {shown}", "if it prepares files or values of a build, do that by hand first")


def _note(shell: _Shell, line: int, what: str, hint: str = "") -> None:
    shell.remarks.append(
        Diagnostic(code="import_unread", severity=Severity.NOTE, file=shell.file, line=line, message=what, hint=hint)
    )


def _wrong(shell: _Shell, line: int, what: str, hint: str) -> None:
    shell.remarks.append(Diagnostic(code="import_call", file=shell.file, line=line, message=what, hint=hint))
