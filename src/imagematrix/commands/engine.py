"""The engine command: a private Docker Engine on a machine that has none."""

from pathlib import Path
from typing import Final

from invoke import Exit

from imagematrix.commands.command import command
from imagematrix.commands.options import EngineWords, Purge
from imagematrix.errors import FlagError, did_you_mean

_PACKAGE: Final = Path(__file__).parents[1]
_VERBS: Final = ("start", "stop", "status", "env")


@command
def engine(*, words: EngineWords, purge: Purge) -> None:
    """Start or stop a private Docker Engine where none answers: `invoke engine start` (Debian or Ubuntu, as root)."""
    from imagematrix.shell import attached

    if len(words) != 1 or words[0] not in _VERBS:
        raise FlagError(f"engine: expected one of {', '.join(_VERBS)}\n    {did_you_mean(' '.join(words), _VERBS)}")
    if purge and words[0] != "stop":
        raise FlagError("--purge goes with `stop` only")
    argv = ("bash", str(_script()), *words, *(["--purge"] if purge else []))
    if code := attached(argv, env={"IMAGEMATRIX_ENGINE_COMMAND": "imagematrix engine"}):
        raise Exit("", code=code)


def _script() -> Path:
    """Return the script: the wheel has it, and a checkout of imagematrix keeps it at its top."""
    built = _PACKAGE / "scripts/engine"
    return built if built.exists() else _PACKAGE.parents[1] / "scripts/engine"
