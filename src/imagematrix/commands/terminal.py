"""What commands print while they run."""

import sys


def echo(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def note(line: str) -> None:
    """Print a line beside the result, so that the result can be piped."""
    print(line, file=sys.stderr, flush=True)


def warn(line: str) -> None:
    """Print a warning beside the result."""
    note(f"warning: {line}")


def on_wait() -> None:
    """Say why nothing happens now."""
    echo("another command is writing to this project: waiting until it ends")
