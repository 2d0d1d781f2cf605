"""A declarative build system for a monorepo of deep-learning container images."""

__version__ = "0.1.0"
