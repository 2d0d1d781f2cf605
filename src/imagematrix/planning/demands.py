"""What a rendered stage takes from the image below it: a package manager, its Python."""

import re
from collections.abc import Iterator
from typing import Final

BASE_PYTHON: Final = "base_python_layers"
"""What rules call the layers that make the image's Python from the base's `python3`."""

_OPTIONS: Final = r"(?:\s+-\S+)*\s+"
_MANAGERS: Final = {
    "apt_layers": re.compile(rf"\bapt(?:-get)?{_OPTIONS}(?:update|install)\b"),
    "dnf_layers": re.compile(rf"\b(?:dnf|microdnf|yum){_OPTIONS}(?:install|makecache|module|update|upgrade)\b"),
    "apk_layers": re.compile(rf"\bapk{_OPTIONS}(?:add|update|upgrade)\b"),
}
"""What rules call the layers that install with a package manager, and how they call it."""
_VENV: Final = re.compile(r"(?<![\w./-])(?:/usr/bin/)?python3 -m venv\b")
_PATH: Final = re.compile(r"\bPATH=")
_COMMENT: Final = re.compile(r"^\s*#.*$", re.MULTILINE)
_MENTIONS: Final = re.compile(r"\bapt|dnf\b|\byum\b|\bapk\b|-m venv\b|\bsite\.environment\b")


def may_demand(template: str) -> bool:
    """Whether a template may render to a stage that takes any of this."""
    return _MENTIONS.search(template) is not None


def taken(stage: str) -> Iterator[str]:
    """Yield what a stage uses; a stage that knows several package managers uses the one that exists."""
    text = _COMMENT.sub("", stage)
    managers = [demand for demand, calls in _MANAGERS.items() if calls.search(text)]
    if len(managers) == 1:
        yield managers[0]
    if _VENV.search(text):
        yield BASE_PYTHON


def sets_path(stage: str) -> bool:
    """Whether a stage may put programs of its own before those of the base, a Python among them."""
    return _PATH.search(stage) is not None
