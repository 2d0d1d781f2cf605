"""What nearly every command begins with: the project opened, its rows selected, and who answers at its site."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from imagematrix import signing
from imagematrix import site as sites
from imagematrix.commands import extras
from imagematrix.commands.terminal import note, on_wait, warn
from imagematrix.engine import Engine, connect
from imagematrix.errors import FlagError, NoEngineError
from imagematrix.model import EngineImage, Plan, Row, Site
from imagematrix.planning.trust import nodes
from imagematrix.project import Project, Selection, open_project
from imagematrix.registry import Client
from imagematrix.registry.store import Store
from imagematrix.registry.vouching import Voucher
from imagematrix.repository import nearest_matrix
from imagematrix.shell import Shell
from imagematrix.signing import Signer, verifier
from imagematrix.text.formatting import count

NOT_KNOWN: Final = "no engine answers: whether its image exists is not known"


def opened(file: str, *, site: str = "") -> Project:
    """Open a project, at a named site if any. Raises InputError and FlagError."""
    return open_project(file or nearest_matrix(), warn=warn).at_site(site)


def opened_to_run(file: str, *, site: str = "") -> Project:
    """Open a project for a command that runs its code: the plugin in it too. Raises InputError and FlagError."""
    return opened(file, site=site).with_own_plugins()


@contextmanager
def opened_to_write(file: str, *, site: str = "") -> Iterator[Project]:
    """Open a project while no other command writes to it, so that none overwrites what another one wrote."""
    project = opened(file, site=site)  # what is wrong with the matrix is reported before anything is written
    with project.state.sole_builder(waiting=on_wait):
        yield opened(file, site=site)


def selection(only: Sequence[str], group: Sequence[str], platform: Sequence[str]) -> Selection:
    """Return which rows the flags select."""
    return Selection(only=tuple(only), groups=tuple(group), platforms=tuple(platform))


def explicit_selection(
    what: str, matrix: bool, only: Sequence[str], group: Sequence[str], platform: Sequence[str]
) -> Selection:
    """Return which rows the flags select. Raises FlagError for none: all rows take hours, and need an explicit flag."""
    if not (matrix or only or group or platform):
        raise FlagError(f"select the rows to {what}: --matrix for all rows, or --only 'family:tag*', or --group NAME")
    return selection(only, group, platform)


def possible_rows(project: Project, selected: Selection) -> Sequence[Row]:
    """Return the selected rows that are available, and report how many are not."""
    rows = project.rows(selected)
    possible = project.possible(rows)
    if len(possible) < len(rows):
        left = len(rows) - len(possible)
        note(f"{count(left, 'row')} {'is' if left == 1 else 'are'} impossible: see `invoke list`")
    return possible


def plan(project: Project, selected: Selection) -> Plan:
    """Return what a build of the selected rows would do."""
    dag, images, store = (
        project.dag(project.leaves(possible_rows(project, selected))),
        images_or_note(),
        node_store(project),
    )
    kept = store.keys(dag, nodes(images or (), project.state.bonds())) if store else {}
    unknown = {} if images is not None else {record.key: NOT_KNOWN for record in project.state.history()}
    return project.plan(dag, images or (), kept=kept, doubted={**unknown, **(store.doubts if store else {})})


def cluster(project: Project, flag: str) -> str:
    """Return the address of the cluster that does the work; empty: this machine does it.

    Raises FlagError where its machines have no registry to exchange images through.
    """
    address = flag or project.matrix.site.workers
    if address and not project.matrix.nodes:
        raise FlagError(
            f"the machines of {address} exchange images through a registry, and the matrix names none\n"
            f'    set nodes = "host/path" in {project.repository.matrix_file.name}, and log in to it on each machine'
        )
    return address


def site_of(project: Project) -> Site:
    """Return where this machine fetches from."""
    return sites.discover(project.matrix.site, root=project.repository.root)


def node_store(project: Project) -> Store | None:
    """Return where nodes are kept for all machines, if the matrix names a place."""
    if not project.matrix.nodes:
        return None
    return Store(voucher(project, Client(site_of(project))), say=note)


def voucher(project: Project, client: Client) -> Voucher:
    """Return what judges the nodes of the registry. Raises FlagError where its public keys cannot be read."""
    declared = project.matrix.signing
    if declared:
        extras.require("signing")
    return Voucher(
        repository=project.matrix.nodes,
        bonds=project.state.bonds(),
        client=client,
        verifier=verifier(project.repository.public_keys(declared.public), declared.public) if declared else None,
    )


def signer(project: Project, store: Store) -> Signer | None:
    """Return what signs nodes that are pushed; None where they are not signed. Raises FlagError where it cannot."""
    declared, verifier = project.matrix.signing, store.voucher.verifier
    return signing.signer(declared, project.repository.root, Shell(), verifier) if declared and verifier else None


def signer_if_any(project: Project, store: Store | None) -> Signer | None:
    """Return what signs, where there is a node cache and a private key."""
    try:
        return signer(project, store) if store else None
    except FlagError:
        return None


def here() -> Path:
    """Return the current directory."""
    return Path.cwd()


def engine() -> Engine:
    """Return the engine. Raises NoEngineError."""
    return connect()


def images_or_note() -> Sequence[EngineImage] | None:
    """Ask the engine what exists; without one, a plan is still true for an empty engine, so only report it."""
    try:
        return engine().images()
    except NoEngineError as error:
        note(f"{error}\n    Continuing as if nothing had been built yet.")
        return None


def images_if_any() -> Sequence[EngineImage] | None:
    """Ask the engine what exists; None where no engine answers."""
    try:
        return engine().images()
    except NoEngineError:
        return None


def folder(flag: str) -> Path | None:
    """Return the directory that a flag names for a report, if it does. Raises FlagError where none can be written."""
    if not flag:
        return None
    extras.require("report")
    return Path(flag).absolute()
