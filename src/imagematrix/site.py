"""Where this machine fetches from: what the matrix says, completed by how the host's own clients are configured.

Reaches builds through secrets and mounts alone; never part of a key, never in an image.
"""

import configparser
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from imagematrix import secrecy
from imagematrix.errors import FlagError
from imagematrix.model import Site
from imagematrix.planning.site_files import trusting

_CA_VARIABLES: Final = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CA_FILES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
"""The bundles of Debian's and of Fedora's family."""
_PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Docker's predefined build arguments: in no cache key and in no image."""
_PIP_NAMES: Final = ("index-url", "extra-index-url", "trusted-host", "find-links")
_INDEX_SECONDS: Final = 600
"""For how long an answer of an index counts as new: what PyPI itself says."""


def discover(declared: Site, *, root: Path) -> Site:
    """Complete what the matrix declares with the host's own settings: environment, then pip's configuration.

    Raises FlagError when a declared file or directory does not exist.
    """
    pip = _pip_settings()
    wheelhouse = declared.wheelhouse or _first_directory(pip.get("find-links", "").split())
    site = replace(
        declared,
        ca_bundle=_absolute(declared.ca_bundle, root) or _host_ca(),
        index_url=declared.index_url or pip.get("index-url", ""),
        extra_index_urls=declared.extra_index_urls or tuple(_reachable(pip.get("extra-index-url", "").split())),
        trusted_hosts=declared.trusted_hosts or tuple(pip.get("trusted-host", "").split()),
        wheelhouse=_absolute(wheelhouse, root),
        proxies={name: os.environ[name] for name in _PROXY_VARIABLES if os.environ.get(name)},
    )
    secrecy.learn_addresses(site.index_url, *site.extra_index_urls, *site.proxies.values())
    table = f"[sites.{site.name}]" if site.name else "[site]"
    if site.ca_bundle and not Path(site.ca_bundle).is_file():
        raise FlagError(f"{table} ca_bundle: {site.ca_bundle} is not a file")
    if site.wheelhouse and not Path(site.wheelhouse).is_dir():
        raise FlagError(f"{table} wheelhouse: {site.wheelhouse} is not a directory")
    return site


def resolving_environment(site: Site) -> Mapping[str, str]:
    """Return the variables of a uv that resolves on this machine."""
    settings = {"SSL_CERT_FILE": site.ca_bundle, "UV_FIND_LINKS": site.wheelhouse, **site.proxies}
    # Resolving is for Pythons that need not be here: uv would fetch them.
    return {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_WRAP": "1"} | {
        name: value for name, value in settings.items() if value
    }


def resolving_toml(site: Site) -> str:
    """Return the configuration of a uv that resolves on this machine: the indexes of a build, with a longer cache.

    Some proxies call everything outdated at once. Files never change, and one run requests the same package often.
    """
    default = site.index_url or _pips_default()
    cache = f'cache-control = {{ api = "max-age={_INDEX_SECONDS}", files = "max-age=31536000, immutable" }}\n'
    tables = [f"[[index]]\nurl = {json.dumps(url)}\n{cache}" for url in (*site.extra_index_urls, default) if url]
    return trusting(site) + "".join(tables) + ("default = true\n" if default else "")


def _pips_default() -> str:
    """Return pip's default index, empty without a pip: pip knows it, this module does not."""
    try:
        from pip._internal.models.index import PyPI
    except ImportError:
        return ""
    return str(PyPI.simple_url)


def _host_ca() -> str:
    named = (os.environ.get(name, "") for name in _CA_VARIABLES)
    return next((path for path in (*named, *_CA_FILES) if path and Path(path).is_file()), "")


def _pip_settings() -> Mapping[str, str]:
    """Return pip's settings as pip would see them: its files, overridden by its environment variables."""
    files = configparser.ConfigParser(interpolation=None)
    try:
        files.read(_pip_files(), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise FlagError(f"pip's configuration cannot be read: {error}") from None
    section = files["global"] if files.has_section("global") else {}
    settings = {name.replace("_", "-"): value for name, value in section.items()}
    variables = {name: os.environ.get(f"PIP_{name.upper().replace('-', '_')}") for name in _PIP_NAMES}
    return settings | {name: value for name, value in variables.items() if value}


def _pip_files() -> Iterable[Path]:
    """Yield the files that pip reads, the last one wins; none at all when PIP_CONFIG_FILE is the null device."""
    named = os.environ.get("PIP_CONFIG_FILE", "")
    if named != os.devnull:
        home = Path.home()
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        yield from (Path("/etc/pip.conf"), home / ".pip/pip.conf", folder / "pip/pip.conf")
        yield from ((Path(named),) if named else ())


def _reachable(urls: Iterable[str]) -> Iterable[str]:
    """Leave out what a container could not reach: the host's own files."""
    return (url for url in urls if not url.startswith("file:"))


def _first_directory(paths: Iterable[str]) -> str:
    return next((path for path in paths if Path(path).is_dir()), "")


def _absolute(path: str, root: Path) -> str:
    return str((root / Path(path).expanduser()).resolve()) if path else ""
