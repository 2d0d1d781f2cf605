"""The shapes of errors, as the tools print them in English (LC_ALL=C.UTF-8): one a line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from imagematrix.planning.failure.readers import (
    EXCEPTION,
    NO_SOLUTION,
    checksum,
    cmake,
    conflict,
    exception,
    hash_alarm,
    no_version,
    paragraph,
    tree,
    unsigned,
    wget,
    with_next,
    without_hash,
)

_ANYWHERE: Final = 1_000_000
_COMPILER: Final = "a compiler"
_LINKER: Final = "a linker"


class Role(Enum):
    CAUSE = auto()
    """Says what went wrong."""
    ECHO = auto()
    """Says that something it called went wrong, or that it was given nothing useful."""
    NOISE = auto()
    """Looks like an error, and is not one."""


_Reader = Callable[[Sequence[str], int], str]
"""Makes a cause of the lines and of the place of the one that has an error's shape."""


@dataclass(frozen=True, slots=True)
class Shape:
    tool: str
    pattern: str
    role: Role = Role.CAUSE
    read: _Reader | None = None
    """None: the line says it all."""
    reach: int = _ANYWHERE
    """Of an echo: how far above it its cause may be."""


CAUSE, ECHO, NOISE = Role.CAUSE, Role.ECHO, Role.NOISE

