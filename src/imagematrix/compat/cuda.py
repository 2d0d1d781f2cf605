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


def _live(cuda: str, flavour: str, os: str) -> str:
    """Return in words what to take instead: the newest patch of the same minor version."""
    kind = re.sub(r"cudnn\d*", "cudnn", flavour)
    same = [
        (name, each)
        for name, toolkit in catalogue.toolkits().items()
        if minor(name) == minor(cuda) and (image := toolkit.images.get(os)) and image.live
        for each in image.flavours
        if re.sub(r"cudnn\d*", "cudnn", each) == kind
    ]
    if same:
        name, each = same[-1]
        return f"nvidia/cuda:{name}-{each}-{os} is there"
    systems = sorted(
        f"{name} on {system}"
        for name, toolkit in catalogue.toolkits().items()
        if minor(name) == minor(cuda)
        for system, image in toolkit.images.items()
        if image.live
    )
    if systems:
        return f"there is {', '.join(systems)}"
    return f"no tag of CUDA {minor(cuda)} is known to be left; NVIDIA's dist/end-of-life builds what was deleted"


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
    least = toolkit.driver_compat or toolkit.driver
    if least:
        full = f" ({toolkit.driver} for all of it)" if toolkit.driver and toolkit.driver != least else ""
        yield note("cuda", f"CUDA {cuda} needs a host driver of {least} or newer{full}")


def _newest(cuda: str) -> catalogue.Toolkit | None:
    return next((each for name, each in reversed(tuple(catalogue.toolkits().items())) if minor(name) == cuda), None)
