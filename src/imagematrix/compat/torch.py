"""The rules of torch, torchvision and torchaudio.

A build is what a local version names: `cpu`, `cu121`, `rocm6.1`. A row says it by `torch_build`, or as in
`2.3.0+cu121`; without either, it is the one that PyPI has.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.cuda import of_build
from imagematrix.compat.finding import broken, impossible, note, unknown
from imagematrix.compat.glibc import lacks, too_old
from imagematrix.compat.wheels import is_newer
from imagematrix.diagnostics import Diagnostic
from imagematrix.text.versions import meets, minor, span, version

_INDEX: Final = "https://download.pytorch.org/whl/"
"""Has each build under its name."""
_INDEX_OF_BUILD: Final = re.compile(r"https?://download\.pytorch\.org/whl/(?P<build>cpu|cu\d+|rocm[\d.]+|xpu)/?")
_ROCM: Final = re.compile(r"rocm(?P<version>\d+(?:\.\d+)*)")
_MISSPELT: Final = re.compile(r"(?:cu|cuda)?[-_ ]?(?P<major>\d\d)\.?(?P<minor>\d)(?:\.\d+)?")
"""How people write the CUDA of a build; right is `cu121`."""


def torch_on_python(torch: str, python: str = "") -> Iterator[Diagnostic]:
    """Torch has wheels for some Pythons; one too new for the catalogue is only warned of."""
    yield from catalogue.torch_wheels().on_python("torch", torch, python)


def torch_build(torch: str, torch_build: str = "", torch_index: str = "") -> Iterator[Diagnostic]:
    """Not every build was made. The catalogue lists those for CPUs and CUDA, and of some releases those for ROCm."""
    release = catalogue.torch_wheels().release(torch)
    named = torch_build or _local(torch)
    build = named or _of_index(torch_index)
    builds = catalogue.torch()[release].builds if release else ()
    if not build or not builds or build in builds:  # no builds are known of a release that only the index lists
        return
    about = "torch_build" if torch_build else "torch" if named else "torch_index"
    misspelt = None if of_build(build) else _MISSPELT.fullmatch(build)
    if misspelt:
        right = f"cu{misspelt['major']}{misspelt['minor']}"
        yield impossible(about, f"{build!r} is not the name of a build of torch", f"write {right}")
    elif _was_never_made(build, release):
        yield impossible(about, f"torch {release} has no {build} build", f"there are {', '.join(builds)}")
    elif _ROCM.fullmatch(build):
        yield from _rocm(about, release, build)
    else:
        yield unknown(about, f"torch {release}+{build} is not in the catalogue", f"it knows {', '.join(builds)}")


def _rocm(about: str, release: str, build: str) -> Iterator[Diagnostic]:
    """Judge a ROCm build by those of the releases around: none that was dropped came back, nor was one made later."""
    known, series = catalogue.torch_rocm(), minor(release)
    here = known.get(series, ())
    later = [builds for name, builds in known.items() if is_newer(name, series)]
    earlier = [builds for name, builds in known.items() if is_newer(series, name)]
    is_newer_than_later = any(is_newer(_rocm_of(build), _rocm_of(builds[-1])) for builds in later)
    if is_newer_than_later or any(is_newer(_rocm_of(builds[0]), _rocm_of(build)) for builds in earlier):
        there = f"it has {', '.join(here)}" if here else "see the index of torch"
        yield broken(about, f"torch {release} has no {build} build", there)
    elif here and build not in here:
        yield unknown(about, f"torch {release}+{build} is not in the catalogue", f"it knows {', '.join(here)}")
    elif not here:
        yield note(about, f"which ROCm builds torch {release} has is not known")


def torch_index(torch: str, torch_build: str = "", torch_index: str = "") -> Iterator[Diagnostic]:
    """PyPI has one build of each release: other builds need an index, `torch_index`."""
    release = catalogue.torch_wheels().release(torch)
    default = catalogue.torch()[release].default if release else ""
    build, about = torch_build or _local(torch), "torch_build" if torch_build else "torch"
    index = f'torch_index = "{_INDEX}{build}"'
    its = _of_index(torch_index)
    if build and its and its != build:
        yield broken("torch_index", f"{torch_index} has {its} builds, the row asks for {build}", index)
    if not build or torch_index or not default or build == default or _was_never_made(build, release):
        return
    what = f"PyPI has torch {release} as {default}, not as {build}"
    if of_build(build) and build in catalogue.torch()[release].builds:
        yield broken(about, what, f"add {index}; where the site's own index has it, say so in allow")
    else:  # builds for CPUs are small enough for a wheelhouse, and of others little is known
        yield note(about, what, f"add {index}, or have it in the site's index or wheelhouse")


def torch_on_os(torch: str, os: str, torch_build: str = "", torch_index: str = "") -> Iterator[Diagnostic]:
    """Its wheels need a glibc, which the distribution decides; of some releases, only newer builds do."""
    release = catalogue.torch_wheels().release(torch)
    if not release:
        return
    known, build = catalogue.torch()[release], build_of(torch, torch_build, torch_index)
    needed = known.glibc.get(build, "") if build in known.builds else _lowest_glibc(known)
    older = [each for each in known.builds if of_build(each) and each not in known.glibc]
    if older and lacks(os, needed):
        what = f"torch {release}+{build} needs glibc {needed}, {os} has {catalogue.glibc()[os]}"
        yield impossible("torch", what, f"torch_build={older[-1]} does not")
        return
    last = [name for name, each in catalogue.torch().items() if not _lowest_glibc(each)]
    yield from too_old("torch", torch, needed, os, last[-1] if last else "")


def _lowest_glibc(known: catalogue.Torch) -> str:
    """Return the lowest glibc that any build of a release installs on; empty: any that matters."""
    return min(known.glibc.values()) if known.builds and len(known.glibc) == len(known.builds) else ""


def torchvision(
    torch: str, torchvision: str, python: str = "", torch_build: str = "", torch_index: str = ""
) -> Iterator[Diagnostic]:
    """Each torchvision is for one torch or, since 0.29.1, for all from one on."""
    yield from _partner("torchvision", torch, torchvision, python, torch_build, torch_index)


def torchaudio(
    torch: str, torchaudio: str, python: str = "", torch_build: str = "", torch_index: str = ""
) -> Iterator[Diagnostic]:
    """Each torchaudio is for one torch or, since 2.11.0, for all from one on."""
    yield from _partner("torchaudio", torch, torchaudio, python, torch_build, torch_index)


def build_of(torch: str, torch_build: str = "", torch_index: str = "") -> str:
    """Return the build of torch that a row has: the one that it or its index names, else PyPI's; empty: not known."""
    release = catalogue.torch_wheels().release(torch)
    named = torch_build or _local(torch) or _of_index(torch_index)
    return named or (catalogue.torch()[release].default if release else "")


