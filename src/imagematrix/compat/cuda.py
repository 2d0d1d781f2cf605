"""How builds name a CUDA (`cu121`), and the host driver that it needs."""

import re
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.text.versions import minor

_BUILD: Final = re.compile(r"cu(?P<major>\d+)(?P<minor>\d)")


def of_build(build: str) -> str:
    """Return the CUDA of a build: `12.1` of `cu121`; nothing for one without CUDA."""
    match = _BUILD.fullmatch(build)
    return f"{match['major']}.{match['minor']}" if match else ""


def build_for(cuda: str) -> str:
    """Return what builds for a CUDA are called: `cu121`."""
    return f"cu{minor(cuda).replace('.', '')}"


def least_driver(cuda: str) -> str:
    """Return the oldest host driver for a version of CUDA, or nothing."""
    toolkit = _toolkit(cuda)
    return (toolkit.driver_compat or toolkit.driver) if toolkit else ""


def full_driver(cuda: str) -> str:
    """Return the oldest host driver for all features of a version of CUDA, or nothing."""
    toolkit = _toolkit(cuda)
    return toolkit.driver if toolkit else ""


@catalogue.cache  # each row requires the driver of its CUDA
def _toolkit(cuda: str) -> catalogue.Toolkit | None:
    """Return a toolkit; of a minor version, its newest patch."""
    patches = [toolkit for name, toolkit in catalogue.toolkits().items() if minor(name) == cuda]
    return catalogue.toolkits().get(cuda) or (patches[-1] if patches else None)
