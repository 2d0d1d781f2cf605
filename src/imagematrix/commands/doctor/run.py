"""The doctor command: checks all prerequisites concurrently, with a short timeout."""

import functools
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from imagematrix import site
from imagematrix.commands import extras, foreign, request
from imagematrix.commands.doctor import space
from imagematrix.compat import catalogue
from imagematrix.engine import builder, buildx_command, connect
from imagematrix.errors import FlagError, InputError, RegistryError, UserError
from imagematrix.execution import parallel
from imagematrix.model import Row, Site
from imagematrix.planning import nightly
from imagematrix.planning.nightly import NightlyHealth
from imagematrix.project import Project, Selection, open_project
from imagematrix.registry import Client, host
from imagematrix.report.console.nightly import health_text
from imagematrix.report.outputs import Prerequisite, PrerequisiteState
from imagematrix.resolver import Uv
from imagematrix.shell import Shell
from imagematrix.text import names
from imagematrix.text.formatting import abbreviate, ages, count, size

SECONDS: Final = 8.0
"""How long all answers together are waited for: the whole command takes less than ten seconds."""
_NAMES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    """Asks for one thing."""

    what: str
    ask: Callable[[], Prerequisite]
    severity: PrerequisiteState = PrerequisiteState.BAD
    """The state to report if the question fails."""


def run(
    file: str,
    selection: Selection,
    *,
    site_name: str,
    spread: tuple[str, str] = ("", ""),
    seconds: float = SECONDS,
) -> tuple[Prerequisite, ...]:
    """Check all prerequisites of a build of the selected rows; with an invalid matrix, what depends on it is skipped.

    `spread` is the address of a cluster, and the directory of its certificates: with one, no engine is needed here.
    A prerequisite that does not answer within so many seconds is reported.
    """
    shell = Shell()
    machine = [*_engine_probes(shell, (), Site()), *_machine(shell)]
    try:
        project = open_project(file).at_site(site_name)
        rows = project.possible(project.rows(selection))
    except InputError as error:
        return (_bad("matrix", str(error), "see `invoke check`"), *_answers(machine, shell, seconds))
    address, certificates = spread[0] or project.matrix.site.workers, spread[1]
    if address:
        machine = [_Probe(what="cluster", ask=lambda: _cluster(project, address, certificates)), *_machine(shell)]
    else:
        machine = [*_engine_probes(shell, rows, project.matrix.site), *_machine(shell)]
    probes = [*_matrix(project, rows), *machine]
    try:
        where = site.discover(project.matrix.site, root=project.repository.root)
    except FlagError as error:
        return (*_answers(probes, shell, seconds), _bad("site", str(error), "correct it in the matrix"))
    return _answers([*probes, *_network(project, rows, where, shell)], shell, seconds)


def _answers(probes: Sequence[_Probe], shell: Shell, seconds: float) -> tuple[Prerequisite, ...]:
    """Run all probes at once; those that do not answer in time are reported and abandoned."""
    found: dict[str, Prerequisite] = {}

    def ask(probe: _Probe) -> None:
        try:
            found[probe.what] = probe.ask()
        except (UserError, OSError) as error:
            found[probe.what] = Prerequisite(what=probe.what, state=probe.severity, said=str(error))

    # Not a pool: the program must not wait at its end for a probe that never answers.
    deadline = time.monotonic() + seconds
    threads = [parallel.start(functools.partial(ask, probe), name=f"doctor-{probe.what}") for probe in probes]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    answers = dict(found)
    shell.cancel()
    silence = f"no answer within {seconds:.0f} s"
    return tuple(
        answers.get(probe.what) or Prerequisite(what=probe.what, state=probe.severity, said=silence) for probe in probes
    )


def _matrix(project: Project, rows: Sequence[Row]) -> Iterator[_Probe]:
    yield _Probe(what="matrix", ask=lambda: _good("matrix", f"{count(len(rows), 'row')} can be built"))
    yield _Probe(what="leaves", ask=lambda: _leaves(project, rows))
    health = nightly.health(project.state.night_text(), now=time.time())
    if health:
        yield _Probe(what="nightly", ask=lambda: _nightly(health))


def _leaves(project: Project, rows: Sequence[Row]) -> Prerequisite:
    """Locks and leaves: rows whose lock is missing cannot be rendered at all."""
    files = project.files(project.leaves(rows))
    stale = {line.partition(":")[0] for line in project.repository.leaves.stale(files, keep=project.directories())}
    if not stale:
        return _good("leaves", "all are locked and up to date")
    said = f"stale: {abbreviate(sorted(stale), _NAMES_SHOWN)}"
    return Prerequisite(
        what="leaves", state=PrerequisiteState.WEAK, said=said, remedy="`invoke render`, and commit the result"
    )


def _nightly(health: NightlyHealth) -> Prerequisite:
    """Tell when the last nightly run succeeded; a project without nightly runs has no such line."""
    said = health_text(health)
    if not health.is_overdue:
        return _good("nightly", said)
    remedy = "does its timer run? `invoke nightly` prints which stage fails; --heartbeat has a monitor raise the alarm"
    return Prerequisite(what="nightly", state=PrerequisiteState.WEAK, said=said, remedy=remedy)


def _catalogue() -> Prerequisite:
    """Tell how old the facts are that versions are judged by."""
    old = catalogue.outdated(catalogue.days(), datetime.now(UTC).date())
    if not old:
        return _good("catalogue", f"all facts were checked in the last {catalogue.OLD_AFTER_DAYS} days")
    remedy = "upgrade imagematrix; in its repository, scripts/update-compat refreshes what an index lists"
    return Prerequisite(what="catalogue", state=PrerequisiteState.WEAK, said=f"old facts: {ages(old)}", remedy=remedy)


