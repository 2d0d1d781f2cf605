"""The rules of Paddle: its CPU build, and one GPU build for each CUDA. With a CUDA base, the GPU build is meant."""

from collections.abc import Iterator, Mapping

from imagematrix.compat import catalogue
from imagematrix.compat.cuda import cudnn_in
from imagematrix.compat.finding import Finding, broken, note, unknown
from imagematrix.compat.wheels import no_wheel
from imagematrix.text.versions import minor, span, version


def paddle_on_python(paddle: str, python: str = "", cuda: str = "") -> Iterator[Finding]:
    """Both builds have wheels for some Pythons."""
    wheels = catalogue.paddle_wheels()
    release = wheels.release(paddle)
    build = catalogue.paddle()[release].builds.get(_build(cuda)) if release and cuda else None
    if build is None:
        yield from wheels.on_python("paddle", paddle, python)
    elif minor(python) and minor(python) not in build.pythons:
        package = f"paddlepaddle-gpu ({_build(cuda)})"
        yield no_wheel(package, "paddle", paddle, python, build.pythons, wheels.nearest(release, python))


def paddle_on_pypi(paddle: str, cuda: str = "") -> Iterator[Finding]:
    """Its owners delete old CPU wheels."""
    release = catalogue.paddle_wheels().release(paddle)
    if release and not cuda and not catalogue.paddle()[release].cpu_on_pypi:
        kept = [name for name, each in catalogue.paddle().items() if each.cpu_on_pypi]
        what = f"paddlepaddle {paddle} was deleted from PyPI by its owners"
        yield broken("paddle", what, f"PyPI has {', '.join(kept)}; or install a wheel of your own and say so in allow")


def paddle_on_cuda(paddle: str, cuda: str, cudnn: str = "", base_image: str = "") -> Iterator[Finding]:
    """There is one build for each of a few CUDAs; to 2.6 it takes CUDA and cuDNN from the image."""
    release = catalogue.paddle_wheels().release(paddle)
    if not release or not minor(cuda):
        return
    builds = catalogue.paddle()[release].builds
    is_self_contained = (found := version(release)) is not None and found.major >= 3  # noqa: PLR2004
    if not builds:  # a release that only the index has told of
        return
    if build := builds.get(_build(cuda)):
        if not is_self_contained:
            yield from _on_cudnn(paddle, build.cudnn, cudnn_in(base_image) or cudnn)
        return
    remedy = f"there are builds for CUDA {span(map(_cuda, builds))}{_with(_build(cuda))}"
    what = f"paddlepaddle-gpu {paddle} has no build for CUDA {minor(cuda)}"
    # Of 3.x, third parties tell which builds there are: enough to warn, not to refuse.
    yield unknown("paddle", what, remedy) if is_self_contained else broken("paddle", what, remedy)


def _on_cudnn(paddle: str, needed: str, here: str) -> Iterator[Finding]:
    wanted, found = version(needed), version(here)
    if not wanted or not found:
        return
    what = f"paddlepaddle-gpu {paddle} asks for cuDNN {needed}, the base has {here}"
    if found.major != wanted.major:
        yield broken("paddle", what, f"take a base with cuDNN {wanted.major}")
    elif len(found.release) > 1 and found < wanted:
        yield note("paddle", what)


def _build(cuda: str) -> str:
    return f"cu{minor(cuda).replace('.', '')}"


def _cuda(build: str) -> str:
    return f"{build[2:-1]}.{build[-1]}"


def _with(build: str) -> str:
    releases: Mapping[str, catalogue.Paddle] = catalogue.paddle()
    having = [name for name, each in releases.items() if build in each.builds]
    if not having:
        return ""
    return f"; {_cuda(build)} is in {having[0]}" + (f" to {having[-1]}" if len(having) > 1 else "")
