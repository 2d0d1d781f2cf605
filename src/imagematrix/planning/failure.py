"""What a step that failed printed in, its cause out: the first error of the tool that failed.

The tools of a build call each other, and each reports that the one below failed: `make`, called by a `setup.py` that
`pip` called. So the output is read from its end. An echo ("make: *** Error 1") points to what was printed above it, up
to an error that says what went wrong; of a tool that prints several of those, the first one counts. Data first: one
shape a line, as the tools print it in English (LC_ALL=C.UTF-8).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

_LONGEST: Final = 300
"""Characters of a cause: it is one line of a report."""
_REACH: Final = 40
"""How many lines before the end of the output the last error may be: what is older was survived."""
_GAP: Final = 6
"""How many lines apart two errors of one tool may be that belong together."""
_ANYWHERE: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What went wrong, in one line, and the line of the output that says it."""

    text: str
    line: int


def reason(cause: Cause | None, *, code: str, step: str) -> str:
    """Return why a step failed, in one line: its cause, its exit code, and which it is."""
    killed = " (killed: perhaps it ran out of memory)" if code == _KILLED else ""
    return f"{cause.text if cause else 'it printed no error'}; exit code {code}{killed} of {_abbreviated(step)}"


def is_not_in_index(said: str) -> bool:
    """Whether uv found no solution since an index answered that it has no such package."""
    return _MISSING_PACKAGE.search(" ".join(said.split())) is not None


def judged(output: Sequence[str], cause: Cause | None) -> str:
    """Return what decides whether a failure may pass by itself: its cause, what led to it, and what followed."""
    start = max(0, cause.line - _LED_TO) if cause else -_LED_TO
    return "\n".join(output[start:])


_KILLED: Final = "137"
_LED_TO: Final = 4
"""How many lines above its error a tool may have said whom it asked."""
_STEP_LENGTH: Final = 80


def _abbreviated(step: str) -> str:
    words = " ".join(step.split())
    return words if len(words) <= _STEP_LENGTH else f"{words[: _STEP_LENGTH - 1].rstrip()}…"


class _Role(Enum):
    CAUSE = auto()
    """Says what went wrong."""
    ECHO = auto()
    """Says that something it called went wrong, or that it was given nothing useful."""
    NOISE = auto()
    """Looks like an error, and is none."""


_EXCEPTION: Final = r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|NotFound|Interrupt|Exit|Failure|Unavailable)"
"""The name of an exception, with its modules."""

_Reader = Callable[[Sequence[str], int], str]
"""Makes a cause of the lines and of the place of the one that has an error's shape."""


@dataclass(frozen=True, slots=True)
class _Shape:
    tool: str
    pattern: str
    role: _Role = _Role.CAUSE
    read: _Reader | None = None
    """None: the line says it all."""
    reach: int = _ANYWHERE
    """Of an echo: how far above it its cause may be."""


@dataclass(frozen=True, slots=True)
class _Error:
    line: int
    shape: _Shape


def find(output: Sequence[str]) -> Cause | None:
    """Return the cause of a failure; None where the output does not say it."""
    lines = _tried_last([_bare(line) for line in output])
    errors = [*_errors(lines)]
    last = _last(errors, lines)
    if last is None:
        return _last_words(lines, range(max(0, len(lines) - _REACH), len(lines)))
    place = _followed(errors, last, lines)
    if isinstance(place, Cause):
        return place
    text = abbreviated(place.shape.read(lines, place.line) if place.shape.read else _said(lines[place.line]))
    return _unreachable(lines, place) or Cause(text=text, line=place.line)


# --- how causes are read -------------------------------------------------------------------


def _with_next(lines: Sequence[str], at: int) -> str:
    """Join a line and the next one that is not empty."""
    return " ".join([_said(lines[at]), *_below(lines, at)[:1]])


def _paragraph(lines: Sequence[str], at: int) -> str:
    """Join a line and the indented ones after it, up to an empty one."""
    below = [*_indented(lines, at)]
    return " ".join([_said(lines[at]), *below])


