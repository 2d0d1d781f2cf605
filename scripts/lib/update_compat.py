"""Refreshes the catalogue of versions from the package index that this machine's pip is configured for.

Names of files tell releases and Pythons, metadata of wheels what they ask for. A new fact is added; where the index
contradicts a known one, or no longer has it, nothing is written: a person corrects the data file. Only that Paddle
deletes old releases is a fact of its own. Everything else in the files is added by hand.
"""

import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

if TYPE_CHECKING:
    from packaging.tags import Tag
    from pip._internal.index.collector import LinkCollector
    from pip._internal.network.session import PipSession

DATA: Final = Path(__file__).parents[2] / "src/imagematrix/compat/data"

_CPYTHON: Final = re.compile(r"cp(\d)(\d+)")
_GLIBC: Final = re.compile(r"manylinux_2_(\d+)_")
_OLD_GLIBC: Final = 17
"""The minor version of a glibc that any distribution has."""
_CONNECTIONS: Final = 8
_X86: Final = "x86_64"
_ARM: Final = "aarch64"

_ANY: Final = "3.12"
"""Of requirements that are the same for all Pythons."""

_NEVER_THERE: Final[Mapping[str, frozenset[str]]] = {
    "torch": frozenset({"1.8.2"}),
    "torchvision": frozenset({"0.9.2"}),
    "torchaudio": frozenset({"0.8.2"}),
}
"""Package -> releases that PyPI never had: PyTorch's own index has its long-term support."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A file that the index lists."""

    name: str
    url: str = ""
    requires_python: str = ""
    is_yanked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What the index has of a release."""

    pythons: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Machine -> Pythons that a wheel for Linux installs on."""
    glibc: int = 0
    """The lowest minor version that a wheel for x86_64 installs on; 0: it names none."""
    wheels: Mapping[str, str] = field(default_factory=dict)
    """Machine -> the address of a wheel."""
    is_yanked: bool = False

    def on(self, machine: str) -> list[str]:
        """Return its Pythons on a machine, oldest first."""
        return sorted(self.pythons.get(machine, ()), key=Version)


Index = Mapping[str, Mapping[str, Release]]
"""Package -> release -> its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a wheel says of itself."""

    requires: tuple[str, ...] = ()
    extras: frozenset[str] = frozenset()


Known = Mapping[tuple[str, str, str], Metadata]
"""Package, release and machine -> what its wheel says."""


@dataclass(slots=True, kw_only=True)
class Notes:
    """What a person must look at."""

    lost: list[str] = field(default_factory=list)
    """Known facts that the index no longer has or contradicts: nothing is written."""
    by_hand: list[str] = field(default_factory=list)
    """What the index does not tell of new releases."""
    deleted: list[str] = field(default_factory=list)


def releases(files: Iterable[Listed], known: Sequence[str]) -> Mapping[str, Release]:
    """Return what the files of a package are: release -> its wheels for Linux; `known` are all Pythons."""
    found: dict[Version, Release] = {}
    for file in files:
        try:
            found = _with_wheel(found, file, known)
        except InvalidWheelFilename:
            try:
                found.setdefault(parse_sdist_filename(file.name)[1], Release(is_yanked=file.is_yanked))
            except InvalidSdistFilename:  # an egg, an installer for Windows
                continue
    return {str(version): found[version] for version in sorted(found)}


def _with_wheel(found: dict[Version, Release], file: Listed, known: Sequence[str]) -> dict[Version, Release]:
    _, version, _, tags = parse_wheel_filename(file.name)
    allowed = SpecifierSet(file.requires_python)
    on = {machine: _pythons(tags, machine, known, allowed) for machine in (_X86, _ARM)}
    on = {machine: pythons for machine, pythons in on.items() if pythons}
    if not on:
        return found
    before = found.get(version, Release(is_yanked=file.is_yanked))
    glibcs = [int(match[1]) for tag in tags if _X86 in tag.platform and (match := _GLIBC.match(tag.platform))]
    lowest = min([*filter(None, [before.glibc]), *glibcs], default=0)
    release = Release(
        pythons={
            machine: before.pythons.get(machine, frozenset()) | on.get(machine, frozenset()) for machine in (_X86, _ARM)
        },
        glibc=lowest,
        wheels={**dict.fromkeys(on, file.url), **before.wheels},
        is_yanked=before.is_yanked and file.is_yanked,
    )
    return {**found, version: release}


