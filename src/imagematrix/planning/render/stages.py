"""Stages: a layer's template rendered and checked, with the files that it reads."""

from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError, did_you_mean
from imagematrix.model import (
    BASE_LAYER,
    EPOCH,
    FILES,
    SOURCES,
    WHEELHOUSE,
    Downloads,
    File,
    LayerSource,
    Row,
    Sources,
    Stage,
    Tool,
)
from imagematrix.planning import apt_locks, dockerfile, downloads, requirements
from imagematrix.planning.render import packages, whole
from imagematrix.planning.render.apt import RowAptLocks
from imagematrix.planning.render.files import LayerFiles
from imagematrix.planning.render.packages import Installation, Installations
from imagematrix.planning.render.templates import Templates

_LANGUAGE: Final = "LC_ALL=C.UTF-8 LANGUAGE=C"
"""English, whatever language the image is for: reasons and flakes are recognized by what tools say. An ARG is in the
environment of each step after it, even over an ENV of the base, and never in that of the image."""


class Stages:
    """The stages of rows; equal ones are one object."""

    def __init__(
        self,
        sources: Sources,
        templates: Templates,
        files: LayerFiles,
        installations: Installations,
        apt: RowAptLocks,
    ) -> None:
        self._sources = sources
        self._shared = sources.shared
        self._folders = sources.folders
        self._templates = templates
        self._files = files
        self._installations = installations
        self._apt = apt
        self._stages: dict[tuple[object, ...], Stage] = {}
        self._memo: dict[Hashable, Stage] = {}
        self._arguments_of: dict[str, tuple[Downloads, str]] = {}

    def stage(self, row: Row, *, layer: str, parent: str) -> Stage:
        """Render a layer on its parent. Raises InputError with each fault of its instructions."""
        source = self._sources.layers[layer]
        name = source.template_path
        chosen = self._installations.of(layer, row)
        body = self._templates.render(name, row, layer=layer, parent=parent, tool=chosen.tool)
        files = self._files.of(layer, row)
        asked = (layer, parent, body, files, chosen)
        known = self._memo.get(asked)
        if known is None:
            if source.whole:
                known = self._whole(source, body, row, parent=parent)
            else:
                self._refuse_faults(name, body, row, layer=layer, parent=parent, chosen=chosen)
                known = self._stage(layer, parent, body, files, chosen)
            self._memo[asked] = known
        return self._labelled(known, _labels(row)) if layer == row.family.layers[-1] else known

    def _labelled(self, stage: Stage, labels: str) -> Stage:
        """Return a row's last stage, which names the row: all else of it may be that of many rows."""
        known = self._memo.get((stage, labels))
        if known is None:
            linking = stage.linking and stage.linking + labels
            known = self._memo[stage, labels] = self._intern(replace(stage, text=stage.text + labels, linking=linking))
        return known

    def _whole(self, source: LayerSource, body: str, row: Row, *, parent: str) -> Stage:
        """Return the stage of a whole Dockerfile: its text begins with the stages that it needs."""
        made = whole.stages(source, body, row, parent=parent, folders=self._folders)
        kinds, texts = set[Downloads](), list[str]()
        for stage in made:
            fetched, arguments = self._arguments(stage.text)
            kinds |= {fetched, downloads.of_image(stage.pulls)}
            texts.append(f"{stage.head}\n{arguments}{stage.text.strip()}\n")
        inputs, text = whole.inputs(source, made, self._folders), "\n".join(texts)
        return self._intern(Stage(layer=source.name, text=text, inputs=inputs, downloads=downloads.most_moving(kinds)))

    def _stage(self, layer: str, parent: str, body: str, files: tuple[File, ...], chosen: Installation) -> Stage:
        parts = packages.split(body)
        linked = (
            self._package_files(layer, parts.install, files, chosen.tool) if chosen.tool and parts.install else None
        )
        fetched, arguments = self._arguments(f"{parts.check}\n{parts.own}".strip())
        own = f"{parts.own.strip()}\n"
        text, linking = f"FROM {parent} AS {layer}\n{arguments}{own}", ""
        if linked:
            text = f"FROM {linked.layer} AS {layer}\n{arguments}{parts.check}\n{own}"
            linking = f"FROM {parent} AS {layer}\n{arguments}{parts.link}\n{own}"
        inputs = self._inputs(text, files)
        return self._intern(
            Stage(
                layer=layer,
                text=text,
                inputs=inputs,
                downloads=_settled(fetched, inputs),
                packages=linked,
                linking=linking,
                chained=chosen.why,
            )
        )

    def _package_files(self, layer: str, install: str, files: tuple[File, ...], tool: Tool) -> Stage:
        """Return the stage of a package layer's files: all that it downloads is named by the lock."""
        text = packages.files_text(layer, tool, f"ARG {_LANGUAGE}\n{install}")
        inputs = self._inputs(text, files)
        made = Stage(layer=f"{layer}{FILES}", text=text, inputs=inputs, downloads=Downloads.PINNED, tool=tool)
        return self._intern(made)

    def bootstrap(self, row: Row) -> Stage | None:
        """Return the stage that makes a row's base, if it is made here."""
        suite = row.base.bootstrap
        if not suite:
            return None
        lock, script = self._apt.file(row, BASE_LAYER), self._sources.bootstrap
        inputs = (lock, script) if lock and lock.content else (script,)
        made = Stage(layer=BASE_LAYER, text=suite, inputs=inputs, downloads=_settled(Downloads.LOCKED, inputs))
        return self._stages.setdefault((BASE_LAYER, suite, inputs), made)

    def _arguments(self, body: str) -> tuple[Downloads, str]:
        """Return what a stage downloads, and what its steps find in their environment, not its image."""
        known = self._arguments_of.get(body)
        if known is None:
            fetched = downloads.of(body)
            epoch = f"ARG {EPOCH}\n" if fetched in (Downloads.LOCKED, Downloads.MOVING) else ""
            language = f"ARG {_LANGUAGE}\n" if dockerfile.runs(body) else ""
            known = self._arguments_of[body] = (fetched, language + epoch)
        return known

    def _refuse_faults(self, name: str, body: str, row: Row, *, layer: str, parent: str, chosen: Installation) -> None:
        """Raise InputError for instructions that a layer must not have, or that copy missing files."""
        stages = (parent, WHEELHOUSE, *((f"{layer}{FILES}",) if chosen.tool else ()))
        faults = [*dockerfile.faults(body, stages=stages), *self._unfound(body, layer, row)]
        if faults:
            values = self._templates.values(row, layer=layer, parent=parent, tool=chosen.tool)
            places = self._templates.trace(name, body, values)
            raise InputError(
                replace(each, file=file, line=line, rows=(row.name,))
                for each in faults
                for file, line in [places[each.line - 1]]
            )

    def _unfound(self, body: str, layer: str, row: Row) -> Iterable[Diagnostic]:
        """Yield the sources that are not in the leaf; a missing lock is reported by `RowLocks`."""
        expected = f"{layer}/{requirements.LOCK}" if self._installations.is_locked(layer) else ""
        read = tuple(dockerfile.sources(body))
        tree = self._readable((path for _, path in read), self._files.of(layer, row))
        for line, path in read:
            if path != expected and not any(dockerfile.is_within(file.path, path) for file in tree):
                what = f"stage copies {path!r}, which is not in the leaf"
                hint = did_you_mean(path, [file.path for file in tree])
                yield Diagnostic(line=line, code="missing_source", message=what, hint=hint)

    def _intern(self, made: Stage) -> Stage:
        """Return the one stage with this content: files that it does not read must not keep two of them apart."""
        return self._stages.setdefault((made.layer, made.text, made.inputs, made.packages), made)

    def _inputs(self, text: str, files: tuple[File, ...]) -> tuple[File, ...]:
        paths = dockerfile.context_paths(text)
        tree = self._readable(paths, files)
        chosen = {file for file in tree for path in paths if dockerfile.is_within(file.path, path)}
        return tuple(sorted(chosen, key=lambda file: file.path))

    def _readable(self, paths: Iterable[str], files: tuple[File, ...]) -> tuple[File, ...]:
        """Return the files of the leaf that paths may name; those of source folders, which may be many, if one does."""
        folders = self._folders if any(dockerfile.is_within(path, SOURCES) for path in paths) else ()
        return (*files, *self._shared, *folders)


def _settled(fetched: Downloads, inputs: Iterable[File]) -> Downloads:
    """Return what a stage downloads: what apt installs may move as long as no lock names it."""
    is_locked = any(apt_locks.is_lock(file.path) and file.content for file in inputs)
    return Downloads.MOVING if fetched is Downloads.LOCKED and not is_locked else fetched


def base_image(row: Row) -> str:
    """Return the image that a row's first stage is from."""
    return row.base.image or f"imagematrix/base:{row.base.bootstrap}{row.variant}"


def _labels(row: Row) -> str:
    labels = {
        "imagematrix.row": row.name,
        "org.opencontainers.image.base.name": base_image(row),
        "org.opencontainers.image.title": row.family.name,
        "org.opencontainers.image.version": row.published_tag,
    }
    return "LABEL " + " \\\n      ".join(f'{name}="{value}"' for name, value in labels.items()) + "\n"
