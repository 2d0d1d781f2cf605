"""A declarative build system for a monorepo of deep-learning container images."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("imagematrix")
except PackageNotFoundError:  # run from its sources, installed nowhere
    __version__ = "0.0.0"
"""As it was installed: from the tags of git when the wheel was built. In a checkout, from when .venv was set up."""
