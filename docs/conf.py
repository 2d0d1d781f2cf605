"""The site: `sphinx-build -W docs site` builds it and fails at any link that leads nowhere."""

import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import_module("generate").write(HERE / "reference")

project = "imagematrix"
author = copyright = "the authors of imagematrix"  # noqa: A001  # as Sphinx calls it
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
exclude_patterns = ["examples", "README.md"]
html_theme = "furo"
html_title = "imagematrix"
html_static_path: list[str] = ["pictures"]
html_copy_source = False
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
suppress_warnings = ["misc.highlighting_failure"]  # blocks of commands and of output have no language