def _exception(lines: Sequence[str], at: int) -> str:
    """Return the last line of a traceback, and the first error of the chain that it ends.

    An exception without a message on its line has it further down: of numpy's advice the original error counts.
    """
    text = _said(lines[at])
    original = next((found[1] for line in lines[at : at + 40] if (found := _ORIGINAL.search(line))), "")
    if text.endswith(":"):
        text = f"{text} {original or ' '.join([*_indented(lines, at)] or _below(lines, at)[:1])}"
    elif ": " not in text:
        frame = next((found for line in reversed(lines[:at]) if (found := _FRAME.search(line))), None)
        text = f"{text} in {frame[1]}, line {frame[2]}" if frame else text
    first = _first_of_chain(lines, at)
    return f"{text} (caused by {first})" if first and first not in text else text


def _tree(lines: Sequence[str], at: int) -> str:
    """Join an error of uv and what it says are its causes: the innermost one, of a resolution all."""
    top = re.sub(r"^(?:error: )?(.*?):?$", r"\1", _said(lines[at]))
    causes = [*_uv_causes(lines, at)]
    denied = next((line.partition("hint: ")[2] for line in lines[at:] if _DENIED.search(line)), "")
    if missing := _MISSING_PACKAGE.search(" ".join(causes)):
        return denied or f"{missing[0]}: {NO_SUCH_PACKAGE}"
    if top.endswith(_NO_SOLUTION):
        return f"{top}: {' '.join(causes)}"
    if expected := _HASHES.search(" ".join(lines[at : at + 14])):
        said = next((cause for cause in causes if "mismatch" in cause), top)
        return f"{said}: expected {expected[1][:_HASH]}…, got {expected[2][:_HASH]}…; {_TAMPERED}"
    named = [cause for cause in causes if "://" in cause and cause != causes[-1]][:1]
    # How often and how long it tried is another number each time.
    tried = [] if top.startswith("Request failed") and causes else [top]
    return ": ".join(dict.fromkeys([*tried, *named, *causes[-1:]]))


def _hash_alarm(lines: Sequence[str], at: int) -> str:
    """Return pip's alarm with the package and both hashes."""
    below = _below(lines, at)
    package = below[0].partition(" from ")[0] if below else ""
    expected = re.search(r"Expected (\w+ \w+).*?Got +(\w+)", " ".join(below[:8]))
    hashes = f" (expected {expected[1][:_HASH]}…, got {expected[2][:12]}…)" if expected else ""
    return f"THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE: {package}{hashes}; {_TAMPERED}"


def _without_hash(lines: Sequence[str], at: int) -> str:
    """Return pip's complaint of requirements without hashes: its first sentence, and the first such requirement."""
    return f"{_said(lines[at]).partition('. ')[0]}: {''.join(_below(lines, at)[:1]).partition(' --hash')[0]}"


def _no_version(lines: Sequence[str], at: int) -> str:
    """Return what pip could not find: without all versions there are, and why where it knows none."""
    text = re.sub(r"(\(from versions: [^,)]+, )[^)]{40,}, ", r"\1…, ", _said(lines[at]))
    if "(from versions: none)" not in text:
        return text
    others = next((line for line in reversed(lines[:at]) if "require a different python version" in line), "")
    return f"{text}: {_said(others) if others else NO_SUCH_PACKAGE}"


def _unsigned(lines: Sequence[str], at: int) -> str:
    """Return which of apt's sources is not signed, and by which key it should be."""
    text = _said(lines[at])
    key = next((found[0] for line in reversed(lines[:at]) if (found := _KEY.search(line))), "")
    return f"{text} ({key})" if key and key not in text else text


