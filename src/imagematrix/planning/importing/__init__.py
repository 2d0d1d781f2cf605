"""Existing images in, the layers and rows that build the same out: the plan of `imagematrix import`."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import Collector
from imagematrix.model import GENERATED
from imagematrix.planning.importing import bake, images, scripts
from imagematrix.planning.importing.comparing import differences
from imagematrix.planning.importing.drafting import ExistingMatrix, ImportDraft, ImportResult, draft
from imagematrix.planning.importing.linking import linked
from imagematrix.planning.importing.nouns import BuildCall, FoundTree

__all__ = [
    "BAKE_FILES",
    "DOCKERFILE",
    "ExistingMatrix",
    "FoundTree",
    "ImportDraft",
    "ImportResult",
    "differences",
    "plan",
]

BAKE_FILES: Final = bake.FILES
_DOCKERFILE: Final = re.compile(r"Dockerfile(?:\.(?!dockerignore$|j2$|md$)[\w.-]+)?|[\w.-]+\.Dockerfile")
"""What Dockerfiles are called."""
_MARK: Final = ".generated"
"""A file of leaves: what is beside it was rendered, and is not imported."""


def plan(
    trees: Sequence[FoundTree], there: ExistingMatrix, *, without: Mapping[int, Sequence[Diagnostic]] | None = None
) -> ImportDraft:
    """Return what to write for some folders, in addition to what is there.

    `without` are images that cannot be rendered, by their numbers, and why.
    """
    found, refused = Collector(), without or {}
    calls = [(tree, call) for tree in trees for call in _calls(tree, found)]
    read = [
        None if number in refused else found.attempt(partial(images.read, number, tree, call))
        for number, (tree, call) in enumerate(calls)
    ]
    left_out = [call for (_, call), image in zip(calls, read, strict=True) if image is None]
    made, circles = linked([each for each in read if each], left_out)
    return draft(
        made, there, problems=(*found.diagnostics, *circles, *(each for why in refused.values() for each in why))
    )


def _calls(tree: FoundTree, found: Collector) -> Iterator[BuildCall]:
    """Yield what is built in a tree, by scripts, by bake, or by nothing but a Dockerfile."""
    rendered = {posixpath.dirname(path) for path in tree.files if posixpath.basename(path) == _MARK}
    paths = [path for path in tree.files if not _is_left(path, rendered)]
    calls: list[BuildCall] = []
    for path in paths:
        if path.endswith(".sh") and scripts.BUILDS.search(text := tree.text(path)):
            read, remarks = scripts.read(text, file=path)
        elif path in tree.bake:
            read, remarks = bake.read(tree.bake[path], file=path)
        elif path in tree.unread:
            read, remarks = [], [bake.unread(path, tree.unread[path])]
        else:
            continue
        calls += read
        found.diagnostics += [_placed(tree, each) for each in remarks]
    called = {call.dockerfile for call in calls}
    alone = [path for path in paths if _DOCKERFILE.fullmatch(posixpath.basename(path)) and path not in called]
    calls += [_alone(path) for path in alone if not tree.text(path).startswith(GENERATED)]
    if not calls:
        what, hint = "there is no Dockerfile", "expected a folder with a Dockerfile, or one that has such folders"
        found.diagnostics.append(Diagnostic(code="import_nothing", file=tree.path, message=what, hint=hint))
    yield from calls


def _is_left(path: str, rendered: set[str]) -> bool:
    folders = posixpath.dirname(path).split("/")
    is_hidden = any(folder.startswith(".") for folder in folders)
    return is_hidden or any("/".join(folders[:depth]) in rendered for depth in range(1, len(folders) + 1))


def _alone(path: str) -> BuildCall:
    return BuildCall(file=path, line=0, dockerfile=path, context=posixpath.dirname(path) or ".")


def _placed(tree: FoundTree, each: Diagnostic) -> Diagnostic:
    return replace(each, file=tree.shown(each.file))
