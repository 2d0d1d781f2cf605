"""The rules of Paddle: its CPU build, and one GPU build for each CUDA.

`paddle_package` says which; without it, a base with CUDA means the GPU build. A release may name its build, as in
`2.4.2.post112`; else it means the one for the base's CUDA.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.cuda import build_for, of_build
from imagematrix.compat.finding import broken, note, unknown
from imagematrix.compat.nvidia import NO_CUDNN, cudnn_here, live
from imagematrix.compat.wheels import is_newer, no_wheel
from imagematrix.diagnostics import Diagnostic
from imagematrix.text.distributions import of_image
from imagematrix.text.versions import minor, span, version

_CPU: Final = "paddlepaddle"
_GPU: Final = "paddlepaddle-gpu"
_SUFFIX: Final = re.compile(r"\.post\d+$")
_OWN_IMAGE: Final = "paddlepaddle/paddle:"
"""Paddle's own images, which hold the build for their CUDA."""
_NO_LIBRARIES: Final = "PaddlePaddle/Paddle#60906"
_COMPATIBLE: Final = "11"
"""From this major version of CUDA on, the names of its libraries are the same in all of its minor ones."""
_ELSEWHERE: Final = {
    "index": "Paddle's own index has it",
    "url": "Paddle's docs list a direct download of it",
    "": "",
}


def paddle_package(paddle_package: str) -> Iterator[Diagnostic]:
    """Rules know the two packages for x86_64 by their names."""
    if paddle_package not in (_CPU, _GPU):
        yield unknown("paddle_package", f"{paddle_package} is not in the catalogue", f"it knows {_CPU} and {_GPU}")


def paddle_on_python(paddle: str, paddle_package: str = "", python: str = "", cuda: str = "") -> Iterator[Diagnostic]:
    """Both builds have wheels for some Pythons."""
    wheels, release = catalogue.paddle_wheels(), _release(paddle)
    builds = catalogue.paddle()[release].builds if release and is_gpu(paddle_package, cuda) else {}
    build = builds.get(build_for(cuda))
    if build is None:
        yield from wheels.on_python("paddle", release or paddle, python)
    elif minor(python) and minor(python) not in build.pythons:
        package = f"{_GPU} ({build_for(cuda)})"
        finding = no_wheel(package, "paddle", paddle, python, build.pythons, wheels.nearest(release, python))
        yield unknown("paddle", finding.message, finding.hint) if is_self_contained(release) else finding


def paddle_on_pypi(paddle: str, paddle_package: str = "", cuda: str = "") -> Iterator[Diagnostic]:
    """Its owners delete old CPU wheels."""
    release = _release(paddle)
    if not release or is_gpu(paddle_package, cuda) or catalogue.paddle()[release].cpu_on_pypi:
        return
    kept = [name for name, each in catalogue.paddle().items() if each.cpu_on_pypi]
    elsewhere = _ELSEWHERE[catalogue.paddle()[release].cpu_by]
    ways = [f"PyPI has {', '.join(kept)}", *filter(None, [elsewhere]), "or vendor a wheel and say so in allow"]
    yield broken("paddle", f"paddlepaddle {paddle} was deleted from PyPI by its owners", "; ".join(ways))


def paddle_gpu_on_pypi(paddle: str, cuda: str, paddle_package: str = "", base_image: str = "") -> Iterator[Diagnostic]:
    """PyPI has one GPU build of a release at most, under the release's bare name."""
    release = _release(paddle)
    builds = catalogue.paddle()[release].builds if release and is_gpu(paddle_package, cuda) else {}
    build = builds.get(build_for(cuda))
    if build is None or build.by == "pypi":
        return
    default = next((of_build(name) for name, each in builds.items() if each.by == "pypi" and not each.suffix), "")
    is_installed = _OWN_IMAGE not in base_image and not _SUFFIX.search(paddle)
    if default and is_installed and not _share_libraries(default, minor(cuda)):
        what = f"{_GPU} {release} on PyPI is for CUDA {default}, and does not find its libraries on {minor(cuda)}"
        its = f"paddle={release}{build.suffix}, which is for {minor(cuda)} ({_ELSEWHERE[build.by]})"
        yield broken("paddle", f"{what}: {_NO_LIBRARIES}", f"take {its}, or a base with CUDA {default}")
        return
    there = [f"{release}{each.suffix} for CUDA {of_build(name)}" for name, each in builds.items() if each.by == "pypi"]
    what = f"{_GPU} {release}{build.suffix} for CUDA {minor(cuda)} is not on PyPI"
    has = f"PyPI has {' and '.join(there)}" if there else "PyPI has no GPU build of it"
    yield note("paddle", what, f"{_ELSEWHERE[build.by]}; {has}")


