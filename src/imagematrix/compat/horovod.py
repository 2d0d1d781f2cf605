"""The rules of Horovod: an sdist, compiled against a framework."""

from collections.abc import Iterator
from typing import Final

from imagematrix.compat import breakage, catalogue
from imagematrix.compat.finding import broken, impossible, note, unknown
from imagematrix.compat.nvidia import devel
from imagematrix.compat.wheels import is_newer
from imagematrix.diagnostics import Diagnostic
from imagematrix.text.distributions import of_image
from imagematrix.text.versions import comparison, minor, span, version

_FRAMEWORKS: Final = ("tensorflow", "torch")
"""Layers that install one."""


def horovod_on_python(horovod: str, python: str = "") -> Iterator[Diagnostic]:
    """Horovod says which Pythons it is for."""
    found = catalogue.horovod().get(horovod)
    if found is None:
        names = tuple(catalogue.horovod())
        is_new = is_newer(horovod, names[-1])
        what = f"horovod {horovod} is {'newer than' if is_new else 'not in'} the catalogue ({names[0]}-{names[-1]})"
        yield unknown("horovod", what, catalogue.outlook("horovod") if is_new else "nothing is known about it")
        return
    meets = comparison(found.requires_python) if found.requires_python else None
    if meets and minor(python) and meets(minor(python)) is False:
        yield impossible(
            "horovod", f"horovod {horovod} is not for Python {minor(python)}", f"it asks for {found.requires_python}"
        )
    elif minor(python) and minor(python) not in found.pythons:
        what = f"upstream never tested horovod {horovod} with Python {minor(python)}"
        yield note("horovod", what, f"it tested {span(found.pythons)}; it is compiled here, so the build will show it")


def horovod_on_cuda(horovod: str, cuda: str) -> Iterator[Diagnostic]:
    """Upstream tried it with some CUDAs; it is compiled for that of its base."""
    found = catalogue.horovod().get(horovod)
    if not found or not minor(cuda) or minor(cuda) in found.cudas:
        return
    having = [name for name, each in catalogue.horovod().items() if minor(cuda) in each.cudas]
    other = f"; horovod {having[0]} was tested with it" if having else ""
    what = f"upstream never tested horovod {horovod} with CUDA {minor(cuda)}"
    yield note("horovod", what, f"it tested {span(found.cudas)}{other}")


def horovod_is_compiled(horovod: str, base_image: str) -> Iterator[Diagnostic]:
    """There are no wheels: it is compiled where it is installed, with CUDA's own compiler."""
    if instead := devel(base_image):
        what = f"horovod {horovod} is compiled, and {base_image} has no compiler of CUDA"
        yield broken("horovod", what, f"take {instead}")


def horovod_after_framework(
    horovod: str, layers: str, torch: str = "", tensorflow: str = "", base_image: str = "", bootstrap: str = ""
) -> Iterator[Diagnostic]:
    """Frameworks come first: it is compiled against what is installed before it. A destination's base may bring one."""
    order = layers.split()
    if "horovod" not in order:
        return
    if later := [name for name in order[order.index("horovod") :] if name in _FRAMEWORKS]:
        what = f"horovod {horovod} is compiled against {' and '.join(later)}, which the family installs after it"
        yield broken("horovod", what, "put layer horovod after it")
    elif not (torch or tensorflow) and (bootstrap or of_image(base_image)):
        what = f"horovod {horovod} is compiled against a framework, and the row has none"
        yield broken("horovod", what, f"put layer {' or '.join(_FRAMEWORKS)} before it")


def horovod_with_tensorflow(horovod: str, tensorflow: str) -> Iterator[Diagnostic]:
    """Horovod is compiled against the framework: what upstream never tried may not compile."""
    yield from _tested("tensorflow", tensorflow, horovod)


def horovod_with_torch(horovod: str, torch: str) -> Iterator[Diagnostic]:
    """As `horovod_with_tensorflow`."""
    yield from _tested("torch", torch, horovod)


def _tested(package: str, value: str, horovod: str) -> Iterator[Diagnostic]:
    found = catalogue.horovod().get(horovod)
    given = version(value)
    if not found or not given or package not in found.tested:
        return
    low, high = found.tested[package]
    if _within(value, low, high) or breakage.is_known({"horovod": horovod, package: value}):
        return
    having = [
        name
        for name, each in catalogue.horovod().items()
        if package in each.tested and _within(value, *each.tested[package])
    ]
    other = f"; horovod {having[-1]} was tested with it" if having else ""
    what = f"upstream never tested horovod {horovod} with {package} {value}"
    yield unknown("horovod", what, f"it tested {low} to {high}{other}")


def _within(value: str, low: str, high: str) -> bool:
    # A patch release changes nothing that is compiled against.
    given, first, last = version(minor(value)), version(minor(low)), version(minor(high))
    return bool(given and first and last and first <= given <= last)
