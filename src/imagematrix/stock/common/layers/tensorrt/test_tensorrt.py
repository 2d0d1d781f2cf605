"""TensorRT: the libraries that TensorFlow looks for, at the row's version."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix.testing import Interpreter, cuda

VERSION = 'import ctypes; print(ctypes.CDLL("libnvinfer.so.8").getInferLibVersion())'
BUILT_FOR = """\
from tensorflow.compiler.tf2tensorrt._pywrap_py_utils import get_linked_tensorrt_version
result = get_linked_tensorrt_version()
"""


def test_its_version_is_the_rows(host: Host, row: Mapping[str, str]) -> None:
    """The library tells 8.6.1 as 8601."""
    major, minor, patch, *_ = map(int, row["tensorrt"].split("."))
    assert int(host.check_output(f"python -c '{VERSION}'")) == major * 1000 + minor * 100 + patch


@pytest.mark.slow
def test_tensorflow_finds_the_version_that_it_was_built_for(host: Host, python: Interpreter) -> None:
    """It asks for the files by their whole names: libnvinfer.so.8.6.1."""
    version = ".".join(map(str, python.run("built for", BUILT_FOR)))
    assert cuda.missing(host, tuple(f"lib{name}.so.{version}" for name in ("nvinfer", "nvinfer_plugin"))) == ""
