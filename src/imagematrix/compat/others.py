"""The rules of Python itself, Miniconda, NumPy and TensorRT."""

import re
from collections.abc import Iterator
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.finding import Finding, broken, impossible, note, unknown
from imagematrix.compat.wheels import no_wheel
from imagematrix.text.versions import comparison, exact, minor, requirement, span


def python_end(python: str) -> Iterator[Finding]:
    """Pythons get old."""
    end = catalogue.python_ends().get(minor(python), "")
    if end and end < catalogue.collected():
        living = [name for name, until in catalogue.python_ends().items() if until >= catalogue.collected()]
        yield note("python", f"Python {minor(python)} gets no fixes since {end}", f"{span(living)} do")


_INSTALLER: Final = re.compile(
    r"Miniconda3-(?:py(?P<major>\d)(?P<minor>\d+)_)?(?P<release>[0-9.]+(?:-\d+)?)-Linux-x86_64\.sh"
)


def miniconda_of_python(miniconda: str, python: str = "") -> Iterator[Finding]:
    """Installers bring one Python each; not every release of Miniconda was made for every Python."""
    match = _INSTALLER.fullmatch(miniconda)
    pythons = catalogue.miniconda().get(match["release"], ()) if match else ()
    named = bool(match and match["major"])
    if not match or not pythons or named != _names_python(match["release"]):
        what = f"{miniconda} is not in the catalogue"
        last = tuple(catalogue.miniconda())[-1]
        yield unknown("miniconda", what, f"it knows Miniconda3-pyXY_RELEASE-Linux-x86_64.sh to {last}")
        return
    brought = f"{match['major']}.{match['minor']}" if named else pythons[0]
    having = [name for name, each in catalogue.miniconda().items() if brought in each]
    if brought not in pythons:
        nearest = f"; the last with {brought} is {having[-1]}" if having else f"; none has {brought}"
        what = f"there is no {miniconda}"
        yield impossible("miniconda", what, f"{match['release']} comes with {span(pythons)}{nearest}")
    elif minor(python) and minor(python) != brought:
        wanted = [name for name, each in catalogue.miniconda().items() if minor(python) in each]
        nearest = f"{_installer(wanted[-1], minor(python))} does" if wanted else f"none brings {minor(python)}"
        yield impossible("miniconda", f"{miniconda} brings Python {brought}, not {minor(python)}", nearest)


def _names_python(release: str) -> bool:
    """Whether installers of a release have their Python in their name; older ones bring one and do not say so."""
    meets = comparison(">=4.8.2")
    return bool(meets and meets(release))


def _installer(release: str, python: str) -> str:
    tag = f"py{python.replace('.', '')}_" if _names_python(release) else ""
    return f"Miniconda3-{tag}{release}-Linux-x86_64.sh"


def numpy_on_python(numpy: str, python: str) -> Iterator[Finding]:
    """NumPy has wheels for some Pythons; compiling it there fails or takes long."""
    wheels = catalogue.numpy_wheels()
    release = wheels.release(numpy)
    if release and minor(python) and minor(python) not in wheels.pythons[release]:
        yield broken("numpy", f"numpy {numpy} has no wheel for Python {minor(python)}", _numpys(python))


def numpy_of_pins(pins: str, python: str) -> Iterator[Finding]:
    """As `numpy_on_python`, of pins that leave a choice."""
    wheels = catalogue.numpy_wheels()
    for condition in (found[1] for pin in pins.split() if (found := requirement(pin)) and found[0] == "numpy"):
        meets = comparison(condition)
        asked = [release for release in wheels.pythons if meets and meets(release)] if not exact(condition) else []
        if asked and minor(python) and not any(minor(python) in wheels.pythons[release] for release in asked):
            yield broken("pins", f"no numpy{condition} has a wheel for Python {minor(python)}", _numpys(python))


def _numpys(python: str) -> str:
    """Return in words the releases of NumPy with wheels for a Python."""
    having = [release for release, pythons in catalogue.numpy_wheels().pythons.items() if minor(python) in pythons]
    return f"numpy {having[0]} to {having[-1]} have one" if having else f"no numpy has wheels for {minor(python)}"


def tensorrt_on_python(tensorrt: str, python: str = "") -> Iterator[Finding]:
    """Old TensorRT has wheels on PyPI; newer ones are only installers there."""
    wheels = catalogue.tensorrt_wheels()
    release = wheels.release(tensorrt)
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


def tensorrt_on_cuda(tensorrt: str, cuda: str) -> Iterator[Finding]:
    """NVIDIA lists the CUDAs of some series."""
    support = catalogue.tensorrt_support()
    series = next((name for name in support if f"{tensorrt}.".startswith(f"{name}.")), "")
    if series and minor(cuda) and minor(cuda) not in support[series]:
        what = f"NVIDIA does not list TensorRT {tensorrt} for CUDA {minor(cuda)}"
        yield unknown("tensorrt", what, f"it lists {span(support[series])}")


def tensorrt_of_tensorflow(tensorrt: str, tensorflow: str) -> Iterator[Finding]:
    """TensorFlow loads one TensorRT, by exact name."""
    loaded = catalogue.tensorrt_of_tensorflow().get(minor(tensorflow), "")
    if loaded and not f"{tensorrt}.".startswith(f"{loaded}."):
        what = f"tensorflow {tensorflow} loads TensorRT {loaded} only, not {tensorrt}"
        yield note("tensorrt", what, "it runs without, and warns of it")
