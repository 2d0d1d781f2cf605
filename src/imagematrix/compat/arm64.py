"""The rules of rows for linux/arm64: what PyPI has for aarch64. Those of x86_64's wheels do not judge them."""

from collections.abc import Collection, Iterator
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.finding import broken, impossible
from imagematrix.compat.glibc import too_old
from imagematrix.diagnostics import Diagnostic
from imagematrix.text.versions import minor

_LOCAL: Final = "+"


def torch_on_arm64(
    torch: str, python: str = "", os: str = "", cuda: str = "", torch_build: str = "", torch_index: str = ""
) -> Iterator[Diagnostic]:
    """PyPI's wheels of torch are for CPUs up to 2.10; PyTorch's own index has others."""
    if torch_index:
        return
    yield from _on_pypi("torch", torch, python, os, catalogue.torch_wheels().pythons)
    release = catalogue.arm64_wheels()["torch"].release(torch)
    build = torch_build or torch.partition(_LOCAL)[2]
    if not release or catalogue.arm64()["torch"][release].cuda or build == "cpu" or not (build or cuda):
        return
    first = next(name for name, each in catalogue.arm64()["torch"].items() if each.cuda)
    what = f"PyPI's torch {release} for arm64 is a CPU build"
    what += f", not {build}" if build else f": the base's CUDA {minor(cuda)} is not used"
    ways = f"torch_build=cpu, torch={first}, the first that brings CUDA, or torch_index=… with a build for arm64"
    yield broken("torch_build" if torch_build else "torch", what, ways)


def tensorflow_on_arm64(
    tensorflow: str, python: str = "", os: str = "", cuda: str = "", tensorflow_package: str = ""
) -> Iterator[Diagnostic]:
    """TensorFlow for arm64 is one package, for CPUs."""
    if tensorflow_package not in ("", "tensorflow"):
        what = f"there is no {tensorflow_package} {tensorflow} for arm64"
        make = impossible if tensorflow_package == "tensorflow-cpu" else broken
        yield make("tensorflow_package", what, "tensorflow_package=tensorflow is its CPU build, and the only one")
    elif cuda:
        what = f"tensorflow {tensorflow} for arm64 is a CPU build: the base's CUDA {minor(cuda)} is not used"
        yield broken("tensorflow", what, "take a base without CUDA")
    yield from _on_pypi("tensorflow", tensorflow, python, os, catalogue.tensorflow_wheels("tensorflow").pythons)


def paddle_on_arm64(
    paddle: str, python: str = "", os: str = "", cuda: str = "", paddle_package: str = ""
) -> Iterator[Diagnostic]:
    """Paddle for arm64 is for CPUs."""
    if paddle_package == "paddlepaddle-gpu" or (cuda and not paddle_package):
        what = f"there is no paddlepaddle-gpu {paddle} for arm64"
        yield broken("paddle", what, "take paddle_package=paddlepaddle and a base without CUDA")
        return
    yield from _on_pypi("paddle", paddle, python, os, catalogue.paddle_wheels().pythons)


def _on_pypi(product: str, value: str, python: str, os: str, known: Collection[str]) -> Iterator[Diagnostic]:
    """Yield what is wrong with a release on PyPI; one that x86_64 has and arm64 has not is not there."""
    wheels = catalogue.arm64_wheels()[product]
    release = wheels.release(value)
    if not release and value.partition(_LOCAL)[0] in known:
        near = tuple(wheels.pythons)
        what = f"PyPI has no wheel of {product} {value} for arm64"
        yield broken(product, what, f"it has {product}={near[0]} to {product}={near[-1]}")
        return
    yield from wheels.on_python(product, value, python)
    needed = catalogue.arm64()[product][release].glibc if release else ""
    last = [name for name, each in catalogue.arm64()[product].items() if not each.glibc]
    yield from too_old(product, value, needed, os, last[-1] if last else "")
