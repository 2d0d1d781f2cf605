"""What well-known images say of themselves by their names: the distribution, and a Python of their own."""

import re
from functools import lru_cache
from typing import Final

_SUITES: Final = {
    "jessie": "debian8",
    "stretch": "debian9",
    "buster": "debian10",
    "bullseye": "debian11",
    "bookworm": "debian12",
    "trixie": "debian13",
    "trusty": "ubuntu14.04",
    "xenial": "ubuntu16.04",
    "bionic": "ubuntu18.04",
    "focal": "ubuntu20.04",
    "groovy": "ubuntu20.10",
    "hirsute": "ubuntu21.04",
    "impish": "ubuntu21.10",
    "jammy": "ubuntu22.04",
    "kinetic": "ubuntu22.10",
    "lunar": "ubuntu23.04",
    "mantic": "ubuntu23.10",
    "noble": "ubuntu24.04",
    "oracular": "ubuntu24.10",
    "resolute": "ubuntu26.04",
}

_MAJOR: Final = r"(\d+)(?:[.-].*)?"
_SERIES: Final = r"(\d+\.\d+)(?:[.-].*)?"
_CENTOS: Final = r"centos(?:/centos)?"
_BY_NAME: Final = (
    ("ubuntu", _SERIES, "ubuntu"),
    ("debian", _MAJOR, "debian"),
    (r"rockylinux(?:/rockylinux)?", _MAJOR, "rocky"),
    (r"almalinux(?:/almalinux)?", _MAJOR, "almalinux"),
    (_CENTOS, r"(?:centos)?([78])(?:\..*)?", "centos"),
    (_CENTOS, r"stream(\d+)", "centosstream"),
    ("alpine", _SERIES, "alpine"),
    (r"amazonlinux(?:/amazonlinux)?", r"(2|2023)(?:\..*)?", "amazonlinux"),
    ("openeuler/openeuler", _SERIES, "openeuler"),
    ("fedora", _MAJOR, "fedora"),
    ("opensuse/leap", _SERIES, "opensuse"),
)
"""An image's name without its registry, its tag with the release in it, and what the distribution is called."""

_CODENAMED: Final = ("ubuntu", "debian", "python", "buildpack-deps")
"""Images whose tags name suites: `focal`, `3.11-slim-bookworm`."""

_UBI: Final = re.compile(r"(?:redhat/)?ubi(\d+)(?:/ubi(?:-minimal|-init|-micro)?|-minimal|-init|-micro)?")
_CUDA: Final = re.compile(r".*-(ubuntu\d+\.\d+|rockylinux\d+|ubi\d+|centos\d+)")
_ON_ALPINE: Final = re.compile(r".*-alpine(\d+\.\d+)")
_PYTHON: Final = re.compile(r"(\d+\.\d+)(?:[.-].*)?")


def of_suite(suite: str) -> str:
    """Return the distribution of a suite that a base is made from, `debian12` of `bookworm`; else nothing."""
    return _SUITES.get(suite, "")


def suites() -> tuple[str, ...]:
    """Return the suites that bases are made from."""
    return tuple(_SUITES)


@lru_cache(maxsize=4096)  # thousands of rows share a base
def of_image(image: str) -> str:
    """Return the distribution of an image, by its name and tag, as bases call it: `ubuntu20.04`; else nothing."""
    name, tag = _parts(image)
    if name == "nvidia/cuda":
        return _fixed(found[1]) if (found := _CUDA.fullmatch(tag)) else ""
    if found := _UBI.fullmatch(name):
        return f"ubi{found[1]}"
    if name in _CODENAMED:
        suites = [_SUITES[word] for word in tag.split("-") if word in _SUITES]
        if suites:
            return suites[0]
        if found := _ON_ALPINE.fullmatch(tag):
            return f"alpine{found[1]}"
    for names, tags, distribution in _BY_NAME:
        if re.fullmatch(names, name) and (found := re.fullmatch(tags, tag)):
            return distribution + found[1]
    return ""


def own_python(image: str) -> str:
    """Return the Python that an image brings beside its distribution's, as those called `python` do; else nothing."""
    name, tag = _parts(image)
    found = _PYTHON.fullmatch(tag) if name == "python" else None
    return found[1] if found else ""


def _parts(image: str) -> tuple[str, str]:
    """Return an image's name, without a registry and what Docker Hub calls its own images, and its tag."""
    whole = image.partition("@")[0]
    name, _, tag = whole.rpartition(":") if ":" in whole.rpartition("/")[2] else (whole, "", "")
    host, _, path = name.partition("/")
    if path and ("." in host or ":" in host or host == "localhost"):
        name = path
    return name.removeprefix("docker/").removeprefix("library/"), tag


def _fixed(system: str) -> str:
    return system.replace("rockylinux", "rocky")
