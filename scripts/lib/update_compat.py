"""Refreshes the catalogue of versions from the package index that this machine's pip is configured for.

It adds releases and Pythons, and says which wheels of Paddle are still there. Other facts (CUDA, cuDNN, pairs) are
not in an index: a new release is without them, and rules say nothing of what is missing, until a person adds them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from packaging.version import InvalidVersion, Version

DATA: Final = Path(__file__).parents[2] / "src/imagematrix/compat/data"

_WHEEL: Final = re.compile(
    r"[^-]+-(?P<version>[^-+]+)(?:\+[^-]+)?(?:-\d[^-]*)?-cp(?P<python>\d+)-cp\d+m?u?-[^-]*linux[^-]*x86_64.*\.whl"
)

Wheels = Mapping[str, frozenset[str]]
"""Release -> the Pythons it has Linux wheels for."""


def wheels(filenames: Iterable[str]) -> Wheels:
    """Return what the names of wheels say; previews are left out."""
    found: dict[str, set[str]] = {}
    for match in filter(None, map(_WHEEL.fullmatch, filenames)):
        try:
            if Version(match["version"]).is_prerelease:
                continue
        except InvalidVersion:
            continue
        found.setdefault(match["version"], set()).add(f"{match['python'][0]}.{match['python'][1:]}")
    return {release: frozenset(pythons) for release, pythons in found.items()}


def merged(document: Mapping[str, Any], of: Wheels, *, pythons: str, new: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with the releases and Pythons of some wheels; nothing is taken away.

    `pythons` is the key of their list, `new` what an entry has besides.
    """
    known = {each["release"]: each for each in document["releases"]}
    first = min(map(Version, known))
    for release, seen in of.items():
        if Version(release) < first:
            continue
        entry = known.setdefault(release, {"release": release, pythons: [], **new})
        entry[pythons] = sorted({*entry[pythons], *seen}, key=Version)
    return {**document, "releases": sorted(known.values(), key=lambda each: Version(each["release"]))}


def sourced(document: Mapping[str, Any], cpu: Wheels, gpu: Wheels) -> dict[str, Any]:
    """Return Paddle's document with who has its wheels, by what the index has of the CPU and the GPU package."""
    releases = []
    for each in document["releases"]:
        builds = {
            name: {**build, "by": _by(build, f"{each['release']}{build.get('suffix', '')}" in gpu)}
            for name, build in each["gpu_builds"].items()
        }
        releases.append({**each, "cpu_on_pypi": each["release"] in cpu, "gpu_builds": builds})
    return {**document, "releases": releases}


def _by(build: Mapping[str, str], is_on_pypi: bool) -> str:
    """Return who has a build: what left PyPI may still be on Paddle's own index."""
    if is_on_pypi:
        return "pypi"
    return "index" if build["by"] == "pypi" else build["by"]


def text(document: Mapping[str, Any]) -> str:
    """Write a document as the catalogue keeps it: an entry on each line."""
    meta = json.dumps(document["_meta"], indent=1, ensure_ascii=False).replace("\n", "\n ")
    parts = [f' "_meta": {meta}']
    for name, part in document.items():
        if isinstance(part, list):
            entries = ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in part)
            parts.append(f' "{name}": [\n{entries}\n ]')
        elif name != "_meta":
            parts.append(f' "{name}": {json.dumps(part, ensure_ascii=False)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def filenames(package: str) -> list[str]:
    """Ask the index for the files of a package, as pip does: its configuration, its proxies, its certificates."""
    from pip._internal.commands import create_command
    from pip._internal.index.collector import LinkCollector, parse_links
    from pip._internal.models.link import Link

    command: Any = create_command("download")
    options, _ = command.parse_args([package])
    with command.main_context():
        collector = LinkCollector.create(command.get_default_session(options), options=options)
        pages = [
            collector.fetch_response(Link(url)) for url in collector.search_scope.get_index_urls_locations(package)
        ]
        return [link.filename for page in pages if page for link in parse_links(page) if not link.is_yanked]


def main() -> None:
    """Refresh the files, and say which changed."""
    torch = merged(_read("torch"), wheels(filenames("torch")), pythons="python", new={"builds": {}})
    packages = {"packages": {"cpu": ["tensorflow-cpu"], "gpu": ["tensorflow"]}}
    tensorflow = merged(_read("tensorflow"), wheels(filenames("tensorflow")), pythons="python", new=packages)
    on_index = wheels(filenames("paddlepaddle"))
    paddle = merged(_read("paddle"), on_index, pythons="cpu_python", new={"gpu_builds": {}})
    paddle = sourced(paddle, on_index, wheels(filenames("paddlepaddle-gpu")))
    for name, document in {"torch": torch, "tensorflow": tensorflow, "paddle": paddle}.items():
        path = DATA / f"{name}.json"
        if path.read_text(encoding="utf-8") != text(document):
            path.write_text(text(document), encoding="utf-8")
            print(f"{path.name}: changed; set collected in its _meta, and look at the diff")


def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return document


if __name__ == "__main__":
    main()
