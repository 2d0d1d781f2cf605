"""What a site makes of names and of tools' configuration, as text: where images come from, what builds mount."""

import json
from collections.abc import Mapping
from typing import Final

from imagematrix.model import Site
from imagematrix.text import names

_CA_MOUNT: Final = "/run/secrets/ca"
_WHEELHOUSE_MOUNT: Final = "/wheelhouse"


def mirrored(image: str, site: Site) -> str:
    """Return the name by which this machine pulls an image: its own, or that in the mirror of its registry."""
    mirror = site.mirrors.get(names.host(image)) if image != names.SCRATCH else None
    return f"{mirror}/{names.path(image)}" if mirror else image


def secret_files(site: Site) -> Mapping[str, str]:
    """Return the configuration files a build step may mount, by secret id: `apt`, `pip`, `uv` (and `ca` is a path)."""
    texts = {"apt": _apt_conf(site), "pip": _pip_conf(site), "uv": _uv_toml(site)}
    return {name: text for name, text in texts.items() if text}


def trusting(site: Site) -> str:
    """Return uv's setting of hosts that may lack TLS or a trusted certificate."""
    return f"allow-insecure-host = {json.dumps(site.trusted_hosts)}\n" if site.trusted_hosts else ""


def _apt_conf(site: Site) -> str:
    # Some bases delete every package once it is installed: the cache mount would stay empty.
    keep = "#clear DPkg::Post-Invoke;\n#clear APT::Update::Post-Invoke;\n"
    return keep + (f'Acquire::https::CAInfo "{_CA_MOUNT}";\n' if site.ca_bundle else "")


def _pip_conf(site: Site) -> str:
    settings = {
        "cert": _CA_MOUNT if site.ca_bundle else "",
        "index-url": site.index_url,
        "extra-index-url": " ".join(site.extra_index_urls),
        "trusted-host": " ".join(site.trusted_hosts),
        "find-links": _WHEELHOUSE_MOUNT if site.wheelhouse else "",
    }
    lines = [f"{name} = {value}" for name, value in settings.items() if value]
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def _uv_toml(site: Site) -> str:
    lines = [
        "system-certs = true" if site.ca_bundle else "",
        f'index-url = "{site.index_url}"' if site.index_url else "",
        f"extra-index-url = {list(site.extra_index_urls)}" if site.extra_index_urls else "",
        f'find-links = ["{_WHEELHOUSE_MOUNT}"]' if site.wheelhouse else "",
    ]
    return "".join(f"{line}\n" for line in lines if line) + trusting(site)
