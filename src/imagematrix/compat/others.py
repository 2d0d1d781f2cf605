"""The rules of Python itself, Miniconda, NumPy and TensorRT."""

import re
from collections.abc import Iterator
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.finding import broken, impossible, note, unknown
from imagematrix.compat.glibc import lacks
from imagematrix.compat.wheels import is_newer, no_wheel
from imagematrix.diagnostics import Diagnostic
from imagematrix.text.versions import exact, is_requirement, meets, minor, requirement, span


def python_end(python: str) -> Iterator[Diagnostic]:
    """Pythons get old."""
    end, now = catalogue.python_ends().get(minor(python), ""), catalogue.now()
    if end and end < now:
        living = [name for name, until in catalogue.python_ends().items() if until >= now]
        yield note("python", f"Python {minor(python)} gets no fixes since {end}", f"{span(living)} do")


def oldest_patch(python: str) -> str:
    """Return the oldest patch release of a Python that images have: `3.8.1` of `3.8`; else what is given.

    A resolver takes a minor version for its patch 0, which packages refuse that no image is too old for.
    """
    return catalogue.python_patches().get(python, python)


_KNOWN: Final = ("amd64", "arm64")
_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}


def architecture_is_known(architecture: str) -> Iterator[Diagnostic]:
    """Tell that the catalogue has no facts for a processor."""
    if architecture not in _KNOWN:
        yield unknown("platform", f"the catalogue knows no wheels for {architecture}", f"it knows {', '.join(_KNOWN)}")


_INSTALLER: Final = re.compile(
    r"Miniconda3-(?:py(?P<major>\d)(?P<minor>\d+)_)?(?P<release>[0-9.]+(?:-\d+)?)-Linux-(?P<machine>x86_64|aarch64)\.sh"
)
_OTHER_SYSTEM: Final = re.compile(r"-(?P<system>Windows|MacOSX)-")
_ENOUGH: Final = 2
"""So many releases in a row without a Python mean that there are none for it any more, or none yet."""


def miniconda_of_python(
    miniconda: str, architecture: str, python: str = "", os: str = "", without_miniconda: str = ""
) -> Iterator[Diagnostic]:
    """Installers bring one Python each, for one processor, and need a glibc. An unknown one may exist.

    Facts of a Python reach rows that install no Miniconda too: their installer is not judged.
    """
    if without_miniconda:
        return
    match = _INSTALLER.fullmatch(miniconda)
    release = match["release"] if match else ""
    pythons = catalogue.miniconda().get(release, ())
    named = bool(match and match["major"])
    brought = f"{match['major']}.{match['minor']}" if match and named else "".join(pythons[:1])
    if other := _OTHER_SYSTEM.search(miniconda):
        yield impossible("miniconda", f"{miniconda} is for {other['system']}", _bringing(python))
        return
    if not match or named != _names_python(release) or not brought:
        yield _unseen(miniconda, release)
        return
    machine = _MACHINES.get(architecture, "")
    if machine and match["machine"] != machine:
        right = _installer(release, brought, machine)
        yield impossible("miniconda", f"{miniconda} is not for {architecture}", f"miniconda={right}")
    if minor(python) and minor(python) != brought:
        yield impossible("miniconda", f"{miniconda} brings Python {brought}, not {minor(python)}", _bringing(python))
    elif brought not in pythons:
        yield _not_listed(miniconda, release, brought)
    yield from _miniconda_on_glibc(miniconda, release, brought, match["machine"], os)


def _unseen(miniconda: str, release: str = "") -> Diagnostic:
    last = tuple(catalogue.miniconda())[-1]
    if is_newer(release.replace("-", ".post"), last.replace("-", ".post")):
        return unknown("miniconda", f"{miniconda} is newer than the catalogue", catalogue.outlook("miniconda"))
    remedy = f"it knows Miniconda3-pyXY_RELEASE-Linux-x86_64.sh to {last}"
    return unknown("miniconda", f"{miniconda} is not in the catalogue", remedy)


