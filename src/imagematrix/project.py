"""A monorepo opened: its matrix and sources read once, its leaves and DAG made on demand. Decides; writes nothing."""

import gc
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path, PurePath
from typing import Final, TypeVar

from imagematrix import audit, compat, extensions, matrix
from imagematrix.compat import catalogue, overlay
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.errors import Collector, FlagError, InputError, did_you_mean
from imagematrix.model import (
    Downloads,
    EngineImage,
    Extensions,
    File,
    Key,
    Leaf,
    Lock,
    Matrix,
    Plan,
    Row,
    RuleDeclaration,
    Service,
    Size,
    Verdict,
)
from imagematrix.planning import estimates, graph, lock, plan, requirements
from imagematrix.planning.apt_locks import AptStack
from imagematrix.planning.graph import Dag
from imagematrix.planning.keys import Assigner
from imagematrix.planning.problems import RowProblems
from imagematrix.planning.render import Renderer
from imagematrix.planning.requirements import Locked, RequirementStack
from imagematrix.planning.trust import doubts, nodes
from imagematrix.repository import Repository
from imagematrix.state import State

_T = TypeVar("_T")

_MENTIONED: Final = re.compile(r"\{(\w+)\}|\bfacts\.(\w+)")
"""A value's name in matrix.toml: in a pattern, or as what facts follow from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rows a command is about; all of them when nothing is named."""

    only: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    """Docker platforms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Everything that was read, and what follows from it."""

    repository: Repository
    state: State
    matrix: Matrix
    lock: Lock
    renderer: Renderer
    extensions: Extensions = field(default_factory=Extensions)
    """What installed wheels add."""

    @property
    def obtainable(self) -> tuple[Row, ...]:
        """The rows of the matrix without impossible ones."""
        return tuple(row for row in self.matrix.rows if not row.impossible)

    def with_own_plugins(self) -> "Project":
        """Return the same project with what its imagematrix_plugins.py adds, whose code runs. Raises InputError."""
        text = self.repository.plugin_text()
        if not text:
            return self
        return replace(self, extensions=extensions.merged(self.extensions, extensions.of_file(text)))

    def rows(self, selection: Selection) -> tuple[Row, ...]:
        """Return the rows selected. Raises FlagError for a pattern or group that matches nothing."""
        return matrix.select(
            self.matrix.rows, only=selection.only, groups=selection.groups, platforms=selection.platforms
        )

    def diagnostics(self, rows: Iterable[Row]) -> tuple[Diagnostic, ...]:
        """Return what is known of the versions of rows that go together or do not: the worst first."""
        text, file = self.repository.matrix_text(), self.repository.matrix_file.name
        return compat.diagnose(rows, text, file=file, demands=self.renderer.demands)

    def proof(self) -> tuple[Diagnostic, ...]:
        """Return what is known of all rows, and the facts that no template, pattern or rule reads."""
        text, file = self.repository.matrix_text(), self.repository.matrix_file.name
        try:
            templates = frozenset().union(*map(self.renderer.reads, {row.family.layers for row in self.matrix.rows}))
        except InputError:  # rendering reports an invalid template
            return self.diagnostics(self.matrix.rows)
        # What stands in a pattern ("{torch}"), and what other facts follow from.
        named = {match.group(match.lastindex or 0) for match in _MENTIONED.finditer(text)}
        read = compat.read() | templates | named | {"base", "platform"}  # they choose the image

        @cache
        def of_name(name: str, is_axis: bool) -> tuple[Diagnostic, ...]:
            return tuple(_unread(name, read, is_axis=is_axis))

        def unread(row: Row) -> tuple[Diagnostic, ...]:
            return tuple(found for name in row.values if name not in read for found in of_name(name, name in row.axes))

        told = {"locked": self.packages, "demands": self.renderer.demands}
        found = compat.diagnose(self.matrix.rows, text, file=file, also=unread, **told)
        return (*found, *compat.idle(self.obtainable, **told))

    def possible(self, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """Return the rows without those declared impossible.

        Raises InputError with the reasons when nothing is left, or when another row is impossible, with what would
        work.
        """
        obtainable = tuple(row for row in rows if not row.impossible)
        if rows and not obtainable:
            raise self._refusal(rows, Severity.NOTE)
        refused = [row for row in obtainable if self.impossible(row)]
        if refused:
            raise self._refusal(refused, Severity.IMPOSSIBLE)
        return obtainable

    def impossible(self, row: Row) -> str:
        """Return why a row is impossible, as declared or by the rules; empty: it is not."""
        found = (str(each) for each in self.renderer.findings(row) if each.severity is Severity.IMPOSSIBLE)
        return row.impossible or "; ".join(found)

    def _refusal(self, rows: Iterable[Row], severity: Severity) -> InputError:
        """Return the error for rows that are impossible by a diagnostic of this severity."""
        found = (each for each in self.diagnostics(rows) if each.severity is severity)
        return InputError(replace(each, severity=Severity.IMPOSSIBLE) for each in found)

    def leaves(self, rows: Iterable[Row]) -> Mapping[str, Leaf]:
        """Render rows: row name -> leaf. Raises InputError with the problems of all rows."""
        with _only_keepsakes():
            return self._each(rows, self.renderer.leaf)

    def unrendered(self) -> tuple[Diagnostic, ...]:
        """Return everything that keeps the obtainable rows from being rendered."""
        found = RowProblems()
        for row in self.obtainable:
            for problem in self.renderer.faults(row):
                found.add(problem, row)
        return self._placed(found)

    def _each(self, rows: Iterable[Row], render: Callable[[Row], _T]) -> Mapping[str, _T]:
        """Render every row. Raises InputError with each problem once."""
        rendered: dict[str, _T] = {}
        found = RowProblems()
        for row in rows:
            try:
                rendered[row.name] = render(row)
            except InputError as error:
                for problem in error.diagnostics:
                    found.add(problem, row)
        if found:
            raise InputError(self._placed(found))
        return rendered

    def _placed(self, found: RowProblems) -> tuple[Diagnostic, ...]:
        return found.placed(self.repository.matrix_text(), file=self.repository.matrix_file.name)

    def requirement_stacks(self, rows: Iterable[Row]) -> Mapping[RequirementStack, Sequence[str]]:
        """Return what rows require of the package index, with the names of the rows that share them."""
        asked: dict[RequirementStack, list[str]] = {}
        for name, stack in self._each(rows, self.renderer.requirements).items():
            if stack.layers:
                asked.setdefault(stack, []).append(name)
        return asked

    def apt_stacks(self, rows: Iterable[Row]) -> Collection[AptStack]:
        """Return what rows install with apt, each once. Raises InputError."""
        return dict.fromkeys(self._each(rows, self.renderer.apt_stack).values()).keys()

    def locked(self, row: Row) -> Sequence[Locked]:
        """Return the locks that a row's Python packages are installed from, lowest layer first."""
        return self.renderer.locked(row)

    def packages(self, row: Row) -> Mapping[str, str]:
        """Return what the locks of a row hold, as far as they exist: package -> version, that of the upper layer.

        Nothing where its templates cannot be rendered: rendering reports that.
        """
        try:
            return {} if row.impossible else requirements.packages(self.renderer.locked(row))
        except InputError:
            return {}

    def services(self, row: Row) -> tuple[Service, ...]:
        """Return the services that a row's containers start; none where its templates cannot be rendered."""
        try:
            return self.renderer.services(row)
        except InputError:
            return ()

    def sizes(self, row: Row) -> Mapping[str, Size]:
        """Predict how big the Python packages of a row's layers are: layer -> size, of those with a lock."""
        return requirements.added(self.renderer.locked(row))

    def node_sizes(self, made: Plan) -> Mapping[Key, Size]:
        """Predict how big the Python packages of nodes are, of those whose layer has a lock."""
        found = ((step.node, self.sizes(step.node.leaf.row)) for step in made.steps)
        return {node.key: of_layers[name] for node, of_layers in found if (name := node.stage.installs) in of_layers}

    def seconds(self, made: Plan, sizes: Mapping[Key, Size]) -> Mapping[Key, float]:
        """Estimate how long the nodes of a plan take that must be built or pulled, some of a size that is known."""
        to_come = [step for step in made.steps if step.verdict is not Verdict.REUSE]
        history = self.state.history() if to_come else ()
        return estimates.seconds(to_come, history=history, sizes=sizes)

    def files(self, leaves: Mapping[str, Leaf]) -> Mapping[str, Sequence[File]]:
        """Render every file of the leaves' directories: directory -> files."""
        rendered = self._each((leaf.row for leaf in leaves.values()), lambda row: self.renderer.files(leaves[row.name]))
        return {leaf.row.directory: rendered[name] for name, leaf in leaves.items()}

    def directories(self) -> Collection[str]:
        """Return the leaf directories of all rows that are not impossible."""
        return {row.directory for row in self.obtainable}

    def dag(self, leaves: Mapping[str, Leaf]) -> Dag:
        """Return the DAG of some leaves."""
        assigner = Assigner(self.lock)
        with _only_keepsakes():
            return graph.build({name: assigner.chain(leaf) for name, leaf in leaves.items()})

    def plan(
        self,
        dag: Dag,
        images: Collection[EngineImage],
        *,
        kept: Mapping[Key, str] | None = None,
        doubted: Mapping[Key, str] | None = None,
    ) -> Plan:
        """Compare the DAG with what the engine has, and with what the registry keeps: key -> digest there.

        `doubted` says why nodes that the registry has are not believed.
        """
        bonds = self.state.bonds()
        with _only_keepsakes():
            return plan.make(
                dag,
                present=nodes(images, bonds),
                kept=kept,
                doubts={**(doubted or {}), **doubts(images, bonds)},
                history=self.state.history,
                all_rows={row.name for row in self.obtainable},
                given=lambda node: self.renderer.given(node.leaf.row, node.stage),
            )

    def revised(self, matrix: Matrix, locks: Mapping[str, str]) -> "Project":
        """Return the same project with another matrix and other requirement locks."""
        sources, apt_locks = self.repository.sources(matrix), self.renderer.apt_locks
        renderer = Renderer(sources, locks=locks, apt_locks=apt_locks)
        return replace(self, matrix=matrix, renderer=renderer)

    def refreshed(self, epoch: str, layers: Collection[str] = ()) -> "Project":
        """Return the same project at another refresh epoch: of some layers alone, else of all."""
        epochs = {**self.lock.epochs, **dict.fromkeys(layers, epoch)} if layers else {}
        return replace(self, lock=replace(self.lock, epoch=self.lock.epoch if layers else epoch, epochs=epochs))

    def at_site(self, name: str) -> "Project":
        """Return the same project where `[sites.NAME]` counts instead of `[site]`; of no name, the project itself.

        Raises FlagError for a site that is not declared.
        """
        sites = self.matrix.sites
        if not name:
            return self
        if name not in sites:
            raise FlagError(f"no site is named {name!r} (--site or IMAGEMATRIX_SITE)\n    {did_you_mean(name, sites)}")
        return replace(self, matrix=replace(self.matrix, site=sites[name]))


def _unread(name: str, read: Iterable[str], *, is_axis: bool) -> Iterator[Diagnostic]:
    """Report a name that nothing reads. An axis may serve only to distinguish rows, unless it looks misspelt."""
    hint = did_you_mean(name, read)
    is_misspelt = hint.startswith("did you mean")
    if is_misspelt or not is_axis:
        yield Diagnostic(
            severity=Severity.UNKNOWN if is_misspelt else Severity.NOTE,
            about=name,
            message=f"nothing reads the {'axis' if is_axis else 'fact'} {name!r}",
            hint=hint if is_misspelt else "no template, pattern or rule names it",
            code="unused_fact",
        )


def refuse_unrefreshable(layers: Iterable[str], leaves: Mapping[str, Leaf]) -> None:
    """Raise FlagError for a layer that is not in these leaves, or that downloads nothing which may have moved."""
    stages = [stage for leaf in leaves.values() for stage in (leaf.bootstrap, *leaf.stages) if stage]
    known = {stage.layer for stage in stages}
    refreshable = {stage.layer for stage in stages if stage.downloads in (Downloads.LOCKED, Downloads.MOVING)}
    pinned = {stage.layer for stage in stages if stage.downloads is Downloads.PINNED}
    wrong = [
        f"no selected row has a layer {layer!r} (--fresh)\n    {did_you_mean(layer, known)}"
        if layer not in known
        else f"layer {layer!r} installs nothing from the network{' but what hashes name' * (layer in pinned)}:"
        " there is nothing to refresh (--fresh)\n"
        f"    these do: {', '.join(sorted(refreshable)) or 'none of the selected rows'}"
        for layer in layers
        if layer not in refreshable
    ]
    if wrong:
        raise FlagError("\n".join(wrong))


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A project as far as it can be read, and every problem of what cannot."""

    repository: Repository
    matrix: Matrix | None
    """Not there where it, or what corrects the catalogue, cannot be read: rows are not judged then."""
    project: Project | None
    """There as soon as rows can be rendered: a lock that cannot be read counts as missing."""
    diagnostics: tuple[Diagnostic, ...]


def open_project(file: str, *, warn: Callable[[str], None] = lambda _: None) -> Project:
    """Read a project. Raises InputError with every problem of its files.

    `warn` hears of what is damaged of what earlier runs left behind.
    """
    opened = examine(file, warn=warn)
    if opened.project is None or opened.diagnostics:
        raise InputError(opened.diagnostics)
    return opened.project


def examine(file: str, *, warn: Callable[[str], None] = lambda _: None) -> Opened:
    """Read a project as far as that is possible."""
    repository, found = Repository(Path(file).absolute()), Collector()
    state = State(repository.root, matrix=repository.matrix_file.name, warn=warn)
    corrections = found.attempt(lambda: overlay.parse(repository.corrections()))
    plugins = found.attempt(extensions.installed) or Extensions()
    own_rules = tuple(compat.of_plugin(name, rule) for name, rule in plugins.version_rules.items())
    catalogue.use(replace(corrections or catalogue.Corrections(), version_rules=own_rules))
    found.attempt(lambda: extensions.declared(repository.plugin_text()))
    text = found.attempt(repository.matrix_text)
    if text is None:
        return Opened(repository=repository, matrix=None, project=None, diagnostics=tuple(found.diagnostics))
    rules = found.attempt(lambda: {**audit.stock(), **_rules(repository.common.rules())})
    file = repository.matrix_file.name
    with _only_keepsakes():
        parsed = found.attempt(
            lambda: matrix.parse(
                text, layers=repository.common.layers(), rules=rules, naming=plugins.naming_rules, file=file
            )
        )
    locked = found.attempt(lambda: lock.parse(repository.lock_text(), file=repository.lock_file)) or Lock()
    locks = found.attempt(repository.locks) or {}
    apt_locks = found.attempt(repository.apt_locks) or {}
    sources = found.attempt(lambda: repository.sources(parsed) if parsed else repository.common.sources())
    if corrections is None:  # rows are not judged by facts that the project would correct
        parsed = None
    project = None
    if parsed and sources:
        renderer = Renderer(sources, locks=locks, apt_locks=apt_locks)
        project = Project(
            repository=repository, state=state, matrix=parsed, lock=locked, renderer=renderer, extensions=plugins
        )
    return Opened(repository=repository, matrix=parsed, project=project, diagnostics=tuple(found.diagnostics))


def _rules(texts: Mapping[str, str]) -> Mapping[str, RuleDeclaration]:
    """Read the rules that a monorepo brings: file -> text. Raises InputError with every one that declares none."""
    found = Collector()
    rules = {
        PurePath(file).stem: found.attempt(partial(audit.declared, text, file=file)) for file, text in texts.items()
    }
    if found.diagnostics:
        raise InputError(found.diagnostics)
    return {name: rule for name, rule in rules.items() if rule}


@contextmanager
def _only_keepsakes() -> Iterator[None]:
    """Hold the garbage collector back while nothing is made but nouns that stay.

    It would walk all of them again and again: a third of the time of planning 100,000 rows.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
