"""What upstream released of torch, TensorFlow, Paddle and Horovod."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from imagematrix.compat.catalogue.store import cache, read, wheels
from imagematrix.compat.wheels import Wheels

_ON_ARM64: Final = ("torch", "tensorflow", "paddle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Torch:
    """One release of torch."""

    builds: tuple[str, ...]
    """Its builds for CPUs and CUDA: `cpu`, `cu121`."""
    is_complete: bool
    """There are no other builds of these kinds."""
    default: str
    """The build that PyPI has, without a suffix; empty: not known, or not there."""
    glibc: Mapping[str, str]
    """Build -> the lowest glibc that it installs on; missing: any that matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """One release of torchvision or torchaudio."""

    torch: str
    """The condition on torch's version that its wheels declare, or should: `==2.7.0`, `>=2.14.0`."""
    pythons: tuple[str, ...]
    build: str
    """The CUDA build that PyPI has; empty: it has no CUDA, or is not there."""
    checks: str
    """What of its CUDA must equal torch's at import: `minor` (major and minor version), `major`, or nothing."""
    is_yanked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What the kernels of some releases of a framework are compiled to."""

    build: str
    """The CUDA build, of those that have several."""
    releases: str
    """A condition on the release."""
    code: tuple[str, ...]
    """Code for GPUs (`sm_80`) and PTX (`compute_90`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensorflow:
    """One release of TensorFlow."""

    cuda: str
    """What it was built with; empty, as cudnn: not yet known."""
    cudnn: str
    cpu: tuple[str, ...]
    """Packages that are its CPU build."""
    gpu: tuple[str, ...]
    numpy: str
    """What its metadata requires; empty: not looked up."""
    glibc: str
    """The lowest glibc that its wheels install on; empty: any that matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddleBuild:
    """One CUDA build of a release of Paddle."""

    pythons: tuple[str, ...]
    cudnn: str
    suffix: str
    """It is required as `paddlepaddle-gpu==RELEASE` and this (`.post112`)."""
    by: str
    """Who has it: `pypi`; Paddle's own `index` alone; a direct download (`url`) alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paddle:
    """One release of Paddle."""

    cpu_on_pypi: bool
    cpu_by: str
    """Who else has the CPU wheels, as for builds; empty: not known."""
    builds: Mapping[str, PaddleBuild]


@dataclass(frozen=True, slots=True, kw_only=True)
class Horovod:
    """One release of Horovod."""

    requires_python: str
    tested: Mapping[str, tuple[str, str]]
    """Framework -> the lowest and the highest release that upstream tested with."""
    pythons: tuple[str, ...]
    """Those that upstream tested with, as cudas."""
    cudas: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmWheel:
    """A release's wheels for aarch64, on PyPI."""

    glibc: str
    """The lowest glibc that they install on; empty: any that matters."""
    cuda: bool
    """They bring CUDA."""


@cache
def torch_wheels() -> Wheels:
    """Return torch's Pythons."""
    return wheels("torch", {each["release"]: each["python"] for each in read("torch")["releases"]})


@cache
def torch() -> Mapping[str, Torch]:
    """Return torch by release."""
    return {each["release"]: _torch(each) for each in read("torch")["releases"]}


@cache
def torch_rocm() -> Mapping[str, tuple[str, ...]]:
    """Return the ROCm builds of torch that are known, by minor series, oldest first."""
    return {series: tuple(builds) for series, builds in read("torch")["rocm"].items()}


def _torch(each: Mapping[str, Any]) -> Torch:
    return Torch(
        builds=tuple(each["builds"]),
        is_complete=each.get("complete", False),
        default=each.get("default", ""),
        glibc={name: build["glibc_min"] for name, build in each["builds"].items() if "glibc_min" in build},
    )


@cache
def partner_wheels(package: str) -> Wheels:
    """Return the Pythons of `torchvision` or `torchaudio`."""
    return wheels(package, {each["release"]: each["python"] for each in read("torch")[package]})


@cache
def partners(package: str) -> Mapping[str, Partner]:
    """Return `torchvision` or `torchaudio` by release, oldest first."""
    return {
        each["release"]: Partner(
            torch=each["torch"],
            pythons=tuple(each["python"]),
            build=each.get("build", ""),
            checks=each.get("checks", ""),
            is_yanked=each.get("yanked", False),
        )
        for each in read("torch")[package]
    }


@cache
def architectures(package: str) -> tuple[Compiled, ...]:
    """Return what the kernels of `torch`, `tensorflow` or `paddle` are compiled to."""
    return tuple(
        Compiled(build=each.get("build", ""), releases=each["releases"], code=tuple(each["code"]))
        for each in read(package)["architectures"]
    )


@cache
def tensorflow_wheels(package: str) -> Wheels:
    """Return the Pythons of `tensorflow`, `tensorflow-cpu` or `tensorflow-gpu`."""
    return wheels(
        package,
        {
            each["release"]: each["python"]
            for each in read("tensorflow")["releases"]
            if package == "tensorflow" or package in (*each["packages"]["cpu"], *each["packages"]["gpu"])
        },
    )


@cache
def tensorflow() -> Mapping[str, Tensorflow]:
    """Return TensorFlow by release."""
    return {
        each["release"]: Tensorflow(
            cuda=each.get("cuda", ""),
            cudnn=each.get("cudnn", ""),
            cpu=tuple(each["packages"]["cpu"]),
            gpu=tuple(each["packages"]["gpu"]),
            numpy=each.get("numpy", ""),
            glibc=each.get("glibc", ""),
        )
        for each in read("tensorflow")["releases"]
    }


@cache
def tensorflow_of_cuda() -> Mapping[str, str]:
    """Return CUDA minor -> the last TensorFlow that was built with it."""
    built = {each.cuda: name for name, each in tensorflow().items() if each.cuda}
    return {**read("tensorflow").get("older", {}), **built}


@cache
def paddle_wheels() -> Wheels:
    """Return the Pythons of Paddle's CPU wheels."""
    return wheels("paddlepaddle", {each["release"]: each["cpu_python"] for each in read("paddle")["releases"]})


@cache
def paddle() -> Mapping[str, Paddle]:
    """Return Paddle by release."""
    return {
        each["release"]: Paddle(
            cpu_on_pypi=each["cpu_on_pypi"],
            cpu_by=each.get("cpu_by", ""),
            builds={
                name: PaddleBuild(
                    pythons=tuple(build["python"]),
                    cudnn=build.get("cudnn", ""),
                    suffix=build.get("suffix", ""),
                    by=build["by"],
                )
                for name, build in each["gpu_builds"].items()
            },
        )
        for each in read("paddle")["releases"]
    }


@cache
def horovod() -> Mapping[str, Horovod]:
    """Return Horovod by release, oldest first."""
    return {
        each["release"]: Horovod(
            requires_python=each.get("requires_python", ""),
            tested={name: (each[name][0], each[name][1]) for name in ("tensorflow", "torch") if name in each},
            pythons=tuple(each["python"]),
            cudas=tuple(each["cuda"]),
        )
        for each in read("horovod")["releases"]
    }


@cache
def arm64() -> Mapping[str, Mapping[str, ArmWheel]]:
    """Return the wheels for aarch64 of `torch`, `tensorflow` and `paddle`, by release."""
    return {
        product: {
            each["release"]: ArmWheel(glibc=each.get("glibc", ""), cuda=each.get("cuda", False))
            for each in read("arm64")[product]
        }
        for product in _ON_ARM64
    }


@cache
def arm64_wheels() -> Mapping[str, Wheels]:
    """Return the Pythons of these wheels."""
    return {
        product: wheels(product, {each["release"]: each["python"] for each in read("arm64")[product]}, file="arm64")
        for product in _ON_ARM64
    }