def _not_listed(miniconda: str, release: str, python: str) -> Diagnostic:
    """Return that an installer was not seen; that is more than a gap where no release around it has its Python."""
    has = {
        name: python in pythons for name, pythons in catalogue.miniconda().items() if pythons and _names_python(name)
    }
    before = [has[name] for name in has if not is_newer(name, release)]
    after = [has[name] for name in has if not is_newer(release, name)]
    has_ended = any(before) and not any([*after, *before[-_ENOUGH:]])
    without = 1 if catalogue.miniconda().get(release) else _ENOUGH  # of a release that is listed, its own list counts
    has_not_begun = len(after) >= _ENOUGH and not any([*before, *after[:without]])
    if not (has_ended or has_not_begun):
        return _unseen(miniconda, release)
    having = [name for name, pythons in catalogue.miniconda().items() if python in pythons]
    remedy = f"none for {python} was seen"
    if having:
        is_over = is_newer(release, having[-1])
        edge, word = (having[-1], "last") if is_over else (having[0], "first")
        remedy = f"miniconda={_installer(edge, python)} is the {word} with {python}"
    return broken("miniconda", f"no {miniconda} was seen, nor another one of its time for Python {python}", remedy)


def _miniconda_on_glibc(miniconda: str, release: str, python: str, machine: str, os: str) -> Iterator[Diagnostic]:
    needed = _glibc_of(release, machine)
    if not lacks(os, needed):
        return
    older = [
        name
        for name, pythons in catalogue.miniconda().items()
        if python in pythons and not lacks(os, _glibc_of(name, machine))
    ]
    remedy = f"miniconda={_installer(older[-1], python, machine)} does not" if older else "take a newer base"
    yield impossible("miniconda", f"{miniconda} needs glibc {needed}, {os} has {catalogue.glibc()[os]}", remedy)


def _glibc_of(release: str, machine: str) -> str:
    """Return the lowest glibc that a release's installer starts on; empty: any that matters."""
    for bound in catalogue.miniconda_glibc():
        if meets(release, bound.versions) and bound.machine in ("", machine):
            return bound.glibc
    return ""


def _bringing(python: str) -> str:
    """Return in words the newest installer that brings a Python."""
    wanted = [name for name, each in catalogue.miniconda().items() if minor(python) in each]
    return f"miniconda={_installer(wanted[-1], minor(python))} does" if wanted else f"none brings {minor(python)}"


def newest_installer(python: str) -> str:
    """Return the newest installer of Miniconda with a Python, or nothing."""
    having = [release for release, pythons in catalogue.miniconda().items() if python in pythons]
    return _installer(having[-1], python) if having else ""


def _names_python(release: str) -> bool:
    """Whether installers of a release have their Python in their name; older ones bring one and do not say so."""
    return meets(release, ">=4.8.2")


def _installer(release: str, python: str, machine: str = "x86_64") -> str:
    tag = f"py{python.replace('.', '')}_" if _names_python(release) else ""
    return f"Miniconda3-{tag}{release}-Linux-{machine}.sh"


def numpy_on_python(numpy: str, python: str) -> Iterator[Diagnostic]:
    """NumPy has wheels for some Pythons; compiling it there fails or takes long."""
    wheels = catalogue.numpy_wheels()
    release = wheels.release(numpy)
    if release and minor(python) and minor(python) not in wheels.pythons[release]:
        yield broken("numpy", f"numpy {numpy} has no wheel for Python {minor(python)}", _numpys(python))


def numpy_of_pins(pins: str, python: str) -> Iterator[Diagnostic]:
    """As `numpy_on_python`, of pins that leave a choice."""
    wheels = catalogue.numpy_wheels()
    for condition in (found[1] for pin in pins.split() if (found := requirement(pin)) and found[0] == "numpy"):
        asked = [release for release in wheels.pythons if meets(release, condition)] if not exact(condition) else []
        if asked and minor(python) and not any(minor(python) in wheels.pythons[release] for release in asked):
            yield broken("pins", f"no numpy{condition} has a wheel for Python {minor(python)}", _numpys(python))


