"""The libraries of CUDA that a framework loads when it meets a GPU, and which of them an image lacks.

They are loaded by name at run time, so on a machine without a GPU nothing fails: seed 002's `libcudnn.so.8` was missed
only on one. The driver's own (libcuda.so.1) come with the machine, not with the image.
"""

from typing import Final

from testinfra.host import Host

_NAMES: Final = (
    ((12, 0), "cudart.12 cublas.12 cublasLt.12 cufft.11 cusolver.11 cusparse.12"),
    ((11, 1), "cudart.11.0 cublas.11 cublasLt.11 cufft.10 cusolver.11 cusparse.11"),
    ((11, 0), "cudart.11.0 cublas.11 cublasLt.11 cufft.10 cusolver.10 cusparse.11"),
    ((10, 1), "cudart.10.{minor} cublas.10 cufft.10 cusolver.10 cusparse.10"),
    ((8, 0), "cudart.{major}.{minor} cublas.{major}.{minor} cufft.{major}.{minor} cusparse.{major}.{minor}"),
)
"""The names under which a CUDA's libraries are loaded, from this release on (NVIDIA's release notes)."""

_MISSING: Final = """\
import ctypes, glob, os, sysconfig
packages = sysconfig.get_paths()["purelib"]
for name in {names!r}:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        if not glob.glob(os.path.join(packages, "nvidia", "*", "lib", name)):  # where a framework's RPATH leads
            print(error)
"""


def libraries(cuda: str, cudnn: str) -> tuple[str, ...]:
    """Return what a framework built for this CUDA and cuDNN loads: `libcudart.so.12`; nothing for one without CUDA."""
    if not cuda:
        return ()
    major, minor = (int(part) for part in [*cuda.split("."), "0"][:2])
    names = next((names for least, names in _NAMES if (major, minor) >= least), "")
    found = names.format(major=major, minor=minor).split() + ([f"cudnn.{cudnn.partition('.')[0]}"] if cudnn else [])
    return tuple(f"lib{name.replace('.', '.so.', 1)}" for name in found)


def missing(host: Host, names: tuple[str, ...]) -> str:
    """Return what the loader says of those it does not find: by LD_LIBRARY_PATH, by ldconfig, or in NVIDIA's wheels."""
    return str(host.check_output(f"python - <<'END'\n{_MISSING.format(names=names)}END"))
