"""Container registries: what names stand for there, and what is kept in them.

`client` speaks the distribution API: many requests at once, tags that move; `access` is the way to one registry: its
address and the logins; `answers` decodes what it says.
"""

from imagematrix.registry.answers import ImageConfig, Manifest
from imagematrix.registry.bases import BaseDigest, BaseDigests
from imagematrix.registry.client import Client
from imagematrix.text.names import host

__all__ = ["BaseDigest", "BaseDigests", "Client", "ImageConfig", "Manifest", "host"]
