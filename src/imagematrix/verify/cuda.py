"""The libraries of CUDA that a framework loads when it meets a GPU: which of them an image lacks, which lie idle in it.

They are loaded by name at run time, so on a machine without a GPU nothing fails: seed 002's `libcudnn.so.8` was missed
only on one. The driver's own (libcuda.so.1) come with the machine, not with the image.
"""

from collections.abc import Mapping
from typing import Final

from testinfra.host import Host

from imagematrix.compat import CudaUse
from imagematrix.text.versions import minor

_NAMES: Final = (
    ((12, 0), "cudart.12 cublas.12 cublasLt.12 cufft.11 cusolver.11 cusparse.12"),
    ((11, 1), "cudart.11.0 cublas.11 cublasLt.11 cufft.10 cusolver.11 cusparse.11"),
    ((11, 0), "cudart.11.0 cublas.11 cublasLt.11 cufft.10 cusolver.10 cusparse.11"),
    ((10, 1), "cudart.10.{minor} cublas.10 cufft.10 cusolver.10 cusparse.10"),
    ((8, 0), "cudart.{major}.{minor} cublas.{major}.{minor} cufft.{major}.{minor} cusparse.{major}.{minor}"),
)
"""The names under which a CUDA's libraries are loaded, from this release on (NVIDIA's release notes)."""

_CUDNN: Final[Mapping[str, str]] = {
    "8": "ops_infer ops_train cnn_infer cnn_train adv_infer adv_train",
    "9": "graph ops cnn adv heuristic engines_precompiled engines_runtime_compiled",
}
"""The parts that cuDNN loads when they are used, by its major version; 7 is one library."""

_MISSING: Final = """\
import ctypes, glob, os, sysconfig
packages = sysconfig.get_paths()["purelib"]
places = ["nvidia/*/lib", "torch/lib", "paddle/libs"]  # where a framework's RPATH leads
for name in {names!r}:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        if not any(glob.glob(os.path.join(packages, place, name)) for place in places):
            print(error)
"""

_UNLINKED: Final = """\
import ctypes, glob, importlib, os, re, subprocess
package = importlib.import_module({package!r})
files = glob.glob(os.path.join(os.path.dirname(package.__file__), "lib", "*.so*"))
ran = subprocess.run(["ldd"] + files, stdout=subprocess.PIPE, universal_newlines=True)
lacking = {{}}
for line in ran.stdout.splitlines():
    if not line.startswith("\\t"):
        library = line.rstrip(":")
    elif line.endswith(" => not found") and line.split()[0] not in {driver!r}:
        lacking.setdefault(line.split()[0], []).append(library)
def is_loaded(library):  # by a library that is linked with it, or opens it late: either holds its name
    name = os.path.basename(library).encode()
    return any(name in open(other, "rb").read() for other in files if other != library)
for name in sorted(lacking):
    try:
        ctypes.CDLL(name)  # the package may have loaded it from where it knows it to be
    except OSError as error:
        if any(is_loaded(library) for library in lacking[name]):
            print(error)
"""

_DRIVER: Final = {"libcuda.so.1", "libnvidia-ml.so.1"}

_IDLE: Final = """\
import collections, ctypes, os, re
pattern = re.compile(r"lib(cudart|cublas|cublasLt|cudnn|cufft|cusolver|cusparse|nccl)\\.so(\\.[0-9.]+)?$")
not_files = {{"/proc", "/sys", "/dev", "/opt/nvidia"}}  # NVIDIA's tools there bring what they need
copies = collections.defaultdict(lambda: collections.defaultdict(set))
for folder, folders, files in os.walk("/"):
    folders[:] = [one for one in folders if os.path.join(folder, one) not in not_files
                  and one not in ("site-packages", "dist-packages", "stubs")]
    for name in files:
        if pattern.match(name):
            whole = os.path.realpath(os.path.join(folder, name))
            copies[pattern.match(name).group(1)][whole].add(name)
for library in copies.values():
    for whole, names in library.items():
        for name in names:
            try:
                ctypes.CDLL(name)
            except OSError:
                pass
with open("/proc/self/maps") as stream:
    taken = {{line.split()[-1] for line in stream}}
for library in copies.values():
    for whole in sorted(library):
        if not {for_gpus} or (len(library) > 1 and whole not in taken):
            print(whole)
"""


def promised(use: CudaUse | None, built_for: str) -> bool:
    """Whether a framework was built for the CUDA that `check` takes its row to use; empty, and None: for CPUs."""
    if use is None or not use.version:
        return (use is not None) == bool(built_for)
    return minor(use.version) == minor(built_for)


def driver_settings(requirement: str) -> Mapping[str, str]:
    """Return what an image sets whose wheels bring CUDA, so that a driver that is too old is refused."""
    if not requirement:
        return {}
    return {
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "NVIDIA_REQUIRE_CUDA": requirement,
    }


def libraries(cuda: str, cudnn: str) -> tuple[str, ...]:
    """Return what a framework built for this CUDA and cuDNN loads: `libcudart.so.12`; nothing for one without CUDA."""
    if not cuda:
        return ()
    major, minor = (int(part) for part in [*cuda.split("."), "0"][:2])
    names = next((names for least, names in _NAMES if (major, minor) >= least), "")
    return (*_shared(names.format(major=major, minor=minor)), *(cudnn_libraries(cudnn) if cudnn else ()))


def cudnn_libraries(version: str) -> tuple[str, ...]:
    """Return what a cuDNN is made of: `libcudnn.so.8`, and what that loads."""
    major = version.partition(".")[0]
    parts = ["cudnn", *(f"cudnn_{part}" for part in _CUDNN.get(major, "").split())]
    return _shared(" ".join(f"{part}.{major}" for part in parts))


def _shared(names: str) -> tuple[str, ...]:
    """Return file names: `cudart.11.0` is in libcudart.so.11.0."""
    return tuple(f"lib{name.replace('.', '.so.', 1)}" for name in names.split())


def missing(host: Host, names: tuple[str, ...]) -> str:
    """Return what the loader says of those it does not find: by LD_LIBRARY_PATH, by ldconfig, or beside frameworks."""
    return _said(host, _MISSING.format(names=names))


def unlinked(host: Host, package: str) -> str:
    """Return the loader's errors for the libraries that it does not find, of all that a package links.

    Also of the libraries that the package itself loads when they are needed: importing it does not show that.
    """
    return _said(host, _UNLINKED.format(package=package, driver=_DRIVER))


def idle(host: Host, *, for_gpus: bool) -> str:
    """Return the libraries of CUDA, outside Python's packages, that nothing loads.

    In an image for CPUs: all of them. In one for GPUs: of several copies those that the loader does not take; what a
    base has just once is the base's.
    """
    return _said(host, _IDLE.format(for_gpus=for_gpus))


def _said(host: Host, code: str) -> str:
    return str(host.check_output(f"python - <<'END'\n{code}END"))
