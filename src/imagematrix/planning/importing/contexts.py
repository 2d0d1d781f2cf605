"""The context of an image that is imported: which folder it is, what .dockerignore leaves of it, what is not there."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from imagematrix.audit import contents
from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError, did_you_mean
from imagematrix.model import File
from imagematrix.planning import dockerfile, handwritten
from imagematrix.planning.dockerfile import Instruction
from imagematrix.planning.handwritten import Ignored, Whole
from imagematrix.planning.importing.nouns import BuildCall, FoundTree

_IGNORING: Final = ".dockerignore"


def in_context(tree: FoundTree, call: BuildCall, whole: Whole) -> BuildCall:
    """Return the call with the context that its Dockerfile needs, where nothing says it.

    That is its folder, else the nearest one above or directly below that has all, or most, of what is copied.
    """
    if call.file != call.dockerfile:
        return call
    parts = posixpath.dirname(call.dockerfile).split("/") if "/" in call.dockerfile else []
    above = ["/".join(parts[:depth]) or "." for depth in range(len(parts), -1, -1)]
    prefix = "" if above[0] == "." else f"{above[0]}/"
    inside = (path.removeprefix(prefix) for path in tree.files if path.startswith(prefix))
    below = dict.fromkeys(prefix + path.partition("/")[0] for path in inside if "/" in path)
    tried = (replace(call, context=folder) for folder in (*above, *below))
    return min(tried, key=lambda each: len([*_missing(whole, files(tree, each))]))


def _missing(whole: Whole, context: Mapping[str, File]) -> Iterator[tuple[int, str]]:
    """Yield what is copied and not there, each with its line."""
    for stage in whole.needed:
        for each in stage.instructions:
            for path in copied(each):
                if "$" not in path and not any(handwritten.is_match(name, path) for name in context):
                    yield each.line, path


def files(tree: FoundTree, call: BuildCall) -> Mapping[str, File]:
    """Return what .dockerignore leaves of the context, by path in it; without git's own files."""
    prefix = "" if call.context == "." else f"{call.context}/"
    ignoring = next(
        (path for path in (f"{call.dockerfile}{_IGNORING}", f"{prefix}{_IGNORING}") if path in tree.files), None
    )
    ignored = Ignored(tree.text(ignoring) if ignoring else "")
    inside = (path.removeprefix(prefix) for path in tree.files if path.startswith(prefix))
    return _Part(tree.files, prefix, [path for path in inside if not ignored(path)])


class _Part(Mapping[str, File]):
    """Some files of a tree, by their paths in a folder; each is read when it is asked for."""

    def __init__(self, files: Mapping[str, File], prefix: str, paths: Sequence[str]) -> None:
        self._files = files
        self._prefix = prefix
        self._paths = dict.fromkeys(paths)

    def __getitem__(self, path: str) -> File:
        if path not in self._paths:
            raise KeyError(path)
        return replace(self._files[self._prefix + path], path=path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def refuse_missing(whole: Whole, context: Mapping[str, File], shown: str) -> None:
    """Raise InputError for files that are copied and not there, and for files that look secret."""
    found = []
    for line, path in _missing(whole, context):
        what, near = f"copies {path!r}, which is not there", did_you_mean(path, context)
        hint = near if near.startswith("did you mean") else "put it there, as the build does"
        found.append(Diagnostic(code="missing_source", file=shown, line=line, message=what, hint=hint))
    for stage in whole.needed:
        for each in stage.instructions:
            names_of = (name for path in copied(each) for name in context if handwritten.is_match(name, path))
            secret = [name for name in names_of if contents.looks_secret(name, context[name].content)]
            found += [_secret(shown, each.line, name) for name in secret]
    if found:
        raise InputError(found)


def _secret(shown: str, line: int, name: str) -> Diagnostic:
    what = f"copies {name!r}, which looks secret"
    hint = f"leave it out by the line {name} of .dockerignore, and mount it where it is needed"
    return Diagnostic(code="secret", file=shown, line=line, message=what, hint=hint)


def copied(instruction: Instruction) -> Iterator[str]:
    """Yield what a COPY or ADD takes out of the context, normalized."""
    if instruction.word in ("COPY", "ADD") and not any(flag.startswith("from=") for flag in instruction.flags):
        own = (path for path in instruction.arguments[:-1] if not dockerfile.is_elsewhere(path))
        yield from (posixpath.normpath(f"/{path}").lstrip("/") or "." for path in own)
