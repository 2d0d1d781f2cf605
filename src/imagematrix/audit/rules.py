"""The rules: functions from the evidence to what offends them, in the table `RULES`."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from imagematrix.audit import contents
from imagematrix.audit.layers import Layer, is_gone, stacked
from imagematrix.model import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """An image as rules see it."""

    base_name: str
    base: Sequence[Layer]
    own: Sequence[Layer]
    """The layers on top of the base's."""
    command: Sequence[str] = ()
    """What a container runs: entrypoint and command."""


def judge(evidence: Evidence, platform: Platform) -> Mapping[str, tuple[str, ...]]:
    """Return what offends each of a platform's rules; nothing where the image obeys."""
    return {name: tuple(RULES[name](evidence, platform)) for name in platform.rules}


# --- rules --------------------------------------------------------------------------------------


def _official_base(evidence: Evidence, platform: Platform) -> list[str]:
    if any(fnmatchcase(evidence.base_name, pattern) for pattern in platform.official_bases):
        return []
    return [f"{evidence.base_name} is none of {', '.join(platform.official_bases) or 'no declared bases'}"]


def _base_unchanged(evidence: Evidence, _: Platform) -> list[str]:
    before = stacked({}, evidence.base, of=lambda layer: layer.files)
    after = stacked(before, evidence.own, of=lambda layer: layer.files)
    return sorted(
        f"/{path} {'changed' if path in after else 'removed'}"
        for path, identity in before.items()
        if after.get(path) != identity
    )


def _no_new_setuid(evidence: Evidence, _: Platform) -> list[str]:
    known = {(path, mode) for layer in evidence.base for path, mode in layer.setuid.items()}
    new = {(path, mode) for layer in evidence.own for path, mode in layer.setuid.items()} - known
    return sorted(f"/{path} mode {mode:o}" for path, mode in new)


def _max_size(evidence: Evidence, platform: Platform) -> list[str]:
    layers = [*evidence.base, *evidence.own]
    sizes = {
        "unpacked": sum(layer.bytes for layer in layers),
        "compressed, as a registry counts": sum(layer.packed for layer in layers),
    }
    limit = platform.max_bytes
    return [f"{size / 1e9:.2f} GB {how}, allowed are {limit / 1e9:g} GB" for how, size in sizes.items() if size > limit]


def _no_credentials(evidence: Evidence, _: Platform) -> Iterator[str]:
    """Whoever has an image can read all its layers: what a later one removes is in it all the same."""
    known = {secret for layer in evidence.base for secret in layer.secrets}
    for number, layer in enumerate(evidence.own):
        for path, what in sorted({(path, what) for path, what, _ in layer.secrets - known}):
            later = evidence.own[number + 1 :]
            hidden = any(is_gone(path, above, above.removed | above.emptied) for above in later)
            yield f"/{path} has {what}" + (", which a later layer only hides" if hidden else "")


def _logs_on_stdout(evidence: Evidence, _: Platform) -> Iterator[str]:
    """Both what the image runs and what its supervisor runs must write where the platform reads."""
    yield from contents.kept_by_command(evidence.command)
    for path, text in sorted(stacked({}, evidence.own, of=lambda layer: layer.supervisor).items()):
        yield from (f"/{path}: {said}" for said in contents.kept_by_supervisor(text.decode(errors="replace")))


def _required_files(evidence: Evidence, platform: Platform) -> list[str]:
    layers = [*evidence.base, *evidence.own]
    seen = stacked({}, layers, of=lambda layer: dict.fromkeys(layer.required))
    return [f"{pattern} is missing" for pattern in platform.required if not _has(seen, pattern)]


def _has(paths: Collection[str], pattern: str) -> bool:
    return any(fnmatchcase(f"/{path}", pattern) for path in paths)


Rule = Callable[[Evidence, Platform], Iterable[str]]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "official-base": _official_base,
        "base-unchanged": _base_unchanged,
        "no-new-setuid": _no_new_setuid,
        "no-credentials": _no_credentials,
        "max-size": _max_size,
        "logs-on-stdout": _logs_on_stdout,
        "required-files": _required_files,
    }
)
"""Name in matrix.toml -> rule."""

NEEDS: Final[Mapping[str, str]] = MappingProxyType(
    {"official-base": "official_bases", "max-size": "max_size", "required-files": "required"}
)
"""Rule -> the key of `[platforms.X]` that it cannot do without."""
