"""The explain command: what a code of a message means."""

from imagematrix import codes
from imagematrix.commands.command import command
from imagematrix.commands.options import CodeWords
from imagematrix.errors import FlagError, did_you_mean


@command
def explain(*, code: CodeWords) -> None:
    """Say what the code of a message means and what to do: `explain IM3200`; without a code, all of them."""
    by_word = {word.lower(): name for name, each in codes.CODES.items() for word in (each.id, name)}
    wanted = [*code] or list(codes.CODES)
    if unknown := [word for word in wanted if word.lower() not in by_word]:
        hints = (did_you_mean(word.upper(), [each.id for each in codes.CODES.values()]) for word in unknown)
        raise FlagError(
            "\n".join(f"there is no code {word}\n    {hint}" for word, hint in zip(unknown, hints, strict=True))
        )
    for name in (by_word[word.lower()] for word in wanted):
        print(f"{codes.shown(name)}: {codes.CODES[name].meaning}\n    {codes.CODES[name].remedy}")
