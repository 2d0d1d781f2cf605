"""How a cause is made of the lines around the one that has an error's shape."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from imagematrix.planning.failure.lines import BLOCK, GAP, PREFIX, indentation, message, traceback_frames

NO_SOLUTION: Final = "No solution found when resolving dependencies"
NO_SUCH_PACKAGE: Final = "the index has no such package, or its URL is wrong"
"""What an answer of 404 means."""
_HASH: Final = len("sha256:") + 12
"""Enough digits of a hash to distinguish two."""
_TAMPERED: Final = "someone may have tampered with it"
MISSING_PACKAGE: Final = re.compile(r"\S+ was not found in the (?:package registry|provided package locations)")
_DENIED: Final = re.compile(r"hint: An index URL .* could not be queried")
_HASHES: Final = re.compile(r"Expected:\W*(sha\d+:\w+)\W*Computed:\W*(sha\d+:\w+)")
_KEY: Final = re.compile(r"(?:NO_PUBKEY|EXPKEYSIG|REVKEYSIG|BADSIG) [0-9A-F]+")
_FRAME: Final = re.compile(r'File "([^"]+)", line (\d+)')
_ORIGINAL: Final = re.compile(r"Original error was: (.+)")
_ADDRESS: Final = re.compile(r"(https?://\S*[^\s:])")
EXCEPTION: Final = r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|NotFound|Interrupt|Exit|Failure|Unavailable)"
"""The name of an exception, with its modules."""
_LINK: Final = re.compile(r"(?:During handling of|The above exception was)")
_NUMPY: Final = re.compile(r"A module that was compiled using NumPy 1\.x cannot be run in\s+NumPy \S+ as it may crash")


def with_next(lines: Sequence[str], at: int) -> str:
    """Join a line and the next one that is not empty."""
    return " ".join([message(lines[at]), *_below(lines, at)[:1]])


def paragraph(lines: Sequence[str], at: int) -> str:
    """Join a line and the indented ones after it, up to an empty one."""
    below = [*_indented(lines, at)]
    return " ".join([message(lines[at]), *below])


def exception(lines: Sequence[str], at: int) -> str:
    """Return the last line of a traceback, and the first error of the chain that it ends.

    An exception without a message on its line has it further down: of numpy's advice the original error counts.
    """
    text = message(lines[at])
    original = next((found[1] for line in lines[at : at + 40] if (found := _ORIGINAL.search(line))), "")
    if text.endswith(":"):
        text = f"{text} {original or ' '.join([*_indented(lines, at)] or _below(lines, at)[:1])}"
    elif ": " not in text:
        frame = next((found for line in reversed(lines[:at]) if (found := _FRAME.search(line))), None)
        text = f"{text} in {frame[1]}, line {frame[2]}" if frame else text
    first = _first_of_chain(lines, at)
    return f"{text} (caused by {first})" if first and first not in text else text


def tree(lines: Sequence[str], at: int) -> str:
    """Join an error of uv and what it says are its causes: the innermost one, of a resolution all."""
    top = re.sub(r"^(?:error: )?(.*?):?$", r"\1", message(lines[at]))
    causes = [*_uv_causes(lines, at)]
    denied = next((line.partition("hint: ")[2] for line in lines[at:] if _DENIED.search(line)), "")
    if missing := MISSING_PACKAGE.search(" ".join(causes)):
        return denied or f"{missing[0]}: {NO_SUCH_PACKAGE}"
    if top.endswith(NO_SOLUTION):
        return f"{top}: {' '.join(causes)}"
    if expected := _HASHES.search(" ".join(lines[at : at + 14])):
        said = next((cause for cause in causes if "mismatch" in cause), top)
        return f"{said}: expected {expected[1][:_HASH]}…, got {expected[2][:_HASH]}…; {_TAMPERED}"
    named = [cause for cause in causes if "://" in cause and cause != causes[-1]][:1]
    # How often and how long it tried is another number each time.
    tried = [] if top.startswith("Request failed") and causes else [top]
    return ": ".join(dict.fromkeys([*tried, *named, *causes[-1:]]))


def hash_alarm(lines: Sequence[str], at: int) -> str:
    """Return pip's alarm with the package and both hashes."""
    below = _below(lines, at)
    package = below[0].partition(" from ")[0] if below else ""
    expected = re.search(r"Expected (\w+ \w+).*?Got +(\w+)", " ".join(below[:8]))
    hashes = f" (expected {expected[1][:_HASH]}…, got {expected[2][:12]}…)" if expected else ""
    return f"THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE: {package}{hashes}; {_TAMPERED}"


