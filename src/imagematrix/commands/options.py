"""Every flag, declared once: type, default, help and environment variable.

A command takes a flag by annotating a parameter, which has the flag's name, with one of these types. Where a name means
different things to commands, there is a type for each.
"""

import os
from collections.abc import Sequence
from typing import Annotated, Final

from imagematrix import codes
from imagematrix.commands.command import Option

_PROCESSORS: Final = os.cpu_count() or 1
BUILD_JOBS: Final = _PROCESSORS + 1
"""How many nodes are built at once unless said."""


def _text(
    help: str,  # noqa: A002 - as invoke calls it
    *,
    default: str = "",
    environment: str = "",
    names: str = "",
    choices: tuple[str, ...] = (),
) -> Option:
    return Option(help=help, kind=str, default=default, environment=environment, names=names, choices=choices)


def _switch(help: str, *, default: bool = False) -> Option:  # noqa: A002
    return Option(help=help, kind=bool, default=default)


def _number(help: str, *, default: int, least: int = 1) -> Option:  # noqa: A002
    return Option(help=help, kind=int, default=default, least=least)


def _many(help: str, *, names: str = "") -> Option:  # noqa: A002
    return Option(help=help, kind=list, default=(), names=names)


# Which project, which rows, from where.
File = Annotated[str, _text("The matrix file (default: ./matrix.toml); its directory is the root of the project.")]
Only = Annotated[Sequence[str], _many("Rows whose family:tag matches this glob; may be repeated.", names="rows")]
Group = Annotated[Sequence[str], _many("Rows of this group; may be repeated.", names="groups")]
Platforms = Annotated[
    Sequence[str], _many("Rows for this Docker platform, like linux/arm64; may be repeated.", names="platforms")
]
AllRows = Annotated[bool, _switch("All rows of the matrix.")]
Site = Annotated[
    str,
    _text(
        "Fetch from [sites.NAME] of the matrix (default: $IMAGEMATRIX_SITE, else [site]).",
        environment="IMAGEMATRIX_SITE",
        names="sites",
    ),
]
Words = Annotated[
    Sequence[str],
    Option(
        help="The family, then a value for each of its axes, in any order; allow=REASON for what upstream broke.",
        kind=list,
        default=(),
        varargs=True,
        names="row words",
    ),
]
Settings = Annotated[Sequence[str], _many("AXIS=VALUE as a flag instead of a word; may be repeated.")]

ExportKind = Annotated[
    Sequence[str],
    Option(
        help="The format: github, gitlab, make, bake or jobs.",
        kind=list,
        default=(),
        varargs=True,
        choices=("github", "gitlab", "make", "bake", "jobs"),
    ),
]
OnlyNodes = Annotated[
    Sequence[str],
    _many("Build only this node and what it needs: family:tag/layer; may be repeated. Pipelines of `export` use it."),
]

# What is printed, and what is written where.
Json = Annotated[bool, _switch("Print JSON for programs instead of text for people.")]
CheckJson = Annotated[bool, _switch("The same as --format json.")]
CheckFormat = Annotated[
    str,
    _text(
        "text (default), json, github (workflow commands) or gitlab (a Code Quality report).",
        choices=("text", "json", "github", "gitlab"),
    ),
]
Notes = Annotated[bool, _switch("Print notes, not only their number; JSON always has them.")]
ShowAll = Annotated[bool, _switch("Show everything: also notes, what is alike, and each row of a long list.")]
Why = Annotated[str, _text("Explain one node: a layer's name or the beginning of a key.", names="layers")]
Picture = Annotated[str, _text("The picture to write: .svg, .dot or .html (default: graph.svg).", default="graph.svg")]
BuildReport = Annotated[
    str, _text("Write the report into this directory: index.html, report.json, junit.xml, summary.md.")
]
AddedReport = Annotated[str, _text("Write the report into this directory; it is added to a build's report there.")]
PageFolder = Annotated[
    str, _text("The directory to write into (default: .imagematrix/report).", default=".imagematrix/report")
]
NightlyReport = Annotated[
    str, _text("Write the report of all stages into this directory (default: report, in the project's root).")
]
ExportFile = Annotated[str, _text("The file to write (default: where the CI system looks for it); - prints it.")]
Merge = Annotated[
    str, _text("Join the reports in the subdirectories of this directory into one: those of the jobs of a pipeline.")
]
Catalogue = Annotated[bool, _switch("Write catalogue.html instead, for the users of the published images.")]
CodeWords = Annotated[
    Sequence[str],
    Option(
        help="Codes of messages, as IM3200 or torch_on_python.",
        kind=list,
        default=(),
        varargs=True,
        choices=tuple(each.id for each in codes.CODES.values()),
    ),
]

