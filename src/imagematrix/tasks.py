"""The command line: flags in, use cases called, errors to exit codes. The only home of invoke.

Everything heavy is imported when a task needs it: `invoke --list` must cost no more than invoke itself.
"""

import errno
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from invoke import Collection, Context, Exit, task

from imagematrix import freewords
from imagematrix.errors import (
    ExitCode,
    FlagError,
    InputError,
    InterruptedRunError,
    NoEngineError,
    StaleError,
    UserError,
)

if TYPE_CHECKING:
    from imagematrix.engine import Engine, EngineImage
    from imagematrix.model import Plan, Row
    from imagematrix.project import Project, Selection
    from imagematrix.registry.store import Store

_P = ParamSpec("_P")

_MATRIX: Final = "matrix.toml"
_DISK_REFUSES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""The disk or the user's share of it is full, or it is read-only: no fault of ours, so no traceback."""
_FILE_HELP: Final = {"file": "Another matrix file than ./matrix.toml; its directory is the project's root."}
_ROWS_HELP: Final = {
    "only": "Rows whose family:tag matches this glob; may be given again.",
    "group": "Rows of this group; may be given again.",
    **_FILE_HELP,
}
_SELECT_HELP: Final = {"matrix": "All rows of the matrix.", **_ROWS_HELP}
_SITE_HELP: Final = {
    "site": "Fetch as [sites.NAME] of the matrix says (default: $IMAGEMATRIX_SITE, else as [site] says)."
}
_JSON_HELP: Final = {"json": "Print JSON for programs instead of text for people."}


def _told(body: Callable[_P, None]) -> Callable[_P, None]:
    """Turn errors into messages and exit codes: one place for all tasks."""

    @functools.wraps(body)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            body(*args, **kwargs)
        except UserError as error:
            raise Exit(str(error), code=int(error.code)) from None
        except BrokenPipeError:  # the reader of our output (`| head`) has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            if error.errno not in _DISK_REFUSES:
                raise
            raise Exit(
                f"cannot write {error.filename or 'a file'}: {error.strerror}", code=int(ExitCode.FAILED)
            ) from None
        except KeyboardInterrupt:
            raise Exit("interrupted", code=int(ExitCode.INTERRUPTED)) from None

    return wrapped


@task(iterable=["only", "group"], help={**_ROWS_HELP, **_JSON_HELP}, auto_shortflags=False)
@_told
def list_(
    _: Context,
    only: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    json: bool = False,
    file: str = "",
) -> None:
    """List the rows of the matrix and the state of each: built, remote, stale, missing, or impossible and why."""
    from imagematrix import project as projects
    from imagematrix.report import rows

    project = _open(file)
    store = _store(project)
    kept = [store.keys] if store else []
    states = projects.states(project, project.rows(_selection(only, group)), _images_or_none(), *kept)
    print(rows.rows_json(states) if json else rows.rows_text(states))


@task(
    help={
        **_FILE_HELP,
        "format": "text (default), json, github (workflow commands) or gitlab (a Code Quality report).",
        "json": "The same as --format json.",
        "notes": "Print notes too, not only how many there are; JSON always has them.",
    },
    auto_shortflags=False,
)
@_told
def check(
    _: Context,
    format: str = "",  # noqa: A002 - the name of the flag
    json: bool = False,
    notes: bool = False,
    file: str = "",
) -> None:
    """Check the matrix: every problem of matrix.toml, templates and locks, and which versions work together."""
    from imagematrix.project import examine
    from imagematrix.report import annotations, proof

    if json and format not in ("", "json"):
        raise FlagError(f"--json and --format {format} contradict each other\n    keep one of them")
    form = "json" if json else format or "text"
    write = annotations.writer(form)
    opened = examine(file or _nearest_matrix())
    if form == "text" and not opened.matrix:  # in the words of all other commands
        raise InputError(opened.problems)
    made = proof.make(opened)
    print(write(made, opened.workspace.in_repository, notes=notes))
    if not made.good:
        raise Exit("", code=int(ExitCode.BAD_INPUT))


