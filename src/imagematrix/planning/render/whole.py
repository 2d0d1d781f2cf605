"""Layers that are whole Dockerfiles: their stages, and what keeps them from being built."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError, did_you_mean
from imagematrix.model import SOURCES, DockerfileLayer, File, LayerSource, Row
from imagematrix.planning import handwritten
from imagematrix.planning.handwritten import Whole, WholeStage
from imagematrix.text.names import SCRATCH


def stages(source: LayerSource, body: str, row: Row, *, parent: str, folders: Sequence[File]) -> tuple[WholeStage, ...]:
    """Return the stages of a layer, its own last; `body` is its Dockerfile with the row's values.

    `folders` are the files of source folders. Raises InputError with everything that keeps it from being built.
    """
    declared = _declared(source)
    found = [*handwritten.faults(body, target=declared.target)]
    made: tuple[WholeStage, ...] = ()
    if not found:
        read = handwritten.read(body, target=declared.target)
        names = {file.path.split("/")[1] for file in folders}
        made = handwritten.stages(read, layer=source.name, parent=parent, folders=names)
        found = [*_scratch(read, row, parent), *_missing(source, made, folders), *_twins(made, row)]
    if found:
        file = source.template_path
        raise InputError(replace(each, file=file, rows=(row.name,)) for each in found)
    return made


def inputs(source: LayerSource, made: tuple[WholeStage, ...], folders: Sequence[File]) -> tuple[File, ...]:
    """Return the files that stages of a layer read, sorted by path."""
    patterns = {pattern for stage in made for _, pattern in stage.sources}
    tree = _tree(source, patterns, folders)
    found = (file for file in tree if any(handwritten.is_match(file.path, pattern) for pattern in patterns))
    return tuple(sorted(found, key=lambda file: file.path))


def _tree(source: LayerSource, patterns: Collection[str], folders: Sequence[File]) -> Sequence[File]:
    """Return the files that patterns may name; source folders have many."""
    return (*source.context, *folders) if any(each.startswith(f"{SOURCES}/") for each in patterns) else source.context


def _declared(source: LayerSource) -> DockerfileLayer:
    if source.whole is None:
        raise TypeError(f"{source.name} is a template")
    return source.whole


def _missing(source: LayerSource, made: tuple[WholeStage, ...], folders: Sequence[File]) -> Iterator[Diagnostic]:
    read = dict.fromkeys(each for stage in made for each in stage.sources)
    tree = _tree(source, [pattern for _, pattern in read], folders)
    for line, pattern in read:
        if not any(handwritten.is_match(file.path, pattern) for file in tree):
            root, _, within = pattern.removeprefix(f"{SOURCES}/").partition("/")
            where = _declared(source).context if pattern.split("/")[0] != SOURCES else f"the source folder {root!r}"
            what = f"copies {within or '.'!r}, and {where} has no such file, or .dockerignore leaves it out"
            near = did_you_mean(within, (file.path.partition("/")[2] for file in source.context))
            hint = near if near.startswith("did you mean") else ""
            yield Diagnostic(line=line, code="missing_source", message=what, hint=hint)


def _scratch(whole: Whole, row: Row, parent: str) -> Iterator[Diagnostic]:
    """Yield that nothing of what is below would be in the image, where something is."""
    final = whole.needed[-1]
    is_first = parent == "${BASE_IMAGE}"
    if whole.root(final) == SCRATCH and not (is_first and row.base.image == SCRATCH):
        what = f"begins with nothing (FROM scratch), and the layer is built on {row.base.name if is_first else parent}"
        hint = 'declare a base with image = "scratch", and name this layer first'
        yield Diagnostic(line=final.line, code="dockerfile_scratch", message=what, hint=hint)


def _twins(made: tuple[WholeStage, ...], row: Row) -> Iterator[Diagnostic]:
    for stage in made[:-1]:
        if stage.name in row.family.layers:
            what = f"its stage would be named {stage.name!r} in the leaf, as another layer of the row"
            yield Diagnostic(line=1, code="dockerfile_stage", message=what, hint="rename the stage")
