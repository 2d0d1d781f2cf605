"""What stands below a framework: distributions, glibc, Python, Miniconda."""

from collections.abc import Mapping
from dataclasses import dataclass

from imagematrix.compat.catalogue.store import cache, read


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A release of a distribution."""

    name: str
    also: tuple[str, ...]
    """Its other names."""
    python: str
    """That of its own `python3`; empty: it has none, or it is not known."""
    packages: str
    """Its package manager: `apt`, `dnf`, `yum`, `apk`."""
    libc: str
    """`glibc` or `musl`."""
    eol: str
    """The day of its last free security fix; empty: not known."""
    mirror: str
    """`gone` or `leaving` where its packages are not, or not all, on the mirrors that its images name."""

    @property
    def kind(self) -> str:
        """Its name without its version."""
        return self.name.rstrip("0123456789.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GlibcBound:
    """What some versions need of a distribution."""

    versions: str
    glibc: str
    machine: str
    """The processor they are for; empty: any."""


@cache
def miniconda() -> Mapping[str, tuple[str, ...]]:
    """Return Miniconda by release, oldest first -> the Pythons of the installers that were seen."""
    return {each["release"]: tuple(each["python"]) for each in read("miniconda")["releases"]}


@cache
def miniconda_glibc() -> tuple[GlibcBound, ...]:
    """Return the lowest glibc that Miniconda's installers start on."""
    return tuple(
        GlibcBound(versions=each["versions"], glibc=each["glibc"], machine=each.get("machine", ""))
        for each in read("miniconda")["glibc"]
    )


@cache
def python_ends() -> Mapping[str, str]:
    """Return Python minor -> the day its support ends, where that is known."""
    return {each["python"]: each["eol"] for each in read("python")["python"] if each.get("eol")}


@cache
def python_patches() -> Mapping[str, str]:
    """Return Python minor -> the oldest patch release that images have, where packages refuse older ones."""
    return {each["python"]: each["patch"] for each in read("python")["python"] if each.get("patch")}


@cache
def distributions() -> Mapping[str, Distribution]:
    """Return distributions by all of their names."""
    found = [
        Distribution(
            name=each["os"],
            also=tuple(each.get("also", ())),
            python=each.get("python", ""),
            packages=each["packages"],
            libc=each["libc"],
            eol=each.get("eol", ""),
            mirror=each.get("mirror", ""),
        )
        for each in read("distributions")["distributions"]
    ]
    return {name: each for each in found for name in (each.name, *each.also)}


@cache
def glibc() -> Mapping[str, str]:
    """Return distribution, by all of its names -> its glibc."""
    return dict(read("python")["glibc"])
