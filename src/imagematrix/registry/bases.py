"""What the names of bases stand for in their registries."""

from collections.abc import Collection
from dataclasses import dataclass

from imagematrix.errors import MissingError, RegistryError, SilentRegistryError
from imagematrix.model import Site
from imagematrix.planning.site_files import mirrored
from imagematrix.registry.answers import Manifest
from imagematrix.registry.client import Client
from imagematrix.text import names, platforms


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseDigest:
    """The digest that an image's name stands for, or why it is not known."""

    digest: str = ""
    why: str = ""
    is_silent: bool = False
    """There was no answer."""
    lacking: tuple[str, ...] = ()
    """The wanted platforms that the image is not for."""


class BaseDigests:
    """Asks registries for bases, through the mirrors of a site."""

    def __init__(self, client: Client, where: Site) -> None:
        self._client = client
        self._where = where

    def digest(self, image: str, wanted: Collection[str], *, known: str = "") -> BaseDigest:
        """Return the digest of an image, or of its list of images for several platforms, if it is for these.

        With a digest that is `known`, that one is judged, whatever the image's name stands for by now.
        """
        repository, tag = names.split(mirrored(image, self._where))
        try:
            found = self._client.manifest(repository, known or tag)
            has = found.platforms or self._platform(found, wanted)
        except SilentRegistryError as error:
            return BaseDigest(why=str(error).rpartition(": ")[2], is_silent=True)
        except MissingError:
            return BaseDigest(why="not found")
        except RegistryError as error:
            return BaseDigest(why=str(error))
        if has and (missing := sorted({*map(platforms.without_variant, wanted)}.difference(has))):
            return BaseDigest(why=f"is not for {', '.join(missing)}: only for {', '.join(has)}", lacking=tuple(missing))
        return BaseDigest(digest=found.digest)

    def _platform(self, found: Manifest, wanted: Collection[str]) -> tuple[str, ...]:
        """Return the platform of one image, where another than the usual one is wanted; nothing: it is not known."""
        if {*wanted} == {platforms.DEFAULT} or not found.config:
            return ()
        return tuple(filter(None, [self._client.config(found).platform]))

    def cancel(self) -> None:
        """Stop asking."""
        self._client.cancel()