@task(
    iterable=["only", "group"],
    help={
        **_ROWS_HELP,
        **_SITE_HELP,
        "upgrade": "Resolve anew what is locked already; the diff shows what moved.",
        "bases": "Only the bases' digests.",
    },
    auto_shortflags=False,
)
@_told
def lock(
    _: Context,
    upgrade: bool = False,
    bases: bool = False,
    only: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    site: str = "",
    file: str = "",
) -> None:
    """Lock rows: their Python requirements to exact versions with hashes, their bases to digests."""
    from imagematrix import site as sites
    from imagematrix.commands import bases as basing
    from imagematrix.commands import locking
    from imagematrix.registry import Registry
    from imagematrix.resolver import Uv
    from imagematrix.shell import Shell

    with _opened_to_write(file) as opened:
        project, selection, shell = _at_site(opened, site), _selection(only, group), Shell()
        _chosen(project, selection)
        where = sites.discover(project.matrix.site, root=project.workspace.root)
        done = "" if bases else locking.run(project, selection, resolver=Uv(shell, where), upgrade=upgrade, say=_say)
        basing.run(project, selection, registry=lambda: Registry(shell, where), upgrade=upgrade, say=_say)
    print(done or "bases are asked for")


@task(
    help={"check": "Change nothing; fail when a leaf is stale, naming the first difference of each file.", **_FILE_HELP}
)
@_told
def render(_: Context, check: bool = False, file: str = "") -> None:
    """Write the leaves under images/, and remove generated ones that no row makes any more."""
    with nullcontext(_open(file)) if check else _opened_to_write(file) as project:
        files = project.files(project.leaves(_chosen(project, _selection(None, None))))
        touched = () if check else project.workspace.write_leaves(files, keep=project.directories())
    if check:
        stale = list(project.workspace.stale(files, keep=project.directories()))
        if stale:
            raise StaleError("\n".join([*stale, "leaves are stale: run `invoke render` and commit the result"]))
        print(f"{len(files)} leaves are what the matrix says")
        return
    print("\n".join([*touched, f"{len(touched)} of {len(files)} leaves written"]))


@task(
    iterable=["only", "group"],
    help={**_SELECT_HELP, **_JSON_HELP, "why": "Explain one node: a layer's name or the beginning of a key."},
    auto_shortflags=False,
)
@_told
def plan(
    _: Context,
    matrix: bool = False,
    only: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    why: str = "",
    json: bool = False,
    file: str = "",
) -> None:
    """Show what a build would do: each node with its verdict, the reason and the leaves that wait for it."""
    from imagematrix.planning import forecast
    from imagematrix.report import plan_json, plan_text
    from imagematrix.report import why as reasons

    project = _open(file)
    made = _plan(project, _selection(only, group))
    if why:
        print(reasons.explanation(made, why))
        return
    sizes = project.node_sizes(made)
    seconds = forecast.whole(made.steps, project.seconds(made, sizes), jobs=_jobs(""))
    print(plan_json(made, sizes, seconds) if json else plan_text(made, sizes, seconds), end="")


