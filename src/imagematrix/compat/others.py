"""The rules of Python itself, NumPy, TensorRT and Horovod."""

from collections.abc import Iterator

from imagematrix.compat import catalogue
from imagematrix.compat.finding import Finding, broken, impossible, note, unknown
from imagematrix.compat.wheels import no_wheel
from imagematrix.text.versions import comparison, minor, span, version


def python_end(python: str) -> Iterator[Finding]:
    """Pythons get old."""
    end = catalogue.python_ends().get(minor(python), "")
    if end and end < catalogue.collected():
        living = [name for name, until in catalogue.python_ends().items() if until >= catalogue.collected()]
        yield note("python", f"Python {minor(python)} gets no fixes since {end}", f"{span(living)} do")


def numpy_on_python(numpy: str, python: str) -> Iterator[Finding]:
    """NumPy has wheels for some Pythons; compiling it there fails or takes long."""
    wheels = catalogue.numpy_wheels()
    series = wheels.release(minor(numpy))
    if series and minor(python) and minor(python) not in wheels.pythons[series]:
        what = f"numpy {numpy} has no wheel for Python {minor(python)}"
        having = [name for name, pythons in wheels.pythons.items() if minor(python) in pythons]
        remedy = f"numpy {having[0]} to {having[-1]} have one" if having else wheels.nearest(series, python)
        yield broken("numpy", what, remedy)


def numpy_with_torch(numpy: str, torch: str) -> Iterator[Finding]:
    """Old frameworks were compiled against NumPy 1."""
    yield from _limited("torch", torch, numpy)


def numpy_with_paddle(numpy: str, paddle: str) -> Iterator[Finding]:
    """As `numpy_with_torch`."""
    yield from _limited("paddle", paddle, numpy)


def numpy_with_tensorflow(numpy: str, tensorflow: str) -> Iterator[Finding]:
    """As `numpy_with_torch`; and TensorFlow declares bounds."""
    yield from _limited("tensorflow", tensorflow, numpy)
    release = catalogue.tensorflow_wheels("tensorflow").release(tensorflow)
    declared = catalogue.tensorflow()[release].numpy if release else ""
    meets = comparison(declared) if declared else None
    if meets and meets(numpy) is False:
        yield impossible(
            "numpy", f"tensorflow {tensorflow} cannot be installed with numpy {numpy}", f"it asks for {declared}"
        )


def _limited(package: str, value: str, numpy: str) -> Iterator[Finding]:
    for limit in catalogue.numpy_limits():
        versions, meets = comparison(limit.versions), comparison(limit.numpy)
        if limit.package == package and versions and meets and versions(value) and meets(numpy) is False:
            yield broken(
                "numpy", f"{package} {value} does not run with numpy {numpy}", f"{limit.why}: take numpy {limit.numpy}"
            )


def tensorrt_on_python(tensorrt: str, python: str = "") -> Iterator[Finding]:
    """Old TensorRT has wheels on PyPI; newer ones are only installers there."""
    wheels = catalogue.tensorrt_wheels()
    release = wheels.release(tensorrt)
    if not release:
        yield wheels.unseen("tensorrt", tensorrt)
    elif not wheels.pythons[release]:
        yield note(
            "tensorrt", f"tensorrt {tensorrt} on PyPI is only an installer", "builds need NVIDIA's own index too"
        )
    elif minor(python) and minor(python) not in wheels.pythons[release]:
        installer = next(name for name, pythons in wheels.pythons.items() if not pythons)
        nearest = f"from {installer} on it is an installer, which needs NVIDIA's own index"
        yield no_wheel("tensorrt", "tensorrt", tensorrt, python, wheels.pythons[release], nearest)


def tensorrt_on_cuda(tensorrt: str, cuda: str) -> Iterator[Finding]:
    """NVIDIA lists the CUDAs of some series."""
    support = catalogue.tensorrt_support()
    series = next((name for name in support if f"{tensorrt}.".startswith(f"{name}.")), "")
    if series and minor(cuda) and minor(cuda) not in support[series]:
        what = f"NVIDIA does not list TensorRT {tensorrt} for CUDA {minor(cuda)}"
        yield unknown("tensorrt", what, f"it lists {span(support[series])}")


def tensorrt_of_tensorflow(tensorrt: str, tensorflow: str) -> Iterator[Finding]:
    """TensorFlow loads one TensorRT, by exact name."""
    loaded = catalogue.tensorrt_of_tensorflow().get(minor(tensorflow), "")
    if loaded and not f"{tensorrt}.".startswith(f"{loaded}."):
        what = f"tensorflow {tensorflow} loads TensorRT {loaded} only, not {tensorrt}"
        yield note("tensorrt", what, "it runs without, and warns of it")


def horovod_on_python(horovod: str, python: str = "") -> Iterator[Finding]:
    """Horovod says which Pythons it is for."""
    found = catalogue.horovod().get(horovod)
    if found is None:
        names = tuple(catalogue.horovod())
        what = f"horovod {horovod} is not in the catalogue ({names[0]}-{names[-1]})"
        yield unknown("horovod", what, "nothing is known of it")
        return
    meets = comparison(found.requires_python) if found.requires_python else None
    if meets and minor(python) and meets(minor(python)) is False:
        yield impossible(
            "horovod", f"horovod {horovod} is not for Python {minor(python)}", f"it asks for {found.requires_python}"
        )


def horovod_with_tensorflow(horovod: str, tensorflow: str) -> Iterator[Finding]:
    """Horovod is compiled against the framework: what upstream never tried may not compile."""
    yield from _tested("tensorflow", tensorflow, horovod)


def horovod_with_torch(horovod: str, torch: str) -> Iterator[Finding]:
    """As `horovod_with_tensorflow`."""
    yield from _tested("torch", torch, horovod)


def _tested(package: str, value: str, horovod: str) -> Iterator[Finding]:
    found = catalogue.horovod().get(horovod)
    given = version(value)
    if not found or not given or package not in found.tested:
        return
    low, high = found.tested[package]
    if _within(value, low, high):
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
    given, first, last = version(value), version(low), version(high)
    return bool(given and first and last and first <= given <= last)