def _pythons(tags: Iterable["Tag"], machine: str, known: Sequence[str], allowed: SpecifierSet) -> frozenset[str]:
    """Return the Pythons that a wheel with these tags installs on; of one for any, those that are known."""
    found: set[str] = set()
    for tag in tags:
        if not (tag.platform.startswith(("linux_", "manylinux")) and tag.platform.endswith(machine)):
            continue
        match = _CPYTHON.fullmatch(tag.interpreter)
        if match and re.fullmatch(rf"{tag.interpreter}m?u?|none", tag.abi):
            found.add(f"{match[1]}.{match[2]}")
        elif match and tag.abi == "abi3":
            found |= {
                each for each in known if each.startswith("3.") and Version(each) >= Version(f"{match[1]}.{match[2]}")
            }
        elif tag.interpreter in ("py2", "py3"):
            found |= {each for each in known if each[0] == tag.interpreter[2]}
    return frozenset(each for each in found if allowed.contains(f"{each}.99"))


Told = Mapping[str, Any]
"""What the index tells of a release: field -> value; a list of Pythons may have become longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """All that the index told."""

    index: Index
    known: Known

    def metadata(self, package: str, release: str, machine: str = _X86) -> Metadata:
        """Return what a wheel says, nothing where it was not asked."""
        return self.known.get((package, release, machine), Metadata())


def asked(documents: Mapping[str, Mapping[str, Any]], index: Index) -> frozenset[tuple[str, str, str]]:
    """Return the wheels whose metadata hold facts: package, release and machine."""
    parts = (
        ("torch", "releases", "torch", _X86),
        ("torch", "torchvision", "torchvision", _X86),
        ("torch", "torchaudio", "torchaudio", _X86),
        ("tensorflow", "releases", "tensorflow", _X86),
        ("arm64", "torch", "torch", _ARM),
    )
    return frozenset(
        (package, release, machine)
        for name, part, package, machine in parts
        for release, there in index[package].items()
        if machine in there.wheels and Version(release) >= _first(documents[name][part])
    )


def refreshed(documents: Mapping[str, Mapping[str, Any]], source: Source, notes: Notes) -> Mapping[str, dict[str, Any]]:
    """Return the data files with what the index tells; what a person must look at is noted."""
    torch = documents["torch"]
    made = {
        "torch": {
            "releases": _torch(torch["releases"], source, notes),
            **{name: _partner(name, torch[name], source, notes) for name in ("torchvision", "torchaudio")},
        },
        "tensorflow": {"releases": _tensorflow(documents["tensorflow"]["releases"], source, notes)},
        "paddle": {"releases": _paddle(documents["paddle"]["releases"], source, notes)},
        "numpy": {"releases": _numpy(documents["numpy"]["releases"], source, notes)},
        "tensorrt": {"releases": _tensorrt(documents["tensorrt"]["releases"], source, notes)},
        "horovod": {"releases": _horovod(documents["horovod"]["releases"], source, notes)},
        "arm64": {name: _arm64(name, documents["arm64"][name], source, notes) for name in _ARM_PACKAGES},
    }
    return {name: {**documents[name], **parts} for name, parts in made.items()}


def _merged(
    package: str,
    entries: Sequence[Mapping[str, Any]],
    there: Mapping[str, Release],
    told: Callable[[str, Release, Mapping[str, Any]], Told],
    notes: Notes,
    *,
    blank: Callable[[str], Mapping[str, Any] | None] = lambda _: {},
) -> list[Mapping[str, Any]]:
    """Return entries with what the index tells of them, and the new releases.

    `blank` is what a new entry has besides: nothing where it cannot be one yet.
    """
    known = {str(Version(each["release"])): each for each in entries}
    gone = known.keys() - there.keys() - _NEVER_THERE.get(package, frozenset())
    notes.lost += [f"{package} {release}: the index does not have it any more" for release in sorted(gone, key=Version)]
    merged = {
        release: _taken(f"{package} {release}", each, told(release, there[release], each), notes)
        if release in there
        else each
        for release, each in known.items()
    }
    for release in sorted(there.keys() - known.keys(), key=Version):
        if _is_new(release, there[release], entries) and (fields := blank(release)) is not None:
            entry = {"release": release, **fields}
            merged[release] = _taken(f"{package} {release}", entry, told(release, there[release], entry), notes)
    return [merged[release] for release in sorted(merged, key=Version)]


def _is_new(release: str, there: Release, entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a release belongs to the catalogue: no preview, nothing older than the oldest one."""
    return not (there.is_yanked or Version(release).is_prerelease) and Version(release) > _first(entries)


