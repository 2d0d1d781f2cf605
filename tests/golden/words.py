"""What commands say, to the letter, in one file a command: other tests hold codes, fields and places."""

import os
import re
from pathlib import Path

FOLDER = Path(__file__).parent
_DAY = re.compile(r"(?<= are of )\d{4}-\d\d-\d\d")
"""Of a data file of the catalogue: scripts/update-compat sets it."""


def assert_said(name: str, text: str) -> None:
    """Compare with the golden file; `GOLDEN=write` rewrites it instead, for the diff to be reviewed."""
    path, text = FOLDER / name, _DAY.sub("YYYY-MM-DD", text)
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "GOLDEN=write .venv/bin/pytest tests/golden writes it anew"
