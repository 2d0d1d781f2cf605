"""The rules of CUDA: NVIDIA's images and drivers."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.finding import Finding, broken, note, unknown
from imagematrix.text.versions import minor

_IMAGE: Final = re.compile(
    r"(?:docker\.io/)?nvidia/cuda:(?P<cuda>[0-9.]+)-(?P<flavour>[a-z0-9-]+)-(?P<os>ubuntu[0-9.]+)"
)
_CUDNN: Final = re.compile(r"cudnn\d*")
_COMPLETE: Final = 5
"""A toolkit with at least so many flavours has them all listed."""


def has_cuda(values: Mapping[str, str]) -> bool:
    """Whether a row has CUDA, of its base or of a wheel that brings it: its containers are given GPUs."""
    return (
        "cuda" in values
        or values.get("torch_build", "").startswith("cu")
        or values.get("tensorflow_package", "").endswith("[and-cuda]")
        or values.get("paddle_package", "") == "paddlepaddle-gpu"
    )


def version(values: Mapping[str, str]) -> str:
    """Return the CUDA of a row, of its base or of the wheel that brings it; empty: it has none, or it is not known."""
    build = values.get("torch_build", "")
    if "cuda" in values:
        return values["cuda"]
    if build.startswith("cu"):
        return f"{build[2:-1]}.{build[-1]}"
    if values.get("tensorflow_package", "").endswith("[and-cuda]"):
        release = catalogue.tensorflow().get(values.get("tensorflow", ""))
        return release.cuda if release else ""
    return ""


def base_tag(base_image: str) -> Iterator[Finding]:
    """NVIDIA deletes tags of its images."""
    match = _IMAGE.fullmatch(base_image)
    if not match:
        return
    cuda, flavour, os = match["cuda"], match["flavour"], match["os"]
    toolkit = catalogue.toolkits().get(cuda)
    image = toolkit.images.get(os) if toolkit else None
    if image and not image.live:
        yield broken("base", f"{base_image} was deleted from Docker Hub", _live(cuda, flavour, os))
    elif image and len(image.flavours) >= _COMPLETE and flavour not in image.flavours:
        yield broken(
            "base", f"there is no {base_image}", f"CUDA {cuda} on {os} comes as {', '.join(sorted(image.flavours))}"
        )
    elif not image:
        is_new = not any(minor(name) == minor(cuda) for name in catalogue.toolkits())
        remedy = f"the newest known CUDA is {tuple(catalogue.toolkits())[-1]}" if is_new else _live(cuda, flavour, os)
        yield unknown("base", f"{base_image} is not in the catalogue", remedy)


def base_facts(base_image: str, cuda: str = "", cudnn: str = "", os: str = "") -> Iterator[Finding]:
    """Facts of a base that are one of NVIDIA's images agree with its tag."""
    match = _IMAGE.fullmatch(base_image)
    if not match:
        return
    named = match["flavour"].partition("-")[0]
    inside = cudnn_in(base_image) or named.removeprefix("cudnn") if named.startswith("cudnn") else "none"
    for name, said, is_so in (("cuda", cuda, match["cuda"]), ("os", os, match["os"]), ("cudnn", cudnn, inside)):
        if said and is_so and not _agree(said, is_so):
            yield broken(name, f"{base_image} has {name} {is_so}, not {said}", "correct the fact of the base")


def _agree(one: str, other: str) -> bool:
    """Whether one version is the other, or the beginning of it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _live(cuda: str, flavour: str, os: str) -> str:
    """Return in words what to take instead of a tag."""
    if found := _tag(minor(cuda), flavour, os):
        return f"{found} is there"
    systems = sorted(f"{name} on {system}" for name, toolkit in _of(minor(cuda)).items() for system in _living(toolkit))
    if systems:
        return f"there is {', '.join(systems)}"
    return f"no tag of CUDA {minor(cuda)} is known to be left; NVIDIA's dist/end-of-life builds what was deleted"


def live(cuda: str, base_image: str) -> str:
    """Return in words what there is of a minor version of CUDA: a tag like another base's, or the newest patch."""
    match = _IMAGE.fullmatch(base_image)
    if match and (found := _tag(cuda, match["flavour"], match["os"])):
        return f"{found} is there"
    patches = [name for name, toolkit in _of(cuda).items() if _living(toolkit)]
    return f"nvidia/cuda has {patches[-1]}" if patches else "nvidia/cuda has none any more"


def _tag(cuda: str, flavour: str, os: str) -> str:
    """Return the tag of the newest patch of a minor version that is as wanted and there, or nothing."""
    kind = _CUDNN.sub("cudnn", flavour)
    same = [
        f"nvidia/cuda:{name}-{each}-{os}"
        for name, toolkit in _of(cuda).items()
        if os in _living(toolkit)
        for each in sorted(toolkit.images[os].flavours)
        if _CUDNN.sub("cudnn", each) == kind
    ]
    return same[-1] if same else ""


def _of(cuda: str) -> Mapping[str, catalogue.Toolkit]:
    return {name: toolkit for name, toolkit in catalogue.toolkits().items() if minor(name) == cuda}


def _living(toolkit: catalogue.Toolkit) -> tuple[str, ...]:
    return tuple(os for os, image in toolkit.images.items() if image.live)


def devel(base_image: str) -> str:
    """Return the name of the image with compilers in place of one of NVIDIA's that has none, else nothing."""
    match = _IMAGE.fullmatch(base_image)
    if not match or match["flavour"].endswith("devel"):
        return ""
    flavour = match["flavour"].replace("runtime", "devel").replace("base", "devel")
    return f"nvidia/cuda:{match['cuda']}-{flavour}-{match['os']}"


def cudnn_in(base_image: str) -> str:
    """Return the exact cuDNN in one of NVIDIA's images, or nothing."""
    match = _IMAGE.fullmatch(base_image)
    toolkit = catalogue.toolkits().get(match["cuda"]) if match else None
    image = toolkit.images.get(match["os"]) if match and toolkit else None
    if not match or not image:
        return ""
    return image.cudnn.get(match["flavour"].partition("-")[0], "")


def driver(cuda: str) -> Iterator[Finding]:
    """Name the host driver that is new enough."""
    toolkit = catalogue.toolkits().get(cuda) or _newest(cuda)
    if toolkit is None:
        return
    if least := least_driver(cuda):
        full = f" ({toolkit.driver} for all of it)" if toolkit.driver and toolkit.driver != least else ""
        yield note("cuda", f"CUDA {cuda} needs a host driver of {least} or newer{full}")


def least_driver(cuda: str) -> str:
    """Return the oldest host driver for a version of CUDA, or nothing."""
    toolkit = catalogue.toolkits().get(cuda) or _newest(cuda)
    return (toolkit.driver_compat or toolkit.driver) if toolkit else ""


def _newest(cuda: str) -> catalogue.Toolkit | None:
    return next((each for name, each in reversed(tuple(catalogue.toolkits().items())) if minor(name) == cuda), None)
