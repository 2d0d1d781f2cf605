"""What rows install with apt, and the locks of it."""

from collections.abc import Hashable, Mapping

from imagematrix.model import APT_LOCK, BASE_LAYER, File, Row, Sources
from imagematrix.planning import apt_locks
from imagematrix.planning.apt_locks import AptStack, AptStep
from imagematrix.planning.render.sources import with_parents
from imagematrix.planning.render.templates import Templates


class RowAptLocks:
    """The apt locks of rows; rows that install the same share them."""

    def __init__(self, sources: Sources, templates: Templates, locks: Mapping[str, str]) -> None:
        self._sources = sources
        self._templates = templates
        self._locks = locks
        self._layers = frozenset(name for name, source in sources.layers.items() if _installs(source.template))
        self._stacks: dict[Hashable, AptStack] = {}
        self._files: dict[AptStack, Mapping[str, File]] = {}

    def stack(self, row: Row) -> AptStack:
        """Return what a row installs with apt. Raises InputError where a template cannot be rendered."""
        layers = tuple((layer, parent) for layer, parent in with_parents(row) if layer in self._layers)
        seen = self._templates.seen(tuple(layer for layer, _ in layers), self._templates.values(row)) if layers else ()
        base = apt_locks.base_of(row)
        known = self._stacks.get((base, layers, seen))
        if known is None:
            steps = (AptStep(layer=layer, packages=self._packages(row, layer, parent)) for layer, parent in layers)
            known = AptStack(base=base, steps=tuple(step for step in steps if step.packages))
            self._stacks[base, layers, seen] = known
        return known

    def file(self, row: Row, layer: str) -> File | None:
        """Return the lock of a layer as it lies in the leaf, empty if there is none; None: it needs none."""
        if not row.base.bootstrap if layer == BASE_LAYER else layer not in self._layers:
            return None
        stack = self.stack(row)
        files = self._files.get(stack)
        if files is None:
            files = self._files[stack] = {name: self._file(name, path) for name, path in stack.paths.items()}
        return files.get(layer) or self._file(layer, "")

    def _file(self, layer: str, path: str) -> File:
        content = apt_locks.installed(self._locks.get(path, ""))
        return File(path=f"{layer}/{APT_LOCK}", content=content.encode())

    def _packages(self, row: Row, layer: str, parent: str) -> tuple[str, ...]:
        name = self._sources.layers[layer].template_path
        return apt_locks.packages(self._templates.render(name, row, layer=layer, parent=parent))


def _installs(template: str) -> bool:
    """Whether a template has a step that an apt lock is for."""
    return "apt_install(" in template or f"/{APT_LOCK}" in template
