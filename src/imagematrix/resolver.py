"""Asks uv: one request about requirements in, one lock or uv's refusal out."""

import os
import re
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from imagematrix import scratch, secrecy, site
from imagematrix.errors import FlagError, NoIndexError
from imagematrix.model import Site
from imagematrix.planning import failure, requirements, sizes
from imagematrix.planning.requirements import Locked, ResolveRequest
from imagematrix.planning.sizes import Download
from imagematrix.shell import Shell
from imagematrix.text import versions

_ASKED_FOR: Final = "requirements.in"
_OLDEST_UV: Final = "0.13"
_NO_SOLUTION: Final = "No solution found"
_NO_COMPILER: Final = {"PATH": "/nonexistent"}
"""A build step has none either; those of this machine must not be found."""
_UNREACHABLE: Final = re.compile(r"Failed to fetch|Request failed after|error sending request")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveResult:
    """A lock's text, or why it could not be resolved."""

    text: str = ""
    why: str = ""


def find_uv(shell: Shell) -> str:
    """Return the uv to ask: that of the extra `lock`, else the one that runs this (`uvx`), else that of the PATH.

    Raises FlagError where there is none that knows all options of our requests.
    """
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        found = os.environ.get("UV") or shutil.which("uv")
    remedy = "    pip install 'imagematrix[lock]' brings one"
    if not found:
        raise FlagError(f"requirements are locked with uv, which is not installed here\n{remedy}")
    _, said = shell.capture((found, "--version"))
    _, _, version = said.partition("uv ")
    if not versions.meets(version.partition(" ")[0].strip(), f">={_OLDEST_UV}"):
        raise FlagError(
            f"requirements are locked with uv {_OLDEST_UV} or newer, and {found} is {said.strip()}\n{remedy}"
        )
    return found


