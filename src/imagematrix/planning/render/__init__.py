"""Rows and templates in, leaves in memory out."""

from imagematrix.planning.render.renderer import Renderer

__all__ = ["Renderer"]
