"""The part of the lock command that is about bases: the digests that registries know them by, kept in matrix.lock."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from imagematrix.execution import parallel
from imagematrix.model import Row
from imagematrix.planning import lock
from imagematrix.project import Project
from imagematrix.registry import BaseDigest, host
from imagematrix.text import names
from imagematrix.text.formatting import count

JOBS: Final = 4
"""How many requests run at once."""


class DigestSource(Protocol):
    """Who answers."""

    def digest(self, image: str, wanted: Collection[str]) -> BaseDigest: ...

    def cancel(self) -> None: ...


def run(
    project: Project,
    rows: Sequence[Row],
    *,
    registry: DigestSource,
    upgrade: bool,
    say: Callable[[str], None],
) -> None:
    """Lock the bases of the selected rows that have no digest yet, with `upgrade` all of them.

    A base whose registry does not answer, or does not have it, keeps its digest, and that is reported without an error.
    The digest of a base that no row uses is removed.
    """
    known = project.lock.bases
    platforms = _images(rows)
    answers = _ask({image: platforms[image] for image in platforms if upgrade or image not in known}, registry)
    for line in _remarks(answers, known):
        say(line)
    found = {image: answer.digest for image, answer in answers.items() if answer.digest}
    standing = {*_images(project.obtainable)}
    locked = {image: digest for image, digest in {**known, **found}.items() if image in standing}
    if locked != known:
        project.repository.write_lock(lock.dump(replace(project.lock, bases=locked)))
        say(f"{project.repository.from_here(project.repository.lock_file)}: commit it")


def _images(rows: Collection[Row]) -> Mapping[str, Collection[str]]:
    """Return the bases of rows that are pulled by a name that may move, each with the platforms it is needed for."""
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.base.image, set()).add(row.platform)
    return {image: found[image] for image in sorted(found) if image not in ("", names.SCRATCH) and "@" not in image}


def _ask(images: Mapping[str, Collection[str]], registry: DigestSource) -> Mapping[str, BaseDigest]:
    """Ask each registry for one image, then for its others if it answers; `images` are given with their platforms."""
    first = {host(image): image for image in reversed([*images])}
    with parallel.pool(JOBS, name="bases") as pool:

        def ask(wanted: Collection[str]) -> dict[str, BaseDigest]:
            return dict(zip(wanted, pool.map(lambda image: registry.digest(image, images[image]), wanted), strict=True))

        try:
            answers = ask(first.values())
            silent = {host(image): found for image, found in answers.items() if found.is_silent}
            answers |= ask([image for image in images if image not in answers and host(image) not in silent])
        except BaseException:
            registry.cancel()
            raise
    return {image: answers[image] if image in answers else silent[host(image)] for image in images}


def _remarks(answers: Mapping[str, BaseDigest], known: Mapping[str, str]) -> list[str]:
    lines = [
        f"base {image}: {answer.digest or answer.why}"
        for image, answer in answers.items()
        if not answer.is_silent and (answer.why or answer.digest != known.get(image))
    ]
    silent: dict[str, list[str]] = {}
    for image, answer in answers.items():
        if answer.is_silent:
            silent.setdefault(host(image), []).append(image)
    return lines + [
        f"registry {name} does not answer ({answers[images[0]].why}): {count(len(images), 'base')} in it"
        f" {'is' if len(images) == 1 else 'are'} unchanged"
        for name, images in silent.items()
    ]