@task(
    iterable=["only", "group"],
    help={
        **_SELECT_HELP,
        **_SITE_HELP,
        "jobs": "How many nodes are built at once (default: one more than there are processors).",
        "retries": "How often a failure that may pass by itself is tried again (default: 2).",
        "time-limit": "Minutes after which a try at a node is given up, and the node fails (default: 120).",
        "fail-fast": "Start nothing new after the first failure.",
        "fresh": "Build anew all that installs from the network; --fresh=LAYER,…: of these layers alone.",
        "push": "While others are built, push nodes into the repository `nodes` of the matrix, and publish images.",
        "push-jobs": "How many nodes, and how many images, are pushed at once (default: 2).",
        "report": "Write the report into this directory: index.html, report.json, junit.xml, summary.md.",
    },
    optional=["fresh"],
    auto_shortflags=False,
)
@_told
def build(
    _: Context,
    matrix: bool = False,
    only: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    jobs: str = "",
    retries: str = "2",
    time_limit: str = "",
    fail_fast: bool = False,
    fresh: "str | bool | None" = None,
    push: bool = False,
    push_jobs: str = "2",
    report: str = "",
    site: str = "",
    file: str = "",
) -> None:
    """Build images: what is missing, in parallel, going on after failures; what exists is reused."""
    from imagematrix import project as projects
    from imagematrix import report as reports
    from imagematrix.commands import build as builds
    from imagematrix.commands import reporting
    from imagematrix.report import publication

    _require_rows("build", matrix, only, group)
    # Without a value invoke makes it True.
    layers = tuple(name.strip() for name in fresh.split(",")) if isinstance(fresh, str) else ()
    options = builds.Options(
        jobs=_jobs(jobs),
        retries=_number("retries", retries, least=0),
        time_limit=_number("time-limit", time_limit, least=1) * 60.0 if time_limit else builds.TIME_LIMIT_SECONDS,
        fail_fast=fail_fast,
        fresh=bool(fresh),
        fresh_layers=layers,
        push=push,
        push_jobs=_number("push-jobs", push_jobs, least=1),
    )
    project = _at_site(_open(file), site)
    if push and not (project.matrix.nodes or any(row.repositories for row in project.rows(_selection(only, group)))):
        raise FlagError(
            "--push: the matrix does not say where to\n"
            '    nodes = "host/path" keeps nodes for all machines, registry = "host/path" publishes the images'
        )
    # Wrong input is told before an engine is asked for.
    projects.refuse_unrefreshable(layers, project.leaves(_chosen(project, _selection(only, group))))
    result = builds.run(
        project,
        _selection(only, group),
        options,
        engine=_engine(),
        store=_store(project),
        listen=lambda made, forecast: reports.listener(sys.stdout, made, forecast),
        waiting=_wait_for_build,
    )
    print(reports.summary(result.report, color=sys.stdout.isatty()), end="")
    if result.published:
        print(publication.text(result.published, (), seconds=result.report.seconds), end="")
    complete = reporting.built(project, result.report, result.published, _folder(report), say=_say)
    if result.interrupted:
        raise InterruptedRunError("interrupted: what was finished is kept; run the same command to go on")
    if result.lost:
        raise result.lost
    if not (result.good and complete):
        raise Exit("", code=int(ExitCode.FAILED))


@task(
    iterable=["only", "group"],
    help={
        **_SELECT_HELP,
        "platform": "Check the rules of this platform too; those of a family's own platform always count.",
        "jobs": "How many images are checked at once (default: two more than there are processors).",
        "report": "Write the report into this directory; the one of a build that lies there is added to.",
    },
    auto_shortflags=False,
)
@_told
def verify(
    _: Context,
    matrix: bool = False,
    only: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    platform: str = "",
    jobs: str = "",
    report: str = "",
    file: str = "",
) -> None:
    """Check built images by running them: what passed is not repeated while image and check are the same."""
    from imagematrix import verify as verifying
    from imagematrix.commands import reporting
    from imagematrix.report import checking, verification

    _require_rows("verify", matrix, only, group)
    at_once = _jobs(jobs, more=2)  # half of what an image's checks do is to wait
    project = _open(file)
    _chosen(project, _selection(only, group))  # wrong input is told before an engine is asked for
    result = verifying.run(
        project,
        _selection(only, group),
        engine=_engine(),
        jobs=at_once,
        platform=platform,
        listen=lambda images: checking.listener(sys.stdout, images),
    )
    print(verification.text(result.images, seconds=result.seconds), end="")
    complete = reporting.verified(project, result, _folder(report), say=_say)
    if result.interrupted:
        raise InterruptedRunError("interrupted: what was checked is remembered; run the same command to go on")
    if not (result.good and complete):
        raise Exit("", code=int(ExitCode.FAILED))


@task(
    help={
        "report": "The directory to write into (default: .imagematrix/report).",
        "catalogue": "Write catalogue.html instead, for the users of the published images.",
        **_FILE_HELP,
    },
    auto_shortflags=False,
)
@_told
def report(_: Context, report: str = ".imagematrix/report", catalogue: bool = False, file: str = "") -> None:
    """Write the page of the last run once more, or the one for the users of the images."""
    from imagematrix.commands import reporting

    write = reporting.catalogue if catalogue else reporting.again
    print(write(_open(file), Path(report).absolute(), say=_say))


