"""The first files of a monorepo: decided from what is in its folder, and in the repository around it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Template
from typing import Final

from imagematrix.model import MATRIX
from imagematrix.text import platforms

_NAME: Final = re.compile(r"[^a-z0-9]+")
_CI_FILES: Final = {"github": ".github/workflows/images.yml", "gitlab": ".gitlab-ci.yml"}
_SECTION: Final = "## Container images"
_TAPLO: Final = ".taplo.toml"
"""How editors format the matrix."""
_TASKS: Final = "tasks.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is in a folder where images are to begin, and around it. Paths are from the root of its repository."""

    name: str
    """The folder's name."""
    within: str
    """Its path; `.`: it is the root itself, or in no repository."""
    platform: str
    """This machine's Docker platform."""
    ci: str
    """`github`, `gitlab` or nothing: whose repository it is."""
    texts: Mapping[str, str]
    """Those of the files that `looked_at` names and that exist: path -> text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What is written, and what is left to people."""

    files: Mapping[str, str]
    """Path from the root of the repository -> text."""
    remarks: tuple[str, ...]


def looked_at(within: str) -> tuple[str, ...]:
    """Return the files that matter."""
    own = ("README.md", ".gitignore", ".gitattributes", _TAPLO, _TASKS)
    return tuple(dict.fromkeys([*(_inside(within, name) for name in own), *_CI_FILES.values(), _TASKS]))


def begin(found: Surroundings, templates: Mapping[str, str]) -> Beginning:
    """Return the files of a new monorepo; `templates` are the texts of `templates/init`, by their names."""
    values = {
        "name": _NAME.sub("-", found.name.lower()).strip("-") or "images",
        "folder": found.within,
        "platform": "" if found.platform == platforms.DEFAULT else f'platforms = ["{found.platform}"]\n',
    }
    texts = {name: Template(text).substitute(values) for name, text in templates.items()}
    names = (MATRIX, "README.md", _TAPLO, _TASKS)
    matrix, readme, taplo, tasks = (_inside(found.within, name) for name in names)
    files = {matrix: texts[MATRIX], readme: _with_section(found.texts.get(readme), texts["README.md"])}
    for name in ("gitignore", "gitattributes"):
        path = _inside(found.within, f".{name}")
        files[path] = _with_lines(found.texts.get(path, ""), texts[name])
    if taplo not in found.texts:
        files[taplo] = texts["taplo.toml"]
    if tasks not in found.texts:
        files[tasks] = texts["tasks"]
    if found.ci and _CI_FILES[found.ci] not in found.texts:
        files[_CI_FILES[found.ci]] = texts[f"{found.ci}.yml"]
    changed = {path: text for path, text in files.items() if found.texts.get(path) != text}
    return Beginning(files=changed, remarks=tuple(_remarks(found, texts)))


def _remarks(found: Surroundings, texts: Mapping[str, str]) -> Iterator[str]:
    """Yield what people may add themselves to files that are left as they are."""
    if _TASKS in found.texts:
        yield (
            f"{_TASKS} is left as it is; these lines add the commands to it, as `invoke images.build`:\n"
            "    from imagematrix.tasks import collection\n"
            f'    ns.add_collection(collection(root="{found.within}"), "images")'
        )
    if found.ci and (path := _CI_FILES[found.ci]) in found.texts:
        lines = "".join(f"    {line}\n" for line in texts[f"{found.ci}.yml"].splitlines())
        yield f"{path} is left as it is; jobs for it:\n{lines}"


def _inside(within: str, name: str) -> str:
    return name if within == "." else f"{within}/{name}"


def _with_lines(text: str, lines: str) -> str:
    """Return a file with the lines that it lacks, at its end."""
    there = {line.strip() for line in text.splitlines()}
    missing = [line for line in lines.splitlines() if line not in there]
    if all(line.startswith("#") for line in missing):
        return text
    head = f"{text.rstrip()}\n\n" if text.strip() else ""
    return head + "".join(f"{line}\n" for line in missing)


def _with_section(text: str | None, section: str) -> str:
    if text is None:
        return section.replace("## ", "# ", 1)
    return text if _SECTION in text else f"{text.rstrip()}\n\n{section}"
