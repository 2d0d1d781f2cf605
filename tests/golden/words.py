"""What commands say, to the letter, in one file a command: other tests hold codes, fields and places."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent


def assert_said(name: str, text: str) -> None:
    """Compare with the golden file; `GOLDEN=write` writes it anew instead, for the diff to be reviewed."""
    path = FOLDER / name
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "GOLDEN=write scripts/inv test --unit writes the golden files anew"