@task(
    iterable=["only", "group"],
    help={
        **_SELECT_HELP,
        **_SITE_HELP,
        "jobs": "How many images are published at once (default: 2).",
        "report": "Write the report into this directory, into the one of a build, when it is there.",
    },
    auto_shortflags=False,
)
@_told
def push(
    _: Context,
    matrix: bool = False,
    only: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    jobs: str = "2",
    report: str = "",
    site: str = "",
    file: str = "",
) -> None:
    """Publish images in the registries of their rows: a tag that stays, then those that move, once it is verified."""
    from imagematrix import site as sites
    from imagematrix.commands import publishing, reporting
    from imagematrix.registry import Client
    from imagematrix.report import publication

    _require_rows("push", matrix, only, group)
    at_once = _number("jobs", jobs, least=1)
    project, selection = _at_site(_open(file), site), _selection(only, group)
    _chosen(project, selection)  # wrong input is told before an engine is asked for
    begun = time.monotonic()
    result = publishing.run(
        project,
        selection,
        engine=_engine,
        client=Client(sites.discover(project.matrix.site, root=project.workspace.root), tries=1),
        jobs=at_once,
        listen=lambda image: _say(publication.event(image, seconds=time.monotonic() - begun)),
    )
    print(publication.text(result.images, result.homeless, seconds=result.seconds), end="")
    complete = reporting.published(project, result, _folder(report), say=_say)
    if result.interrupted:
        raise InterruptedRunError("interrupted: what was pushed stays; run the same command to go on")
    if not (result.good and complete):
        raise Exit("", code=int(ExitCode.FAILED))


@task(
    iterable=["only", "group"],
    help={**_SELECT_HELP, "out": "The picture to write: .svg, .dot or .html (default: graph.svg)."},
    auto_shortflags=False,
)
@_told
def graph(
    _: Context,
    matrix: bool = False,
    only: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    out: str = "graph.svg",
    file: str = "",
) -> None:
    """Draw the layer DAG, its nodes coloured by what a build would do with them."""
    from imagematrix.report import drawing

    form = drawing.FORMS.get(Path(out).suffix)
    if form is None:
        raise FlagError(f"--out {out}: the ending must be one of {', '.join(drawing.FORMS)}")
    project = _open(file)
    project.workspace.write(Path(out).absolute(), form(_plan(project, _selection(only, group))))
    print(out)


@task(iterable=["only", "group"], help={**_ROWS_HELP, **_SITE_HELP, **_JSON_HELP}, auto_shortflags=False)
@_told
def doctor(
    _: Context,
    only: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    site: str = "",
    json: bool = False,
    file: str = "",
) -> None:
    """Look for all that a build needs: engine, buildx, disk, package index, registries, the matrix itself."""
    from imagematrix.commands import doctor as doctors
    from imagematrix.report import health

    found = doctors.run(file or _nearest_matrix(), _selection(only, group), site_name=_site_name(site))
    print(health.health_json(found) if json else health.health_text(found))
    if not health.good(found):
        raise Exit("", code=int(ExitCode.FAILED))


@task(
    help={
        "dry-run": "List what would go, each thing with its size and the reason; remove nothing.",
        "keep": "Remove nothing that one of so many last nights needed (default: 7).",
        "registry": "Also remove nodes from the repository `nodes` of the matrix.",
        "all": "Also nodes that other checkouts and other projects of imagematrix have built on this engine.",
        **_SITE_HELP,
        **_FILE_HELP,
    },
    auto_shortflags=False,
)
@_told
def gc(
    _: Context,
    dry_run: bool = False,
    keep: str = "7",
    registry: bool = False,
    all: bool = False,  # noqa: A002
    site: str = "",
    file: str = "",
) -> None:
    """Remove images, build cache and logs that neither the matrix nor the last nights need."""
    from imagematrix.commands import sweep
    from imagematrix.report.cleanup import cleanup_text

    options = sweep.Options(nights=_number("keep", keep, least=0), dry=dry_run, everyones=all)
    project = _at_site(_open(file), site)
    if registry and not project.matrix.nodes:
        raise FlagError('--registry: the matrix does not say where nodes are kept: nodes = "host/path"')
    store = _store(project) if registry else None
    done = sweep.run(project, options, engine=_engine(), store=store, waiting=_wait_for_build)
    print(cleanup_text(done))