class Uv:
    """Resolves requests with what a site fetches from."""

    def __init__(self, shell: Shell, where: Site) -> None:
        self._shell = shell
        # Of one moment, however long the run takes: its locks are of the same state of the index.
        self._cooldown = requirements.cooldown_of(where, now=datetime.now(UTC))
        self._has_wheelhouse = bool(where.wheelhouse)
        self._environment = site.resolving_environment(where)
        self._configuration = site.resolving_toml(where)

    @cached_property
    def _program(self) -> str:
        """The program, once something must be asked: a project without Python packages needs none."""
        return find_uv(self._shell)

    def resolve(self, request: ResolveRequest) -> ResolveResult:
        """Resolve on top of the locks below or, if that has no solution, together with everything below.

        A package that has no wheel, and does not build without a compiler, is resolved again among its wheels.
        Raises NoIndexError when the index does not answer.
        """
        barred: dict[str, str] = {}
        while True:
            text, said = self._resolved(request, barred)
            if not text:
                _refuse_silence(said)
                told = ["\n".join(barred.values()), said + self._remedy(said), _bounds(request)]
                return ResolveResult(why="\n".join(filter(None, told)))
            files, said = self._files(request, text)
            unbuildable = self._unbuildable(request, text, files)
            if not unbuildable.keys() - barred:
                return ResolveResult(text=_measured(request, text, files) if files else text)
            barred |= unbuildable

    def measure(self, request: ResolveRequest, locked: Locked) -> ResolveResult:
        """Return a lock with the sizes of the files that it adds to those below, or why they are not known.

        Raises NoIndexError when the index does not answer.
        """
        files, said = self._files(request, locked.installed)
        if not files:
            _refuse_silence(said)
            return ResolveResult(why=said)
        return ResolveResult(text=_measured(request, locked.text, files))

    def silence(self) -> str:
        """Ask the index for a package that every index has; return why it gives none, empty when it does."""
        with self._folder({_ASKED_FOR: "pip\n"}) as folder:
            argv = (self._program, "--directory", str(folder), "--config-file", requirements.CONFIGURATION)
            asking = ("pip", "compile", _ASKED_FOR, "--no-deps", "--no-cache", "--quiet", "--python", sys.executable)
            code, said = self._capture((*argv, *asking), env={**self._environment, "UV_HTTP_RETRIES": "0"})
        # What uv draws before a line is none of its words.
        lines = [words[1] for line in said.splitlines() if (words := re.match(r"\W*(.+)", line))]
        return (lines[-1] if lines else f"uv ended with exit code {code}") if code else ""

    def cancel(self) -> None:
        """Stop what is being resolved."""
        self._shell.cancel()

    def _remedy(self, said: str) -> str:
        if too_new := requirements.remedy(self._cooldown, said):
            return f"\n{too_new}"
        if failure.is_not_in_index(said):
            return f"\n{failure.NO_SUCH_PACKAGE}: see `[site]` for where packages are looked for"
        is_nowhere = "there is no version of" in said and not self._has_wheelhouse
        return "\nno wheelhouse is configured here: if a wheel is to come from one, see `[site]`" if is_nowhere else ""

    def _resolved(self, request: ResolveRequest, wheels: Collection[str]) -> tuple[str, str]:
        """Return the lock of a request, and what uv said; no lock means that it failed."""
        resolved, said = self._compile(request, anew=False, wheels=wheels)
        anew = not resolved and bool(request.constraints) and _NO_SOLUTION in said
        if anew:
            resolved, said = self._compile(request, anew=True, wheels=wheels)
        return self._text(request, resolved, anew=anew) if resolved else "", said

    def _text(self, request: ResolveRequest, resolved: str, *, anew: bool) -> str:
        return requirements.lock_text(request, resolved, anew=anew, cooldown=self._cooldown)

    def _files(self, request: ResolveRequest, text: str) -> tuple[Mapping[str, Download], str]:
        """Return the files of a lock by package, and what uv said; none means that it failed."""
        with self._folder({requirements.lock_file(request): requirements.with_options(request, text)}) as folder:
            argv = requirements.sizes_argv(request, uv=(self._program, sys.executable), folder=str(folder))
            code, said = self._capture(argv, env=self._environment)
            if code:
                return {}, _failure(code, said)
            told = (folder / requirements.PYLOCK).read_text(encoding="utf-8")
        return sizes.downloads(told, python=request.python, platform=request.platform), said

    def _unbuildable(self, request: ResolveRequest, text: str, files: Mapping[str, Download]) -> Mapping[str, str]:
        """Return the packages of a lock that cannot be installed, and why: those of the locks below were judged."""
        found, uv = {}, (self._program, sys.executable)
        for package in requirements.sources(request, text, files):
            with self._folder({requirements.SOURCE: requirements.with_options(request, package)}) as folder:
                argv = requirements.building_argv(request, package, uv=uv, folder=str(folder), cooldown=self._cooldown)
                code, said = self._capture(argv, env={**self._environment, **_NO_COMPILER})
            if code:
                _refuse_silence(said)
                found[package.partition("==")[0]] = requirements.unbuildable(request, package, _failure(code, said))
        return found

    def _compile(self, request: ResolveRequest, *, anew: bool, wheels: Collection[str]) -> tuple[str, str]:
        """Return what uv resolved and what it said; nothing resolved means that it failed."""
        uv = (self._program, sys.executable)
        with self._folder(requirements.files(request, anew=anew)) as folder:
            argv = requirements.argv(
                request, uv=uv, folder=str(folder), anew=anew, wheels=wheels, cooldown=self._cooldown
            )
            code, said = self._capture(argv, env=self._environment)
            if code:
                return "", _failure(code, said)
            # Even what requires nothing is an answer.
            return (folder / requirements.OUTPUT).read_text(encoding="utf-8") or "# nothing\n", said

    def _capture(self, argv: Sequence[str], *, env: Mapping[str, str]) -> tuple[int, str]:
        """Run uv; return its exit code and what it printed, without the logins of indexes and proxies."""
        code, said = self._shell.capture(argv, env=env)
        return code, secrecy.hidden(said)

    @contextmanager
    def _folder(self, files: Mapping[str, str]) -> Iterator[Path]:
        """Give a folder with files for uv and its configuration."""
        with scratch.folder("lock") as folder:
            for path, text in files.items():
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")
            # It may hold credentials: the folder is private, and removed afterwards.
            (folder / requirements.CONFIGURATION).write_text(self._configuration, encoding="utf-8")
            yield folder


def _measured(request: ResolveRequest, text: str, files: Mapping[str, Download]) -> str:
    """Return a lock with the sizes of the files that it adds to those below."""
    wanted = sizes.unmeasured(text, (below.text for below in request.constraints))
    return sizes.measured(text, {name: _size(files[name]) if name in files else None for name in wanted})


def _bounds(request: ResolveRequest) -> str:
    reasons = requirements.reasons(request)
    return "\n".join(["bounds of the catalogue:", *(f"    {reason}" for reason in reasons)]) if reasons else ""


def _refuse_silence(said: str) -> None:
    """Raise NoIndexError where uv failed because the index does not answer."""
    if _NO_SOLUTION not in said and _UNREACHABLE.search(said):
        raise NoIndexError(f"the package index does not answer: the committed locks are unchanged\n{said}")


def _failure(code: int, said: str) -> str:
    return said.strip() or f"uv ended with exit code {code}"


def _size(file: Download) -> int | None:
    """Return a file's size: of one in a wheelhouse, the disk knows it."""
    place = urlsplit(file.url)
    if file.size is None and place.scheme == "file":
        return Path(unquote(place.path)).stat().st_size
    return file.size
