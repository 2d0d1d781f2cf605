"""Layers that are whole Dockerfiles: their stages, and what keeps them from being built."""

from collections.abc import Iterator
from dataclasses import replace

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError, did_you_mean
from imagematrix.model import DockerfileLayer, File, LayerSource, Row
from imagematrix.planning import handwritten
from imagematrix.planning.handwritten import WholeStage


def stages(source: LayerSource, body: str, row: Row, *, parent: str) -> tuple[WholeStage, ...]:
    """Return the stages of a layer, its own last; `body` is its Dockerfile with the row's values.

    Raises InputError with everything that keeps it from being built.
    """
    declared = _declared(source)
    found = [*handwritten.faults(body, target=declared.target)]
    made: tuple[WholeStage, ...] = ()
    if not found:
        made = handwritten.stages(handwritten.read(body, target=declared.target), layer=source.name, parent=parent)
        found = [*_missing(source, made), *_twins(made, row)]
    if found:
        file = source.template_path
        raise InputError(replace(each, file=file, rows=(row.name,)) for each in found)
    return made


def inputs(source: LayerSource, made: tuple[WholeStage, ...]) -> tuple[File, ...]:
    """Return the files that stages of a layer read, sorted by path."""
    patterns = {pattern for stage in made for _, pattern in stage.sources}
    return tuple(file for file in source.context if any(_names(source, pattern, file) for pattern in patterns))


def _declared(source: LayerSource) -> DockerfileLayer:
    if source.whole is None:
        raise TypeError(f"{source.name} is a template")
    return source.whole


def _names(source: LayerSource, pattern: str, file: File) -> bool:
    return handwritten.is_match(file.path.removeprefix(f"{source.name}/"), pattern)


def _missing(source: LayerSource, made: tuple[WholeStage, ...]) -> Iterator[Diagnostic]:
    context = _declared(source).context
    for line, pattern in dict.fromkeys(each for stage in made for each in stage.sources):
        if not any(_names(source, pattern, file) for file in source.context):
            what = f"copies {pattern!r}, and {context} has no such file, or .dockerignore leaves it out"
            hint = did_you_mean(pattern, (file.path.partition("/")[2] for file in source.context))
            yield Diagnostic(line=line, code="missing_source", message=what, hint=hint)


def _twins(made: tuple[WholeStage, ...], row: Row) -> Iterator[Diagnostic]:
    for stage in made[:-1]:
        if stage.name in row.family.layers:
            what = f"its stage would be named {stage.name!r} in the leaf, as another layer of the row"
            yield Diagnostic(line=1, code="dockerfile_stage", message=what, hint="rename the stage")
