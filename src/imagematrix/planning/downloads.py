"""The text of a stage in; out: what it downloads, by whether the same words may bring something else another day.

Words are judged, not run: a step of which it is not certain that it is pinned counts as moving, which costs a rebuild.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from imagematrix.model import APT_LOCK, Downloads
from imagematrix.planning import dockerfile
from imagematrix.planning.dockerfile import Instruction

_PARTS: Final = re.compile(r"&&|\|\||[;&|(){}`\n]")
_PREFIX: Final = re.compile(
    r"""(?:[\s"'!]|\w+=(?:"[^"]*"|'[^']*'|\S)*\s|(?:if|then|else|elif|do|while|until|exec|env|eval|sudo|time|nice)\s"""
    r"""|(?:\S*/)?(?:ba|da)?sh\s+-\w*c\s|timeout\s+\S+\s|xargs\s+(?:-\S+\s+)*|python[\d.]*\s+-m\s)*"""
)
"""What may stand before the name of a program: keywords, variables, and programs that start another."""
_COMMIT: Final = re.compile(r"\b[0-9a-f]{40}\b")
_CHECKSUM: Final = re.compile(r"\bsha(?:224|256|384|512)sum\b[^;&|]*\s(?:-\w*c\b|--check\b)|\bshasum\b[^;&|]*\s-\w*c\b")
_URL: Final = re.compile(r"\b(?:https?|ftp|git|ssh|rsync|s3|gs|oss|obs)://")
_QUIET: Final = re.compile(
    r"""\b(?:echo|printf|sed|grep|awk|export|test)(?:\s+(?:'[^']*'|"[^"`$]*"|[^\s;&|'"()`]+))+|(?:^|\s)#.*"""
    r"""|(?<![-\w])\w+=(?:'[^']*'|"[^"`$]*"|[^\s;&|'"()`]+)(?=\s*(?:[;&|]|$))""",
    re.MULTILINE,
)
"""Calls that may name an address, and fetch nothing from it; comments; variables."""

_FETCHERS: Final = frozenset({"curl", "wget", "aria2c", "axel"})
_MOVING: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(words)
    for names, words in {
        "apt-get apt aptitude": r"\b(?:update|install|upgrade|dist-upgrade|full-upgrade|build-dep|download|source)\b",
        "dnf microdnf yum zypper": r"\b(?:install|update|upgrade|makecache|module|groupinstall|reinstall|refresh)\b",
        "apk": r"\b(?:add|update|upgrade|fetch)\b",
        "pip pip2 pip3": r"\b(?:install|download|wheel)\b",
        "uv": r"\b(?:install|sync|add|lock|run|tool|x)\b",
        "conda mamba micromamba": r"\b(?:install|create|update|upgrade|env)\b",
        "npm pnpm yarn npx": r"",
        "git": r"\b(?:clone|fetch|pull|submodule|lfs)\b",
        "svn hg": r"\b(?:checkout|co|clone|pull|update)\b",
        "cargo": r"\b(?:install|build|fetch|update)\b",
        "go": r"\b(?:get|install|mod|build)\b",
        "gem rustup playwright": r"\b(?:install|update|toolchain)\b",
        "poetry pipenv pdm easy_install pipx add-apt-repository rsync scp gdown huggingface-cli hf": r"",
    }.items()
    for name in names.split()
}
"""Program -> what makes of its call a download."""
_PINNED: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(words)
    for names, words in {
        "pip pip2 pip3": r"\s--(?:require-hashes|no-index)\b",
        "uv": r"\s--(?:require-hashes|no-index|locked|frozen|offline)\b",
        "npm": r"\sci\b",
        "pnpm yarn": r"\s--(?:frozen-lockfile|immutable)\b",
        "cargo": r"\s--(?:locked|frozen|offline)\b",
    }.items()
    for name in names.split()
}
"""Program -> what makes a download bring the same each day: hashes."""


def of(text: str) -> Downloads:
    """Return what a stage downloads: that of its steps which may move most.

    What apt installs by the macro of `site.j2` counts as locked: whether there is a lock is not in the text.
    """
    return most_moving({kind for instruction in dockerfile.instructions(text) for kind in _kinds(instruction)})


def of_image(image: str) -> Downloads:
    """Return what a stage downloads that is from an image; of no image, nothing."""
    return Downloads.NOTHING if not image else Downloads.PINNED if "@sha256:" in image else Downloads.MOVING


def most_moving(found: Collection[Downloads]) -> Downloads:
    """Return the kind among these of what may move most."""
    order = (Downloads.MOVING, Downloads.LOCKED, Downloads.PINNED)
    return next((kind for kind in order if kind in found), Downloads.NOTHING)


def _kinds(instruction: Instruction) -> Iterator[Downloads]:
    match instruction.word:
        case "ADD":
            yield from (_added(word, instruction.flags) for word in instruction.arguments[:-1] if _is_remote(word))
        case "COPY" | "RUN" if any(_is_moving_image(flag) for flag in instruction.flags):
            yield Downloads.MOVING
        case "RUN":
            yield from _run(instruction)
        case _:
            return


def _is_remote(word: str) -> bool:
    return "://" in word or word.startswith("git@")


def _added(word: str, flags: list[str]) -> Downloads:
    is_pinned = any(flag.startswith("checksum=") for flag in flags) or _COMMIT.search(word)
    return Downloads.PINNED if is_pinned else Downloads.MOVING


def _is_moving_image(flag: str) -> bool:
    """Whether a flag copies or mounts out of another image, by a name that may stand for another one tomorrow."""
    origin = dockerfile.origin(flag)
    return bool(dockerfile.WHOLE_IMAGE.search(origin)) and of_image(origin) is Downloads.MOVING


def _run(instruction: Instruction) -> Iterator[Downloads]:
    mounts = [dockerfile.mount(flag) for flag in instruction.flags]
    script = "\n".join([" ".join(instruction.arguments), instruction.documents])
    found = [*_commands(script, has_lock=any(_is_apt_lock(mount) for mount in mounts))]
    yield from found
    # What takes a site's configuration and is not known here downloads in a way of its own.
    if not found and any(mount.get("type") == "secret" for mount in mounts):
        yield Downloads.MOVING


def _is_apt_lock(mount: Mapping[str, str]) -> bool:
    return mount.get("source", mount.get("src", "")).endswith(f"/{APT_LOCK}")


def _commands(script: str, *, has_lock: bool) -> Iterator[Downloads]:
    """Yield the downloads of a script. A file and a clone are pinned if the script checks as many hashes."""
    checks = {"git": len(_COMMIT.findall(script)), "": len(_CHECKSUM.findall(script))}
    for part in _PARTS.split(_QUIET.sub("true", script)):
        command = part[_PREFIX.match(part).end() :]  # type: ignore[union-attr]  # it matches nothing, too
        program = command.split(maxsplit=1)[0].rpartition("/")[2].strip("\"'") if command.strip() else ""
        if not _downloads(program, command):
            continue
        if program.startswith("apt"):
            yield Downloads.LOCKED if has_lock and program == "apt-get" else Downloads.MOVING
        elif program in _PINNED:
            yield Downloads.PINNED if _PINNED[program].search(command) else Downloads.MOVING
        elif program in _FETCHERS or program == "git":
            kind = "git" if program == "git" else ""
            checks[kind] -= 1
            yield Downloads.PINNED if checks[kind] >= 0 else Downloads.MOVING
        else:
            yield Downloads.MOVING


def _downloads(program: str, command: str) -> bool:
    if program in _MOVING:
        return _MOVING[program].search(command) is not None
    return program in _FETCHERS or _URL.search(command) is not None