def _first(entries: Sequence[Mapping[str, Any]]) -> Version:
    return min(Version(each["release"]) for each in entries)


def _taken(what: str, entry: Mapping[str, Any], told: Told, notes: Notes) -> Mapping[str, Any]:
    """Return an entry with what the index tells of it; what it contradicts is noted, and stays."""
    taken = dict(entry)
    for name, value in told.items():
        before = entry.get(name)
        if isinstance(value, list) and before:
            lost = [each for each in before if each not in value]
            notes.lost += [f"{what}: {name} {each} is known, and the index does not have it" for each in lost]
            taken[name] = value if not lost else before
        elif before in (None, [], value):
            taken[name] = value
        else:
            notes.lost.append(f"{what}: {name} is known to be {json.dumps(before)}, the index says {json.dumps(value)}")
    return taken


def _torch(entries: Sequence[Mapping[str, Any]], source: Source, notes: Notes) -> list[Mapping[str, Any]]:
    def told(release: str, there: Release, _: Mapping[str, Any]) -> Told:
        build = cuda_build(source.metadata("torch", release).requires)
        return {"python": there.on(_X86), **({"default": build} if build else {})}

    def blank(release: str) -> Mapping[str, Any]:
        notes.by_hand.append(f"torch {release}: its builds on PyTorch's own index")
        return {"python": [], "builds": {}}

    there = _for(_X86, source.index["torch"])
    return _merged("torch", entries, there, told, notes, blank=blank)


def _partner(
    package: str, entries: Sequence[Mapping[str, Any]], source: Source, notes: Notes
) -> list[Mapping[str, Any]]:
    def told(release: str, there: Release, entry: Mapping[str, Any]) -> Told:
        declared = requirement(source.metadata(package, release).requires, "torch")
        return {
            **({"torch": declared} if declared and not entry.get("undeclared") else {}),
            "python": there.on(_X86),
            **({"yanked": True} if there.is_yanked else {}),
        }

    def blank(release: str) -> Mapping[str, Any] | None:
        if requirement(source.metadata(package, release).requires, "torch"):
            notes.by_hand.append(f"{package} {release}: its CUDA build, and what it checks at import")
            return {}
        notes.by_hand.append(f"{package} {release}: left out, its metadata does not say which torch it goes with")
        return None

    there = _for(_X86, source.index[package])
    return _merged(package, entries, there, told, notes, blank=blank)