_NO_SOLUTION: Final = "No solution found when resolving dependencies"
NO_SUCH_PACKAGE: Final = "the index has no such package, or its URL is wrong"
"""What an answer of 404 means."""
_HASH: Final = len("sha256:") + 12
"""As much of a hash as tells two apart."""
_TAMPERED: Final = "someone may have tampered with it"
_MISSING_PACKAGE: Final = re.compile(r"\S+ was not found in the (?:package registry|provided package locations)")
_DENIED: Final = re.compile(r"hint: An index URL .* could not be queried")
_HASHES: Final = re.compile(r"Expected:\W*(sha\d+:\w+)\W*Computed:\W*(sha\d+:\w+)")
_KEY: Final = re.compile(r"(?:NO_PUBKEY|EXPKEYSIG|REVKEYSIG|BADSIG) [0-9A-F]+")
_FRAME: Final = re.compile(r'File "([^"]+)", line (\d+)')
_ORIGINAL: Final = re.compile(r"Original error was: (.+)")


def _below(lines: Sequence[str], at: int) -> Sequence[str]:
    """Return what is said after a line, without empty lines."""
    return [text for line in lines[at + 1 : at + 12] if (text := _PREFIX.sub("", line).strip())]


def _indented(lines: Sequence[str], at: int) -> Iterator[str]:
    began = False
    for line in lines[at + 1 : at + 12]:
        if (not line.strip() and began) or (line.strip() and _depth(line) <= _depth(lines[at])):
            return
        if line.strip():
            began = True
            yield _PREFIX.sub("", line).strip()


def _conflict(lines: Sequence[str], at: int) -> str:
    """Return what cannot be installed together, and who wants what."""
    wants = [text for text in _below(lines, at) if " depends on " in text or "requested" in text]
    return f"{_said(lines[at])} {'; '.join(wants)}"


def _cmake(lines: Sequence[str], at: int) -> str:
    """Return an error of cmake's: of a package that it cannot find, what it looked for."""
    missing = re.search(r'provided by "(\w+)"|Could NOT find (.+?\))', " ".join(_below(lines, at)))
    if missing and "find_package" in lines[at]:
        return f"{_said(lines[at])} {missing[1] or missing[2]} was not found"
    return _paragraph(lines, at)


def _wget(lines: Sequence[str], at: int) -> str:
    """Return an error of wget's with the address, which stands above."""
    asked = next((found[1] for line in reversed(lines[: at + 1]) if (found := _ADDRESS.search(line))), "")
    said = re.sub(r"^\S+ [\d:]+ (?=ERROR)", "", _said(lines[at]))
    return f"wget: {said} ({asked})" if asked else f"wget: {said}"


_ADDRESS: Final = re.compile(r"(https?://\S*[^\s:])")


def _checksum(lines: Sequence[str], at: int) -> str:
    name = _said(lines[at]).partition(": FAILED")[0]
    return f"{name}: the checksum does not match; {_TAMPERED}" if lines[at].endswith("FAILED") else _said(lines[at])


