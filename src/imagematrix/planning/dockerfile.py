"""The text of a stage in, the paths it reads from its build context out, or its steps as BuildKit names them.

Keys hash what the builder sees, so this must find every path that BuildKit would: sources of COPY and
ADD without `--from`, and of `RUN --mount=type=bind` without `from=`
(https://docs.docker.com/reference/dockerfile/).
"""

import json
import re
from collections.abc import Iterator

_CONTINUED = re.compile(r"\\[ \t]*$")
_FLAG = re.compile(r"--(\S+)\s*")
_WILDCARDS = frozenset("*?[")
_MAY_HAVE_HERE_DOCUMENTS = re.compile(r"(COPY|ADD|RUN)\s", re.IGNORECASE)
_HERE_DOCUMENT = re.compile(r"""(?<!\S)\d*<<(-?)(["']?)([^\s<"']+)\2(?!\S)""")


def context_paths(text: str) -> tuple[str, ...]:
    """Return the context paths (files or folders, no leading or trailing slash) that a stage's text reads.

    Raises ValueError for a source with a wildcard, since what it matches would not be seen by a reader, and for
    the whole context, which holds more than this stage's key knows.
    """
    found = {path for instruction in _instructions(text) for path in _sources(instruction)}
    for path in sorted(found):
        if path == ".":
            raise ValueError("source '.' is the whole leaf: name the file or its folder")
        if _WILDCARDS & set(path):
            raise ValueError(f"source {path!r} has a wildcard: name the file or its folder")
    return tuple(sorted(found))


def steps(text: str) -> frozenset[str]:
    """Return a stage's instructions as BuildKit names what they made: of RUN its command, of others all of it.

    Words are separated by one blank.
    """
    return frozenset(filter(None, map(_step, _instructions(text))))


def runs(text: str) -> bool:
    """Return whether a stage's text has a step that runs a command."""
    return any(_word(instruction) == "RUN" for instruction in _instructions(text))


def _word(instruction: str) -> str:
    return (instruction.split(maxsplit=1) or [""])[0].upper()


def _step(instruction: str) -> str:
    word, *after = instruction.split(maxsplit=1) or [""]
    shown = _split_flags("".join(after))[1] if word.upper() == "RUN" else instruction
    return " ".join(shown.split())


def _instructions(text: str) -> Iterator[str]:
    """Yield logical lines: comments and the bodies of here-documents dropped, continued lines joined."""
    parts: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line.lstrip().startswith("#") or (parts and not line.strip()):
            continue
        parts.append(_CONTINUED.sub("", line))
        if not _CONTINUED.search(line):
            yield (instruction := "".join(parts).strip())
            _pass_here_documents(instruction, lines)
            parts = []
    if parts:
        yield "".join(parts).strip()


def _pass_here_documents(instruction: str, lines: Iterator[str]) -> None:
    if _MAY_HAVE_HERE_DOCUMENTS.match(instruction):
        for dash, _, end in _HERE_DOCUMENT.findall(instruction):
            next((line for line in lines if (line.lstrip("\t") if dash else line) == end), None)


def _sources(instruction: str) -> Iterator[str]:
    word, *after = instruction.split(maxsplit=1) or [""]
    flags, rest = _split_flags("".join(after))
    match word.upper():
        case "COPY" | "ADD" if not any(flag.startswith("from=") for flag in flags):
            yield from (_clean(path) for path in _arguments(rest)[:-1] if not _is_elsewhere(path))
        case "RUN":
            yield from (path for flag in flags if (path := _bind_source(flag)))
        case _:
            return


def _split_flags(rest: str) -> tuple[list[str], str]:
    flags: list[str] = []
    while found := _FLAG.match(rest):
        flags.append(found.group(1))
        rest = rest[found.end() :]
    return flags, rest


def _arguments(rest: str) -> list[str]:
    try:
        return [str(word) for word in json.loads(rest)] if rest.startswith("[") else rest.split()
    except json.JSONDecodeError:  # a wildcard, as BuildKit takes it
        return rest.split()


def _is_elsewhere(path: str) -> bool:
    """Whether a source is no path of the context: a URL, or a document that stands in the Dockerfile itself."""
    return "://" in path or path.startswith("git@") or _HERE_DOCUMENT.fullmatch(path) is not None


def _bind_source(flag: str) -> str:
    name, _, value = flag.partition("=")
    options = dict(option.partition("=")[::2] for option in value.split(","))
    # A mount without a type is a bind mount: the default of the Dockerfile frontend.
    if name != "mount" or options.get("type", "bind") != "bind" or "from" in options:
        return ""
    return _clean(options.get("source", options.get("src", ".")))


def _clean(path: str) -> str:
    return path.strip("/").removeprefix("./") or "."
