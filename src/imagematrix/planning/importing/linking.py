"""Images that are built on one another: each with all its steps, down to an image that nobody here builds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import Collector, InputError
from imagematrix.planning.importing.bake import TARGET
from imagematrix.planning.importing.images import ImportedImage, ImportedStep
from imagematrix.planning.importing.nouns import BuildCall
from imagematrix.text import names


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedImage:
    """An image with the steps of those that it is built on."""

    own: ImportedImage
    base: str
    """The image that the first step is built on."""
    steps: tuple[ImportedStep, ...]


def linked(
    images: Sequence[ImportedImage], left_out: Iterable[BuildCall]
) -> tuple[list[LinkedImage], list[Diagnostic]]:
    """Return the images that end in a base, and what is wrong with the others.

    They are built on each other, or on an image that cannot be imported: `left_out`.
    """
    named: dict[str, ImportedImage | None] = {}
    for call, image in (*((image.call, image) for image in images), *((call, None) for call in left_out)):
        for name in _names(call):
            named.setdefault(name, image)
    found = Collector()
    made = [found.attempt(partial(_linked, image, named, ())) for image in images]
    return [each for each in made if each], found.diagnostics


def _names(call: BuildCall) -> Iterator[str]:
    yield from map(_whole_name, call.images)
    if call.name:
        yield f"{TARGET}{call.name}"


def _whole_name(name: str) -> str:
    if name.startswith(TARGET) or "@" in name:
        return name
    return ":".join(names.split(name))


def _linked(
    image: ImportedImage, named: Mapping[str, ImportedImage | None], above: tuple[ImportedImage, ...]
) -> LinkedImage:
    if image in above:
        circle = " -> ".join(_shown(each) for each in (*above[above.index(image) :], image))
        raise _refusal(
            above[-1],
            f"these images are built on one another: {circle}",
            "build one of them on a base",
            code="import_cycle",
        )
    name = _whole_name(image.image)
    below = named.get(name)
    if below is None and (name in named or name.startswith(TARGET)):
        raise _refusal(image, f"is built on {image.image}, which is not imported", "import that one first")
    if below is None:
        if not image.steps:
            raise _refusal(image, f"is {image.image} and nothing else", "use that image itself, as a base")
        return LinkedImage(own=image, base=image.image, steps=image.steps)
    under = _linked(below, named, (*above, image))
    return replace(under, own=image, steps=(*under.steps, *image.steps))


def _shown(image: ImportedImage) -> str:
    return next(iter(image.call.images), image.call.name or image.call.dockerfile)


def _refusal(image: ImportedImage, what: str, hint: str, *, code: str = "import") -> InputError:
    file = image.tree.shown(image.call.dockerfile)
    return InputError([Diagnostic(code=code, file=file, line=0, message=what, hint=hint)])