def local_version(values: Mapping[str, str]) -> str:
    """Return the local version by which an index has the build that a row names: `+cu121`.

    PyPI's one build of each release has none, so its name is not used there.
    """
    build, release = values.get("torch_build", ""), catalogue.torch_wheels().release(values.get("torch", ""))
    is_on_pypi = bool(release) and build == catalogue.torch()[release].default and not values.get("torch_index")
    return f"+{build}" if build and not is_on_pypi else ""


def partner(package: str, torch: str, build: str = "", python: str = "") -> str:
    """Return the release of torchvision or torchaudio that goes with a torch, by default as PyPI has both.

    A release for the same CUDA is preferred to a newer one; nothing if none is known.
    """
    build = build or build_of(torch)
    suited = [
        (each.build == build, name)
        for name, each in catalogue.partners(package).items()
        if _admits(each, torch)
        and not each.is_yanked
        and (not python or python in each.pythons)
        and not _differs(each.checks, each.build, build)
    ]
    return max(reversed(suited), key=lambda each: each[0])[1] if suited else ""


def _partner(
    package: str, torch: str, value: str, python: str, torch_build: str, torch_index: str
) -> Iterator[Diagnostic]:
    known = catalogue.partners(package)
    release = catalogue.partner_wheels(package).release(value)
    build = build_of(torch, torch_build, torch_index)
    if version(torch) is None:
        return
    if not release:
        what = f"{package} {value} is not in the catalogue ({catalogue.partner_wheels(package).extent})"
        yield unknown(package, what, _take(package, torch, "", python))
        return
    its = _build_of_partner(known[release], value, torch_build, torch_index)
    if not _admits(known[release], torch):
        what = f"{package} {value} does not go with torch {torch}"
        yield broken(package, what, f"it is for torch{known[release].torch}; {_take(package, torch, '', python)}")
    elif _differs(known[release].checks, its, build):
        what = f"{package} {value} was built for CUDA {of_build(its)}, torch {torch} for {of_build(build)}"
        yield broken(package, what, f"importing it raises an error; {_take(package, torch, build, python)}")
    else:
        yield from _partner_on_python(package, torch, value, python)
        if known[release].is_yanked:
            yield note(package, f"{package} {value} was withdrawn from PyPI", _take(package, torch, build, python))


