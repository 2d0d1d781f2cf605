"""The rules of TensorFlow. `tensorflow_package` names what is installed; without it, a base with CUDA means GPUs."""

import re
from collections.abc import Iterator
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.finding import broken, impossible, note, unknown
from imagematrix.compat.glibc import too_old
from imagematrix.compat.nvidia import NO_CUDNN, cudnn_here, live
from imagematrix.diagnostics import Diagnostic
from imagematrix.text.versions import meets, minor, version

_PACKAGES: Final = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu")

_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")
"""Ends the name of a package in a requirement."""

_RUNS_ON: Final = {
    "<2.5": "",
    ">=2.5,<2.12": ">=11.2,<12",
    ">=2.12,<2.15": "==11.8.*",
    ">=2.15": "==12.*",
}
"""TensorFlow -> CUDA whose libraries have the names it loads; empty: only those of the CUDA it was built with."""

_BRINGS_CUDA: Final = ">=2.14"
"""From here on the extra `and-cuda` brings CUDA by pip."""
_EXTRA: Final = "[and-cuda]"
_AND_CUDA: Final = f"tensorflow{_EXTRA}"


def tensorflow_on_python(tensorflow: str, tensorflow_package: str = "", python: str = "") -> Iterator[Diagnostic]:
    """Not every release comes as every package; each has wheels for some Pythons."""
    package = tensorflow_package.partition("[")[0] or "tensorflow"
    release = _release(tensorflow)
    if package not in _PACKAGES:
        what = f"{package} is not in the catalogue"
        yield unknown("tensorflow_package", what, f"it knows {', '.join(_PACKAGES)}")
    elif release and not catalogue.tensorflow_wheels(package).release(tensorflow):
        builds = catalogue.tensorflow()[release]
        instead = (builds.cpu if package == "tensorflow-cpu" else builds.gpu)[0]
        kind = package.rpartition("-")[2].upper()
        what = f"there is no {package} {tensorflow}"
        yield impossible("tensorflow_package", what, f"tensorflow_package={instead} is its {kind} build")
    else:
        yield from catalogue.tensorflow_wheels(package).on_python("tensorflow", tensorflow, python)
    yield from _extra(tensorflow_package, package)
    if release and tensorflow_package == _AND_CUDA and not meets(release, _BRINGS_CUDA):
        what = f"tensorflow {tensorflow} has no extra and-cuda"
        yield broken("tensorflow_package", what, "tensorflow=2.14.0 is the first; or take CUDA from the base")


def _extra(tensorflow_package: str, package: str) -> Iterator[Diagnostic]:
    """Report an extra that TensorFlow does not have: installers ignore it, and CUDA is missing."""
    extra = tensorflow_package.removeprefix(package)
    if extra and package in _PACKAGES and extra != _EXTRA:
        make = unknown if extra.lower().replace("_", "-") == _EXTRA else broken
        yield make("tensorflow_package", f"{package} has no extra {extra}", f"tensorflow_package={package}{_EXTRA}")


def tensorflow_on_os(tensorflow: str, os: str) -> Iterator[Diagnostic]:
    """Its wheels need a glibc, which the distribution decides."""
    release = _release(tensorflow)
    needed = catalogue.tensorflow()[release].glibc if release else ""
    last = [name for name, each in catalogue.tensorflow().items() if not each.glibc]
    yield from too_old("tensorflow", tensorflow, needed, os, last[-1] if last else "")


def tensorflow_on_cuda(
    tensorflow: str, cuda: str, tensorflow_package: str = "", base_image: str = ""
) -> Iterator[Diagnostic]:
    """Its libraries are looked up by name, and the name holds the version of CUDA."""
    release = _release(tensorflow)
    built = catalogue.tensorflow()[release].cuda if release else ""
    if not built or not minor(cuda) or tensorflow_package == _AND_CUDA:
        return
    package = tensorflow_package or "tensorflow"
    name = f"{package} {tensorflow}"
    if package in catalogue.tensorflow()[release].cpu:
        gpu = catalogue.tensorflow()[release].gpu[-1]
        what = f"{name} is a CPU build: the base's CUDA {minor(cuda)} is not used"
        yield note("tensorflow", what, f"tensorflow_package={gpu} uses it")
    elif built == minor(cuda):
        return
    elif _runs(release, cuda):
        what = f"{name} was built and tested with CUDA {built}, not {minor(cuda)}"
        yield note("tensorflow", what, "the names of the libraries agree, so it should run")
    else:
        what = f"{name} does not find its GPU libraries on CUDA {minor(cuda)}"
        yield broken("tensorflow", what, _remedy(release, built, cuda, base_image))


def _remedy(release: str, built: str, cuda: str, base_image: str) -> str:
    """Return in words another base, another TensorFlow, or what mends this pair."""
    ways = [f"take a base with CUDA {built} ({live(built, base_image)}{_others(release)})"]
    if last := catalogue.tensorflow_of_cuda().get(minor(cuda)):
        ways.append(f"tensorflow={last}, the last for CUDA {minor(cuda)}")
    if meets(release, "==2.4.*") and meets(cuda, ">=11.1,<12"):
        ways.append("link libcusolver.so.10 to libcusolver.so.11 and say so in allow")
    if meets(release, _BRINGS_CUDA):
        ways.append(f"tensorflow_package={_AND_CUDA} on a base without CUDA")
    return ", or ".join(ways)


def _others(release: str) -> str:
    ranges = {"": "", ">=11.2,<12": "; 11.2 to 11.8 will do", "==11.8.*": "", "==12.*": "; any 12 will do"}
    return next(ranges[cudas] for versions, cudas in _RUNS_ON.items() if meets(release, versions))


def _runs(release: str, cuda: str) -> bool:
    return any(meets(release, versions) and cudas and meets(cuda, cudas) for versions, cudas in _RUNS_ON.items())


def tensorflow_on_cudnn(
    tensorflow: str, tensorflow_package: str = "", cudnn: str = "", base_image: str = "", pins: str = ""
) -> Iterator[Diagnostic]:
    """TensorFlow wants the major version of cuDNN it was built with, and no older minor."""
    release = _release(tensorflow)
    here = cudnn_here(base_image, cudnn, pins)
    found = version(here)
    needed = catalogue.tensorflow()[release].cudnn if release else ""
    package = tensorflow_package or "tensorflow"
    if not needed or package in (_AND_CUDA, *catalogue.tensorflow()[release].cpu):
        return
    if here == NO_CUDNN:
        remedy = f"take a base with cuDNN {needed.partition('.')[0]}"
        yield broken("tensorflow", f"{package} {tensorflow} needs cuDNN {needed}, the base has none", remedy)
    if not found:
        return
    major, least = map(int, needed.split("."))
    is_older = len(found.release) > 1 and found.minor < least
    if found.major != major or is_older:
        remedy = f"take a base with cuDNN {major}, {needed} or newer"
        if meets(release, _BRINGS_CUDA):
            remedy += f", or tensorflow_package={_AND_CUDA} on a base without CUDA"
        yield broken("tensorflow", f"{package} {tensorflow} needs cuDNN {needed}, the base has {here}", remedy)


def _release(tensorflow: str) -> str:
    return catalogue.tensorflow_wheels("tensorflow").release(tensorflow)
