"""What the names of bases stand for. Asked by buildx, as docker's client is logged in."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from imagematrix.engine import buildx_command
from imagematrix.model import Site
from imagematrix.planning.site_files import mirrored
from imagematrix.shell import TIMED_OUT, Shell

SECONDS: Final = 10.0
"""How long a registry may take to answer."""

_SILENT: Final = re.compile(
    r"failed to do request|context deadline exceeded|unexpected status.*: (?:429|5\d\d)\b|no such host|i/o timeout"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseDigest:
    """The digest that an image's name stands for, or why it is not known."""

    digest: str = ""
    why: str = ""
    is_silent: bool = False
    """There was no answer."""


class RegistryDigests:
    """Asks registries, with the trust and the proxies of a site."""

    def __init__(self, shell: Shell, where: Site) -> None:
        self._shell = shell
        self._where = where
        self._program = buildx_command()
        trust = {"SSL_CERT_FILE": where.ca_bundle} if where.ca_bundle else {}
        # The engine's own builder: another one need not exist here, and may run in a container that is not up.
        self._environment = {"BUILDX_BUILDER": "default", **trust, **where.proxies}

    def digest(self, image: str, platform: str) -> BaseDigest:
        """Return the digest of an image, or of its list of images for several platforms, if it is for this one."""
        asked = mirrored(image, self._where)
        argv = (self._program, "imagetools", "inspect", "--format", "{{json .Manifest}}", asked)
        code, said = self._shell.capture(argv, env=self._environment, seconds=SECONDS)
        if code == 0:
            return _found(said, platform)
        if code == TIMED_OUT:
            return BaseDigest(why=f"no answer within {SECONDS:.0f} s", is_silent=True)
        why = _reason(said)
        # What a client says of a registry that is not there begins with its way there: only the end is news.
        return BaseDigest(why=why.rpartition(": ")[2], is_silent=True) if _SILENT.search(said) else BaseDigest(why=why)

    def cancel(self) -> None:
        """Stop asking."""
        self._shell.cancel()


def _found(said: str, platform: str) -> BaseDigest:
    manifest: dict[str, Any] = json.JSONDecoder().raw_decode(said[said.index("{") :])[0]
    platforms = [entry.get("platform", {}) for entry in manifest.get("manifests", ())]
    names = ["/".join(filter(None, (each.get("os"), each.get("architecture")))) for each in platforms]
    if names and platform not in names:
        return BaseDigest(why=f"is not for {platform}: only for {', '.join(sorted({*names} - {'unknown/unknown'}))}")
    return BaseDigest(digest=str(manifest["digest"]))


def _reason(said: str) -> str:
    lines = said.strip().splitlines() or ["buildx printed nothing"]
    return lines[-1].removeprefix("ERROR: ")