def _partner_on_python(package: str, torch: str, value: str, python: str) -> Iterator[Diagnostic]:
    wheels, of_torch = catalogue.partner_wheels(package), catalogue.torch_wheels()
    pythons, release = wheels.pythons[wheels.release(value)], of_torch.release(torch)
    # A Python that torch itself has no wheel for is reported by torch_on_python.
    if not release or minor(python) not in of_torch.pythons[release] or minor(python) in pythons:
        return
    if other := partner(package, torch, python=minor(python)):
        remedy = f"take {package}={other}"
    else:
        later = [
            name
            for name, on in of_torch.pythons.items()
            if is_newer(name, release) and minor(python) in on and partner(package, name, python=minor(python))
        ]
        remedy = f"the first torch whose {package} has one is {later[0]}" if later else ""
    what = f"{package} {value} has no wheel for Python {minor(python)} on PyPI"
    yield broken(package, what, "; ".join(filter(None, [f"wheels exist for {span(pythons)}", remedy])))


def _take(package: str, torch: str, build: str, python: str) -> str:
    """Return in words which partner goes with a torch, as `add` takes it: PyPI's, else the same build of one."""
    wanted = partner(package, torch, build, minor(python)) or partner(package, torch, build)
    if not wanted and build and (other := partner(package, torch.partition("+")[0])):
        wanted = f"{other}+{build}"
    return f"take {package}={wanted}" if wanted else f"none is known to go with torch {torch}"


def _build_of_partner(known: catalogue.Partner, value: str, torch_build: str, torch_index: str) -> str:
    """Return the build that is installed: torch's where that is named, else PyPI's; empty: not known."""
    return torch_build or _local(value) or ("" if torch_index else known.build)


def _admits(known: catalogue.Partner, torch: str) -> bool:
    return meets(torch.partition("+")[0], known.torch)


def _differs(checks: str, one: str, other: str) -> bool:
    """Whether a partner's check at import finds that two builds have different CUDAs."""
    left, right = of_build(one), of_build(other)
    if not checks or not left or not right:
        return False
    return left != right if checks == "minor" else left.partition(".")[0] != right.partition(".")[0]


def _of_index(torch_index: str) -> str:
    """Return the build that one of torch's own indexes has: `cu121` of `.../whl/cu121`."""
    match = _INDEX_OF_BUILD.fullmatch(torch_index)
    return match["build"] if match else ""


def _rocm_of(build: str) -> str:
    """Return the ROCm of a build: `6.1` of `rocm6.1`."""
    match = _ROCM.fullmatch(build)
    return match["version"] if match else ""


def _local(value: str) -> str:
    return value.partition("+")[2]


def _was_never_made(build: str, release: str) -> bool:
    """Whether a release is known not to have a build; of kinds that the catalogue does not list, nothing is known."""
    known = catalogue.torch()[release]
    if build in known.builds or not known.builds or not (build == "cpu" or of_build(build)):
        return False
    return known.is_complete or _is_older(build, known.builds)


def _is_older(build: str, builds: tuple[str, ...]) -> bool:
    """Whether a build is for an older CUDA than all of a release: what was dropped does not come back."""
    return bool(of_build(build)) and all(
        is_newer(cuda, of_build(build)) for cuda in filter(None, map(of_build, builds))
    )
