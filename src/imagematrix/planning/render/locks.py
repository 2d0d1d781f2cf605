"""What rows require of the package index, and the locks that answer it."""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from imagematrix import compat
from imagematrix.compat import Bound, bounds
from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError, did_you_mean
from imagematrix.model import File, LayerSource, Row, Sources
from imagematrix.planning import requirements
from imagematrix.planning.render.sources import name_of
from imagematrix.planning.render.templates import Templates
from imagematrix.planning.requirements import Locked, Requirements, RequirementStack, ResolveRequest
from imagematrix.text.versions import exact

_COMPILED: Final = re.compile(r"""\bsite\.compile\(\s*\w+\s*,\s*["']([\w.-]+)|--no-binary[ =]([\w.-]+)""")


class RowLocks:
    """The requirements of rows, followed through the locks of a project."""

    def __init__(self, sources: Sources, templates: Templates, locks: Mapping[str, str]) -> None:
        self._sources = sources
        self._templates = templates
        self._locks = locks
        self._files = {name: file for name, source in sources.layers.items() if (file := _locked_file(source))}
        self._stacks: dict[RequirementStack, tuple[tuple[Locked, ...], ResolveRequest | None]] = {}
        self._followed: dict[Hashable, tuple[tuple[Locked, ...], ResolveRequest | None]] = {}
        self._last: tuple[Row, tuple[tuple[Locked, ...], ResolveRequest | None]] | None = None

    def is_locked(self, layer: str) -> bool:
        """Whether a layer is installed from a lock of `invoke lock`."""
        return layer in self._files

    def stack(self, row: Row) -> RequirementStack:
        """Render what a row requires of the package index, of the layers that are installed from a lock."""
        layers = tuple(self._requirements(layer, row) for layer in row.family.layers if layer in self._files)
        if not layers:
            return RequirementStack(python="", platform="", layers=())
        return RequirementStack(
            python=_locked_for("python", row),
            platform=self.uv_platform(row),
            layers=layers,
            bounds=_bounds(row, layers),
        )

    def locked(self, row: Row) -> tuple[Locked, ...]:
        """Return the locks that a row's layers are installed from, lowest first, as far as they exist."""
        return self._follow(row)[0]

    def refuse_unlocked(self, row: Row) -> None:
        """Raise InputError for a row whose requirements are not all locked."""
        _, request = self._follow(row)
        if request:
            layer = request.asker.layer
            what = f"requirements of layer {layer} are not locked for Python {request.python}"
            # A file of the package is nothing that people can mend: the matrix names the layer.
            file = request.asker.file if f"layers/{layer}" in self._sources.own else ""
            problem = Diagnostic(file=file, message=what, hint="run `invoke lock`", code="unlocked", about=layer)
            raise InputError([replace(problem, rows=(row.name,))])

    def _follow(self, row: Row) -> tuple[tuple[Locked, ...], ResolveRequest | None]:
        if self._last is None or self._last[0] is not row:  # each layer of a row asks
            self._last = row, self._followed_by(row)
        return self._last[1]

    def _followed_by(self, row: Row) -> tuple[tuple[Locked, ...], ResolveRequest | None]:
        if self._files.keys().isdisjoint(row.family.layers):
            return (), None
        layers = tuple(layer for layer in row.family.layers if layer in self._files)
        asked = (
            compat.subject(row),
            row.values.get("python"),
            row.values.get("os"),
            row.platform,
            *self._templates.seen(layers, self._templates.values(row)),
        )
        known = self._followed.get(asked)
        if known is None:
            stack = self.stack(row)
            known = self._followed[asked] = self._stacks.get(stack) or requirements.follow(stack, self._locks)
            self._stacks[stack] = known
        return known

    def _requirements(self, layer: str, row: Row) -> Requirements:
        source, file = self._sources.layers[layer], self._files[layer]
        text = self._templates.text(source, file, row)
        return Requirements(layer=layer, text=text, file=name_of(source, file), compiled=_compiled(source.template))

    def uv_platform(self, row: Row) -> str:
        """Return uv's name of what a row is locked for. Raises InputError where it has none."""
        system = _locked_for("os", row)
        found = requirements.platform(row.platform, system)
        if not found:
            raise InputError([replace(_unlockable(system, row.platform), rows=(row.name,))])
        return found


def _unlockable(system: str, platform: str) -> Diagnostic:
    """Return the problem of a distribution or a platform that uv has no name for; the matrix says which it is."""
    is_known = system in requirements.systems()
    what = f"requirements cannot be locked for {platform if is_known else f'os {system!r}'}"
    hint = (
        f"they can for {', '.join(requirements.PLATFORMS)}"
        if is_known
        else did_you_mean(system, requirements.systems())
    )
    return Diagnostic(message=what, hint=hint, code="unlockable", about="platform" if is_known else "os")


def _locked_file(source: LayerSource) -> File | None:
    """Return the requirements of a layer that is installed from a lock of `invoke lock`: a layer that names it."""
    own = {file.path: file for file in source.files}
    if requirements.LOCK in own or not _names_lock(source):
        return None
    return next((own[name] for name in requirements.FILES if name in own), None)


def _names_lock(source: LayerSource) -> bool:
    """Whether a template names its layer's lock, or has a macro of `site.j2` name it."""
    by_macro = rf"""\bsite\.(?!apt_)\w+\(\s*["']{re.escape(source.name)}["']"""
    named = f"{source.name}/{requirements.LOCK}"
    return named in source.template or re.search(by_macro, source.template) is not None


@lru_cache(maxsize=256)
def _compiled(template: str) -> frozenset[str]:
    """Return the packages that a layer's template compiles, by the macro of `site.j2` or in its own words."""
    return frozenset(name for names in _COMPILED.findall(template) for name in names if name)


def _bounds(row: Row, layers: Iterable[Requirements]) -> tuple[Bound, ...]:
    """Return the bounds that a row is resolved with."""
    asked = tuple(statement for layer in layers for statement in bounds.required(layer.text))
    exactly = {each.package: version for each in asked if (version := exact(each.condition))}
    statements = (*bounds.stated(row.values), *asked)
    return bounds.constraining({**exactly, **row.values}, statements, allowed=bool(compat.reasons(row)))


def _locked_for(name: str, row: Row) -> str:
    if name not in row.values:
        what = f"requirements are locked for the {name!r} of a row, and this one has none"
        hint = f'say it of the base: [bases.{row.base.name}] {name} = "…"'
        raise InputError([Diagnostic(message=what, hint=hint, code="unlockable", about=name, rows=(row.name,))])
    return row.values[name]
