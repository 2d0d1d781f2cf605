"""The part of the lock command that is about bases: the digests that registries know them by, kept in matrix.lock."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from imagematrix.execution import parallel
from imagematrix.model import Row
from imagematrix.planning import lock
from imagematrix.project import Project
from imagematrix.registry import BaseDigest, host
from imagematrix.text import names, platforms
from imagematrix.text.formatting import count

JOBS: Final = 4
"""How many requests run at once."""


class DigestSource(Protocol):
    """Who answers."""

    def digest(self, image: str, wanted: Collection[str], *, known: str = "") -> BaseDigest: ...

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

    A digest that was locked before rows needed it for another platform is asked for whether it is for that too.
    A base whose registry does not answer, or does not have it, keeps its digest, and that is reported without an error.
    The digest of a base that no row uses is removed.
    """
    known = project.lock.bases
    wanted = _images(rows)
    proven = {image: {platforms.DEFAULT, *project.lock.platforms.get(image, ())} for image in known}
    asked = {image: wanted[image] for image in wanted if upgrade or not wanted[image] <= proven.get(image, set())}
    answers = _ask(asked, registry, {} if upgrade else known)
    for line in _remarks(answers, known):
        say(line)
    found = {image: answer.digest for image, answer in answers.items() if answer.digest}
    for image, digest in found.items():
        proven[image] = wanted[image] | (proven.get(image, set()) if digest == known.get(image) else set())
    standing = {*_images(project.obtainable)}
    locked = {image: digest for image, digest in {**known, **found}.items() if image in standing}
    others = {image: tuple(sorted(proven[image] - {platforms.DEFAULT})) for image in locked}
    made = replace(project.lock, bases=locked, platforms={image: names for image, names in others.items() if names})
    if made != project.lock:
        project.repository.write_lock(lock.dump(made))
        say(f"{project.repository.from_here(project.repository.lock_file)}: commit it")


def _images(rows: Collection[Row]) -> Mapping[str, set[str]]:
    """Return the bases of rows that are pulled by a name that may move, each with the platforms it is needed for."""
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.base.image, set()).add(row.platform)
    return {image: found[image] for image in sorted(found) if image not in ("", names.SCRATCH) and "@" not in image}


def _ask(
    images: Mapping[str, Collection[str]], registry: DigestSource, known: Mapping[str, str]
) -> Mapping[str, BaseDigest]:
    """Ask each registry for one image, then for its others if it answers; `images` are given with their platforms.

    The `known` digest of an image is judged in place of its name.
    """
    first = {host(image): image for image in reversed([*images])}
    with parallel.pool(JOBS, name="bases") as pool:

        def ask(wanted: Collection[str]) -> dict[str, BaseDigest]:
            return dict(zip(wanted, pool.map(one, wanted), strict=True))

        def one(image: str) -> BaseDigest:
            return registry.digest(image, images[image], known=known.get(image, ""))

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
    lacking = sorted({platform for answer in answers.values() for platform in answer.lacking})
    lines += [
        f'    leave its rows out: [[families.NAME.exclude]] platform = "{platform}", reason = "…";'
        " `invoke lock --upgrade` looks for a newer image of the name"
        for platform in lacking
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