def _tensorflow(entries: Sequence[Mapping[str, Any]], source: Source, notes: Notes) -> list[Mapping[str, Any]]:
    there = _for(_X86, source.index["tensorflow"])
    others = {name: _for(_X86, source.index[name]) for name in ("tensorflow-cpu", "tensorflow-gpu")}

    def told(release: str, of: Release, _: Mapping[str, Any]) -> Told:
        said = source.metadata("tensorflow", release)
        numpy = requirement(said.requires, "numpy", of.on(_X86))
        has = frozenset(name for name in others if release in others[name])
        return {
            "python": of.on(_X86),
            "packages": packages(has, said.extras),
            **({"numpy": numpy} if numpy else {}),
            **({"glibc": f"2.{of.glibc}"} if of.glibc > _OLD_GLIBC else {}),
        }

    def blank(release: str) -> Mapping[str, Any] | None:
        if any(release in each for each in others.values()):
            notes.by_hand.append(f"tensorflow {release}: the CUDA and cuDNN that it was built with")
            return {}
        notes.by_hand.append(f"tensorflow {release}: left out, it has neither a tensorflow-cpu nor a tensorflow-gpu")
        return None

    return _merged("tensorflow", entries, there, told, notes, blank=blank)


def packages(others: Collection[str], extras: Collection[str]) -> Mapping[str, list[str]]:
    """Return which packages are the CPU and the GPU build of a release that comes as `tensorflow` and these.

    Where there is a `tensorflow-cpu`, `tensorflow` is for GPUs; else `tensorflow-gpu` is beside it.
    """
    gpu = [each for each in ("tensorflow-gpu",) if each in others]
    if "tensorflow-cpu" not in others:
        return {"cpu": ["tensorflow"], "gpu": gpu}
    with_cuda = ["tensorflow[and-cuda]"] if "and-cuda" in extras else []
    return {"cpu": ["tensorflow-cpu"], "gpu": ["tensorflow", *gpu, *with_cuda]}


def _numpy(entries: Sequence[Mapping[str, Any]], source: Source, notes: Notes) -> list[Mapping[str, Any]]:
    there = _for(_X86, source.index["numpy"])
    return _merged("numpy", entries, there, lambda _, of, __: {"python": of.on(_X86)}, notes)


def _tensorrt(entries: Sequence[Mapping[str, Any]], source: Source, notes: Notes) -> list[Mapping[str, Any]]:
    def told(_: str, there: Release, __: Mapping[str, Any]) -> Told:
        # Wheels that name no CPython are installers, as the source distributions are.
        return {"python": there.on(_X86)} if "-cp" in there.wheels.get(_X86, "") else {}

    return _merged("tensorrt", entries, source.index["tensorrt"], told, notes)


def _horovod(entries: Sequence[Mapping[str, Any]], source: Source, notes: Notes) -> list[Mapping[str, Any]]:
    def blank(release: str) -> None:
        notes.by_hand.append(f"horovod {release}: left out, the index does not say what upstream tested it with")

    return _merged("horovod", entries, source.index["horovod"], lambda *_: {}, notes, blank=blank)


_ARM_PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "torch": ("torch",),
    "tensorflow": ("tensorflow", "tensorflow-cpu-aws"),
    "paddle": ("paddlepaddle",),
}
"""Part of the data file of arm64 -> packages that have its wheels: what a later one has outdoes those before it."""


def _arm64(part: str, entries: Sequence[Mapping[str, Any]], source: Source, notes: Notes) -> list[Mapping[str, Any]]:
    package = _ARM_PACKAGES[part][0]
    there = {release: of for name in _ARM_PACKAGES[part] for release, of in _for(_ARM, source.index[name]).items()}
    newest = max(Version(each["release"]) for each in entries)

    def told(release: str, of: Release, _: Mapping[str, Any]) -> Told:
        build = cuda_build(source.metadata(package, release, _ARM).requires, _ARM)
        return {"python": of.on(_ARM), **({"cuda": True} if build else {})}

    def blank(release: str) -> Mapping[str, Any] | None:
        return {} if Version(release) > newest else None

    return _merged(f"{part} on {_ARM}", entries, there, told, notes, blank=blank)


