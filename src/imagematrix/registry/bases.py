"""What the names of bases stand for in their registries."""

from collections.abc import Collection
from dataclasses import dataclass

from imagematrix.errors import MissingError, RegistryError, SilentRegistryError
from imagematrix.model import Site
from imagematrix.planning.site_files import mirrored
from imagematrix.registry.client import Client
from imagematrix.text import names, platforms


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseDigest:
    """The digest that an image's name stands for, or why it is not known."""

    digest: str = ""
    why: str = ""
    is_silent: bool = False
    """There was no answer."""


class BaseDigests:
    """Asks registries for bases, through the mirrors of a site."""

    def __init__(self, client: Client, where: Site) -> None:
        self._client = client
        self._where = where

    def digest(self, image: str, wanted: Collection[str]) -> BaseDigest:
        """Return the digest of an image, or of its list of images for several platforms, if it is for these."""
        repository, tag = names.split(mirrored(image, self._where))
        try:
            found = self._client.manifest(repository, tag)
        except SilentRegistryError as error:
            return BaseDigest(why=str(error).rpartition(": ")[2], is_silent=True)
        except MissingError:
            return BaseDigest(why="not found")
        except RegistryError as error:
            return BaseDigest(why=str(error))
        if found.platforms and (
            missing := sorted({*map(platforms.without_variant, wanted)}.difference(found.platforms))
        ):
            return BaseDigest(why=f"is not for {', '.join(missing)}: only for {', '.join(found.platforms)}")
        return BaseDigest(digest=found.digest)

    def cancel(self) -> None:
        """Stop asking."""
        self._client.cancel()
