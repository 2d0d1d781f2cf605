"""Which CUDA a row uses, and whether its base or its wheels bring it.

Checks, the driver that an image requires, the leaves, run examples and reports all follow this one answer.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from imagematrix.compat import catalogue, nvidia
from imagematrix.compat import paddle as paddles
from imagematrix.compat import torch as torches
from imagematrix.compat.cuda import build_for, full_driver, least_driver, of_build
from imagematrix.compat.finding import note
from imagematrix.diagnostics import Diagnostic
from imagematrix.text.versions import minor, version


class BroughtBy(StrEnum):
    """Where the CUDA libraries come from that a row loads."""

    BASE = "base"
    WHEELS = "wheels"


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaUse:
    """The CUDA that a row loads."""

    version: str
    """What its framework was built for, or what the base has; empty: not known."""
    brought_by: BroughtBy

    @property
    def driver(self) -> str:
        """The oldest host driver that it runs on; empty: not known."""
        return least_driver(self.version)


def cuda_of(values: Mapping[str, str]) -> CudaUse | None:
    """Return the CUDA that a row uses: its frameworks', or the base's in a row without one; None: it uses none.

    Of two frameworks, the one with the newer CUDA counts: the host must serve both.
    """
    return _cuda_of(*(values.get(name, "") for name in _READ))


def cuda_by_framework(values: Mapping[str, str]) -> Mapping[str, CudaUse | None]:
    """Return the CUDA that each framework of a row uses; None: it is a build for CPUs."""
    return {name: use(values) for name, use in _FRAMEWORKS.items() if values.get(name)}


def driver_requirement(values: Mapping[str, str]) -> str:
    """Return the `NVIDIA_REQUIRE_CUDA` of an image whose wheels bring CUDA; empty: its base says what it needs.

    NVIDIA's images name the driver branches of data centres that may serve through their package cuda-compat. Wheels
    bring no such package, so what remains is minor version compatibility: any driver from the first of the major
    release on (docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html).
    """
    use = cuda_of(values)
    if use is None or use.brought_by is BroughtBy.BASE or not use.driver:
        return ""
    return f"driver>={use.driver}"


def _of_base(values: Mapping[str, str]) -> CudaUse | None:
    has_cuda = version(values.get("cuda", "")) is not None
    return CudaUse(version=values["cuda"], brought_by=BroughtBy.BASE) if has_cuda else None


def _of_wheels(cuda: str) -> CudaUse:
    return CudaUse(version=cuda, brought_by=BroughtBy.WHEELS)


def _torch(values: Mapping[str, str]) -> CudaUse | None:
    """Return what the build is named after; PyPI's own build of a release is for CUDA too."""
    build = torches.build_of(*(values.get(name, "") for name in ("torch", "torch_build", "torch_index")))
    cuda = of_build(build)
    return _of_wheels(cuda) if cuda or not build else None


def _tensorflow(values: Mapping[str, str]) -> CudaUse | None:
    """Return what the extra `and-cuda` brings; any other build for GPUs takes the base's."""
    package = values.get("tensorflow_package") or ("tensorflow" if values.get("cuda") else "tensorflow-cpu")
    release = catalogue.tensorflow_wheels("tensorflow").release(values["tensorflow"])
    known = catalogue.tensorflow()[release] if release else None
    if package.endswith("[and-cuda]"):
        return _of_wheels(known.cuda if known else "")
    is_for_cpus = package in known.cpu if known else package == "tensorflow-cpu"
    return None if is_for_cpus else _of_base(values)


def _paddle(values: Mapping[str, str]) -> CudaUse | None:
    """Return what builds for GPUs bring since 3.0; older ones take the base's."""
    cuda = values.get("cuda", "")
    if not paddles.is_gpu(values.get("paddle_package", ""), cuda):
        return None
    paddle = paddles.plain(values["paddle"])
    if not paddles.is_self_contained(paddle):
        return _of_base(values)
    # Its index has a build for each of several CUDAs under one name: the row means that for the base's, if it exists.
    release = catalogue.paddle_wheels().release(paddle)
    is_built = release and build_for(cuda) in catalogue.paddle()[release].builds
    return _of_wheels(minor(cuda) if is_built else "")


_FRAMEWORKS: Final[Mapping[str, Callable[[Mapping[str, str]], CudaUse | None]]] = {
    "torch": _torch,
    "tensorflow": _tensorflow,
    "paddle": _paddle,
}
_READ: Final = (
    "cuda",
    "torch",
    "torch_build",
    "torch_index",
    "tensorflow",
    "tensorflow_package",
    "paddle",
    "paddle_package",
)


@catalogue.cache  # each template of a row needs it
def _cuda_of(*read: str) -> CudaUse | None:
    values = dict(zip(_READ, read, strict=True))
    uses = cuda_by_framework(values)
    if not uses:
        return _of_base(values)
    return max(filter(None, uses.values()), key=_numbers, default=None)


def _numbers(use: CudaUse) -> tuple[int, ...]:
    return tuple(map(int, use.version.split("."))) if use.version else ()


# --- what `check` says of it --------------------------------------------------------------------


def cuda_used(  # noqa: PLR0913, PLR0917  # everything that decides it, each by its name
    cuda: str = "",
    base_image: str = "",
    torch: str = "",
    torch_build: str = "",
    torch_index: str = "",
    tensorflow: str = "",
    tensorflow_package: str = "",
    paddle: str = "",
    paddle_package: str = "",
    horovod: str = "",
) -> Iterator[Diagnostic]:
    """Name the host driver for the CUDA that is used, and a base's CUDA that nothing loads.

    Horovod is compiled against the base's, whatever its framework loads.
    """
    read = (cuda, torch, torch_build, torch_index, tensorflow, tensorflow_package, paddle, paddle_package)
    values = dict(zip(_READ, read, strict=True))
    use = _cuda_of(*read)
    if use and use.driver:
        full = full_driver(use.version)
        whole = f" ({full} for all of it)" if full not in ("", use.driver) else ""
        about = "cuda" if use.brought_by is BroughtBy.BASE else next(filter(values.get, _FRAMEWORKS))
        yield note(about, f"CUDA {use.version} needs a host driver of {use.driver} or newer{whole}")
    if _of_base(values) and not horovod:
        tag = nvidia.parse(base_image)
        yield from _idle_base(values, catalogue.cuda_image_gigabytes().get(tag.kind, 0) if tag else 0)


def _idle_base(values: Mapping[str, str], gigabytes: float) -> Iterator[Diagnostic]:
    """Note what does not load the base's CUDA; CPU builds of TensorFlow and Paddle have rules of their own."""
    slim = f"; one without CUDA is about {gigabytes:g} GB smaller, and enough unless CUDA code is compiled in the image"
    remedy = f"the base's CUDA {minor(values['cuda'])} is not used{slim if gigabytes else ''}"
    for framework, use in cuda_by_framework(values).items():
        if use and use.brought_by is BroughtBy.WHEELS:
            brought = f"CUDA {use.version}" if use.version else "its own CUDA"
            yield note(framework, f"{_name(framework, values)} brings {brought}", remedy)
        elif use is None and framework == "torch":
            yield note(framework, f"{_name(framework, values)} is a CPU build", remedy)


def _name(framework: str, values: Mapping[str, str]) -> str:
    release = values[framework]
    if framework != "torch":
        return f"{values[f'{framework}_package'] or 'paddlepaddle-gpu'} {release}"
    if named := torches.build_of("", values["torch_build"], values["torch_index"]):
        return f"torch {release.partition('+')[0]}+{named}"
    return f"torch {release}" if "+" in release else f"PyPI's torch {release}"