def without_hash(lines: Sequence[str], at: int) -> str:
    """Return pip's complaint of requirements without hashes: its first sentence, and the first such requirement."""
    return f"{message(lines[at]).partition('. ')[0]}: {''.join(_below(lines, at)[:1]).partition(' --hash')[0]}"


def no_version(lines: Sequence[str], at: int) -> str:
    """Return what pip could not find: without all versions there are, and why where it knows none."""
    text = re.sub(r"(\(from versions: [^,)]+, )[^)]{40,}, ", r"\1…, ", message(lines[at]))
    if "(from versions: none)" not in text:
        return text
    others = next((line for line in reversed(lines[:at]) if "require a different python version" in line), "")
    return f"{text}: {message(others) if others else NO_SUCH_PACKAGE}"


def unsigned(lines: Sequence[str], at: int) -> str:
    """Return which of apt's sources is not signed, and by which key it should be."""
    text = message(lines[at])
    key = next((found[0] for line in reversed(lines[:at]) if (found := _KEY.search(line))), "")
    return f"{text} ({key})" if key and key not in text else text


def conflict(lines: Sequence[str], at: int) -> str:
    """Return what cannot be installed together, and who wants what."""
    wants = [text for text in _below(lines, at) if " depends on " in text or "requested" in text]
    return f"{message(lines[at])} {'; '.join(wants)}"


def cmake(lines: Sequence[str], at: int) -> str:
    """Return an error of cmake's: of a package that it cannot find, what it looked for."""
    missing = re.search(r'provided by "(\w+)"|Could NOT find (.+?\))', " ".join(_below(lines, at)))
    if missing and "find_package" in lines[at]:
        return f"{message(lines[at])} {missing[1] or missing[2]} was not found"
    return paragraph(lines, at)


def wget(lines: Sequence[str], at: int) -> str:
    """Return an error of wget's with the address, which stands above."""
    asked = next((found[1] for line in reversed(lines[: at + 1]) if (found := _ADDRESS.search(line))), "")
    said = re.sub(r"^\S+ [\d:]+ (?=ERROR)", "", message(lines[at]))
    return f"wget: {said} ({asked})" if asked else f"wget: {said}"


def checksum(lines: Sequence[str], at: int) -> str:
    name = message(lines[at]).partition(": FAILED")[0]
    return f"{name}: the checksum does not match; {_TAMPERED}" if lines[at].endswith("FAILED") else message(lines[at])


def _below(lines: Sequence[str], at: int) -> Sequence[str]:
    """Return the lines after a line, without empty ones."""
    return [text for line in lines[at + 1 : at + 12] if (text := PREFIX.sub("", line).strip())]


def _indented(lines: Sequence[str], at: int) -> Iterator[str]:
    began = False
    for line in lines[at + 1 : at + 12]:
        if (not line.strip() and began) or (line.strip() and indentation(line) <= indentation(lines[at])):
            return
        if line.strip():
            began = True
            yield PREFIX.sub("", line).strip()


def _uv_causes(lines: Sequence[str], at: int) -> Iterator[str]:
    """Yield the causes that uv gives for an error, each as one line, in either of the forms that it has had."""
    cause = ""
    for line in lines[at + 1 :]:
        text = re.sub(r"^[\s│├└╰─▶]+", "", line)
        if (
            text.startswith(("hint:", "help:"))
            or BLOCK.search(line)
            or (line and not line[0].isspace() and line[0] not in "│├╰")
        ):
            break
        begins = text.startswith(("cause: ", "Caused by: ")) or re.match(r"\s*[├╰└]─", line)
        if begins and cause:
            yield cause
            cause = ""
        said = re.sub(r"^(?:cause|Caused by): ", "", text)
        if not said and cause:
            yield cause
            cause = ""
        cause = f"{cause} {said}".strip()
    if cause:
        yield cause


def _first_of_chain(lines: Sequence[str], at: int) -> str:
    """Return the first error of the tracebacks and bare exceptions that end in a line; empty where it is the only one.

    Before its own traceback a module may have said what makes it fail: numpy 2 of what was compiled for numpy 1.
    """
    frames = traceback_frames(lines)
    first, number, links = "", at - 1, 0
    while number >= 0 and links < GAP:
        text = PREFIX.sub("", lines[number])
        if number in frames or not text:
            number -= 1
            continue
        if advice := _NUMPY.search(" ".join(lines[max(0, number - 12) : number + 1])):
            return " ".join(advice[0].split())
        if re.match(rf"{EXCEPTION}(?:: |$)", text):
            first, links = text, 0
        elif not _LINK.match(text):
            links += 1
            if not first or links > 1:
                break
        number -= 1
    return first
