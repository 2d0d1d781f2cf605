"""The rules of NVIDIA's images: which tags there are, and what CUDA and cuDNN is in them.

An image is the same on Docker Hub and in NVIDIA's own registry, with a digest or without. The catalogue lists tags on
Ubuntu only.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.finding import broken, note, unknown
from imagematrix.diagnostics import Diagnostic
from imagematrix.text.versions import comparison, minor, version

_IMAGE: Final = re.compile(
    r"(?P<repository>(?:(?:(?:index\.|registry-1\.)?docker\.io|nvcr\.io)/)?nvidia/cuda)"
    r"(?::(?P<tag>[^@]+))?(?P<digest>@.+)?"
)
_TAG: Final = re.compile(r"(?P<cuda>\d[0-9.]*)(?:-(?P<flavour>[a-z0-9-]+?))??(?:-(?P<os>(?!cudnn)[a-z]+[0-9][0-9.]*))?")
_FLAVOUR: Final = re.compile(r"(?:(?:cudnn\d*|tensorrt)-)?(?:devel|runtime)|base")
_CUDNN: Final = re.compile(r"cudnn\d*")
_CUDNN_WHEEL: Final = "nvidia-cudnn"
"""Begins the names of the wheels that bring cuDNN."""
_UBUNTU: Final = "ubuntu"
_FORM: Final = "name a tag like 12.4.1-base-ubuntu22.04"

NO_CUDNN: Final = "none"
"""The cuDNN of an image without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag of nvidia/cuda: `12.4.1-cudnn-devel-ubuntu22.04`."""

    repository: str
    cuda: str
    flavour: str
    os: str

    def __str__(self) -> str:
        return f"{self.repository}:{'-'.join(filter(None, [self.cuda, self.flavour, self.os]))}"

    @property
    def kind(self) -> str:
        """The flavour, however its cuDNN is spelled."""
        return _CUDNN.sub("cudnn", self.flavour)

    @property
    def cudnn(self) -> str:
        """The cuDNN as the tag names it: `cudnn8`, `cudnn`, or nothing."""
        first = self.flavour.partition("-")[0]
        return first if _CUDNN.fullmatch(first) else ""


def base_tag(base_image: str) -> Iterator[Diagnostic]:
    """Tags of NVIDIA's that never existed, or that NVIDIA deleted or will delete, are reported."""
    image = _IMAGE.fullmatch(base_image)
    tag = parse(base_image)
    if tag:
        yield from _judged(tag, base_image)
    elif image and image["tag"] not in (None, "latest"):
        yield unknown("base", f"{base_image} is not in the catalogue", _FORM)
    elif image and not image["digest"]:
        yield broken("base", f"there is no {image['repository']}:latest", _FORM)


def base_facts(base_image: str, cuda: str = "", cudnn: str = "", os: str = "") -> Iterator[Diagnostic]:
    """Facts of a base that are one of NVIDIA's images agree with its tag."""
    tag = parse(base_image)
    if not tag:
        return
    inside = cudnn_in(base_image) or tag.cudnn.removeprefix("cudnn")
    system = tag.os if tag.os.startswith(_UBUNTU) else ""
    for name, said, is_so in (("cuda", cuda, tag.cuda), ("os", os, system), ("cudnn", cudnn, inside)):
        if said and is_so and not _agree(said, is_so):
            yield broken(name, f"{base_image} has {name} {is_so}, not {said}", "correct the fact of the base")


def parse(base_image: str) -> Tag | None:
    """Return the tag that one of NVIDIA's images has; nothing for other images."""
    image = _IMAGE.fullmatch(base_image)
    tag = _TAG.fullmatch(image["tag"] or "") if image else None
    if not image or not tag:
        return None
    return Tag(repository=image["repository"], cuda=tag["cuda"], flavour=tag["flavour"] or "", os=tag["os"] or "")


def cudnn_in(base_image: str) -> str:
    """Return the exact cuDNN in one of NVIDIA's images, `none` where it has none; nothing where that is not known."""
    tag = parse(base_image)
    if not tag:
        return ""
    if not tag.cudnn:
        return NO_CUDNN if _FLAVOUR.fullmatch(tag.flavour) and not tag.flavour.startswith("tensorrt") else ""
    image = _image(tag)
    return image.cudnn.get(tag.cudnn, "") if image else ""