def paddle_without_cuda(
    paddle: str, paddle_package: str, cuda: str = "", base_image: str = "", bootstrap: str = ""
) -> Iterator[Diagnostic]:
    """To 2.6, builds for GPUs load the base's CUDA when they are imported."""
    release = _release(paddle)
    if cuda or not release or paddle_package != _GPU or is_self_contained(release) or _OWN_IMAGE in base_image:
        return
    what = f"{_GPU} {paddle} takes CUDA from the base, and the row's has none"
    remedy = f"take a base with CUDA, or paddle_package={_CPU}"
    is_sure = bool(bootstrap or of_image(base_image))
    yield broken("paddle", what, remedy) if is_sure else unknown("paddle", what, f"{remedy}; or say cuda of the base")


def paddle_on_cuda(
    paddle: str, cuda: str, paddle_package: str = "", cudnn: str = "", base_image: str = "", pins: str = ""
) -> Iterator[Diagnostic]:
    """There is one build for each of a few CUDAs; to 2.6 it takes CUDA and cuDNN from the image."""
    release = _release(paddle)
    builds = catalogue.paddle()[release].builds if release else {}
    if not builds or not minor(cuda):  # a release that only the index lists has no builds
        return
    if not is_gpu(paddle_package, cuda):
        what = f"paddlepaddle {paddle} is the CPU build: the base's CUDA {minor(cuda)} is not used"
        yield note("paddle", what, f"paddle_package={_GPU} uses it")
        return
    brings_cuda = is_self_contained(release)
    if build := builds.get(build_for(cuda)):
        if paddle != release and not paddle.endswith(build.suffix or release):
            yield broken("paddle", *_other_build(paddle, builds, cuda, release))
        elif not brings_cuda:
            yield from _on_cudnn(paddle, build.cudnn, cudnn_here(base_image, cudnn, pins))
        return
    near = [name for name in map(of_build, builds) if name.partition(".")[0] == minor(cuda).partition(".")[0]]
    take = f"; for {near[-1]}, {live(near[-1], base_image)}" if near else ""
    remedy = f"there are builds for CUDA {span(map(of_build, builds))}{_with(build_for(cuda))}{take}"
    what = f"{_GPU} {paddle} has no build for CUDA {minor(cuda)}"
    # Of 3.x, third parties tell which builds there are: enough to warn, not to refuse.
    yield unknown("paddle", what, remedy) if brings_cuda else broken("paddle", what, remedy)


def _other_build(paddle: str, builds: Mapping[str, catalogue.PaddleBuild], cuda: str, release: str) -> tuple[str, str]:
    """Return in words that a build is for another CUDA than the base's, and which is for it."""
    suffix = paddle.removeprefix(release)
    its = next((of_build(name) for name, build in builds.items() if build.suffix == suffix), "another CUDA")
    right = f"paddle={release}{builds[build_for(cuda)].suffix}"
    return f"{_GPU} {paddle} is for CUDA {its}, the base has {minor(cuda)}", f"{right} is for {minor(cuda)}"


def _on_cudnn(paddle: str, needed: str, here: str) -> Iterator[Diagnostic]:
    if here == NO_CUDNN:
        remedy = f"take a base with cuDNN {needed.partition('.')[0]}" if needed else "take a base with one"
        yield broken("paddle", f"{_GPU} {paddle} needs cuDNN, the base has none", remedy)
    wanted, found = version(needed), version(here)
    if not wanted or not found:
        return
    what = f"{_GPU} {paddle} asks for cuDNN {needed}, the base has {here}"
    if found.major != wanted.major:
        yield broken("paddle", what, f"take a base with cuDNN {wanted.major}")
    elif len(found.release) > 1 and found < wanted:
        yield note("paddle", what)


def plain(paddle: str) -> str:
    """Return a release without the build that it names: `2.4.2` of `2.4.2.post112`."""
    return _SUFFIX.sub("", paddle)


def _release(paddle: str) -> str:
    return catalogue.paddle_wheels().release(plain(paddle))


def is_self_contained(release: str) -> bool:
    """Whether a release's wheels bring CUDA; of such releases, third parties list which builds there are."""
    found = version(release)
    return found is not None and found.major >= 3  # noqa: PLR2004


def is_gpu(paddle_package: str, cuda: str) -> bool:
    """Whether a row has the build for GPUs."""
    return paddle_package == _GPU if paddle_package else bool(cuda)


def _share_libraries(one: str, other: str) -> bool:
    """Whether what was built with one CUDA loads the libraries of another."""
    (major, _, _), (its, _, _) = one.partition("."), other.partition(".")
    return one == other or (major == its and not is_newer(_COMPATIBLE, major))


def _with(build: str) -> str:
    releases: Mapping[str, catalogue.Paddle] = catalogue.paddle()
    having = [name for name, each in releases.items() if build in each.builds]
    if not having:
        return ""
    return f"; {of_build(build)} is in {having[0]}" + (f" to {having[-1]}" if len(having) > 1 else "")
