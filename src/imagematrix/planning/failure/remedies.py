"""What to do about a failure whose cause is outside of the build: a full disk, an archive that has moved or expired."""

import re
from typing import Final

from imagematrix.compat import bases
from imagematrix.text.distributions import of_suite

DISK_FULL: Final = r"[Nn]o space left on device"
_NO_RELEASE: Final = re.compile(
    r"The repository '\S+ (\S+) +(?:In)?Release' (?:does not have|no longer has) a Release file"
)
_NOT_FOUND: Final = re.compile(r"Failed to fetch \S+/dists/(\S+?)/\S+ +404 ")
_EXPIRED: Final = re.compile(r"Release file for \S+/dists/(\S+)/(?:In)?Release is expired")
_NO_MIRROR: Final = re.compile(r"CentOS (?:Linux )?(\d)\b(?=.*No URLs in mirrorlist)", re.DOTALL)
_RETIRED: Final = re.compile(r"mirrorlist\.centos\.org")
"""CentOS's list of mirrors, which ended with CentOS 7 on 2024-06-30."""
_ROTATED: Final = re.compile(r"NO_PUBKEY (?:A4B469963BF863CC|F60F4B3D7FA2AF80)")
"""NVIDIA's keys, the new and the old (https://developer.nvidia.com/blog/updating-the-cuda-linux-gpg-repository-key/)."""

_OTHER_PROCESSOR: Final = re.compile(r"[Ee]xec format error")
_NO_EMULATOR: Final = (
    "programs of this processor do not run on the engine's machine: install qemu-user-static there (docs/platforms.md)"
)
_NEW_KEY: Final = (
    "NVIDIA replaced the key of its archive on 2022-04-27, and the base has another one: take a newer build of the base"
    " (`invoke lock --bases --upgrade`), install cuda-keyring before `apt-get update`, or, where nothing is installed"
    " from there, remove the archive's file below /etc/apt/sources.list.d"
)


def remedy(said: str) -> str:
    """Return what a person can do about a failure that is not the build's own, after a "; "; mostly nothing."""
    found = _room(said) or _emulator(said) or _key(said) or _archive(said)
    return f"; {found}" if found else ""


def _room(said: str) -> str:
    return "`invoke gc` makes room on the disk" if re.search(DISK_FULL, said) else ""


def _emulator(said: str) -> str:
    return _NO_EMULATOR if _OTHER_PROCESSOR.search(said) else ""


def _key(said: str) -> str:
    return _NEW_KEY if _ROTATED.search(said) else ""


def _archive(said: str) -> str:
    """Say where the packages of a distribution past its end are, in the words of `invoke check`."""
    if found := _NO_RELEASE.search(said) or _NOT_FOUND.search(said):
        return bases.moved(_distribution(found[1]))
    if found := _EXPIRED.search(said):
        return bases.expired(_distribution(found[1]))
    if found := _NO_MIRROR.search(said):
        return bases.moved(f"centos{found[1]}")
    return bases.moved("centos7") if _RETIRED.search(said) else ""


def _distribution(suite: str) -> str:
    """Return the distribution of any of its suites: `buster-updates`, `buster/updates`, `kinetic-security`."""
    return of_suite(re.split(r"[-/]", suite)[0])
