"""The facts of `data/*.json` as the open project corrects them; a file is read when a rule first asks for it.

The functions below are the catalogue: what they return follows `use`, which `open_project` calls with the project's
corrections. Everything that is derived from the catalogue is cached by `cache` of this module, not by functools':
`use` empties those caches, so a project is never judged by the facts of another one.
"""

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from imagematrix.compat.finding import Severity
from imagematrix.compat.wheels import Wheels
from imagematrix.errors import Problem
from imagematrix.text import versions
from imagematrix.text.versions import minor

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_P = ParamSpec("_P")
_T = TypeVar("_T")

Document = Mapping[str, Any]
"""A data file: `_meta`, and the parts that hold its facts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a project allows to be broken: the rows that meet all conditions."""

    conditions: Mapping[str, str]
    """Axis or fact -> its value, or a comparison of versions."""
    reason: str
    file: str
    line: int

    def covers(self, values: Mapping[str, str]) -> bool:
        """Whether a row with these values is meant."""
        return all(_meets(values.get(name, ""), condition) for name, condition in self.conditions.items())


def _meets(value: str, condition: str) -> bool:
    meets = versions.comparison(condition) if versions.COMPARISON.match(condition) else None
    return meets(value) is True if meets else value == condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """What a project knows better."""

    documents: Mapping[str, Document] = field(default_factory=dict)
    """Data files that take the place of the package's, by name."""
    allowances: tuple[Allowance, ...] = ()
    idle: tuple[Problem, ...] = ()
    """Entries that change nothing."""


OLD_AFTER_DAYS: Final = 30
REFRESHED: Final = frozenset({"arm64", "horovod", "numpy", "paddle", "tensorflow", "tensorrt", "torch"})
"""Data files that scripts/update-compat refreshes from a package index."""

_FILES: Final = {
    **dict.fromkeys(("tensorflow-cpu", "tensorflow-gpu"), "tensorflow"),
    **dict.fromkeys(("torchvision", "torchaudio"), "torch"),
    "paddlepaddle": "paddle",
}
"""Package -> its data file, where that has another name."""

_current: Final = [Corrections()]
"""Those of the open project, alone in a list."""
_emptied: Final[list[Callable[[], None]]] = []
"""Empties each cache of what follows from the catalogue."""


