"""TensorRT: the library that TensorFlow looks for, at the row's version."""

from collections.abc import Mapping

from testinfra.host import Host

VERSION = 'import ctypes; print(ctypes.CDLL("libnvinfer.so.8").getInferLibVersion())'


def test_its_version_is_the_rows(host: Host, row: Mapping[str, str]) -> None:
    """The library tells 8.6.1 as 8601."""
    major, minor, patch, *_ = map(int, row["tensorrt"].split("."))
    assert int(host.check_output(f"python -c '{VERSION}'")) == major * 1000 + minor * 100 + patch