# Many machines.
Workers = Annotated[
    str,
    _text(
        "Build on the machines of the cluster whose scheduler has this address "
        "(default: $IMAGEMATRIX_WORKERS, else `workers` of the site; empty: on this machine).",
        environment="IMAGEMATRIX_WORKERS",
    ),
]
Certificates = Annotated[
    str,
    _text(
        "The directory that `imagematrix cluster certificates` made (default: $IMAGEMATRIX_CERTIFICATES).",
        environment="IMAGEMATRIX_CERTIFICATES",
    ),
]
Scheduler = Annotated[
    Sequence[str],
    Option(help="The address of the scheduler: tls://HOST:PORT.", kind=list, default=(), varargs=True),
]
ClusterWords = Annotated[
    Sequence[str],
    Option(
        help="`start [ADDRESS]` runs a scheduler, `status ADDRESS` lists the machines of one, `certificates DIR` makes "
        "the certificates of a new cluster.",
        kind=list,
        default=(),
        varargs=True,
        choices=("start", "status", "certificates"),
    ),
]
ClusterName = Annotated[str, _text("The name of this machine in the cluster (default: its host name).")]
WorkerJobs = Annotated[
    int,
    _number("Number of nodes to build in parallel (default: number of processors + 1).", default=BUILD_JOBS),
]
WorkerPushJobs = Annotated[
    int,
    _number(
        "Number of pushes in parallel, and as many more of images that other nodes wait for (default: 2).", default=2
    ),
]
Emulate = Annotated[
    Sequence[str],
    _many(
        "Also build for this Docker platform, by emulation; may be repeated (default: `emulates` of the site). "
        "The kernel must know an emulator: qemu-user-static brings them."
    ),
]
FreeDisk = Annotated[
    int,
    _number("Take no jobs while the engine's disk has fewer GB free than this (default: 2).", default=2, least=0),
]

ExecutorName = Annotated[
    str,
    _text(
        "Build with this executor of a plugin, which may use that of the engine (default: $IMAGEMATRIX_EXECUTOR).",
        environment="IMAGEMATRIX_EXECUTOR",
    ),
]

# How many at once, how often, how long.
BuildJobs = Annotated[
    int,
    _number("Number of nodes to build in parallel (default: number of processors + 1).", default=BUILD_JOBS),
]
VerifyJobs = Annotated[
    int,
    _number(
        "Number of images to check in parallel (default: number of processors + 2).",
        default=_PROCESSORS + 2,  # half of what an image's checks do is to wait
    ),
]
PublishJobs = Annotated[int, _number("Number of images to publish in parallel (default: 2).", default=2)]
NightlyJobs = Annotated[
    int, _number("Number of parallel jobs (default: the defaults of `build` and `verify`).", default=0)
]
PushJobs = Annotated[int, _number("Number of nodes, and of images, to push in parallel (default: 2).", default=2)]
Retries = Annotated[int, _number("Number of retries after a transient failure (default: 2).", default=2, least=0)]
TimeLimit = Annotated[
    int, _number("Time limit for building one node, in minutes; the node then fails (default: 120).", default=120)
]

