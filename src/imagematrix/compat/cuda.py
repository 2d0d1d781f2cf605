"""The host driver that a CUDA needs."""

from imagematrix.compat import catalogue
from imagematrix.text.versions import minor


def least_driver(cuda: str) -> str:
    """Return the oldest host driver for a version of CUDA, or nothing."""
    toolkit = _toolkit(cuda)
    return (toolkit.driver_compat or toolkit.driver) if toolkit else ""


def full_driver(cuda: str) -> str:
    """Return the oldest host driver for all features of a version of CUDA, or nothing."""
    toolkit = _toolkit(cuda)
    return toolkit.driver if toolkit else ""


@catalogue.cache  # each row asks for the driver of its CUDA
def _toolkit(cuda: str) -> catalogue.Toolkit | None:
    """Return a toolkit; of a minor version, its newest patch."""
    patches = [toolkit for name, toolkit in catalogue.toolkits().items() if minor(name) == cuda]
    return catalogue.toolkits().get(cuda) or (patches[-1] if patches else None)
