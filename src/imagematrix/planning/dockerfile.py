"""The text of a stage in; out: the paths it reads from its build context, its steps as BuildKit names them, its faults.

Keys hash what the builder sees, so this must find every path that BuildKit would: sources of COPY and
ADD without `--from`, and of `RUN --mount=type=bind` without `from=`
(https://docs.docker.com/reference/dockerfile/).
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import did_you_mean

_INSTRUCTIONS: Final = frozenset(
    (
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    )
)
_FORBIDDEN: Final = {
    "FROM": (
        "a layer cannot begin another stage: it is built on the layer before it",
        "remove it; to copy out of another image, name that image: COPY --from=IMAGE:TAG",
    ),
    "ONBUILD": (
        "ONBUILD would run in the layers above, unseen by their keys",
        "put the instruction into the layer that needs it",
    ),
}
_LEAST_ARGUMENTS: Final = {"ADD": 2, "COPY": 2, "CMD": 0, "ENTRYPOINT": 0}
"""Of others one."""
_DIRECTIVE: Final = re.compile(r"#\s*(syntax|escape|check)\s*=", re.IGNORECASE)
WHOLE_IMAGE: Final = re.compile(r"[/:@$]")
"""What the name of an image has that cannot be taken for that of a stage: a path, a tag, a digest; or a variable."""
_CONTINUED = re.compile(r"\\[ \t]*$")
_FLAG = re.compile(r"--(\S+)\s*")
_WILDCARDS = frozenset("*?[")
_MAY_HAVE_HERE_DOCUMENTS = re.compile(r"(COPY|ADD|RUN)\s", re.IGNORECASE)
_WORD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\S)+""")
"""As a shell parts words: what is in quotes may hold blanks."""
_HERE_DOCUMENT = re.compile(r"""\d*<<(-?)(["']?)([^\s<"']+)\2""")


def context_paths(text: str) -> tuple[str, ...]:
    """Return the context paths (files or folders, no leading or trailing slash) that a stage's text reads.

    Raises ValueError for a source with a wildcard, since what it matches would not be seen by a reader, and for
    the whole context, which holds more than this stage's key knows.
    """
    found = {path for instruction in instructions(text) for path in _sources(instruction.text)}
    refused = [why for path in sorted(found) if (why := _refusal(path))]
    if refused:
        raise ValueError(f"{refused[0]}: name the file or its folder")
    return tuple(sorted(found))


def is_within(path: str, source: str) -> bool:
    """Whether a file is what a source names: the file itself, a folder that holds it, or the whole context."""
    return source in (".", path) or path.startswith(f"{source}/")


def _refusal(path: str) -> str:
    """Return why a key cannot hold what is at a path; empty: it can."""
    if path == ".":
        return "source '.' is the whole leaf"
    return f"source {path!r} has a wildcard" if _WILDCARDS & set(path) else ""


def runs(text: str) -> bool:
    """Whether a stage has a step that runs a command."""
    return any(instruction.word == "RUN" for instruction in instructions(text))


def steps(text: str) -> frozenset[str]:
    """Return a stage's instructions as BuildKit names what they made: of RUN its command, of others all of it.

    Words are separated by one blank.
    """
    return frozenset(filter(None, (_step(instruction.text) for instruction in instructions(text))))