def _paddle(entries: Sequence[Mapping[str, Any]], source: Source, notes: Notes) -> list[Mapping[str, Any]]:
    """Return Paddle's releases: what left PyPI is marked so."""
    cpu, gpu = (_for(_X86, source.index[name]) for name in ("paddlepaddle", "paddlepaddle-gpu"))
    there = {**{each["release"]: Release() for each in entries}, **cpu}

    def told(_: str, of: Release, __: Mapping[str, Any]) -> Told:
        return {"cpu_python": of.on(_X86)} if of.on(_X86) else {}

    def blank(release: str) -> Mapping[str, Any]:
        notes.by_hand.append(f"paddle {release}: its builds for GPUs")
        return {"cpu_on_pypi": True, "cpu_python": [], "gpu_builds": {}}

    merged = _merged("paddle", entries, there, told, notes, blank=blank)
    return [_sourced(each, each["release"] in cpu, gpu, notes) for each in merged]


def _sourced(entry: Mapping[str, Any], has_cpu: bool, gpu: Collection[str], notes: Notes) -> Mapping[str, Any]:
    """Return a release of Paddle with who has its wheels."""
    release = entry["release"]
    builds = {
        name: {**build, "by": _by(build["by"], f"{release}{build.get('suffix', '')}" in gpu)}
        for name, build in entry["gpu_builds"].items()
    }
    if entry["cpu_on_pypi"] and not has_cpu:
        notes.deleted.append(f"paddlepaddle {release}")
    notes.deleted += [
        f"paddlepaddle-gpu {release}{build.get('suffix', '')}"
        for name, build in entry["gpu_builds"].items()
        if build["by"] == "pypi" != builds[name]["by"]
    ]
    return {**entry, "cpu_on_pypi": has_cpu, "gpu_builds": builds}


def _by(before: str, is_on_pypi: bool) -> str:
    """Return who has a build: what left PyPI may still be on Paddle's own index."""
    if is_on_pypi:
        return "pypi"
    return "index" if before == "pypi" else before


def _for(machine: str, there: Mapping[str, Release]) -> Mapping[str, Release]:
    return {release: each for release, each in there.items() if each.on(machine)}


_RUNTIME: Final = re.compile(r"cuda-toolkit|nvidia-cuda-runtime(?:-cu\d+)?")


def cuda_build(requires: Iterable[str], machine: str = _X86) -> str:
    """Return the CUDA build that a wheel is by the libraries it asks for (`cu121`); nothing where it asks for none."""
    for asked_for in map(Requirement, requires):
        if _RUNTIME.fullmatch(canonicalize_name(asked_for.name)) and _applies(asked_for, machine=machine):
            for each in asked_for.specifier:
                return f"cu{''.join(each.version.split('.')[:2])}"
    return ""


_LOCAL: Final = re.compile(r"\+[\w.]+")


def requirement(requires: Iterable[str], package: str, pythons: Iterable[str] = (_ANY,)) -> str:
    """Return what a wheel asks for of a package on Linux; nothing where that differs between Pythons."""
    found = {
        _LOCAL.sub("", str(asked_for.specifier))
        for asked_for in map(Requirement, requires)
        for python in pythons
        if canonicalize_name(asked_for.name) == package and _applies(asked_for, python)
    }
    return found.pop() if len(found) == 1 else ""


def _applies(asked_for: Requirement, python: str = _ANY, machine: str = _X86) -> bool:
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "platform_machine": machine,
        "extra": "",
    }
    return asked_for.marker is None or asked_for.marker.evaluate(environment)