# What a command does, or leaves alone.
RenderCheck = Annotated[
    bool, _switch("Write nothing; fail if a leaf is stale, and print the first difference of each file.")
]
Summary = Annotated[
    str | bool,
    Option(
        help="Print what differs from the last commit, as Markdown; --summary=REVISION: from another one.",
        kind=str,
        default=False,
        value_optional=True,
    ),
]
ExportCheck = Annotated[bool, _switch("Write nothing; fail if the file is stale.")]
Missing = Annotated[bool, _switch("Leave out jobs with nothing to build.")]
Runner = Annotated[str, _text("How jobs run imagematrix (default: imagematrix).", default="imagematrix")]
Upgrade = Annotated[bool, _switch("Resolve again what is already locked; the diff shows what changed.")]
Bases = Annotated[bool, _switch("Lock only bases and what apt installs, not Python requirements.")]
Reproducible = Annotated[
    str, _text("Install this package layer twice and compare the files: the beginning of the key of its files.")
]
FailFast = Annotated[bool, _switch("Start nothing new after the first failure.")]
Fresh = Annotated[
    str | bool,
    Option(
        help="Rebuild everything that is downloaded and not pinned by a hash; --fresh=LAYER,…: only these layers.",
        kind=str,
        default=False,
        value_optional=True,  # without one it is True
        names="layers",
    ),
]
Refresh = Annotated[
    str | bool,
    Option(
        help=(
            "Download again what no lock names; what has not changed keeps its image. --refresh=EPOCH: at the epoch of "
            "an interrupted nightly run."
        ),
        kind=str,
        default=False,
        value_optional=True,  # as above
    ),
]
Push = Annotated[
    bool,
    _switch("Push nodes to the repository `nodes` of the matrix and publish images, while others are built."),
]
NightlyPush = Annotated[
    bool,
    _switch("Push nodes and images if the matrix says where to (the default); --no-push turns this off.", default=True),
]
Resume = Annotated[bool, _switch("Only resume an interrupted run, for instance after a reboot; otherwise do nothing.")]
Heartbeat = Annotated[
    str,
    _text(
        "Call this address after a run in which every stage succeeded (default: $IMAGEMATRIX_HEARTBEAT).",
        environment="IMAGEMATRIX_HEARTBEAT",
    ),
]
Destination = Annotated[
    str,
    _text(
        "Also check the rules of this destination; those of a family's own destination are always checked.",
        names="destinations",
    ),
]
Keep = Annotated[int, _number("Keep everything that one of the last N nights needed (default: 7).", default=7, least=0)]
Registry = Annotated[bool, _switch("Also remove nodes from the repository `nodes` of the matrix.")]
Everyones = Annotated[
    bool, _switch("Also remove nodes that other checkouts and projects of imagematrix built on this engine.")
]
GcDryRun = Annotated[bool, _switch("List what would be removed, with size and reason; remove nothing.")]
InitFolder = Annotated[
    str, _text("The folder to begin in, made where there is none (default: the current one).", default=".")
]
InitDryRun = Annotated[bool, _switch("Print the files in full; write nothing.")]
ImportFolders = Annotated[
    Sequence[str],
    Option(
        help="Folders with Dockerfiles, build scripts or bake files; the folders below them are searched too.",
        kind=list,
        default=(),
        varargs=True,
    ),
]
ImportDryRun = Annotated[bool, _switch("Print the draft in full; write nothing.")]
Yes = Annotated[bool, _switch("Do not ask before files are written into a folder that has others.")]
EngineWords = Annotated[
    Sequence[str],
    Option(
        help="start, stop, status or env, as scripts/engine has it.",
        kind=list,
        default=(),
        varargs=True,
        choices=("start", "stop", "status", "env"),
    ),
]
Purge = Annotated[bool, _switch("With stop: remove the engine, with its images.")]
CopiedLayer = Annotated[
    str, _text("Copy this layer of the package to common/layers/NAME, to change it.", names="stock layers")
]
ComparedLayer = Annotated[
    str,
    _text(
        "Show what imagematrix changed in this layer since it was copied, and what was changed here.",
        names="copied layers",
    ),
]
MergedLayer = Annotated[
    str, _text("Bring what imagematrix changed since this layer was copied into the copy.", names="copied layers")
]
AddDryRun = Annotated[bool, _switch("Print the result; write nothing.")]
