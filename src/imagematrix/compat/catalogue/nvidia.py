"""CUDA's toolkits and their images, TensorRT."""

from collections.abc import Mapping
from dataclasses import dataclass

from imagematrix.compat.catalogue.store import cache, read, wheels
from imagematrix.compat.wheels import Wheels
from imagematrix.text import versions
from imagematrix.text.versions import minor


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaImage:
    """The nvidia/cuda tags of one toolkit on one Ubuntu."""

    live: bool
    flavours: frozenset[str]
    cudnn: Mapping[str, str]
    """As the tag names it (`cudnn8`) -> the exact version inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolkit:
    """One CUDA toolkit."""

    driver: str
    driver_compat: str
    images: Mapping[str, CudaImage]
    """By the Ubuntu they are on."""
    is_partial: bool
    """There may be more images than these."""


@cache
def toolkits() -> Mapping[str, Toolkit]:
    """Return CUDA toolkits by version, oldest first."""
    return {
        name: Toolkit(
            driver=each.get("driver") or "",
            driver_compat=each.get("driver_compat") or "",
            is_partial=each.get("partial", False),
            images={
                os: CudaImage(
                    live=image["live"], flavours=frozenset(image["flavours"]), cudnn=dict(image.get("cudnn", {}))
                )
                for os, image in each["images"].items()
            },
        )
        for name, each in read("cuda")["toolkits"].items()
    }


@cache
def cuda_systems() -> Mapping[str, str]:
    """Return the systems other than Ubuntu that NVIDIA's tags are on: their names -> a condition on CUDA's version."""
    return dict(read("cuda")["systems"])


def is_closed(cuda: str) -> bool:
    """Whether no further patch of the minor version of a CUDA toolkit is expected."""
    return versions.meets(minor(cuda), read("cuda")["closed"])


@cache
def cuda_image_gigabytes() -> Mapping[str, float]:
    """Return about how big nvidia/cuda is on disk, by flavour (`cudnn-devel`)."""
    return dict(read("cuda")["gigabytes"])


@cache
def tensorrt_wheels() -> Wheels:
    """Return TensorRT's releases; those that are only an installer have no Pythons of their own."""
    return wheels("tensorrt", {each["release"]: each.get("python", ()) for each in read("tensorrt")["releases"]})


@cache
def tensorrt_support() -> Mapping[str, tuple[str, ...]]:
    """Return TensorRT series -> CUDA minor versions."""
    return {name: tuple(cudas) for name, cudas in read("tensorrt")["support"].items()}


@cache
def tensorrt_of_tensorflow() -> Mapping[str, str]:
    """Return TensorFlow minor -> the TensorRT it loads."""
    return dict(read("tensorrt")["tensorflow"])