def pins_are_requirements(pins: str) -> Iterator[Diagnostic]:
    """Pins are written as pip takes them: `numpy=1.26` is not. Options such as `--no-binary=NAME` are left to uv."""
    for pin in pins.split():
        if not pin.startswith("--") and not is_requirement(pin):
            yield impossible("pins", f"{pin!r} is not a valid requirement", "write NAME==VERSION, or NAME and bounds")


_LAST_ID: Final = (1 << 31) - 1
"""Of users, as `useradd` takes them."""


def run_as_is_an_id(run_as: str) -> Iterator[Diagnostic]:
    """Kubernetes' `runAsNonRoot` accepts numbers alone; 0 is root."""
    if not (run_as.isascii() and run_as.isdigit() and 0 < int(run_as[:11]) <= _LAST_ID):
        yield impossible("run_as", f"{run_as!r} is not the id of a user other than root", "run_as=1000")


def _numpys(python: str) -> str:
    """Return in words the releases of NumPy with wheels for a Python."""
    having = [release for release, pythons in catalogue.numpy_wheels().pythons.items() if minor(python) in pythons]
    return f"numpy {having[0]} to {having[-1]} have one" if having else f"no numpy has wheels for {minor(python)}"


def tensorrt_on_python(tensorrt: str, python: str = "", tensorrt_deb: str = "") -> Iterator[Diagnostic]:
    """Old TensorRT has wheels on PyPI; newer ones are only installers there. Debian's packages need neither."""
    wheels = catalogue.tensorrt_wheels()
    release = wheels.release(tensorrt)
    if release and tensorrt_deb:
        return
    if not release:
        yield wheels.unseen("tensorrt", tensorrt)
    elif not wheels.pythons[release]:
        yield note(
            "tensorrt", f"tensorrt {tensorrt} on PyPI is only an installer", "builds need NVIDIA's own index too"
        )
    elif minor(python) and minor(python) not in wheels.pythons[release]:
        installer = next(name for name, pythons in wheels.pythons.items() if not pythons)
        nearest = f"from {installer} on it is an installer, which needs NVIDIA's own index"
        yield no_wheel("tensorrt", "tensorrt", tensorrt, python, wheels.pythons[release], nearest)


def tensorrt_on_cuda(tensorrt: str, cuda: str) -> Iterator[Diagnostic]:
    """NVIDIA lists the CUDAs of some series."""
    support = catalogue.tensorrt_support()
    series = next((name for name in support if f"{tensorrt}.".startswith(f"{name}.")), "")
    if series and minor(cuda) and minor(cuda) not in support[series]:
        what = f"NVIDIA does not list TensorRT {tensorrt} for CUDA {minor(cuda)}"
        has_its_libraries = any(name.partition(".")[0] == cuda.partition(".")[0] for name in support[series])
        make = note if has_its_libraries else unknown
        yield make("tensorrt", what, f"it lists {span(support[series])}")


def tensorrt_of_tensorflow(tensorrt: str, tensorflow: str) -> Iterator[Diagnostic]:
    """TensorFlow loads one TensorRT, by exact name."""
    loaded = catalogue.tensorrt_of_tensorflow().get(minor(tensorflow), "")
    is_near = loaded.partition(".")[0] == tensorrt.partition(".")[0]  # else a table knows the issue: `breakage`
    if loaded and is_near and not f"{tensorrt}.".startswith(f"{loaded}."):
        what = f"tensorflow {tensorflow} loads TensorRT {loaded} only, not {tensorrt}"
        yield note("tensorrt", what, "it runs without TensorRT and prints a warning")