def cache(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Cache a function's results, as `functools.cache` does, until the catalogue is corrected otherwise."""
    cached = functools.cache(function)
    _emptied.append(cached.cache_clear)
    return cached  # type: ignore[return-value]  # it hashes its arguments, which a ParamSpec cannot say


def use(corrections: Corrections) -> None:
    """Correct the catalogue by these, and by no others, until the next call."""
    previous, _current[0] = _current[0], corrections
    if corrections.documents != previous.documents:
        for empty in _emptied:
            empty()


def allowances() -> tuple[Allowance, ...]:
    """Return what the open project allows to be broken."""
    return _current[0].allowances


def idle() -> tuple[Problem, ...]:
    """Return the entries of the open project that change nothing."""
    return _current[0].idle


_ON_ARM64: Final = ("torch", "tensorflow", "paddle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Torch:
    """One release of torch."""

    builds: tuple[str, ...]
    """Its builds for CPUs and CUDA: `cpu`, `cu121`."""
    is_complete: bool
    """There are no other builds of these kinds."""
    default: str
    """The build that PyPI has, without a suffix; empty: not known, or not there."""
    glibc: str
    """The lowest glibc that any of its builds installs on; empty: any that matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """One release of torchvision or torchaudio."""

    torch: str
    """The condition on torch's version that its wheels declare, or should: `==2.7.0`, `>=2.14.0`."""
    pythons: tuple[str, ...]
    build: str
    """The CUDA build that PyPI has; empty: it has no CUDA, or is not there."""
    checks: str
    """What of its CUDA must equal torch's at import: `minor` (major and minor version), `major`, or nothing."""
    is_yanked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What the kernels of some releases of a framework are compiled to."""

    build: str
    """The CUDA build, of those that have several."""
    releases: str
    """A condition on the release."""
    code: tuple[str, ...]
    """Code for GPUs (`sm_80`) and PTX (`compute_90`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensorflow:
    """One release of TensorFlow."""

    cuda: str
    """What it was built with; empty, as cudnn: not yet known."""
    cudnn: str
    cpu: tuple[str, ...]
    """Packages that are its CPU build."""
    gpu: tuple[str, ...]
    numpy: str
    """What its metadata asks for; empty: not looked up."""
    glibc: str
    """The lowest glibc that its wheels install on; empty: any that matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddleBuild:
    """One CUDA build of a release of Paddle."""

    pythons: tuple[str, ...]
    cudnn: str
    suffix: str
    """It is asked for as `paddlepaddle-gpu==RELEASE` and this (`.post112`)."""
    by: str
    """Who has it: `pypi`; Paddle's own `index` alone; a direct download (`url`) alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paddle:
    """One release of Paddle."""

    cpu_on_pypi: bool
    cpu_by: str
    """Who else has the CPU wheels, as for builds; empty: not known."""
    builds: Mapping[str, PaddleBuild]


@dataclass(frozen=True, slots=True, kw_only=True)
class Horovod:
    """One release of Horovod."""

    requires_python: str
    tested: Mapping[str, tuple[str, str]]
    """Framework -> the lowest and the highest release that upstream tested with."""
    pythons: tuple[str, ...]
    """Those that upstream tested with, as cudas."""
    cudas: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaImage:
    """The nvidia/cuda tags of one toolkit on one Ubuntu."""

    live: bool
    flavours: frozenset[str]
    cudnn: Mapping[str, str]
    """As the tag names it (`cudnn8`) -> the exact version inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolkit:
    """One CUDA toolkit."""

    driver: str
    driver_compat: str
    images: Mapping[str, CudaImage]
    """By the Ubuntu they are on."""
    is_partial: bool
    """There may be more images than these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Which versions of another package some versions of a package need; their metadata does not say so."""

    package: str
    """As rows name it: `torch`, `tensorflow`, `paddle`."""
    versions: str
    requirement: str
    """`numpy<2`."""
    why: str
    """A clause that follows the name of the package: `was compiled against NumPy 1`."""
    source: str
    python: str = ""
    """The Pythons that it is about; empty: all."""
    severity: Severity = Severity.BROKEN
    """A note does not constrain what is locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A release of a distribution."""

    name: str
    also: tuple[str, ...]
    """Its other names."""
    python: str
    """That of its own `python3`; empty: it has none, or it is not known."""
    packages: str
    """Its package manager: `apt`, `dnf`, `yum`, `apk`."""
    libc: str
    """`glibc` or `musl`."""
    eol: str
    """The day of its last free security fix; empty: not known."""
    mirror: str
    """`gone` or `leaving` where its packages are not, or not all, on the mirrors that its images name."""

    @property
    def kind(self) -> str:
        """Its name without its version."""
        return self.name.rstrip("0123456789.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GlibcBound:
    """What some versions need of a distribution."""

    versions: str
    glibc: str
    machine: str
    """The processor they are for; empty: any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmWheel:
    """A release's wheels for aarch64, on PyPI."""

    glibc: str
    """The lowest glibc that they install on; empty: any that matters."""
    cuda: bool
    """They bring CUDA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakage:
    """A combination that is known to be broken."""

    package: str
    versions: str
    with_: Mapping[str, tuple[str, ...]]
    """Name -> values or comparisons, of which one is met."""
    unless: Mapping[str, str]
    """Name -> a word of its value by which a row is not meant."""
    what: str
    instead: Mapping[str, str]
    """Name -> a value that works instead."""
    source: str
    """Where that is told: issues and pull requests."""


@cache
def collected(name: str) -> str:
    """Return the day on which the sources of a data file were last looked at."""
    return str(_read(name)["_meta"]["collected"])


@cache
def now() -> str:
    """Return the last day that the catalogue knows of: what "now" means to rules, which ask no clock."""
    return max(map(collected, names()))


def days() -> Mapping[str, date]:
    """Return the days on which the sources of all data files were last looked at."""
    return {name: date.fromisoformat(collected(name)) for name in names()}


def outdated(days: Mapping[str, date], today: date) -> Mapping[str, int]:
    """Return which data files are too old on a day, and how many days old they are, the oldest first."""
    ages = {name: (today - day).days for name, day in days.items()}
    return {name: age for name, age in sorted(ages.items(), key=lambda each: -each[1]) if age > OLD_AFTER_DAYS}


def outlook(name: str) -> str:
    """Return in words how old a data file is, and what to do about something that is too new for it."""
    ways = ["run scripts/update-compat"] if name in REFRESHED else []
    ways += ["upgrade imagematrix", f"or add it to compat/{name}.toml"]
    return f"the catalogue's facts of {name} are of {collected(name)}: {', '.join(ways)}"


@cache
def torch_wheels() -> Wheels:
    """Return torch's Pythons."""
    return _wheels("torch", {each["release"]: each["python"] for each in _read("torch")["releases"]})


@cache
def torch() -> Mapping[str, Torch]:
    """Return torch by release."""
    return {each["release"]: _torch(each) for each in _read("torch")["releases"]}


@cache
def torch_rocm() -> Mapping[str, tuple[str, ...]]:
    """Return the ROCm builds of torch that are known, by minor series, oldest first."""
    return {series: tuple(builds) for series, builds in _read("torch")["rocm"].items()}


def _torch(each: Mapping[str, Any]) -> Torch:
    glibcs = [build.get("glibc_min", "") for build in each["builds"].values()]
    return Torch(
        builds=tuple(each["builds"]),
        is_complete=each.get("complete", False),
        default=each.get("default", ""),
        glibc=min(glibcs) if glibcs and all(glibcs) else "",
    )


@cache
def partner_wheels(package: str) -> Wheels:
    """Return the Pythons of `torchvision` or `torchaudio`."""
    return _wheels(package, {each["release"]: each["python"] for each in _read("torch")[package]})


@cache
def partners(package: str) -> Mapping[str, Partner]:
    """Return `torchvision` or `torchaudio` by release, oldest first."""
    return {
        each["release"]: Partner(
            torch=each["torch"],
            pythons=tuple(each["python"]),
            build=each.get("build", ""),
            checks=each.get("checks", ""),
            is_yanked=each.get("yanked", False),
        )
        for each in _read("torch")[package]
    }


@cache
def architectures(package: str) -> tuple[Compiled, ...]:
    """Return what the kernels of `torch`, `tensorflow` or `paddle` are compiled to."""
    return tuple(
        Compiled(build=each.get("build", ""), releases=each["releases"], code=tuple(each["code"]))
        for each in _read(package)["architectures"]
    )


@cache
def tensorflow_wheels(package: str) -> Wheels:
    """Return the Pythons of `tensorflow`, `tensorflow-cpu` or `tensorflow-gpu`."""
    return _wheels(
        package,
        {
            each["release"]: each["python"]
            for each in _read("tensorflow")["releases"]
            if package == "tensorflow" or package in (*each["packages"]["cpu"], *each["packages"]["gpu"])
        },
    )


@cache
def tensorflow() -> Mapping[str, Tensorflow]:
    """Return TensorFlow by release."""
    return {
        each["release"]: Tensorflow(
            cuda=each.get("cuda", ""),
            cudnn=each.get("cudnn", ""),
            cpu=tuple(each["packages"]["cpu"]),
            gpu=tuple(each["packages"]["gpu"]),
            numpy=each.get("numpy", ""),
            glibc=each.get("glibc", ""),
        )
        for each in _read("tensorflow")["releases"]
    }


@cache
def tensorflow_of_cuda() -> Mapping[str, str]:
    """Return CUDA minor -> the last TensorFlow that was built with it."""
    built = {each.cuda: name for name, each in tensorflow().items() if each.cuda}
    return {**_read("tensorflow").get("older", {}), **built}


@cache
def paddle_wheels() -> Wheels:
    """Return the Pythons of Paddle's CPU wheels."""
    return _wheels("paddlepaddle", {each["release"]: each["cpu_python"] for each in _read("paddle")["releases"]})


@cache
def paddle() -> Mapping[str, Paddle]:
    """Return Paddle by release."""
    return {
        each["release"]: Paddle(
            cpu_on_pypi=each["cpu_on_pypi"],
            cpu_by=each.get("cpu_by", ""),
            builds={
                name: PaddleBuild(
                    pythons=tuple(build["python"]),
                    cudnn=build.get("cudnn", ""),
                    suffix=build.get("suffix", ""),
                    by=build["by"],
                )
                for name, build in each["gpu_builds"].items()
            },
        )
        for each in _read("paddle")["releases"]
    }


@cache
def horovod() -> Mapping[str, Horovod]:
    """Return Horovod by release, oldest first."""
    return {
        each["release"]: Horovod(
            requires_python=each.get("requires_python", ""),
            tested={name: (each[name][0], each[name][1]) for name in ("tensorflow", "torch") if name in each},
            pythons=tuple(each["python"]),
            cudas=tuple(each["cuda"]),
        )
        for each in _read("horovod")["releases"]
    }


@cache
def toolkits() -> Mapping[str, Toolkit]:
    """Return CUDA toolkits by version, oldest first."""
    return {
        name: Toolkit(
            driver=each.get("driver") or "",
            driver_compat=each.get("driver_compat") or "",
            is_partial=each.get("partial", False),
            images={
                os: CudaImage(
                    live=image["live"], flavours=frozenset(image["flavours"]), cudnn=dict(image.get("cudnn", {}))
                )
                for os, image in each["images"].items()
            },
        )
        for name, each in _read("cuda")["toolkits"].items()
    }


@cache
def cuda_systems() -> Mapping[str, str]:
    """Return the systems other than Ubuntu that NVIDIA's tags are on: their names -> a condition on CUDA's version."""
    return dict(_read("cuda")["systems"])


def is_closed(cuda: str) -> bool:
    """Whether no further patch of the minor version of a CUDA toolkit is expected."""
    return versions.meets(minor(cuda), _read("cuda")["closed"])


@cache
def cuda_image_gigabytes() -> Mapping[str, float]:
    """Return about how big nvidia/cuda is on disk, by flavour (`cudnn-devel`)."""
    return dict(_read("cuda")["gigabytes"])


@cache
def tensorrt_wheels() -> Wheels:
    """Return TensorRT's releases; those that are only an installer have no Pythons of their own."""
    return _wheels("tensorrt", {each["release"]: each.get("python", ()) for each in _read("tensorrt")["releases"]})


@cache
def tensorrt_support() -> Mapping[str, tuple[str, ...]]:
    """Return TensorRT series -> CUDA minor versions."""
    return {name: tuple(cudas) for name, cudas in _read("tensorrt")["support"].items()}


@cache
def tensorrt_of_tensorflow() -> Mapping[str, str]:
    """Return TensorFlow minor -> the TensorRT it loads."""
    return dict(_read("tensorrt")["tensorflow"])


@cache
def miniconda() -> Mapping[str, tuple[str, ...]]:
    """Return Miniconda by release, oldest first -> the Pythons of the installers that were seen."""
    return {each["release"]: tuple(each["python"]) for each in _read("miniconda")["releases"]}


@cache
def miniconda_glibc() -> tuple[GlibcBound, ...]:
    """Return the lowest glibc that Miniconda's installers start on."""
    return tuple(
        GlibcBound(versions=each["versions"], glibc=each["glibc"], machine=each.get("machine", ""))
        for each in _read("miniconda")["glibc"]
    )


@cache
def python_ends() -> Mapping[str, str]:
    """Return Python minor -> the day its support ends, where that is known."""
    return {each["python"]: each["eol"] for each in _read("python")["python"] if each.get("eol")}


@cache
def distributions() -> Mapping[str, Distribution]:
    """Return distributions by all of their names."""
    found = [
        Distribution(
            name=each["os"],
            also=tuple(each.get("also", ())),
            python=each.get("python", ""),
            packages=each["packages"],
            libc=each["libc"],
            eol=each.get("eol", ""),
            mirror=each.get("mirror", ""),
        )
        for each in _read("distributions")["distributions"]
    ]
    return {name: each for each in found for name in (each.name, *each.also)}


@cache
def glibc() -> Mapping[str, str]:
    """Return distribution, by all of its names -> its glibc."""
    return dict(_read("python")["glibc"])


@cache
def arm64() -> Mapping[str, Mapping[str, ArmWheel]]:
    """Return the wheels for aarch64 of `torch`, `tensorflow` and `paddle`, by release."""
    return {
        product: {
            each["release"]: ArmWheel(glibc=each.get("glibc", ""), cuda=each.get("cuda", False))
            for each in _read("arm64")[product]
        }
        for product in _ON_ARM64
    }


@cache
def arm64_wheels() -> Mapping[str, Wheels]:
    """Return the Pythons of these wheels."""
    return {
        product: _wheels(product, {each["release"]: each["python"] for each in _read("arm64")[product]}, file="arm64")
        for product in _ON_ARM64
    }


@cache
def breakages() -> tuple[Breakage, ...]:
    """Return the combinations that issues tell of."""
    return tuple(
        Breakage(
            package=each["package"],
            versions=each["versions"],
            with_={
                name: tuple(wanted) if isinstance(wanted, list) else (wanted,) for name, wanted in each["with"].items()
            },
            unless=each.get("unless", {}),
            what=each["what"],
            instead=each["instead"],
            source=each["source"],
        )
        for each in _read("breakage")["known"]
    )


@cache
def numpy_wheels() -> Wheels:
    """Return NumPy's Pythons."""
    return _wheels("numpy", {each["release"]: each["python"] for each in _read("numpy")["releases"]})


@cache
def bounds() -> tuple[Bound, ...]:
    """Return the bounds that no metadata declares."""
    return tuple(
        Bound(
            package=each["package"],
            versions=each["versions"],
            requirement=each["bound"],
            why=each["why"],
            source=each["source"],
            python=each.get("python", ""),
            severity=Severity(each.get("severity", Severity.BROKEN)),
        )
        for each in _read("bounds")["bounds"]
    )


@cache
def breakage_names() -> tuple[str, ...]:
    """Return the names of all values that these combinations are about, sorted."""
    return tuple(sorted({name for each in breakages() for name in (each.package, *each.with_, *each.unless)}))


def _wheels(package: str, pythons: Mapping[str, Iterable[str]], *, file: str = "") -> Wheels:
    horizon = _read("python")["python"][-1]["python"]
    return Wheels.of(package, pythons, horizon=horizon, outlook=outlook(file or _FILES.get(package, package)))


def _read(name: str) -> Document:
    return _current[0].documents.get(name) or packaged(name)


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of the data files."""
    return tuple(sorted(path.name.removesuffix(".json") for path in _data().iterdir()))


@functools.cache
def packaged(name: str) -> Document:
    """Return a data file as the package has it."""
    document: Document = json.loads(_data().joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return document


def _data() -> "Traversable":
    from importlib import resources

    return resources.files(__package__).joinpath("data")