def cudnn_here(base_image: str, cudnn: str = "", pins: str = "") -> str:
    """Return the cuDNN that a row has, by its image or its facts; `none`, or nothing where that is not known.

    One that comes by pip, in the row's pins, is not known.
    """
    inside = cudnn_in(base_image)
    if inside == NO_CUDNN:
        return cudnn or ("" if _CUDNN_WHEEL in pins else NO_CUDNN)
    return inside or cudnn


def devel(base_image: str) -> str:
    """Return the name of the image with compilers in place of one of NVIDIA's that has none, else nothing."""
    tag = parse(base_image)
    if not tag or tag.flavour.endswith("devel"):
        return ""
    flavour = tag.flavour.replace("runtime", "devel").replace("base", "devel")
    return str(Tag(repository=tag.repository, cuda=tag.cuda, flavour=flavour, os=tag.os))


def live(cuda: str, base_image: str) -> str:
    """Say which images a minor version of CUDA has: a tag like another base's, or the newest patch."""
    tag = parse(base_image)
    same = [each for each in _existing(tag) if minor(each.cuda) == cuda and each.os == tag.os] if tag else []
    if same:
        return f"{same[-1]} exists"
    patches = [each.cuda for each in _every() if minor(each.cuda) == cuda]
    return f"nvidia/cuda has {patches[-1]}" if patches else "nvidia/cuda has none left"


def _judged(tag: Tag, base_image: str) -> Iterator[Diagnostic]:
    image = _image(tag)
    if tag.os and not tag.os.startswith(_UBUNTU):
        yield from _elsewhere(tag, base_image)
    elif image and not image.live:
        yield broken("base", f"{base_image} was deleted from Docker Hub", _nearest(tag))
    elif image and tag.flavour in image.flavours:
        yield from _superseded(tag, base_image)
    elif _never_was(tag):
        yield broken("base", f"there is no {base_image}", _nearest(tag))
    else:
        yield _unseen(tag, base_image)


def _unseen(tag: Tag, base_image: str) -> Diagnostic:
    if _is_above(tag.cuda, tuple(catalogue.toolkits())[-1]):
        return unknown("base", f"{base_image} is newer than the catalogue", catalogue.outlook("cuda"))
    return unknown("base", f"{base_image} is not in the catalogue", _nearest(tag))


def _elsewhere(tag: Tag, base_image: str) -> Iterator[Diagnostic]:
    """For systems other than Ubuntu it is known which tags cannot exist, not which tags exist."""
    toolkit = catalogue.toolkits().get(tag.cuda)
    if toolkit and not any(image.live for image in toolkit.images.values()):
        yield broken("base", f"{base_image} was deleted from Docker Hub", _nearest(tag))
    elif _is_without(tag) or (_is_misspelled(tag) if toolkit else _never_was(tag)):
        yield broken("base", f"there is no {base_image}", _nearest(tag))
    elif toolkit:
        yield note("base", f"whether {base_image} exists is not known", "the catalogue lists NVIDIA's tags on Ubuntu")
    else:
        yield _unseen(tag, base_image)


def _is_without(tag: Tag) -> bool:
    """Whether a system is known to have no tag of a CUDA."""
    cudas = catalogue.cuda_systems().get(tag.os)
    if cudas is None:
        return catalogue.is_closed(tag.cuda)
    meets = comparison(cudas)
    return meets is not None and meets(tag.cuda) is False


def _is_misspelled(tag: Tag) -> bool:
    """Whether a tag names a cuDNN as no tag of its CUDA on Ubuntu does."""
    toolkit = catalogue.toolkits()[tag.cuda]
    spelled = {each.cudnn for each in _every() if each.cuda == tag.cuda and each.cudnn}
    return bool(tag.cudnn) and tag.cudnn not in spelled and (bool(spelled) or not toolkit.is_partial)


def _superseded(tag: Tag, base_image: str) -> Iterator[Diagnostic]:
    patches = [name for name in catalogue.toolkits() if minor(name) == minor(tag.cuda) and _is_above(name, tag.cuda)]
    if patches:
        newer = [each for each in _alike(tag) if each.cuda in patches]
        what = f"{base_image} is superseded by CUDA {patches[-1]}: NVIDIA deletes such tags after six months"
        yield note("base", what, f"take {newer[-1]}" if newer else f"no such tag is known of CUDA {patches[-1]}")


