"""The CUDA of a row, and the host driver that it needs."""

from collections.abc import Iterator, Mapping

from imagematrix.compat import catalogue
from imagematrix.compat.finding import Finding, note
from imagematrix.text.versions import minor


def has_cuda(values: Mapping[str, str]) -> bool:
    """Whether a row has CUDA, of its base or of a wheel that brings it: its containers are given GPUs."""
    return (
        "cuda" in values
        or values.get("torch_build", "").startswith("cu")
        or values.get("tensorflow_package", "").endswith("[and-cuda]")
        or values.get("paddle_package", "") == "paddlepaddle-gpu"
    )


def version(values: Mapping[str, str]) -> str:
    """Return the CUDA of a row, of its base or of the wheel that brings it; empty: it has none, or it is not known."""
    build = values.get("torch_build", "")
    if "cuda" in values:
        return values["cuda"]
    if build.startswith("cu"):
        return f"{build[2:-1]}.{build[-1]}"
    if values.get("tensorflow_package", "").endswith("[and-cuda]"):
        release = catalogue.tensorflow().get(values.get("tensorflow", ""))
        return release.cuda if release else ""
    return ""


def driver(cuda: str) -> Iterator[Finding]:
    """Name the host driver that is new enough."""
    toolkit = catalogue.toolkits().get(cuda) or _newest(cuda)
    if toolkit is None:
        return
    if least := least_driver(cuda):
        full = f" ({toolkit.driver} for all of it)" if toolkit.driver and toolkit.driver != least else ""
        yield note("cuda", f"CUDA {cuda} needs a host driver of {least} or newer{full}")


def least_driver(cuda: str) -> str:
    """Return the oldest host driver for a version of CUDA, or nothing."""
    toolkit = catalogue.toolkits().get(cuda) or _newest(cuda)
    return (toolkit.driver_compat or toolkit.driver) if toolkit else ""


def _newest(cuda: str) -> catalogue.Toolkit | None:
    return next((each for name, each in reversed(tuple(catalogue.toolkits().items())) if minor(name) == cuda), None)
