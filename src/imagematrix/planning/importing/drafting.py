"""The matrix of an import: bases, families and rows, as text that stands alone or behind that of a matrix."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.model import File
from imagematrix.planning.importing.layers import LayerDraft, LayeredImage, free, layered, slug, unused
from imagematrix.planning.importing.linking import LinkedImage
from imagematrix.text import names

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_NAMED: Final = re.compile(r"\{(\w+)\}")
_GENERIC: Final = frozenset({".", "docker", "dockerfile", "dockerfiles", "images", "build", "containers"})
"""Folders whose names say nothing about an image."""
_SHORT: Final = 12
"""Characters of a tag that may distinguish families."""
_TAG: Final = "image_tag"
"""The axis of a family whose tags follow from nothing else."""
_HEAD: Final = """\
# Drafted by `imagematrix import`. Each row is one image.
#
#   imagematrix check     reports every mistake
#   imagematrix render    writes the leaves: the Dockerfiles of all rows, with everything that they copy
#   imagematrix plan      shows what a build would do, and why
schema = 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingMatrix:
    """What is there already, of the matrix that an import is added to and of its layers."""

    families: frozenset[str] = frozenset()
    rows: frozenset[str] = frozenset()
    bases: Mapping[str, str] = field(default_factory=dict)
    """Base -> its image."""
    layers: frozenset[str] = frozenset()
    """All folders of layers, of the package too."""
    registries: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    """Its source folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRow:
    """A row, and the image that it was."""

    name: str
    """`family:tag`."""
    image: LinkedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportDraft:
    """What an import writes."""

    sections: str
    """Tables of matrix.toml: bases, Dockerfile layers, families."""
    head: str
    """What is before them in a matrix of its own."""
    layers: tuple[LayerDraft, ...]
    rows: tuple[ImportedRow, ...]
    differences: tuple[Diagnostic, ...]
    problems: tuple[Diagnostic, ...]
    """Why images are left out."""

    @property
    def files(self) -> Mapping[str, File]:
        """The files of the layers, by their paths in the monorepo."""
        return {path: file for layer in self.layers if not layer.whole for path, file in layer.written.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What was imported, or would be."""

    draft: ImportDraft
    matrix: str
    """The matrix file that has the rows."""
    text: str
    """What is in it, or what was added to it."""
    is_added: bool
    """Whether the matrix was there."""
    why_beside: str
    """Why it was not added to the matrix there is; empty: it was, or there is none."""
    differences: tuple[Diagnostic, ...]
    dry: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """What an image is called."""

    registry: str
    family: str
    tag: str
    pattern: str
    is_given: bool = False
    """A call gives it; else it follows from folders."""


def draft(images: Sequence[LinkedImage], there: ExistingMatrix, *, problems: Sequence[Diagnostic] = ()) -> ImportDraft:
    """Return the matrix and the layers of some images; `problems` are those of the others, and remarks."""
    images, sources, clashes = _with_folders(images, there)
    images, called, twins = _distinct(images, [_name(image) for image in images], there)
    layers, made = layered(images, [each.family for each in called], taken=there.layers)
    bases = _bases(images, there)
    families = _families(made, called, there)
    sections = [*_base_sections(bases, there), *_source_sections(sources), *_dockerfile_sections(layers)]
    rows: list[ImportedRow] = []
    registry, platforms, notes = _registry(called, there), _platforms(made, there), list[Diagnostic]()
    for family, members in families.items():
        table = _completed([_values(made[at], bases) for at in members])
        tag = _tag([called[at] for at in members], [made[at] for at in members], table)
        sections.append(_family_section(family, made[members[0]].layers, tag, table))
        for at in members:
            rows.append(ImportedRow(name=f"{family}:{called[at].tag}", image=made[at].image))
            notes += _differences(rows[-1], called[at], registry, platforms)
    return ImportDraft(
        sections="\n".join(sections),
        head=_HEAD
        + _platform_line(platforms)
        + (f'registry = "{registry}"\n' if registry and not there.families else "")
        + "\n",
        layers=tuple(layers),
        rows=tuple(rows),
        differences=(*(each for each in problems if not each.severity.is_error), *dict.fromkeys(notes)),
        problems=(*(each for each in problems if each.severity.is_error), *clashes, *twins),
    )


