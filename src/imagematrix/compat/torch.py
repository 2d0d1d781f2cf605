"""The rules of torch, torchvision and torchaudio."""

from collections.abc import Iterator

from imagematrix.compat import catalogue
from imagematrix.compat.cuda import least_driver
from imagematrix.compat.finding import Finding, broken, impossible, note
from imagematrix.compat.wheels import glibc_too_old, is_newer, no_wheel
from imagematrix.text.versions import minor, span, version


def torch_on_python(torch: str, python: str = "") -> Iterator[Finding]:
    """Torch has wheels for some Pythons; one too new for the catalogue is only warned of."""
    yield from catalogue.torch_wheels().on_python("torch", torch, python)


def torch_build(torch: str, torch_build: str = "", python: str = "") -> Iterator[Finding]:
    """Not every CUDA build was made: one is asked for by `torch_build`, or as in `2.3.0+cu121`."""
    wheels = catalogue.torch_wheels()
    release = wheels.release(torch)
    build = torch_build or torch.partition("+")[2]
    if not release or not build:
        return
    builds = catalogue.torch()[release].builds
    if not builds:  # a release that only the index has told of
        return
    if build not in builds:
        yield impossible(
            "torch_build" if torch_build else "torch",
            f"torch {release} has no {build} build",
            f"there are {', '.join(builds)}",
        )
    elif minor(python) in wheels.pythons[release] and minor(python) not in builds[build]:
        nearest = f"{', '.join(name for name in builds if minor(python) in builds[name])} have one"
        yield no_wheel("torch", "torch", f"{release}+{build}", python, builds[build], nearest)


def torch_on_os(torch: str, os: str) -> Iterator[Finding]:
    """Its wheels need a glibc, which the distribution decides."""
    release = catalogue.torch_wheels().release(torch)
    needed = catalogue.torch()[release].glibc if release else ""
    last = [name for name, each in catalogue.torch().items() if not each.glibc]
    yield from glibc_too_old("torch", torch, needed, os, catalogue.glibc(), last[-1] if last else "")


def torch_brings_cuda(torch: str, torch_build: str = "", cuda: str = "") -> Iterator[Finding]:
    """Each CUDA build brings CUDA and cuDNN of its own: the base's are for what is compiled there."""
    release = catalogue.torch_wheels().release(torch)
    named = torch_build or torch.partition("+")[2]
    build = named or (catalogue.torch()[release].default if release and cuda else "")
    if not release or build not in catalogue.torch()[release].builds:
        return
    name = f"torch {release}+{build}" if named else f"PyPI's torch {release}"
    if build == "cpu":
        if minor(cuda):
            yield note("torch", f"{name} is a CPU build", f"the base's CUDA {minor(cuda)} is not used")
        return
    brought = f"{build[2:-1]}.{build[-1]}"
    if minor(cuda) == brought:
        return
    what = f"{name} brings CUDA {brought}" + (f", the base has {minor(cuda)}" if minor(cuda) else "")
    least = least_driver(brought)
    driver = f"a host driver of {least} or newer" if least else "a host driver for it"
    yield note("torch", what, f"it uses its own, and needs {driver}")


def torchvision(torch: str, torchvision: str, python: str = "") -> Iterator[Finding]:
    """Each torch has its torchvision."""
    yield from _partner("torchvision", torch, torchvision, python)


def torchaudio(torch: str, torchaudio: str, python: str = "") -> Iterator[Finding]:
    """Each torch has its torchaudio."""
    yield from _partner("torchaudio", torch, torchaudio, python)


def _partner(package: str, torch: str, value: str, python: str) -> Iterator[Finding]:
    release = catalogue.torch_wheels().release(torch)
    wanted = catalogue.torch()[release].partners.get(package, "") if release else ""
    if not wanted:
        return
    if version(value) != version(wanted):
        others = [
            name
            for name, each in catalogue.torch().items()
            if version(each.partners.get(package, "")) == version(value)
        ]
        theirs = f"; {package} {value} goes with torch {', '.join(others)}" if others and version(value) else ""
        yield broken(package, f"{package} {value} does not go with torch {torch}", f"{wanted} does{theirs}")
        return
    pythons = catalogue.torch()[release].partner_pythons[package]
    # Where torch itself has no wheel, that is told and enough.
    if minor(python) in catalogue.torch_wheels().pythons[release] and minor(python) not in pythons:
        later = [
            name
            for name, each in catalogue.torch().items()
            if minor(python) in each.partner_pythons.get(package, ()) and is_newer(name, release)
        ]
        first = f"; the first torch whose {package} has one is {later[0]}" if later else ""
        yield broken(
            package,
            f"{package} {value} has no wheel for Python {minor(python)} on PyPI",
            f"wheels exist for {span(pythons)}{first}",
        )
