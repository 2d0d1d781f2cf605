"""The rules of TensorFlow."""

from collections.abc import Iterator
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.cuda import cudnn_in
from imagematrix.compat.finding import Finding, broken, impossible, note
from imagematrix.text.versions import comparison, minor, version

_RUNS_ON: Final = {
    "<2.5": "",
    ">=2.5,<2.12": ">=11.2,<12",
    ">=2.12,<2.15": "==11.8.*",
    ">=2.15": "==12.*",
}
"""TensorFlow -> CUDA whose libraries have the names it loads; empty: only those of the CUDA it was built with."""

_BRINGS_CUDA: Final = ">=2.14"
"""From here on the extra `and-cuda` brings CUDA by pip."""


def tensorflow_on_python(tensorflow: str, python: str = "") -> Iterator[Finding]:
    """TensorFlow has wheels for some Pythons."""
    yield from catalogue.tensorflow_wheels("tensorflow").on_python("tensorflow", tensorflow, python)


def tensorflow_cpu_on_python(tensorflow_cpu: str, python: str = "") -> Iterator[Finding]:
    """tensorflow-cpu exists of some releases."""
    yield from _variant("tensorflow-cpu", "tensorflow_cpu", tensorflow_cpu, python)


def tensorflow_gpu_on_python(tensorflow_gpu: str, python: str = "") -> Iterator[Finding]:
    """tensorflow-gpu ended with 2.11.0."""
    yield from _variant("tensorflow-gpu", "tensorflow_gpu", tensorflow_gpu, python)


def _variant(package: str, about: str, value: str, python: str) -> Iterator[Finding]:
    wheels = catalogue.tensorflow_wheels(package)
    release = catalogue.tensorflow_wheels("tensorflow").release(value)
    if release and not wheels.release(value):
        builds = catalogue.tensorflow()[release]
        instead = (builds.cpu if package == "tensorflow-cpu" else builds.gpu)[0]
        kind = package.rpartition("-")[2].upper()
        yield impossible(about, f"there is no {package} {value}", f"{instead} {release} is its {kind} build")
    else:
        yield from wheels.on_python(about, value, python)


def tensorflow_on_cuda(tensorflow: str, cuda: str) -> Iterator[Finding]:
    """Its libraries are looked up by name, and the name holds the version of CUDA."""
    yield from _on_cuda("tensorflow", tensorflow, cuda)


def tensorflow_gpu_on_cuda(tensorflow_gpu: str, cuda: str) -> Iterator[Finding]:
    """As `tensorflow_on_cuda`."""
    yield from _on_cuda("tensorflow_gpu", tensorflow_gpu, cuda)


def _on_cuda(about: str, value: str, cuda: str) -> Iterator[Finding]:
    release = catalogue.tensorflow_wheels("tensorflow").release(value)
    if not release or not minor(cuda):
        return
    package, built = about.replace("_", "-"), catalogue.tensorflow()[release].cuda
    if built in ("", minor(cuda)):
        return
    if not _runs(release, cuda):
        remedy = f"take a base with CUDA {built}{_others(release)}"
        if _is(release, "==2.4.*") and _is(cuda, ">=11.1,<12"):
            remedy = f"{remedy}, or link libcusolver.so.10 to libcusolver.so.11 and say so in allow"
        elif _is(release, _BRINGS_CUDA):
            remedy = f"{remedy}, or install tensorflow[and-cuda] on a base without CUDA"
        yield broken(about, f"{package} {value} does not find its GPU libraries on CUDA {minor(cuda)}", remedy)
    else:
        what = f"{package} {value} was built and tested with CUDA {built}, not {minor(cuda)}"
        yield note(about, what, "the names of the libraries agree, so it should run")


def _others(release: str) -> str:
    ranges = {"": "", ">=11.2,<12": " (11.2 to 11.8 will do)", "==11.8.*": "", "==12.*": " (any 12 will do)"}
    return next(ranges[cudas] for versions, cudas in _RUNS_ON.items() if _is(release, versions))


def _runs(release: str, cuda: str) -> bool:
    return any(_is(release, versions) and cudas and _is(cuda, cudas) for versions, cudas in _RUNS_ON.items())


def tensorflow_on_cudnn(tensorflow: str, cudnn: str = "", base_image: str = "") -> Iterator[Finding]:
    """TensorFlow wants the major version of cuDNN it was built with, and no older minor."""
    yield from _on_cudnn("tensorflow", tensorflow, cudnn, base_image)


def tensorflow_gpu_on_cudnn(tensorflow_gpu: str, cudnn: str = "", base_image: str = "") -> Iterator[Finding]:
    """As `tensorflow_on_cudnn`."""
    yield from _on_cudnn("tensorflow_gpu", tensorflow_gpu, cudnn, base_image)


def _on_cudnn(about: str, value: str, cudnn: str, base_image: str) -> Iterator[Finding]:
    release = catalogue.tensorflow_wheels("tensorflow").release(value)
    here = cudnn_in(base_image) or cudnn
    found = version(here)
    if not release or not found:
        return
    needed = catalogue.tensorflow()[release].cudnn
    if not needed:
        return
    major, least = map(int, needed.split("."))
    too_old = len(found.release) > 1 and found.minor < least
    if found.major != major or too_old:
        remedy = f"take a base with cuDNN {major}, {needed} or newer"
        if _is(release, _BRINGS_CUDA):
            remedy += ", or install tensorflow[and-cuda] on a base without CUDA"
        yield broken(about, f"{about.replace('_', '-')} {value} needs cuDNN {needed}, the base has {here}", remedy)


def _is(value: str, condition: str) -> bool:
    meets = comparison(condition)
    return bool(meets and meets(value))