def text(document: Mapping[str, Any]) -> str:
    """Write a document as the catalogue keeps it: an entry on each line."""
    meta = json.dumps(document["_meta"], indent=1, ensure_ascii=False).replace("\n", "\n ")
    parts = [f' "_meta": {meta}']
    for name, part in document.items():
        if isinstance(part, list):
            entries = ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in part)
            parts.append(f' "{name}": [\n{entries}\n ]')
        elif name != "_meta":
            parts.append(f' "{name}": {_table(part)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def dated(document: Mapping[str, Any], day: str) -> Mapping[str, Any]:
    """Return a data file that was looked at on a day."""
    return {**document, "_meta": {**document["_meta"], "collected": day}}


def _table(part: Mapping[str, object]) -> str:
    """Write a table as the data files have it: a key on each line."""
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in part.items())
    return f"{{\n{lines}\n }}"


_PACKAGES: Final = (
    *("torch", "torchvision", "torchaudio"),
    *("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-cpu-aws"),
    *("paddlepaddle", "paddlepaddle-gpu", "numpy", "tensorrt", "horovod"),
)


class Pip:
    """Asks the index as pip does: its configuration, its proxies, its certificates."""

    def __init__(self, session: "PipSession", collector: "LinkCollector") -> None:
        self._session = session
        self._collector = collector

    def files(self, package: str) -> list[Listed]:
        """Return the files of a package."""
        from pip._internal.index.collector import parse_links
        from pip._internal.models.link import Link

        urls = self._collector.search_scope.get_index_urls_locations(package)
        pages = [self._collector.fetch_response(Link(url)) for url in urls]
        return [
            Listed(
                name=link.filename,
                url=link.url_without_fragment,
                requires_python=link.requires_python or "",
                is_yanked=link.is_yanked,
            )
            for page in pages
            if page
            for link in parse_links(page)
        ]

    def metadata(self, package: str, url: str) -> Metadata:
        """Read what a wheel says of itself, without the rest of it."""
        from pip._internal.network.lazy_wheel import dist_from_wheel_url

        said = dist_from_wheel_url(package, url, self._session).metadata
        return Metadata(
            requires=tuple(said.get_all("Requires-Dist", ())), extras=frozenset(said.get_all("Provides-Extra", ()))
        )


def asked_of_index(documents: Mapping[str, Mapping[str, Any]]) -> Source:
    """Ask the index for all that it can tell."""
    from pip._internal.commands import create_command
    from pip._internal.index.collector import LinkCollector

    command: Any = create_command("download")
    options, _ = command.parse_args([])
    with command.main_context():
        session = command.get_default_session(options)
        return _source(Pip(session, LinkCollector.create(session, options=options)), documents)


def _source(pip: Pip, documents: Mapping[str, Mapping[str, Any]]) -> Source:
    pythons = ["3.3", "3.4", *(each["python"] for each in documents["python"]["python"])]
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        listed = dict(zip(_PACKAGES, pool.map(pip.files, _PACKAGES), strict=True))
        index = {package: releases(files, pythons) for package, files in listed.items()}
        wheels = sorted(asked(documents, index))
        urls = [index[package][release].wheels[machine] for package, release, machine in wheels]
        said = pool.map(pip.metadata, [package for package, _, _ in wheels], urls)
        return Source(index=index, known=dict(zip(wheels, said, strict=True)))


def today() -> str:
    """Return the day."""
    return datetime.now(UTC).date().isoformat()


def main() -> None:
    """Refresh the files, and say which changed and what is left to do; write nothing where a known fact would go."""
    documents = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in DATA.glob("*.json")}
    notes = Notes()
    made = refreshed(documents, asked_of_index(documents), notes)
    for kind, lines in (("by hand", notes.by_hand), ("deleted", notes.deleted), ("lost", notes.lost)):
        for line in lines:
            print(f"{kind}: {line}")
    if notes.lost:
        sys.exit("nothing is written: correct the data files by hand, or ask an index that has everything")
    for name, document in made.items():
        path = DATA / f"{name}.json"
        if document != documents[name]:
            print(f"{path.name}: changed; look at the diff")
        path.write_text(text(dated(document, today())), encoding="utf-8")


if __name__ == "__main__":
    main()