def _step(instruction: str) -> str:
    word, *after = instruction.split(maxsplit=1) or [""]
    shown = _split_flags("".join(after))[1] if word.upper() == "RUN" else instruction
    return " ".join(shown.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """A logical line, with the number of its first line."""

    line: int
    text: str
    is_cut: bool
    """Whether the text ends before it does: in a continued line, or in a here-document."""
    documents: str
    """The lines of its here-documents."""
    raw: str
    """All its lines as they are written, with comments between them, up to the last of its here-documents."""
    tail: str
    """Of these the lines of its here-documents, each with the line that ends it."""

    @property
    def word(self) -> str:
        """What it is, in capitals: RUN, COPY."""
        return self.text.partition(" ")[0].partition("\t")[0].upper()

    @property
    def flags(self) -> list[str]:
        """Return its flags without their dashes: `mount=…`, `from=…`."""
        return _split_flags(_after(self.text))[0]

    @property
    def arguments(self) -> list[str]:
        """Return what follows its flags, word by word."""
        return _arguments(_split_flags(_after(self.text))[1])

    @property
    def is_list(self) -> bool:
        """Whether its arguments are a list in brackets."""
        return _is_list(_split_flags(_after(self.text))[1])


def faults(body: str, *, stages: Collection[str]) -> Iterator[Diagnostic]:
    """Yield what is wrong with the instructions of a layer; `stages` are those that it may copy out of, by name."""
    yield from _directives(body)
    for instruction in instructions(body):
        yield from _faults(instruction, stages)


def directives(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the parser directives that a Dockerfile begins with: line, name in lower case, value."""
    for number, line in enumerate(text.splitlines(), start=1):
        match = _DIRECTIVE.match(line.strip())
        if not match:
            return
        yield number, match[1].lower(), line.partition("=")[2].strip()


def sources(body: str) -> Iterator[tuple[int, str]]:
    """Yield the files and folders that a stage's text reads of its context, each with the line of its instruction."""
    for instruction in instructions(body):
        yield from ((instruction.line, path) for path in _sources(instruction.text) if not _refusal(path))


def _directives(body: str) -> Iterator[Diagnostic]:
    """Yield the parser directives that a layer begins with: a Dockerfile has them in its very first lines alone."""
    for number, name, _ in directives(body):
        what = f"# {name}= has no effect here: it would have to be the first line of the leaf's Dockerfile"
        yield Diagnostic(line=number, code="dockerfile_directive", message=what, hint="remove it")


def _faults(instruction: Instruction, stages: Collection[str]) -> Iterator[Diagnostic]:
    word, line = instruction.word, instruction.line
    if word in _FORBIDDEN:
        what, hint = _FORBIDDEN[word]
        yield Diagnostic(line=line, code=f"dockerfile_{word.lower()}", message=what, hint=hint)
    elif malformed := [*malformations(instruction, within="layer")]:
        yield from malformed
    else:
        for path in filter(_refusal, _sources(instruction.text)):
            yield Diagnostic(
                line=line, code="dockerfile_source", message=_refusal(path), hint="name the file or its folder"
            )
        yield from _origins(instruction, stages)


def malformations(instruction: Instruction, *, within: str) -> Iterator[Diagnostic]:
    """Yield what keeps an instruction from being one; `within` is what it stands in: a layer, a Dockerfile."""
    word, line = instruction.word, instruction.line
    if word not in _INSTRUCTIONS and word not in _FORBIDDEN:
        what = f"unknown instruction {word}"
        yield Diagnostic(line=line, code="dockerfile_instruction", message=what, hint=did_you_mean(word, _INSTRUCTIONS))
    elif instruction.is_cut:
        what = f"this {word} has no end: the {within} ends within it"
        hint = "remove the last backslash, or write the line that ends the here-document"
        yield Diagnostic(line=line, code="dockerfile_unterminated", message=what, hint=hint)
    else:
        yield from _arity(instruction)


def _arity(instruction: Instruction) -> Iterator[Diagnostic]:
    word, least = instruction.word, _LEAST_ARGUMENTS.get(instruction.word, 1)
    _, rest = _split_flags(_after(instruction.text))
    if len(_arguments(rest)) < least:
        wants = "a source and a destination" if least > 1 else "an argument"
        yield Diagnostic(line=instruction.line, code="dockerfile_arguments", message=f"{word} needs {wants}")


def _origins(instruction: Instruction, stages: Collection[str]) -> Iterator[Diagnostic]:
    """Yield what cannot be copied out of: layers are built one by one, so no other stage exists then."""
    flags, _ = _split_flags(_after(instruction.text))
    for name in filter(None, map(origin, flags)):
        if name not in stages and not WHOLE_IMAGE.search(name):
            what = f"there is no stage {name!r} to copy out of: layers are built one by one"
            hint = f"an image is named with its tag: --from={name}:TAG; {did_you_mean(name, stages)}"
            yield Diagnostic(line=instruction.line, code="dockerfile_origin", message=what, hint=hint)


def origin(flag: str) -> str:
    """Return what a flag copies or mounts out of, if not the build context."""
    name, _, value = flag.partition("=")
    return value if name == "from" else mount(flag).get("from", "")


def mount(flag: str) -> Mapping[str, str]:
    """Return the options of a mount; of another flag, none."""
    name, _, value = flag.partition("=")
    return dict(option.partition("=")[::2] for option in value.split(",")) if name == "mount" else {}


@lru_cache(maxsize=256)
def instructions(text: str) -> tuple[Instruction, ...]:
    """Return logical lines: comments dropped, continued lines joined, each with its here-documents."""
    return tuple(_instructions(text))  # each text is looked at for several things, one after the other


def _instructions(text: str) -> Iterator[Instruction]:
    written, parts = text.splitlines(), list[str]()
    first = 0
    lines = iter(enumerate(written, start=1))
    for number, line in lines:
        if line.lstrip().startswith("#") or not line.strip():
            continue
        first = first if parts else number
        parts.append(_CONTINUED.sub("", line))
        if not _CONTINUED.search(line):
            logical = "".join(parts).strip()
            documents: list[str] = []
            passed: list[str] = []
            is_whole = _pass_here_documents(logical, _noting(lines, passed), documents)
            yield Instruction(
                line=first,
                text=logical,
                is_cut=not is_whole,
                documents="\n".join(documents),
                raw="\n".join(written[first - 1 : number + len(passed)]),
                tail="\n".join(passed),
            )
            parts = []
    if parts:
        raw = "\n".join(written[first - 1 :])
        yield Instruction(line=first, text="".join(parts).strip(), is_cut=True, documents="", raw=raw, tail="")


def _noting(lines: Iterator[tuple[int, str]], passed: list[str]) -> Iterator[str]:
    """Yield lines without their numbers; those that were taken are in `passed`."""
    for _, line in lines:
        passed.append(line)
        yield line


def _pass_here_documents(instruction: str, lines: Iterator[str], passed: list[str]) -> bool:
    """Go past the documents of an instruction, gather their lines, and return whether each document has its end."""
    if not _MAY_HAVE_HERE_DOCUMENTS.match(instruction):
        return True
    found = [match for word in _WORD.findall(instruction) if (match := _HERE_DOCUMENT.fullmatch(word))]

    def has_end(match: re.Match[str]) -> bool:
        for line in lines:
            if (line.lstrip("\t") if match[1] else line) == match[3]:
                return True
            passed.append(line)
        return False

    ends = [has_end(match) for match in found]  # each goes on where the one before ended
    return all(ends)


def _after(instruction: str) -> str:
    return "".join(instruction.split(maxsplit=1)[1:])


def _sources(instruction: str) -> Iterator[str]:
    word, *_ = instruction.split(maxsplit=1) or [""]
    flags, rest = _split_flags(_after(instruction))
    match word.upper():
        case "COPY" | "ADD" if not any(flag.startswith("from=") for flag in flags):
            yield from (_clean(path) for path in _arguments(rest)[:-1] if not is_elsewhere(path))
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
    return [str(word) for word in json.loads(rest)] if _is_list(rest) else rest.split()


def _is_list(rest: str) -> bool:
    try:
        return rest.startswith("[") and isinstance(json.loads(rest), list)
    except json.JSONDecodeError:  # a wildcard, as BuildKit takes it
        return False


def is_elsewhere(path: str) -> bool:
    """Whether a source is not a path of the context: a URL, or a document that stands in the Dockerfile itself."""
    return "://" in path or path.startswith("git@") or _HERE_DOCUMENT.fullmatch(path) is not None


def _bind_source(flag: str) -> str:
    options = mount(flag)
    return _clean(options.get("source", options.get("src", "."))) if is_bind(options) else ""


def is_bind(options: Mapping[str, str]) -> bool:
    """Whether the options of a mount show files of the context: one without a type does."""
    return bool(options) and options.get("type", "bind") == "bind" and "from" not in options


def _clean(path: str) -> str:
    return path.strip("/").removeprefix("./") or "."