@task(
    iterable=["only", "group"],
    help={
        **_ROWS_HELP,
        **_SITE_HELP,
        "report": "Write what the parts report into this directory (default: report, in the project's root).",
        "keep": "Clean up what none of so many last nights needed (default: 7).",
        "jobs": "How much is done at once (default: what `build` and `verify` have).",
        "push": "Push nodes and images where the matrix says so; --no-push does not.",
        "resume": "Only go on with a night that was cut off, by a reboot for instance; do nothing when there is none.",
    },
    auto_shortflags=False,
)
@_told
def nightly(
    _: Context,
    only: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    report: str = "",
    keep: str = "7",
    jobs: str = "",
    push: bool = True,
    resume: bool = False,
    site: str = "",
    file: str = "",
) -> None:
    """Rebuild all that installs from the network, verify, push, report, clean up; one part's failure stops none.

    Bases are asked for their digests, all rows are built at a new epoch, verified and published, and what nothing
    needs any more is removed; each part is also a command of its own. A night that was cut off is gone on with by the
    next run, at its own epoch. Two never overlap: the second ends with exit code 1.
    """
    from imagematrix.commands import nightly as nights
    from imagematrix.planning.night import Options
    from imagematrix.report.nights import night_text

    project, selection = _at_site(_open(file), site), _selection(only, group)
    options = Options(
        rows=tuple(
            word
            for flag, values in (("--only", selection.only), ("--group", selection.groups))
            for value in values
            for word in (flag, value)
        ),
        file=str(project.workspace.matrix_file),
        site=_site_name(site),
        nodes=push and bool(project.matrix.nodes),
        images=push and any(row.repositories for row in project.rows(selection)),
        report=str(Path(report).absolute() if report else project.workspace.root / "report"),
        jobs=str(_number("jobs", jobs, least=1)) if jobs else "",
        keep=str(_number("keep", keep, least=0)),
    )
    # Wrong input and a missing engine are told before the night begins.
    project.leaves(_chosen(project, selection))
    _engine()
    night = nights.run(project.workspace, options, resume=resume, say=_say, waiting=_wait_for_build)
    print(night_text(night) if night else "no night was cut off: nothing to do")
    if night and not night.good:
        raise Exit("", code=int(ExitCode.FAILED))


@task(
    klass=freewords.Task,
    help={
        "words": "The family, then a value for each of its axes, in any order; allow=WHY for what upstream broke.",
        "dry-run": "Show all of it, write nothing.",
        **_SITE_HELP,
        **_FILE_HELP,
    },
    auto_shortflags=False,
)
@_told
def add(_: Context, words: Sequence[str], dry_run: bool = False, site: str = "", file: str = "") -> None:
    """Add one row, proven, locked and rendered: `invoke add FAMILY AXIS=VALUE …`.

    The row is proven first: the matrix's own rules, which versions go together, and its requirements resolved. Then
    its line goes into matrix.toml, where you would have put it and without touching anything else: as one more value
    of an axis where that gives just this row, else as a [[row]]. Its locks and its leaf are written with it. When
    anything cannot be, nothing is written, and you are told which rows near to it would work. Facts that templates
    want of a new value are said the same way, NAME=VALUE.

        invoke add pytorch torch=2.4.1 python=3.11 base=cuda124 --dry-run
    """
    from imagematrix import site as sites
    from imagematrix.commands import adding
    from imagematrix.report import added
    from imagematrix.resolver import Uv
    from imagematrix.shell import Shell

    with nullcontext(_open(file)) if dry_run else _opened_to_write(file) as opened:
        project = _at_site(opened, site)
        made = adding.run(
            project,
            words,
            resolver=lambda: Uv(Shell(), sites.discover(project.matrix.site, root=project.workspace.root)),
            images=_images_if_any(),
            dry=dry_run,
            say=_say,
        )
    print(added.added_text(made))


@task
@_told
def schema(_: Context) -> None:
    """Print the JSON Schema of matrix.toml, by which editors complete and check it."""
    from imagematrix.matrix import schema as schemas

    print(schemas.text())


def _open(file: str) -> "Project":
    from imagematrix.project import open_project

    return open_project(file or _nearest_matrix(), warn=_warn)


