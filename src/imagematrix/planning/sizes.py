"""How big it gets: what a lock says of its files, what that makes on disk, and the way it is written there.

A lock carries, below the hashes of each package that it adds to those of the layers below, the size of the file that is
downloaded for it: a comment, in no key and in no leaf. What is installed of it is estimated.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from imagematrix.model import Size
from imagematrix.text import toml_text, wheels

_LINE: Final = re.compile(r"^    # downloads (?:\d+|an unknown number of) bytes\n", re.MULTILINE)
_PACKAGE: Final = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]\n]*\])?(?:==([^\s;]+)| @ )", re.MULTILINE)
_TOLD: Final = "    # downloads "
_ENTRY: Final = re.compile(rf"{_PACKAGE.pattern}.*(?:\n    --.*)*(?:\n{_TOLD}(\S+))?", re.MULTILINE)
"""A package with its hashes and its size, if known."""

_GROWTH: Final = (
    ("nvidia-", 0, 1.5),
    ("torch", 300_000_000, 2.0),
    ("paddlepaddle-gpu", 0, 3.9),
    ("", 300_000_000, 2.9),
    ("", 50_000_000, 4.0),
    ("", 0, 3.1),
)
"""How the name of a package begins, from how many bytes on, what it grows by: the first that fits counts.

Measured on 2026-11-22 by unpacking wheels: nvidia-cudnn 1.54, -cublas 1.52, -cusparse 1.35, -nccl 1.32 (they hold
compressed code already); torch 2.4.1 for CUDA 2.04, 2.13.0 for the CPU 3.65; paddlepaddle-gpu 2.6.2 3.91; tensorflow
2.15.1 2.86, 2.20.0 2.94; triton 2.77, scipy 3.1, pandas 3.35, jupyterlab 3.05. And in images built here, filesystem
layers against what they downloaded: tensorflow-cpu with all it requires 4.1-4.3, paddle 3.7, notebook 3.0-3.3, pip and
uv 2.4.
"""


def pins(text: str) -> Mapping[str, str]:
    """Return what a lock installs: package -> version, empty for one that is installed from an address."""
    return {package.name: package.version for package in _packages(text)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """The file that is installed of a package, and its size in bytes, if known."""

    url: str
    size: int | None
    is_source: bool = False
    """No wheel fits the Python and platform, so it must be built."""


def installed(package: str, download: int) -> int:
    """Estimate what a package takes on disk from the size of its file, both in bytes."""
    growth = next(growth for name, least, growth in _GROWTH if package.startswith(name) and download >= least)
    return round(download * growth)


class _Package(NamedTuple):
    name: str
    version: str
    is_told: bool = False
    size: int | None = None


@lru_cache(maxsize=4096)
def of_lock(text: str, below: tuple[str, ...] = ()) -> Size:
    """Return what a lock adds to the layers below, whose locks are given."""
    known = [_size(package) for package in _packages(text) if package.is_told]
    return total([*known, Size(unknown=len(unmeasured(text, below)))])


def _size(package: _Package) -> Size:
    if package.size is None:
        return Size(unknown=1)
    return Size(download=package.size, installed=installed(package.name, package.size))


def total(sizes: Iterable[Size]) -> Size:
    """Return the sum."""
    whole = Size()
    for size in sizes:
        whole += size
    return whole


@lru_cache(maxsize=1024)
def without(text: str) -> str:
    """Return a lock without sizes: what is installed, and what others are resolved upon."""
    return _LINE.sub("", text)


def unmeasured(text: str, below: Iterable[str]) -> frozenset[str]:
    """Return the packages of a lock that should have a size and have none: not those that locks below have too."""
    lacking = {(package.name, package.version) for package in _packages(text) if not package.is_told}
    for lock in below if lacking else ():
        lacking -= {(package.name, package.version) for package in _packages(lock)}
    return frozenset(name for name, _ in lacking)


def downloads(pylock: str, *, python: str, platform: str) -> Mapping[str, Download]:
    """Read uv's answer to what a lock consists of (a pylock.toml): package -> the file that is installed of it."""
    packages = toml_text.read(pylock, file="pylock.toml").get("packages", [])
    return {package["name"]: _download(package, python=python, platform=platform) for package in packages}


def measured(text: str, sizes: Mapping[str, int | None]) -> str:
    """Return a lock with the sizes of more packages, each below its hashes; some are unknown."""
    lines: list[str] = []
    waiting = ""
    for line in text.splitlines(keepends=True):
        if waiting and not line.startswith("    --"):
            lines.append(waiting)
            waiting = ""
        lines.append(line)
        if (found := _PACKAGE.match(line)) and found[1] in sizes:
            waiting = _line(sizes[found[1]])
    return "".join([*lines, waiting])


def _line(size: int | None) -> str:
    return f"{_TOLD}{'an unknown number of' if size is None else size} bytes\n"


def entries(text: str) -> Iterable[tuple[str, str]]:
    """Yield each package of a lock with its lines: name, version and hashes, without comments."""
    yield from ((found[1], found[0].partition(f"\n{_TOLD}")[0]) for found in _ENTRY.finditer(text))


@lru_cache(maxsize=4096)
def _packages(text: str) -> tuple[_Package, ...]:
    return tuple(
        _Package(name, version or "", is_told=told is not None, size=int(told) if told and told.isdecimal() else None)
        for name, version, told in (found.groups() for found in _ENTRY.finditer(text))
    )


def _download(package: Mapping[str, Any], *, python: str, platform: str) -> Download:
    files = {_url(file).rpartition("/")[2]: file for file in package.get("wheels", ())}
    best = wheels.best(files, python=python, platform=platform)
    file = files[best] if best else package.get("sdist") or package.get("archive") or {}
    return Download(url=_url(file), size=file.get("size"), is_source=not best and "sdist" in package)


def _url(file: Mapping[str, Any]) -> str:
    return str(file.get("url") or file.get("path") or "")
