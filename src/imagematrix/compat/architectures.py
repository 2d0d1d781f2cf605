"""The rules of GPU architectures: whether a framework's build has code for the GPUs that a row is for.

`sm_86` is a GPU of compute capability 8.6, or code for it. Code runs on GPUs of its own major version, and of its own
or a newer minor version; PTX (`compute_80`), which the driver compiles, runs on all that are as new. (CUDA Programming
Guide, sections "Cubin Compatibility" and "PTX Compatibility"; integrated GPUs like Jetson's are an exception.)
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from imagematrix.compat import catalogue, gpu
from imagematrix.compat.cuda import build_for, of_build
from imagematrix.compat.finding import broken, note
from imagematrix.compat.paddle import plain
from imagematrix.compat.torch import build_of
from imagematrix.diagnostics import Diagnostic
from imagematrix.text.versions import meets, minor

_CODE: Final = re.compile(r"(?P<kind>sm|compute)_(?P<major>\d+)(?P<minor>\d)")
_RELEASE: Final = re.compile(r"\+| for ")
"""Separates the release from the build in a message."""

Code = tuple[str, ...]
"""What kernels are compiled to: `sm_80`, `compute_90`."""


def torch_on_gpus(torch: str, gpus: str, torch_build: str = "", torch_index: str = "") -> Iterator[Diagnostic]:
    """Report builds of torch without code for a GPU of the row."""
    release = catalogue.torch_wheels().release(torch)
    build = build_of(torch, torch_build, torch_index)
    code = compiled("torch", release, build)
    every = {
        f"torch {name}+{each}": compiled("torch", name, each)
        for name, known in catalogue.torch().items()
        for each in known.builds
    }
    yield from _judged(f"torch {release}+{build}", code, gpus, every)


def tensorflow_on_gpus(
    tensorflow: str, gpus: str, tensorflow_package: str = "", cuda: str = ""
) -> Iterator[Diagnostic]:
    """Report releases of TensorFlow without code for a GPU of the row."""
    release = catalogue.tensorflow_wheels("tensorflow").release(tensorflow)
    values = {"tensorflow": tensorflow, "tensorflow_package": tensorflow_package, "cuda": cuda}
    if gpu.cuda_of(values) is None:
        return
    every = {f"tensorflow {name}": compiled("tensorflow", name) for name in catalogue.tensorflow()}
    yield from _judged(f"tensorflow {release}", compiled("tensorflow", release), gpus, every)


def paddle_on_gpus(paddle: str, gpus: str, paddle_package: str = "", cuda: str = "") -> Iterator[Diagnostic]:
    """Report builds of Paddle without code for a GPU of the row."""
    release = catalogue.paddle_wheels().release(plain(paddle))
    use = gpu.cuda_of({"paddle": paddle, "paddle_package": paddle_package, "cuda": cuda})
    if use is None:
        return
    version = minor(use.version)
    every = {
        f"paddlepaddle-gpu {name} for CUDA {of_build(each)}": compiled("paddle", name, each)
        for name, known in catalogue.paddle().items()
        for each in known.builds
    }
    code = compiled("paddle", release, build_for(version))
    yield from _judged(f"paddlepaddle-gpu {release} for CUDA {version}", code, gpus, every)


@catalogue.cache
def compiled(package: str, release: str, build: str = "") -> Code:
    """Return what a build of `torch`, `tensorflow` or `paddle` is compiled to; nothing where that is not known."""
    known = [each for each in catalogue.architectures(package) if each.build == build] if release else []
    return next((each.code for each in known if meets(release, each.releases)), ())


def runs(code: Iterable[str], gpu: str) -> bool:
    """Whether a GPU runs any of the code, or of the PTX, that a build has."""
    return any(_runs(each, gpu) for each in code)


def _judged(name: str, code: Code, gpus: str, every: Mapping[str, Code]) -> Iterator[Diagnostic]:
    wanted = gpus.split()
    if not code:  # CPU builds have none, and for some builds it is unknown
        return
    if missing := [gpu for gpu in wanted if not runs(code, gpu)]:
        what = f"{name} has no code for {', '.join(missing)}"
        yield broken("gpus", what, f"it has {', '.join(code)}; {_instead(name, wanted, every)}")
    if compiled := [gpu for gpu in wanted if runs(code, gpu) and not runs(_native(code), gpu)]:
        what = f"{name} has only PTX for {', '.join(compiled)}"
        yield note("gpus", what, "the driver compiles it when it is first used, which takes minutes")


def _instead(name: str, wanted: Iterable[str], every: Mapping[str, Code]) -> str:
    """Return in words a build that serves all GPUs: of the same release, else the first after it, or the last."""
    names = list(every)
    serving = [each for each in names if every[each] and all(runs(every[each], gpu) for gpu in wanted)]
    same = [each for each in serving if _RELEASE.split(each)[0] == _RELEASE.split(name)[0]]
    later = [each for each in serving if name in names and names.index(each) > names.index(name)]
    if same or later:
        return f"{same[-1]} has it" if same else f"the first that has it is {later[0]}"
    return f"the last that has it is {serving[-1]}" if serving else "no build that is known serves all of them"


def _native(code: Iterable[str]) -> Code:
    return tuple(each for each in code if each.startswith("sm_"))


def _runs(code: str, gpu: str) -> bool:
    ours, theirs = _CODE.fullmatch(code), _CODE.fullmatch(gpu)
    if not ours or not theirs:
        return False
    if ours["kind"] == "compute":
        return _capability(ours) <= _capability(theirs)
    return ours["major"] == theirs["major"] and ours["minor"] <= theirs["minor"]


def _capability(code: re.Match[str]) -> tuple[int, int]:
    return int(code["major"]), int(code["minor"])