def _cluster(project: Project, address: str, certificates: str) -> Prerequisite:
    """Tell which machines would build; the images travel through the registry of `nodes`."""
    request.cluster(project, address)
    extras.require("cluster")
    from imagematrix.commands.doctor import machines

    return machines.cluster(project, address, certificates)


def _engine_probes(shell: Shell, rows: Sequence[Row], where: Site) -> Iterator[_Probe]:
    yield _Probe(what="engine", ask=lambda: _engine(rows, where))
    yield _Probe(what="buildx", ask=lambda: _good("buildx", builder.buildx_version(shell, buildx_command(connect()))))
    yield _Probe(what="disk", ask=_disk)


def _machine(shell: Shell) -> Iterator[_Probe]:
    yield _Probe(what="catalogue", ask=_catalogue)
    yield _Probe(what="git", ask=lambda: _git(shell), severity=PrerequisiteState.WEAK)


def _engine(rows: Sequence[Row], where: Site) -> Prerequisite:
    """Tell which engine answers, and which rows it does not run."""
    facts = connect().facts()
    whose = "the private one of scripts/engine" if facts.is_private else "the one that docker uses"
    said = f"{facts.version}, {whose}"
    found = foreign.lacking(rows, facts.platform, where)
    if not found:
        return _good("engine", said)
    said += f", runs {facts.platform}: rows for {', '.join(found)} need another machine"
    return Prerequisite(
        what="engine", state=PrerequisiteState.WEAK, said=said, remedy=f"or {foreign.remedy(found)} (docs/platforms.md)"
    )


def _disk() -> Prerequisite:
    """Where the engine keeps its images; of an engine on another machine nothing is known."""
    place = connect().storage()
    if place is None:
        return _good("disk", "the engine is not on this machine: free space is unknown")
    free = shutil.disk_usage(place).free
    said = f"{size(free)} free for images"
    state = space.state(free)
    if state is PrerequisiteState.GOOD:
        return _good("disk", said)
    return Prerequisite(what="disk", state=state, said=said, remedy="`invoke gc --dry-run` lists what can be removed")


def _git(shell: Shell) -> Prerequisite:
    code, said = shell.capture(["git", "--version"])
    if code == 0:
        return _good("git", said.strip())
    remedy = "without it, images do not name their commit"
    return Prerequisite(what="git", state=PrerequisiteState.WEAK, said="not installed", remedy=remedy)


def _network(project: Project, rows: Sequence[Row], where: Site, shell: Shell) -> Iterator[_Probe]:
    yield _Probe(what="certificates", ask=lambda: _certificates(where))
    yield _Probe(what="index", ask=lambda: _index(where, shell))
    bases = {row.base.image.partition("@")[0] for row in rows} - {"", names.SCRATCH}
    targets = {f"{repository}:{row.published_tag}" for row in rows for repository in row.repositories}
    targets |= {f"{project.matrix.nodes}:latest"} if project.matrix.nodes else set()
    for name in sorted({*map(host, bases), *map(host, targets)}):
        pulled, pushed = ([image for image in sorted(images) if host(image) == name] for images in (bases, targets))
        yield _registry(where, name, pulled, pushed)


def _certificates(where: Site) -> Prerequisite:
    if not where.ca_bundle:
        return _good("certificates", "no bundle is configured: builds trust the certificates of their bases")
    try:
        found = ssl.create_default_context(cafile=where.ca_bundle).cert_store_stats()["x509_ca"]
    except (ssl.SSLError, OSError) as error:
        return _bad("certificates", f"{where.ca_bundle}: {error}", "set ca_bundle of [site] to a PEM file")
    return _good("certificates", f"{count(found, 'authority', 'authorities')} in {where.ca_bundle}; builds mount it")


def _index(where: Site, shell: Shell) -> Prerequisite:
    try:
        why = Uv(shell, where).silence()
    except FlagError as error:  # what is locked builds all the same
        said, _, remedy = str(error).partition("\n    ")
        return Prerequisite(what="index", state=PrerequisiteState.WEAK, said=said, remedy=remedy)
    if not why:
        return _good("index", "it answers" + (f", through [sites.{where.name}]" if where.name else ""))
    return _bad("index", why, "set index_url, ca_bundle and proxies in [site], or in pip's own configuration")


def _registry(where: Site, name: str, pulled: Sequence[str], pushed: Sequence[str]) -> _Probe:
    """Ask a registry for one image that is pulled and one that is pushed; the remedy for a refusal is a login."""
    uses = [count(len(pulled), "base")] * bool(pulled) + [count(len(pushed), "image") + " to push"] * bool(pushed)
    # A build needs nothing of where its images are pushed to.
    what, severity = f"registry {name}", PrerequisiteState.BAD if pulled else PrerequisiteState.WEAK

    def ask() -> Prerequisite:
        client = Client(where)
        client.cancel()  # one try is enough
        try:
            for image in (*pulled[:1], *pushed[:1]):
                client.digest(*_parted(image))  # that there is none is an answer
        except RegistryError as error:
            said = f"{str(error).removeprefix(f'{what} ')} ({', '.join(uses)})"
            return Prerequisite(what=what, state=severity, said=said)
        return _good(what, f"it answers ({', '.join(uses)})")

    return _Probe(what=what, ask=ask, severity=severity)


def _parted(image: str) -> tuple[str, str]:
    repository, colon, tag = image.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (image, "latest")


def _good(what: str, said: str) -> Prerequisite:
    return Prerequisite(what=what, state=PrerequisiteState.GOOD, said=said)


def _bad(what: str, said: str, remedy: str) -> Prerequisite:
    return Prerequisite(what=what, state=PrerequisiteState.BAD, said=said, remedy=remedy)
