"""Container registries: what names stand for there, and what is kept in them.

`imagetools` asks for the digests of bases as docker's own client would; `client` speaks the distribution API, for what
is ours: many requests at once, tags that move; `access` is the way to one registry: its address and the logins;
`answers` decodes what it says.
"""

from imagematrix.registry.answers import ImageConfig, Manifest
from imagematrix.registry.client import Client
from imagematrix.registry.imagetools import BaseDigest, RegistryDigests
from imagematrix.text.names import host

__all__ = ["BaseDigest", "Client", "ImageConfig", "Manifest", "RegistryDigests", "host"]