def _name(image: LinkedImage) -> _Name:
    call = image.own.call
    if call.images:
        repository, tag = names.split(call.images[0].partition("@")[0])
        registry, _, family = repository.rpartition("/")
        pattern = call.pattern or tag
        return _Name(registry=registry, family=slug_of(family), tag=tag, pattern=pattern, is_given=True)
    folder, _, file = call.dockerfile.rpartition("/")
    *above, own = [part for part in f"{image.own.tree.path}/{folder}".split("/") if part not in ("", "..")] or ["image"]
    variant = file.removesuffix(".Dockerfile") if file.endswith(".Dockerfile") else file.partition(".")[2]
    parent = next((each for each in reversed(above) if each not in _GENERIC), "")
    if own in _GENERIC and variant:
        return _Name(registry="", family=slug_of(variant), tag="latest", pattern="latest")
    is_version = bool(re.search(r"\d", own)) and names.is_tag(own) and parent
    family, tag = (parent, own) if is_version else (own if own not in _GENERIC else parent or "image", "latest")
    tag = f"{tag}-{variant}" if variant and tag != "latest" else variant or tag
    return _Name(registry="", family=slug_of(family), tag=tag, pattern=tag)


def slug_of(family: str) -> str:
    """Return a valid name of a family: the name itself, where it is one."""
    return family if names.is_component(family) else slug(family)


def _with_folders(
    images: Sequence[LinkedImage], there: ExistingMatrix
) -> tuple[list[LinkedImage], Mapping[str, str], list[Diagnostic]]:
    """Return the images, and the source folders to declare; without images that mean something else by a name."""
    known = dict(there.sources)
    kept, problems = [], []
    for image in images:
        folders = {name: path for step in image.steps for name, path in (step.folders or {}).items()}
        others = [name for name, path in folders.items() if known.get(name, path) != path]
        clash = f"the named context {others[0]!r} is {known[others[0]]} in another image" if others else _clash(image)
        if not clash:
            known |= folders
            kept.append(image)
            continue
        file, hint = image.own.tree.shown(image.own.call.dockerfile), "give it another name in the Dockerfile"
        problems.append(Diagnostic(code="import", file=file, message=clash, hint=hint))
    return kept, {name: path for name, path in known.items() if name not in there.sources}, problems


def _clash(image: LinkedImage) -> str:
    """Return what two whole Dockerfiles of an image mean by one argument, where they differ; empty: nothing."""
    known: dict[str, str | None] = {}
    for step in image.steps:
        for name, value in (step.given or {}).items():
            if known.setdefault(name, value) != value:
                return f"the argument {name} has another value in the Dockerfile that it is built on"
    return ""


def _distinct(
    images: Sequence[LinkedImage], called: Sequence[_Name], there: ExistingMatrix
) -> tuple[list[LinkedImage], list[_Name], list[Diagnostic]]:
    """Return the images without those whose name another one has, and these as problems."""
    first: dict[str, LinkedImage] = {}
    kept, problems = [], []
    for image, name in zip(images, called, strict=True):
        row = f"{name.family}:{name.tag}"
        other = first.setdefault(row, image)
        if other is image and row not in there.rows:
            kept.append((image, name))
            continue
        own, call = image.own, image.own.call
        what, hint = f"is {row}, as is the image of {other.own.place}", "give it another tag"
        if row in there.rows:
            what, hint = f"{row} is a row already", "give the image another tag, or remove the row"
        problems.append(
            Diagnostic(code="import_twice", file=own.tree.shown(call.file), line=call.line, message=what, hint=hint)
        )
    return [image for image, _ in kept], [name for _, name in kept], problems