SHAPES: Final = (
    # what was survived, or only explains
    Shape("", r"ERROR: pip's dependency resolver does not currently take into account", NOISE),
    Shape("", r"ERROR: Ignored the following (?:yanked )?versions", NOISE),
    Shape("", r"(?i:warning|note|hint|notice|info|debug)\b(?!.*: FAILED)", NOISE),
    Shape("", r"curl: .*(?:show this help|for more information)", NOISE),
    Shape("apt", r"W: ", NOISE),
    Shape("", r"debconf: |dpkg-preconfigure: |invoke-rc\.d: |update-rc\.d: |perl: ", NOISE),
    # pip
    Shape("pip", r"ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", read=hash_alarm),
    Shape("pip", r"ERROR: (?:Hashes are required|Can't verify hashes|In --require-hashes mode)", read=without_hash),
    Shape("pip", r"ERROR: Could not find a version that satisfies", read=no_version),
    Shape("pip", r"ERROR: Cannot install .* conflicting dependencies", read=conflict),
    Shape("pip build", r"error: externally-managed-environment", ECHO),
    Shape("pip build", r"error: (?:subprocess-exited-with-error|metadata-generation-failed)", ECHO),
    Shape("pip build", r"error: (?:installed|legacy|failed|invalid|uninstall)-[\w-]+", ECHO),
    Shape("pip build", r"ERROR: Command errored out with exit status", ECHO),
    Shape("pip build", r"ERROR: Failed (?:building|to build) ", ECHO),
    Shape("pip build", r"(?:ERROR: )?Failed to build (?!`)\S+", ECHO),
    Shape("pip build", r"ERROR: Could not build wheels for ", ECHO),
    Shape("pip build", r"ERROR: Exception:", ECHO),
    Shape("pip build", r"\u00d7 (?:Encountered error|.* did not run successfully)", ECHO),
    Shape("pip", r"\u00d7 This environment is externally managed"),
    Shape("pip", r"ERROR: (?:No matching distribution|ResolutionImpossible)", ECHO, reach=30),
    Shape("pip", r"ERROR: (?:HTTP error|Could not|Invalid|Cannot|Package|Directory|Exception|Double|Operation|Flag)"),
    Shape("pip", r"ERROR: \S+\.whl is not a supported wheel"),
    Shape("pip check", r"\S+ \S+ (?:has requirement .*, but you have|requires .*, which is not installed)"),
    Shape("pip check", r"The package `\S+` requires `"),
    # uv
    Shape("uv build", r"(?:error: |\u00d7 )Failed to build `", ECHO),
    Shape("uv build", r"(?:error: |\u00d7 )Failed to (?:download and build|prepare|install build) ", ECHO),
    Shape("uv", rf"(?:error: |\u00d7 ){NO_SOLUTION}", read=tree),
    Shape("uv", r"(?:error|\u00d7 )[: ]*(?:Failed to |Request failed|Distribution not found|Unable to )", read=tree),
    Shape("uv", r"\u00d7 ", read=tree),
    # apt and dpkg
    Shape("apt", r"E: (?:The repository|.* is not signed)", read=unsigned),
    Shape("bootstrap", r"bootstrap: cannot read ", ECHO, reach=10),
    Shape("apt", r"E: Download Failed", ECHO, reach=10),
    Shape("apt", r"E: Sub-process \S+ returned an error code", ECHO),
    Shape("apt", r"E: Unable to correct problems", ECHO, reach=20),
    Shape("apt", r"E: (?:Unable to fetch some archives|Some index files failed|Aborting install)", ECHO, reach=20),
    Shape("apt", r"E: (?:apt-get|mmdebstrap|run_chroot|setup|chroot)\b.*(?:failed|exited)", ECHO, reach=30),
    Shape("apt", r"E: Unmet dependencies", ECHO, reach=20),
    Shape("apt", r" *\S+ : (?:Pre)?(?:Depends|Breaks|Conflicts): "),
    Shape("apt", r"E: "),
    Shape("dpkg", r"dpkg: error processing .*", ECHO, read=with_next),
    Shape("dpkg", r"dpkg: dependency problems prevent", read=paragraph),
    Shape("dpkg", r"dpkg(?:-\w+)?: (?:unrecoverable fatal )?error: "),
    # downloads
    Shape("curl", r"curl: \(\d+\) "),
    Shape("wget", r"\d{4}-\d\d-\d\d [\d:]+ ERROR \d+: ", read=wget),
    Shape("wget", r"ERROR: (?:cannot verify|certificate common name|The certificate)", read=paragraph),
    Shape("wget", r"wget: "),
    Shape("wget", r"(?:Connecting to|Resolving) .*failed: ", read=wget),
    Shape("wget", r"failed: (?:Connection|No route|Network|Name|Temporary)", read=wget),
    Shape("wget", r"HTTP request sent, awaiting response\.\.\. (?:No data|Read error)", read=wget),
    Shape("wget", r"Read error at byte|Cannot write to "),
    Shape("git", r"(?:remote: )?(?:fatal|error): (?:unable to access|repository|Remote branch|RPC failed|early EOF)"),
    Shape("git", r"(?:fatal|error): (?:fetch-pack|index-pack|pathspec|could not read|the remote end|protocol error)"),
    Shape("git", r"fatal: "),
    # what is fed by a download, and got none
    Shape("a pipe", r"(?:gzip|bzip2|xz|zstd|unzip|tar|gpg|cpio)(?: \(child\))?: ", ECHO, reach=10),
    Shape("a pipe", r"End-of-central-directory signature not found", ECHO, reach=10),
    Shape("a checksum", r"\S+: FAILED(?: open or read)?$", read=checksum),
    Shape("a checksum", r"\S*sum: WARNING: .*did NOT match", ECHO, reach=10),
    # conda
    Shape("conda", r"(?:critical|error) +libmamba "),
    # compilers, and what calls them
    Shape(_COMPILER, r"\S+:\d+(?::\d+)?: (?:fatal )?error: "),
    Shape(_COMPILER, r"\S+\(\d+\): (?:catastrophic )?error(?: #?[\w-]+)?: "),
    Shape(_COMPILER, r"collect2: (?:fatal )?error: ", ECHO),
    Shape(_COMPILER, r"\S*(?:gcc|g\+\+|cc1|cc1plus|cc|c\+\+|clang|clang\+\+|as)(?:-\d+)?: (?:fatal )?error: "),
    Shape(_COMPILER, r"(?:nvcc|ptxas|nvlink|cudafe\+\+|fatbinary) *(?:fatal|error) *: "),
    Shape(_COMPILER, r"\d+ errors? detected in the compilation", ECHO),
    Shape(_LINKER, r".*undefined reference to "),
    Shape(_LINKER, r"(?:\S*/)?\S*ld(?:\.\w+)?: (?:cannot find|.*error|final link failed|.*skipping incompatible)"),
    Shape(_COMPILER, r"error(?:\[E\d+\])?: (?:cannot find|can't find|linker|mismatched|unresolved|linking)"),
    Shape("cargo", r"error: could not compile", ECHO),
    Shape("cmake", r"CMake Error(?: at \S+ \(\w+\)| in \S+)?:", read=cmake),
    Shape("cmake", r"-- Configuring incomplete", ECHO),
    Shape("make", r"\S*make(?:\[\d+\])?: \*\*\* (?:\[.*\] Error|\[.*\] (?!.*Error)\w+|Waiting for)", ECHO),
    Shape("make", r"\S*make(?:\[\d+\])?: Target .* not remade", ECHO),
    Shape("make", r"\S*make(?:\[\d+\])?: (?:\*\*\* |\S+: (?:No such file|Permission denied|Command not found))"),
    Shape("ninja", r"ninja: build stopped|FAILED: |ninja: fatal: .*subcommand", ECHO),
    Shape("ninja", r"ninja: (?:error|fatal): "),
    Shape("configure", r"configure: error: "),
    Shape("setuptools", r"error: [Cc]ommand .* failed(?: with exit (?:status|code)|:)", ECHO),
    Shape("setuptools", r"error: (?:Cannot compile|Could not build|Failed to build) ", ECHO),
    Shape("setuptools", r"(?:distutils|setuptools)\.errors\.\w+: [Cc]ommand ", ECHO),
    # other languages' package managers, distributions
    Shape("npm", r"npm (?:ERR!|error) (?:code|errno|syscall|path|command) ", NOISE),
    Shape("npm", r"npm (?:ERR!|error) A complete log", NOISE),
    Shape("npm", r"npm (?:ERR!|error) \S+"),
    Shape("dnf", r"Errors during downloading metadata for", read=with_next),
    Shape("dnf", r"Error: (?:Failed to download metadata|Error downloading|Nothing to do)", ECHO, reach=8),
    Shape("dnf", r"No package \S+ available|No match for argument: |Cannot find a valid baseurl"),
    Shape("apk", r"ERROR: unable to select packages:", read=with_next),
    # Python: the line that ends a traceback, or stands alone
    Shape("Python", r"(?:subprocess\.)?CalledProcessError: ", ECHO),
    Shape("Python", r"RuntimeError: Error compiling objects for extension", ECHO),
    Shape("Python", r"SystemExit: ", ECHO, reach=10),
    Shape("Python", rf"{EXCEPTION}(?:: |:?$)", read=exception),
    # the shell and what is called from it
    Shape("sh", r"(?:\S*/)?(?:\w*sh|env|exec|sudo): (?:line )?(?:\d+: )?.*(?:not found|[Nn]o such file|denied|rror)"),
    Shape("sh", r"(?:\S*/)?[\w.-]+\.sh: (?:line )?\d+: "),
    Shape("sh", r"(?:\S*/)?[\w.+-]+: (?:cannot|can't|could not|failed to|unable to|invalid|unrecogni[sz]ed|missing) "),
    Shape("sh", r"(?:\S*/)?[\w.+-]+: .*: (?:No such file or directory|Permission denied|Read-only file system)"),
    Shape("sh", r"(?:\S*/)?(?:useradd|groupadd|usermod|adduser|chown|chmod|chgrp): "),
    Shape("sh", r"(?:Killed|Segmentation fault|Illegal instruction|Bus error)(?: \(core dumped\))?$"),
    Shape("sh", r"Aborted(?: \(core dumped\))?$", ECHO, reach=5),
    Shape("sh", r"terminate called after throwing", read=with_next),
    Shape("sh", r"Could not execute "),
    Shape("bootstrap", r"bootstrap: (?:failed: |mmdebstrap could not make)", ECHO, reach=60),
    # whatever else calls itself an error
    Shape("", r"(?:\S+: )?(?:fatal |internal )?error: "),
    Shape("", r"(?:\S+: )?(?:FATAL |Internal )?(?:ERROR|Error|FATAL|Fatal)\b(?: \w+){0,2}[:!] "),
)
UNIT: Final = frozenset({_COMPILER, _LINKER, "cmake"})
"""Tools that go on after an error: their first may be far above their last."""
GOING_ON: Final = (
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
"""Progress, warnings and advice: the last words of a step that names no error are others."""
