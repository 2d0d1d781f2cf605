"""What `docker buildx bake --print` says in, the images that it builds out."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.planning.importing.nouns import BuildCall, is_image
from imagematrix.text import documents
from imagematrix.text.documents import DamagedError
from imagematrix.text.platforms import is_platform

FILES: Final = ("docker-bake.hcl", "docker-bake.json")
"""The files that bake looks for, and that name images of a folder."""
TARGET: Final = "target:"
"""How a named context says that it is another target."""


def read(text: str, *, file: str) -> tuple[list[BuildCall], list[Diagnostic]]:
    """Return the targets, and what of them cannot be imported. `file` is the path of the bake file in the tree."""
    try:
        targets = documents.read(text, dict[str, dict[str, Any]]).get("target", {})
    except DamagedError as error:
        return [], [unread(file, str(error))]
    problems = [problem for name, target in targets.items() for problem in _problems(file, name, target)]
    wrong = {problem.about for problem in problems}
    return [_call(file, name, target) for name, target in targets.items() if name not in wrong], problems


def unread(file: str, why: str) -> Diagnostic:
    """Return the problem of a bake file that cannot be read."""
    reason = next((line for line in reversed(why.splitlines()) if line.startswith("ERROR: ")), why)
    hint = "if it needs more files or variables, print it yourself: docker buildx bake -f … --print > docker-bake.json"
    what = f"`docker buildx bake --print` fails: {reason.removeprefix('ERROR: ')}"
    return Diagnostic(code="import_bake", file=file, message=what, hint=hint)


def _problems(file: str, name: str, target: Mapping[str, Any]) -> Iterator[Diagnostic]:
    if target.get("dockerfile-inline"):
        what, hint = f"target {name}: its Dockerfile is in the bake file", "write it to a file of its own"
        yield Diagnostic(code="import_bake", file=file, about=name, message=what, hint=hint)
    elif "://" in (context := target.get("context", ".")):
        what, hint = f"target {name}: its context {context} is not a folder", "check it out beside the bake file"
        yield Diagnostic(code="import_bake", file=file, about=name, message=what, hint=hint)


def _call(file: str, name: str, target: Mapping[str, Any]) -> BuildCall:
    context = posixpath.normpath(posixpath.join(posixpath.dirname(file), target.get("context", ".")))
    images = tuple(target.get("tags", ()))
    return BuildCall(
        file=file,
        line=0,
        name=name,
        dockerfile=posixpath.normpath(posixpath.join(context, target.get("dockerfile", "Dockerfile"))),
        context=context,
        target=target.get("target", ""),
        arguments={argument: str(value) for argument, value in target.get("args", {}).items() if value is not None},
        images=images,
        platforms=tuple(filter(is_platform, target.get("platforms", ()))),
        pattern=images[0].rpartition("/")[2].partition(":")[2] if images else "",
        contexts={
            name: value if is_image(value) else posixpath.normpath(posixpath.join(posixpath.dirname(file), value))
            for name, value in target.get("contexts", {}).items()
        },
    )