def _bases(images: Sequence[LinkedImage], there: ExistingMatrix) -> Mapping[str, str]:
    """Return the names of the bases: image -> name."""
    known = {image: name for name, image in there.bases.items()}
    found: dict[str, str] = {}
    for image in images:
        base = image.base
        if base not in found:
            taken = {*there.bases, *found.values()}
            found[base] = known.get(base) or unused(_base_name(base), taken)
    return found


def _base_name(image: str) -> str:
    """Return what a base is called after its image: `ubuntu22.04`, `debian-bookworm`."""
    reference, _, digest = image.partition("@")
    repository, tag = names.split(reference)
    last = repository.rpartition("/")[2]
    tag = tag if ":" in reference[len(repository) :] else ""
    dash = "-" if tag and last[-1].isdigit() == tag[0].isdigit() else ""
    name = f"{last}{dash}{tag}" + (f"-{digest[7:15]}" if digest else "")
    return name if names.is_component(name) else slug(name)


def _families(made: Sequence[LayeredImage], called: Sequence[_Name], there: ExistingMatrix) -> dict[str, list[int]]:
    """Return the families: name -> its images, by their places. A family has one list of layers."""
    found: dict[str, list[int]] = {}
    by_layers: dict[tuple[str, tuple[str, ...]], str] = {}
    for at, (image, name) in enumerate(zip(made, called, strict=True)):
        key = (name.family, image.layers)
        if key not in by_layers:
            wanted = f"{name.family}-imported" if name.family in there.families else name.family
            of_tag = f"{wanted}-{name.tag}"
            is_short = wanted in found and names.is_component(of_tag) and len(name.tag) <= _SHORT
            by_layers[key] = unused(of_tag if is_short else wanted, {*there.families, *found})
        found.setdefault(by_layers[key], []).append(at)
    return found


def _values(image: LayeredImage, bases: Mapping[str, str]) -> dict[str, str]:
    """Return what the row of an image says; those values too that only its tag names."""
    values = {"base": bases[image.image.base], **image.values}
    call = image.image.own.call
    for argument in _NAMED.findall(call.pattern):
        name = image.variables.get(argument) or free(argument)
        values.setdefault(name, call.arguments.get(argument, ""))
    return values


