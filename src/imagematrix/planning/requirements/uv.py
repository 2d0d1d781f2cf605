"""Requests to uv: the files that it reads, its command lines, and what its answers mean."""

from collections.abc import Collection, Mapping
from typing import Final

from imagematrix.compat import oldest_patch
from imagematrix.planning import sizes
from imagematrix.planning.requirements.cooldown import Cooldown, options
from imagematrix.planning.requirements.stack import FILES, LOCK, Requirements, ResolveRequest
from imagematrix.planning.sizes import Download

CONFIGURATION: Final = "uv.toml"
BOUNDS: Final = "bounds.txt"
SOURCE: Final = "source.txt"
OUTPUT: Final = "resolved.txt"
"""What uv reads beside the requirements, and what it writes."""
PYLOCK: Final = "pylock.toml"
"""What uv writes when it lists the files of a lock."""


def files(request: ResolveRequest, *, anew: bool) -> Mapping[str, str]:
    """Return the files that uv reads, by their paths in a folder of their own."""
    asked = request.layers if anew else request.layers[-1:]
    constraints = () if anew else request.constraints
    limits = {BOUNDS: "".join(f"{bound.requirement}\n" for bound in request.bounds)} if request.bounds else {}
    return (
        {_file(requirements): requirements.text for requirements in asked}
        | limits
        | {f"{locked.layer}/{LOCK}": locked.text for locked in constraints}
    )


def argv(
    request: ResolveRequest,
    *,
    uv: tuple[str, str],
    folder: str,
    anew: bool,
    wheels: Collection[str] = (),
    cooldown: Cooldown | None = None,
) -> tuple[str, ...]:
    """Return the command that resolves a request: `uv` is the program, and the Python it may build with.

    `files` and the configuration lie in the folder; the result is written there, and names them by their paths. Of the
    packages in `wheels`, only versions with a wheel are taken.
    """
    program, python = uv
    paths = files(request, anew=anew)
    constraining = [path for path in paths if path == BOUNDS or path.endswith(LOCK)]
    requirements = [path for path in paths if path not in constraining]
    locked = () if anew else (name for below in request.constraints for name in sizes.pins(below.text))
    return (
        *(program, "--directory", folder, "--config-file", CONFIGURATION),
        *("pip", "compile", *requirements),
        *(word for path in constraining for word in ("--constraints", path)),
        *(word for package in sorted(wheels) for word in ("--only-binary", package)),
        *options(cooldown, locked=locked),
        *("--python", python),
        *_target(request),
        *("--generate-hashes", "--no-emit-index-url", "--no-header", "--quiet", "--output-file", OUTPUT),
    )


def with_options(request: ResolveRequest, text: str) -> str:
    """Return a lock, or a part of it, with the options of the requirements, such as the indexes that they name."""
    lines = (line.strip() for layer in request.layers for line in layer.text.splitlines())
    return "".join(f"{line}\n" for line in dict.fromkeys(lines) if line.startswith("-")) + text


def sizes_argv(request: ResolveRequest, *, uv: tuple[str, str], folder: str) -> tuple[str, ...]:
    """Return the command that lists the files of a lock: it lies in the folder, under its layer's name."""
    program, python = uv
    return (
        *(program, "--directory", folder, "--config-file", CONFIGURATION),
        *("pip", "compile", lock_file(request), "--no-deps", "--python", python),
        *_target(request),
        *("--format", "pylock.toml", "--no-header", "--quiet", "--output-file", PYLOCK),
    )


def building_argv(
    request: ResolveRequest, package: str, *, uv: tuple[str, str], folder: str, cooldown: Cooldown | None = None
) -> tuple[str, ...]:
    """Return the command that builds a package (`name==version`), which `SOURCE` names, into a folder of the folder.

    Without a cache: what was built there before was built with what there was then. The cooldown is for what it is
    built with.
    """
    program, python = uv
    name = package.partition("==")[0]
    return (
        *(program, "--directory", folder, "--config-file", CONFIGURATION),
        *("pip", "install", "-r", SOURCE, "--no-deps", "--no-cache", "--no-binary", name),
        *options(cooldown, locked=[name]),
        *("--python", python),
        *_target(request),
        *("--target", "built", "--quiet"),
    )


def lock_file(request: ResolveRequest) -> str:
    """Return where in uv's folder the lock of a request lies."""
    return f"{request.asker.layer}/{LOCK}"


def _target(request: ResolveRequest) -> tuple[str, ...]:
    """Return the options for whom uv resolves: the row's Python and platform, not those of this machine."""
    return ("--python-version", oldest_patch(request.python), "--python-platform", request.platform)


def _file(requirements: Requirements) -> str:
    return f"{requirements.layer}/{FILES[0]}"


def sources(request: ResolveRequest, text: str, files: Mapping[str, Download]) -> tuple[str, ...]:
    """Return the packages of a lock (`name==version`) that are built from source and that no layer compiles.

    Those of the locks below were judged with them.
    """
    compiled = frozenset(name for layer in request.layers for name in layer.compiled)
    below = {pin for locked in request.constraints for pin in sizes.pins(locked.text).items()}
    return tuple(
        f"{name}=={version}"
        for name, version in sizes.pins(text).items()
        if name in files and files[name].is_source and name not in compiled and (name, version) not in below
    )


def unbuildable(request: ResolveRequest, package: str, why: str) -> str:
    """Return in words that a package has no wheel and does not build without a compiler, as uv said."""
    machine, _, glibc = request.platform.partition("-manylinux_")
    name, _, version = package.partition("==")
    lines = [line.strip() for line in why.splitlines() if line.strip() and not line.startswith("hint:")]
    return (
        f"{name} {version} has no wheel for Python {request.python} and glibc {glibc.replace('_', '.')} on {machine},"
        f" and does not build without a compiler: {lines[-1] if lines else why}\n"
        f"take a version with a wheel, put one into a wheelhouse (`[site]`),"
        f" or compile it in its layer (`--no-binary {name}` in the template)"
    )
