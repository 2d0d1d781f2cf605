"""An installed imagematrix of some version, whose layers tests change as a newer version would."""

import shutil
from pathlib import Path

import pytest

from imagematrix.commands import leaves
from imagematrix.commands.build import recorder
from imagematrix.commands.check import run as check
from imagematrix.commands.layers import run as layers
from imagematrix.planning import plan
from imagematrix.repository import STOCK, copies, reading


class Installed:
    """Version 1.0.0, with a `common` of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = monkeypatch
        self.stock = folder / "stock"
        shutil.copytree(STOCK, self.stock, ignore=shutil.ignore_patterns("__pycache__"))
        self.is_version("1.0.0")
        monkeypatch.setattr(reading, "STOCK", self.stock)

    def is_version(self, version: str) -> None:
        for module in (check, copies, layers, leaves, plan, recorder):
            self._patch.setattr(module, "__version__", version)

    def upgrade(self, *, layer: str = "system") -> None:
        """Become version 1.1.0, with one more line in the template of a layer."""
        self.is_version("1.1.0")
        with (self.stock / f"common/layers/{layer}/Dockerfile.j2").open("a") as template:
            template.write("ENV NEWER=1\n")