def _completed(table: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return rows with a value for each axis: one that only other rows have is empty."""
    axes = dict.fromkeys(name for values in table for name in values)
    return [{name: values.get(name, "") for name in axes} for values in table]


def _tag(called: Sequence[_Name], made: Sequence[LayeredImage], table: Sequence[dict[str, str]]) -> str:
    """Return the pattern that gives each row its tag; where none does, each row says its own."""
    candidates = [
        pattern for name, image, row in zip(called, made, table, strict=True) for pattern in _patterns(name, image, row)
    ]
    for pattern in candidates:
        if all(_fill(pattern, row) == name.tag for row, name in zip(table, called, strict=True)):
            return pattern
    for row, name in zip(table, called, strict=True):
        row[_TAG] = name.tag
    return f"{{{_TAG}}}"


def _patterns(name: _Name, image: LayeredImage, row: Mapping[str, str]) -> Iterator[str]:
    """Yield patterns that may give a row its tag, the one that says most first."""
    known = {argument: image.variables.get(argument) or free(argument) for argument in _NAMED.findall(name.pattern)}
    pattern = _NAMED.sub(lambda found: f"{{{known[found[1]]}}}", name.pattern)
    yield _with_values(pattern, row)
    yield pattern


def _with_values(pattern: str, row: Mapping[str, str]) -> str:
    """Return a pattern in which the base, and what looks like a version, is named instead of written."""
    values = sorted(row.items(), key=lambda each: (each[0] != "base", -len(each[1])))
    for name, value in values:
        if f"{{{name}}}" in pattern or len(value) < len("1.2") or not any(map(str.isdigit, value)):
            continue
        literal = re.compile(rf"(?<![\w.]){re.escape(value)}(?![\w.])(?![^{{]*\}})")
        anywhere = re.compile(rf"{re.escape(value)}(?![^{{]*\}})")
        pattern = (anywhere if name == "base" else literal).sub(f"{{{name}}}", pattern, count=1)
    return pattern


def _fill(pattern: str, row: Mapping[str, str]) -> str:
    return _NAMED.sub(lambda found: row.get(found[1], ""), pattern)


def _registry(called: Sequence[_Name], there: ExistingMatrix) -> str:
    """Return the registry of all images; empty: they have several, or none."""
    found = {name.registry for name in called if name.is_given}
    registry = found.pop() if len(found) == 1 else ""
    if there.families:
        return registry if registry in there.registries else ""
    return registry if names.is_repository(registry) else ""


def _platforms(images: Sequence[LayeredImage], there: ExistingMatrix) -> tuple[str, ...]:
    """Return the Docker platforms of all images of a new matrix; none where they do not agree, or name none."""
    named = {image.image.own.call.platforms for image in images}
    return next(iter(named)) if len(named) == 1 and not there.families else ()


def _platform_line(platforms: Sequence[str]) -> str:
    return f"platforms = {_list(platforms)}\n" if platforms else ""


def _differences(row: ImportedRow, name: _Name, registry: str, platforms: Sequence[str]) -> Iterator[Diagnostic]:
    """Yield what is not as it was of an image and its names."""
    own = row.image.own
    yield from own.differences
    notes = []
    if row.name != f"{name.family}:{name.tag}":
        what = f"{name.family}:{name.tag} becomes {row.name}"
        notes.append((what, "a family has one list of layers, and this image has another"))
    if name.registry and name.registry != registry:
        hint = f'declare [destinations.NAME] with registry = "{name.registry}", and destination = "NAME" in the family'
        notes.append((f"{row.name.partition(':')[0]} is not published in {name.registry}", hint))
    notes += [(f"{row.name} is not called {other} too", "") for other in own.call.images[1:]]
    if own.call.platforms and own.call.platforms != tuple(platforms):
        what = f"{row.name} was built for {', '.join(own.call.platforms)}"
        notes.append((what, f"name what the family is for: platforms = {_list(own.call.platforms)}"))
    for what, hint in notes:
        yield Diagnostic(
            code="import_difference",
            severity=Severity.NOTE,
            file=own.tree.shown(own.call.file),
            line=own.call.line,
            message=what,
            hint=hint,
        )


def _base_sections(bases: Mapping[str, str], there: ExistingMatrix) -> Iterator[str]:
    for image, name in bases.items():
        if name not in there.bases:
            yield f"[bases.{_key(name)}]\nimage = {_quoted(image)}\n"


def _source_sections(sources: Mapping[str, str]) -> Iterator[str]:
    if sources:
        yield "\n".join(["[sources]", *(f"{_key(name)} = {_quoted(path)}" for name, path in sources.items()), ""])


def _dockerfile_sections(layers: Sequence[LayerDraft]) -> Iterator[str]:
    for layer in layers:
        if layer.whole:
            pairs = {"file": layer.whole.file, "context": layer.whole.context, "target": layer.whole.target}
            lines = [f"{key} = {_quoted(value)}" for key, value in pairs.items() if value]
            yield "\n".join([f"[dockerfiles.{_key(layer.name)}]", *lines, ""])


def _family_section(name: str, layers: Sequence[str], tag: str, table: Sequence[Mapping[str, str]]) -> str:
    head = [
        f"[families.{_key(name)}]",
        f"layers = {_list(layers)}",
        f"tag = {_quoted(tag)}",
        "",
    ]
    rows = []
    for values in table:
        keys = {key: _key(key) for key in values}
        width = max(map(len, keys.values()))
        lines = [f"{keys[key]:<{width}} = {_quoted(value)}" for key, value in values.items()]
        rows.append("\n".join([f"[[families.{_key(name)}.row]]", *lines, ""]))
    return "\n".join([*head, *rows])


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _list(texts: Iterable[str]) -> str:
    """Return a TOML list of strings."""
    return f"[{', '.join(map(_quoted, texts))}]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