def _uv_causes(lines: Sequence[str], at: int) -> Iterator[str]:
    """Yield the causes that uv gives for an error, each as one line, in either of the forms that it has had."""
    cause = ""
    for line in lines[at + 1 :]:
        text = re.sub(r"^[\s│├└╰─▶]+", "", line)
        if (
            text.startswith(("hint:", "help:"))
            or _BLOCK.search(line)
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
    frames = _code(lines)
    first, number, links = "", at - 1, 0
    while number >= 0 and links < _GAP:
        text = _PREFIX.sub("", lines[number])
        if number in frames or not text:
            number -= 1
            continue
        if advice := _NUMPY.search(" ".join(lines[max(0, number - 12) : number + 1])):
            return " ".join(advice[0].split())
        if re.match(rf"{_EXCEPTION}(?:: |$)", text):
            first, links = text, 0
        elif not _LINK.match(text):
            links += 1
            if not first or links > 1:
                break
        number -= 1
    return first


_LINK: Final = re.compile(r"(?:During handling of|The above exception was)")
_NUMPY: Final = re.compile(r"A module that was compiled using NumPy 1\.x cannot be run in\s+NumPy \S+ as it may crash")

# --- the shapes of errors ------------------------------------------------------------------

_CAUSE, _ECHO, _NOISE = _Role.CAUSE, _Role.ECHO, _Role.NOISE
_COMPILER: Final = "a compiler"
_LINKER: Final = "a linker"

_SHAPES: Final = (
    # what was survived, or only explains
    _Shape("", r"ERROR: pip's dependency resolver does not currently take into account", _NOISE),
    _Shape("", r"ERROR: Ignored the following (?:yanked )?versions", _NOISE),
    _Shape("", r"(?i:warning|note|hint|notice|info|debug)\b(?!.*: FAILED)", _NOISE),
    _Shape("", r"curl: .*(?:show this help|for more information)", _NOISE),
    _Shape("", r"debconf: |dpkg-preconfigure: |invoke-rc\.d: |update-rc\.d: |perl: ", _NOISE),
    # pip
    _Shape("pip", r"ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", read=_hash_alarm),
    _Shape("pip", r"ERROR: (?:Hashes are required|Can't verify hashes|In --require-hashes mode)", read=_without_hash),
    _Shape("pip", r"ERROR: Could not find a version that satisfies", read=_no_version),
    _Shape("pip", r"ERROR: Cannot install .* conflicting dependencies", read=_conflict),
    _Shape("pip build", r"error: externally-managed-environment", _ECHO),
    _Shape("pip build", r"error: (?:subprocess-exited-with-error|metadata-generation-failed)", _ECHO),
    _Shape("pip build", r"error: (?:installed|legacy|failed|invalid|uninstall)-[\w-]+", _ECHO),
    _Shape("pip build", r"ERROR: Command errored out with exit status", _ECHO),
    _Shape("pip build", r"ERROR: Failed (?:building|to build) ", _ECHO),
    _Shape("pip build", r"(?:ERROR: )?Failed to build (?!`)\S+", _ECHO),
    _Shape("pip build", r"ERROR: Could not build wheels for ", _ECHO),
    _Shape("pip build", r"ERROR: Exception:", _ECHO),
    _Shape("pip build", r"\u00d7 (?:Encountered error|.* did not run successfully)", _ECHO),
    _Shape("pip", r"\u00d7 This environment is externally managed"),
    _Shape("pip", r"ERROR: (?:No matching distribution|ResolutionImpossible)", _ECHO, reach=30),
    _Shape("pip", r"ERROR: (?:HTTP error|Could not|Invalid|Cannot|Package|Directory|Exception|Double|Operation|Flag)"),
    _Shape("pip", r"ERROR: \S+\.whl is not a supported wheel"),
    _Shape("pip check", r"\S+ \S+ (?:has requirement .*, but you have|requires .*, which is not installed)"),
    _Shape("pip check", r"The package `\S+` requires `"),
    # uv
    _Shape("uv build", r"(?:error: |\u00d7 )Failed to build `", _ECHO),
    _Shape("uv build", r"(?:error: |\u00d7 )Failed to (?:download and build|prepare|install build) ", _ECHO),
    _Shape("uv", rf"(?:error: |\u00d7 ){_NO_SOLUTION}", read=_tree),
    _Shape("uv", r"(?:error|\u00d7 )[: ]*(?:Failed to |Request failed|Distribution not found|Unable to )", read=_tree),
    _Shape("uv", r"\u00d7 ", read=_tree),
    # apt and dpkg
    _Shape("apt", r"E: (?:The repository|.* is not signed)", read=_unsigned),
    _Shape("apt", r"E: Sub-process \S+ returned an error code", _ECHO),
    _Shape("apt", r"E: Unable to correct problems", _ECHO, reach=20),
    _Shape("apt", r"E: (?:Unable to fetch some archives|Some index files failed|Aborting install)", _ECHO, reach=20),
    _Shape("apt", r"E: (?:apt-get|mmdebstrap|run_chroot|setup|chroot)\b.*(?:failed|exited)", _ECHO, reach=30),
    _Shape("apt", r"E: Unmet dependencies", _ECHO, reach=20),
    _Shape("apt", r" *\S+ : (?:Pre)?(?:Depends|Breaks|Conflicts): "),
    _Shape("apt", r"E: "),
    _Shape("dpkg", r"dpkg: error processing .*", _ECHO, read=_with_next),
    _Shape("dpkg", r"dpkg: dependency problems prevent", read=_paragraph),
    _Shape("dpkg", r"dpkg(?:-\w+)?: (?:unrecoverable fatal )?error: "),
    # downloads
    _Shape("curl", r"curl: \(\d+\) "),
    _Shape("wget", r"\d{4}-\d\d-\d\d [\d:]+ ERROR \d+: ", read=_wget),
    _Shape("wget", r"ERROR: (?:cannot verify|certificate common name|The certificate)", read=_paragraph),
    _Shape("wget", r"wget: "),
    _Shape("wget", r"(?:Connecting to|Resolving) .*failed: ", read=_wget),
    _Shape("wget", r"failed: (?:Connection|No route|Network|Name|Temporary)", read=_wget),
    _Shape("wget", r"HTTP request sent, awaiting response\.\.\. (?:No data|Read error)", read=_wget),
    _Shape("wget", r"Read error at byte|Cannot write to "),
    _Shape("git", r"(?:remote: )?(?:fatal|error): (?:unable to access|repository|Remote branch|RPC failed|early EOF)"),
    _Shape("git", r"(?:fatal|error): (?:fetch-pack|index-pack|pathspec|could not read|the remote end|protocol error)"),
    _Shape("git", r"fatal: "),
    # what is fed by a download, and got none
    _Shape("a pipe", r"(?:gzip|bzip2|xz|zstd|unzip|tar|gpg|cpio)(?: \(child\))?: ", _ECHO, reach=10),
    _Shape("a pipe", r"End-of-central-directory signature not found", _ECHO, reach=10),
    _Shape("a checksum", r"\S+: FAILED(?: open or read)?$", read=_checksum),
    _Shape("a checksum", r"\S*sum: WARNING: .*did NOT match", _ECHO, reach=10),
    # conda
    _Shape("conda", r"(?:critical|error) +libmamba "),
    # compilers, and what calls them
    _Shape(_COMPILER, r"\S+:\d+(?::\d+)?: (?:fatal )?error: "),
    _Shape(_COMPILER, r"\S+\(\d+\): (?:catastrophic )?error(?: #?[\w-]+)?: "),
    _Shape(_COMPILER, r"collect2: (?:fatal )?error: ", _ECHO),
    _Shape(_COMPILER, r"\S*(?:gcc|g\+\+|cc1|cc1plus|cc|c\+\+|clang|clang\+\+|as)(?:-\d+)?: (?:fatal )?error: "),
    _Shape(_COMPILER, r"(?:nvcc|ptxas|nvlink|cudafe\+\+|fatbinary) *(?:fatal|error) *: "),
    _Shape(_COMPILER, r"\d+ errors? detected in the compilation", _ECHO),
    _Shape(_LINKER, r".*undefined reference to "),
    _Shape(_LINKER, r"(?:\S*/)?\S*ld(?:\.\w+)?: (?:cannot find|.*error|final link failed|.*skipping incompatible)"),
    _Shape(_COMPILER, r"error(?:\[E\d+\])?: (?:cannot find|can't find|linker|mismatched|unresolved|linking)"),
    _Shape("cargo", r"error: could not compile", _ECHO),
    _Shape("cmake", r"CMake Error(?: at \S+ \(\w+\)| in \S+)?:", read=_cmake),
    _Shape("cmake", r"-- Configuring incomplete", _ECHO),
    _Shape("make", r"\S*make(?:\[\d+\])?: \*\*\* (?:\[.*\] Error|\[.*\] (?!.*Error)\w+|Waiting for)", _ECHO),
    _Shape("make", r"\S*make(?:\[\d+\])?: Target .* not remade", _ECHO),
    _Shape("make", r"\S*make(?:\[\d+\])?: (?:\*\*\* |\S+: (?:No such file|Permission denied|Command not found))"),
    _Shape("ninja", r"ninja: build stopped|FAILED: |ninja: fatal: .*subcommand", _ECHO),
    _Shape("ninja", r"ninja: (?:error|fatal): "),
    _Shape("configure", r"configure: error: "),
    _Shape("setuptools", r"error: [Cc]ommand .* failed(?: with exit (?:status|code)|:)", _ECHO),
    _Shape("setuptools", r"error: (?:Cannot compile|Could not build|Failed to build) ", _ECHO),
    _Shape("setuptools", r"(?:distutils|setuptools)\.errors\.\w+: [Cc]ommand ", _ECHO),
    # other languages' package managers, distributions
    _Shape("npm", r"npm (?:ERR!|error) (?:code|errno|syscall|path|command) ", _NOISE),
    _Shape("npm", r"npm (?:ERR!|error) A complete log", _NOISE),
    _Shape("npm", r"npm (?:ERR!|error) \S+"),
    _Shape("dnf", r"Errors during downloading metadata for", read=_with_next),
    _Shape("dnf", r"Error: (?:Failed to download metadata|Error downloading|Nothing to do)", _ECHO, reach=8),
    _Shape("dnf", r"No package \S+ available|No match for argument: |Cannot find a valid baseurl"),
    _Shape("apk", r"ERROR: unable to select packages:", read=_with_next),
    # Python: the line that ends a traceback, or stands alone
    _Shape("Python", r"(?:subprocess\.)?CalledProcessError: ", _ECHO),
    _Shape("Python", r"RuntimeError: Error compiling objects for extension", _ECHO),
    _Shape("Python", r"SystemExit: ", _ECHO, reach=10),
    _Shape("Python", rf"{_EXCEPTION}(?:: |:?$)", read=_exception),
    # the shell and what is called from it
    _Shape("sh", r"(?:\S*/)?(?:\w*sh|env|exec|sudo): (?:line )?(?:\d+: )?.*(?:not found|[Nn]o such file|denied|rror)"),
    _Shape("sh", r"(?:\S*/)?[\w.-]+\.sh: (?:line )?\d+: "),
    _Shape("sh", r"(?:\S*/)?[\w.+-]+: (?:cannot|can't|could not|failed to|unable to|invalid|unrecogni[sz]ed|missing) "),
    _Shape("sh", r"(?:\S*/)?[\w.+-]+: .*: (?:No such file or directory|Permission denied|Read-only file system)"),
    _Shape("sh", r"(?:\S*/)?(?:useradd|groupadd|usermod|adduser|chown|chmod|chgrp): "),
    _Shape("sh", r"(?:Killed|Segmentation fault|Illegal instruction|Bus error)(?: \(core dumped\))?$"),
    _Shape("sh", r"Aborted(?: \(core dumped\))?$", _ECHO, reach=5),
    _Shape("sh", r"terminate called after throwing", read=_with_next),
    _Shape("sh", r"Could not execute "),
    _Shape("bootstrap", r"bootstrap: (?:failed: |mmdebstrap could not make|cannot read )", _ECHO, reach=60),
    # whatever else calls itself an error
    _Shape("", r"(?:\S+: )?(?:fatal |internal )?error: "),
    _Shape("", r"(?:\S+: )?(?:FATAL |Internal )?(?:ERROR|Error|FATAL|Fatal)\b(?: \w+){0,2}[:!] "),
)

_GOING_ON: Final = (
    r"\W*$|(?i:warning|note|hint|notice|info|debug|deprecat)\w*\b|\[notice\]|[WNI]: |.*Warning: |warn\(",
    # apt and dpkg
    r"Reading |Building dependency|\(Reading|Selecting prev|Preparing |Unpacking |Setting up |Get:|Hit:|Ign:",
    r"Fetched |Need to get|After this|Processing |debconf:|update-alternatives:|invoke-rc\.d|The following ",
    r"\d+ upgraded|Extracting |Created symlink|perl: |locale: |Removing |Purging |Suggested|Recommended",
    r"Errors were encountered|Do you want to continue",
    # pip and uv
    r"Using |Resolved |Prepared |Installed |Uninstalled |Audited |Built |Building |Collecting |Download(?:ing|ed)",
    r"Installing |Requirement already|Looking in|Getting req|[Rr]unning |Successfully |Attempting |Found exist",
    r"Stored in|Created wheel|Obtaining |\[(?:end of output|stdout|stderr|\d+ lines)|See (?:above|also)",
    r"This error orig|\u00d7 ",
    # curl, wget and git
    r"--\d{4}|Resolving |Connecting to|HTTP request sent|Length:|Saving to|Retrying|Giving up|\d+K[ .]|% Total",
    r"Dload |\d[\d .:kMG-]*--:--|remote: (?:Enum|Count|Comp|Total)|Receiving |Checking out|Switched to|Cloning ",
    # compilers, cmake, make
    r"\S*make(?:\[\d+\])?: (?:Enter|Leav)|\[ *\d+[%/]|-- |(?:\S*[/-])?(?:gcc|g\+\+|cc|c\+\+|ld|ar|nvcc) ",
    r"creating |copying |building |writing |adding |removing |compilation terminated|checking |\+ |\d+ \|",
    # progress bars, TensorFlow's log
    r"[\d.]+%|.*\d+%\W*$|[\u2501\u2578#=>.\s]+$|\d{4}-\d\d-\d\d [\d:.]+: [IW] ",
)
"""What goes on, warns or advises: the last words of a step that does not say what went wrong are others."""
_GOING_ON_RE: Final = re.compile("|".join(_GOING_ON))

_PREFIX: Final = re.compile(r"^[\s│├└╰─▶>]*(?:cause: )?(?=\S)")
_COMPILED: Final = tuple((re.compile(rf"(?:{shape.pattern})"), shape) for shape in _SHAPES)
_UNIT: Final = frozenset({_COMPILER, _LINKER, "cmake"})
"""Tools that go on after an error: their first may be far above their last."""


# --- finding them --------------------------------------------------------------------------


def _bare(line: str) -> str:
    return line.rstrip().rpartition("\r")[2]


def _said(line: str) -> str:
    """Return a line without what is drawn before it, and without the words that only say that it is an error."""
    return re.sub(r"^(?:ERROR: (?!\d)|\u00d7 )", "", _PREFIX.sub("", line).strip())


_LOGIN: Final = re.compile(r"(?<=:)//[^/\s@]+@")
"""What logs in to an address: a reason is read by many."""


def abbreviated(text: str) -> str:
    """Return a text as one line that a report has room for."""
    words = _LOGIN.sub("//", " ".join(text.split()))
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


def _tried_last(lines: Sequence[str]) -> Sequence[str]:
    """Leave out that pip looked for another version after the one that it could not build: it is not the cause."""
    given_up = next((number for number, line in enumerate(lines) if _DISCARDED.match(line)), None)
    return lines if given_up is None or not _MISSING.search("\n".join(lines[-3:])) else lines[:given_up]


_DISCARDED: Final = re.compile(r" *WARNING: Discarding .* errored out")


def _errors(lines: Sequence[str]) -> Iterator[_Error]:
    """Yield what has the shape of an error, but for the code that tracebacks show."""
    code = _code(lines)
    for number, line in enumerate(lines):
        text = _PREFIX.sub("", line)
        if number in code or not text:
            continue
        shape = next((shape for pattern, shape in _COMPILED if pattern.match(text)), None)
        if shape and shape.role is not _NOISE:
            yield _Error(number, shape)


def _code(lines: Sequence[str]) -> frozenset[int]:
    """Return the lines of tracebacks that are frames: from its head to the first that is no further in than it."""
    found: set[int] = set()
    depth: int | None = None
    for number, line in enumerate(lines):
        if depth is not None and line.strip() and _depth(line) <= depth:
            depth = None
        if "Traceback (most recent call last):" in line:
            depth = _depth(line)
        if depth is not None:
            found.add(number)
    return frozenset(found)


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _last(errors: Sequence[_Error], lines: Sequence[str]) -> _Error | None:
    after = 0
    for number in range(len(lines) - 1, (errors[-1].line if errors else len(lines)) - 1, -1):
        after += bool(lines[number].strip())
    return errors[-1] if errors and after <= _REACH else None


def _followed(errors: Sequence[_Error], last: _Error, lines: Sequence[str]) -> _Error | Cause:
    """Follow echoes up to what they echo: the last of them where there is nothing."""
    echo = last
    for error in reversed([error for error in errors if error.line <= last.line]):
        if echo.line - error.line > echo.shape.reach:
            break
        if error.shape.role is _CAUSE:
            if _is_outside(error, echo, lines):
                break
            return _first(errors, error)
        echo = error
    return _quoted(lines, last.line) or echo


def _is_outside(error: _Error, echo: _Error, lines: Sequence[str]) -> bool:
    """Whether what is above an echo is not of what it echoes: of the output that pip quotes, of dpkg's package."""
    if echo.shape.tool == "dpkg":
        return any(_PACKAGE.match(line) for line in lines[error.line : echo.line])
    block = _block(lines, echo.line)
    return echo.shape.tool in ("pip build", "uv build") and bool(block) and error.line < block.start


_PACKAGE: Final = re.compile(r"(?:Setting up|Unpacking|Preparing to unpack) ")


def _first(errors: Sequence[_Error], found: _Error) -> _Error:
    """Return the first error of the same tool."""
    for error in reversed([error for error in errors if error.line < found.line]):
        if error.shape.tool == found.shape.tool and error.shape.role is _CAUSE:
            if found.shape.tool not in _UNIT and found.line - error.line > _GAP:
                break
            if found.shape.tool != "Python":
                found = error
    return found


def _block(lines: Sequence[str], end: int) -> range:
    """Return the lines of the last output of a subprocess that pip or uv quote up to a line."""
    heads = [number for number in range(end + 1) if _BLOCK.search(lines[number])]
    return range(heads[-1] + 1, len(lines)) if heads else range(0)


_BLOCK: Final = re.compile(r"\[\d+ lines of output\]|Complete output \(\d+ lines\)|^\s*\[std(?:out|err)\]$")


def _quoted(lines: Sequence[str], end: int) -> Cause | None:
    """Return the last words of the output that pip or uv quote."""
    block = _block(lines, len(lines) - 1)
    stop = next((number for number in block if _BLOCK_END.match(lines[number])), len(lines))
    return _last_words(lines, range(block.start, stop)) if block and block.start <= max(end, stop) else None


_BLOCK_END: Final = re.compile(r"\s*(?:\[end of output\]|-{20,}|hint: .*)$")


def _last_words(lines: Sequence[str], among: range) -> Cause | None:
    for number in reversed(among):
        text = _PREFIX.sub("", lines[number]).strip()
        if text and not _GOING_ON_RE.match(text):
            return Cause(text=abbreviated(text), line=number)
    return None


def _unreachable(lines: Sequence[str], error: _Error) -> Cause | None:
    """Return why a package is said to be missing that nobody could look for: a list that was not fetched."""
    if not _MISSING.search(lines[error.line]):
        return None
    for number in reversed(range(error.line)):
        if found := _NOT_FETCHED.search(lines[number]):
            why = re.sub(r"<\S+ object at 0x\w+>: ", "", next(filter(None, found.groups())))
            return Cause(text=abbreviated(f"{why} (so: {_said(lines[error.line])})"), line=number)
    return None


_MISSING: Final = re.compile(
    r"Unable to locate package|has no installation candidate|was not found$|\(from versions: |No matching dist"
)
_NOT_FETCHED: Final = re.compile(
    r"^W: (Failed to fetch (?!.* Some index).+)"
    r"|Retry\(total=0,.* after (connection broken by .+)"
    r"|^WARNING: (The repository located at \S+ is not a trusted or secure host and is being ignored)"
)