def _never_was(tag: Tag) -> bool:
    """Whether it is known that a tag which is not listed never existed."""
    toolkits = catalogue.toolkits()
    toolkit = toolkits.get(tag.cuda)
    if not tag.os or not tag.flavour:
        return True
    if toolkit and not toolkit.is_partial:
        return True
    if toolkit:
        is_dropped = all(_release(tag.os) < _release(os) for os in toolkit.images)
        return is_dropped or _is_misspelled(tag) or _is_numbered(tag)
    if _is_above(minor(tag.cuda), minor(tuple(toolkits)[-1])):
        return _is_numbered(tag)
    patches = [name for name in toolkits if minor(name) == minor(tag.cuda)]
    return not patches or catalogue.is_closed(tag.cuda) or not _is_above(tag.cuda, patches[-1]) or _is_numbered(tag)


def _is_numbered(tag: Tag) -> bool:
    """Whether a tag names a cuDNN's major version, which none does since CUDA 12.4."""
    return tag.cudnn not in ("", "cudnn") and _is_above(tag.cuda, "12.4")


def _nearest(tag: Tag) -> str:
    """Return in words what to take instead of a tag: on its system and, where that is another, of its CUDA."""
    there = _existing(tag)
    same = [each for each in there if minor(each.cuda) == minor(tag.cuda)]
    # The same patch is the nearest, then the newest one.
    here = sorted((each for each in same if each.os == tag.os), key=lambda each: each.cuda == tag.cuda)
    if here:
        return f"take {here[-1]}"
    near = sorted((each for each in there if each.os == tag.os), key=lambda each: -_distance(each, tag))
    offers = [str(each) for each in (*same[-1:], *near[-1:])]
    if offers:
        return f"take {' or '.join(offers)}"
    if (image := _image(tag)) and image.live:
        return f"CUDA {tag.cuda} on {tag.os} comes as {', '.join(sorted(image.flavours))}"
    return f"no tag of CUDA {minor(tag.cuda)} is known to be left; NVIDIA's dist/end-of-life builds what was deleted"


def _existing(tag: Tag) -> list[Tag]:
    """Return the tags that exist of the flavour and the major version of CUDA of another, oldest first."""
    major = tag.cuda.partition(".")[0]
    return [each for each in _alike(tag, any_os=True) if each.cuda.partition(".")[0] == major]


def _alike(tag: Tag, *, any_os: bool = False) -> list[Tag]:
    return [
        Tag(repository=tag.repository, cuda=each.cuda, flavour=each.flavour, os=each.os)
        for each in _every()
        if each.kind == (tag.kind or "base") and (any_os or each.os == tag.os)
    ]


@catalogue.cache
def _every() -> tuple[Tag, ...]:
    """Return all tags that exist, by their CUDA, oldest first."""
    return tuple(
        Tag(repository="nvidia/cuda", cuda=cuda, flavour=flavour, os=os)
        for cuda, toolkit in catalogue.toolkits().items()
        for os, image in toolkit.images.items()
        if image.live
        for flavour in sorted(image.flavours)
    )


def _image(tag: Tag) -> catalogue.CudaImage | None:
    toolkit = catalogue.toolkits().get(tag.cuda)
    return toolkit.images.get(tag.os) if toolkit else None


def _distance(one: Tag, other: Tag) -> int:
    """Return how many minor versions of CUDA lie between two tags of one major version."""
    left, right = version(one.cuda), version(other.cuda)
    return abs(left.minor - right.minor) if left and right else 0


def _is_above(one: str, other: str) -> bool:
    left, right = version(one), version(other)
    return bool(left and right and left > right)


def _release(os: str) -> tuple[int, ...]:
    """Return the release of an Ubuntu as numbers: (22, 4) of `ubuntu22.04`."""
    return tuple(int(part) for part in os.removeprefix(_UBUNTU).split(".") if part.isdigit())


def _agree(one: str, other: str) -> bool:
    """Whether one version is the other, or the beginning of it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")
