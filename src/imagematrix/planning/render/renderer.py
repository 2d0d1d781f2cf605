"""Rows in, leaves in memory out."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from imagematrix import compat
from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import Collector, InputError
from imagematrix.model import File, Leaf, Row, Service, Sources, Stage
from imagematrix.planning.apt_locks import AptStack
from imagematrix.planning.render.apt import RowAptLocks
from imagematrix.planning.render.companions import Companions
from imagematrix.planning.render.demands import Demands
from imagematrix.planning.render.files import LayerFiles
from imagematrix.planning.render.given import Given
from imagematrix.planning.render.locks import RowLocks
from imagematrix.planning.render.packages import Installations
from imagematrix.planning.render.sources import template_names, with_parents
from imagematrix.planning.render.stages import Stages, base_image
from imagematrix.planning.render.templates import Templates
from imagematrix.planning.requirements import Locked, RequirementStack


class Renderer:
    """Renders rows against one set of sources; its parts remember every distinct rendering."""

    def __init__(
        self, sources: Sources, *, locks: Mapping[str, str], apt_locks: Mapping[str, str] | None = None
    ) -> None:
        self._sources = sources
        self._templates = Templates(sources)
        self._locks = RowLocks(sources, self._templates, locks)
        self.apt_locks: Mapping[str, str] = apt_locks or {}
        self._apt = RowAptLocks(sources, self._templates, self.apt_locks)
        self._installations = Installations(sources, self._locks)
        self._files = LayerFiles(sources, self._templates, self._installations, self._apt)
        self._stages = Stages(sources, self._templates, self._files, self._installations, self._apt)
        self._companions = Companions(sources, self._templates)
        self._demands = Demands(sources, self._templates)
        self._given = Given(sources, self._templates)
        self._faults: dict[Hashable, tuple[Diagnostic, ...]] = {}

    def leaf(self, row: Row) -> Leaf:
        """Render the stages of a row. Raises InputError naming template, line and row."""
        found = Collector()
        found.attempt(lambda: self._locks.refuse_unlocked(row))
        stages = tuple(
            found.attempt(partial(self._stages.stage, row, layer=layer, parent=parent))
            for layer, parent in with_parents(row)
        )
        bootstrap = found.attempt(lambda: self._stages.bootstrap(row))
        if found.diagnostics:
            raise InputError(found.diagnostics)
        return Leaf(row=row, base_image=base_image(row), bootstrap=bootstrap, stages=tuple(filter(None, stages)))

    def files(self, leaf: Leaf) -> tuple[File, ...]:
        """Return every file of a leaf's directory, sorted by path."""
        files = [File(path="Dockerfile", content=leaf.dockerfile.encode())]
        read = {file for stage in leaf.dockerfile_stages for file in stage.inputs}
        for together in (self._sources.init, *(service.files for service in self._sources.services)):
            if not read.isdisjoint(together):
                files += together
        for layer in leaf.row.family.layers:
            files += self._files.of(layer, leaf.row)
            files += read.intersection(self._sources.layers[layer].context)
        files += read.intersection(self._sources.folders)
        if leaf.bootstrap:
            files += leaf.bootstrap.inputs
        files += self._companions.files(leaf)
        return tuple(sorted(files, key=lambda file: file.path))

    def services(self, row: Row) -> tuple[Service, ...]:
        """Return the services that a row's containers start: those whose files its stages copy. Raises InputError."""
        read = {file for stage in self.leaf(row).dockerfile_stages for file in stage.inputs}
        return tuple(service for service in self._sources.services if not read.isdisjoint(service.files))

    def given(self, row: Row, stage: Stage) -> str:
        """Return the hash of what the monorepo itself gave to a stage of a row."""
        return self._given.of(row, stage)

    def faults(self, row: Row) -> tuple[Diagnostic, ...]:
        """Return what keeps the files of a row from being rendered, as `leaf` and `files` raise it.

        Neither is made for each row: a part of it is tried once for all rows that agree on the values that it reads.
        """
        values = self._templates.values(row)
        found, locks = [*_raised(lambda: self._locks.refuse_unlocked(row))], self._lock_paths(row)
        for layer, parent in with_parents(row):
            part = (layer, parent, row.family.layers, *locks.values(), *self._templates.seen((layer,), values))
            found += self._tried(part, partial(self._stages.stage, row, layer=layer, parent=parent))
        found += _raised(lambda: self._stages.bootstrap(row))
        if not found:
            found += self._tried(self._companions.subject(row, values), lambda: self.files(self.leaf(row)))
        return tuple(dict.fromkeys(replace(each, rows=(row.name,)) if each.rows else each for each in found))

    def requirements(self, row: Row) -> RequirementStack:
        """Render what a row requires of the package index, of the layers that are installed from a lock."""
        return self._locks.stack(row)

    def apt_stack(self, row: Row) -> AptStack:
        """Return what a row installs with apt, of the stages that an apt lock is for. Raises InputError."""
        return self._apt.stack(row)

    def locked(self, row: Row) -> tuple[Locked, ...]:
        """Return the locks that a row's layers are installed from, as far as they exist."""
        return self._locks.locked(row)

    def reads(self, layers: Iterable[str]) -> frozenset[str]:
        """Return the names of all values that the templates of some layers, and of each leaf, may read."""
        layers = tuple(layers)
        names = [name for layer in layers for name in template_names(self._sources.layers[layer])]
        return self._templates.names(names) | self._companions.reads(layers)

    def findings(self, row: Row) -> tuple[Diagnostic, ...]:
        """Return what is known of a row, and of what its layers take from its base."""
        return compat.findings(row, demands=self.demands(row))

    def demands(self, row: Row) -> Mapping[str, str]:
        """Return what the stages of a row take from its base, by what rules call it: the names of the layers."""
        return self._demands.of(row)

    def suits(self, row: Row) -> bool:
        """Whether a row has every value that the templates of its layers need, and can be locked and built."""
        if any(finding.severity.is_error for finding in self.findings(row)):
            return False
        layers = row.family.layers
        try:
            self.requirements(row)
            for layer in layers:
                for name in template_names(self._sources.layers[layer]):
                    # What a leaf's README may read too: a section of it is a template of its layer.
                    self._templates.render(name, row, layer=layer, parent="", layers=layers)
        except InputError:
            return False
        return True

    def _lock_paths(self, row: Row) -> Mapping[str, Hashable]:
        """Return what distinguishes the locks of a row's layers; the reasons, where there can be none."""
        try:
            return {locked.layer: locked.path for locked in self._locks.locked(row)}
        except InputError as error:
            return dict.fromkeys(row.family.layers, tuple(replace(problem, rows=()) for problem in error.diagnostics))

    def _tried(self, part: Hashable, attempt: Callable[[], object]) -> tuple[Diagnostic, ...]:
        known = self._faults.get(part)
        if known is None:
            known = self._faults[part] = _raised(attempt)
        return known


def _raised(attempt: Callable[[], object]) -> tuple[Diagnostic, ...]:
    """Return the problems that an attempt raises."""
    try:
        attempt()
    except InputError as error:
        return tuple(error.diagnostics)
    return ()