@contextmanager
def _opened_to_write(file: str) -> "Iterator[Project]":
    """Open a project while no other command writes to it, so that none overwrites what another one wrote."""
    opened = _open(file)  # what is wrong with the matrix is reported before anything is written
    with opened.workspace.sole_builder(waiting=_wait_for_build):
        yield _open(file)


def _nearest_matrix() -> str:
    """Return the matrix file here or in the nearest folder above, as invoke finds its tasks."""
    here = Path.cwd()
    found = (folder / _MATRIX for folder in (here, *here.parents))
    return str(next((path for path in found if path.exists()), here / _MATRIX))


def _require_rows(what: str, matrix: bool, only: Sequence[str] | None, group: Sequence[str] | None) -> None:
    """Let nobody do by an oversight to all rows what takes a night."""
    if not (matrix or only or group):
        raise FlagError(f"say what to {what}: --matrix for all rows, or --only 'family:tag*', or --group NAME")


def _selection(only: Sequence[str] | None, group: Sequence[str] | None) -> "Selection":
    from imagematrix.project import Selection

    return Selection(only=tuple(only or ()), groups=tuple(group or ()))


def _at_site(project: "Project", name: str) -> "Project":
    return project.at_site(_site_name(name))


def _site_name(name: str) -> str:
    return name or os.environ.get("IMAGEMATRIX_SITE", "")


def _chosen(project: "Project", selection: "Selection") -> "Sequence[Row]":
    """Return the selected rows that can be had, and say how many cannot."""
    from imagematrix.text.words import count

    rows = project.rows(selection)
    possible = project.possible(rows)
    if len(possible) < len(rows):
        print(f"{count(len(rows) - len(possible), 'row')} cannot be had, see `invoke list`", file=sys.stderr)
    return possible


def _plan(project: "Project", selection: "Selection") -> "Plan":
    from imagematrix.engine import nodes

    dag, images, store = project.dag(project.leaves(_chosen(project, selection))), _images_or_none(), _store(project)
    return project.plan(dag, images, kept=store.keys(dag, nodes(images)) if store else ())


def _store(project: "Project") -> "Store | None":
    """Return where nodes are kept for all machines, if the matrix names a place."""
    from imagematrix import site
    from imagematrix.registry import Client
    from imagematrix.registry.store import Store

    if not project.matrix.nodes:
        return None
    where = site.discover(project.matrix.site, root=project.workspace.root)
    return Store(project.matrix.nodes, Client(where), say=lambda line: print(line, file=sys.stderr))


def _engine() -> "Engine":
    from imagematrix.engine import connect

    return connect()


def _images_or_none() -> "Sequence[EngineImage]":
    """Ask the engine what exists; without one, a plan is still true for an empty engine, so only say so."""
    try:
        return _engine().images()
    except NoEngineError as error:
        print(f"{error}\n    Going on as if nothing was built yet.", file=sys.stderr)
        return ()


def _images_if_any() -> "Sequence[EngineImage] | None":
    try:
        return _engine().images()
    except NoEngineError:
        return None


def _folder(flag: str) -> Path | None:
    return Path(flag).absolute() if flag else None


def _say(line: str) -> None:
    print(line, flush=True)


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr, flush=True)


def _jobs(text: str, *, more: int = 1) -> int:
    return _number("jobs", text or str((os.cpu_count() or 1) + more), least=1)


def _wait_for_build() -> None:
    _say("another command is writing to this project: waiting until it ends")


def _number(flag: str, text: str, *, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise FlagError(f"--{flag} {text}: must be a whole number, {least} or more")
    return int(text)


def collection() -> Collection:
    """Return the tasks for a monorepo's own tasks.py: `ns = imagematrix.tasks.collection()`."""
    made = Collection()
    tasks: dict[str, Any] = {
        "list": list_,
        "add": add,
        "check": check,
        "lock": lock,
        "render": render,
        "plan": plan,
        "build": build,
        "verify": verify,
        "push": push,
        "doctor": doctor,
        "gc": gc,
        "report": report,
        "nightly": nightly,
        "graph": graph,
        "schema": schema,
    }
    for name, body in tasks.items():
        made.add_task(body, name=name)
    return made
