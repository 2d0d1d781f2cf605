"""Where this machine fetches from: what is found out, and how the clients are configured."""

import configparser
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from pip._internal.models.index import PyPI

from imagematrix import site
from imagematrix.errors import FlagError
from imagematrix.model import Site
from imagematrix.planning import site_files

URL = "https://pypi.example.com/simple"
FULL = Site(
    ca_bundle="/etc/ca.pem",
    index_url=URL,
    extra_index_urls=("https://a.example.com/it's", 'https://b.example.com/"b"'),
    trusted_hosts=("a.example.com", "b.example.com:8080"),
    wheelhouse="/srv/wheels",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home of its own and an environment that says nothing of where to fetch from."""
    for name in os.environ:
        if name.startswith("PIP_") or name.lower().endswith(("_proxy", "_cert_file", "_ca_bundle")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return folder


def discover(root: Path, declared: Site | None = None) -> Site:
    return site.discover(declared or Site(), root=root)


def pip_conf(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pip.conf").write_text(text)


@pytest.mark.parametrize("folder", [".config/pip", ".pip"])
def test_what_pip_is_told_in_its_file(home: Path, tmp_path: Path, folder: str) -> None:
    """Its index, further ones that a container can reach, and the first directory of wheels."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    pip_conf(
        home / folder,
        f"[global]\nindex_url = {URL}\nextra-index-url =\n    https://a.example.com/50%\n    file:///srv/index\n"
        "trusted-host = m.example.com a.example.com:8080\n"
        f"find-links = https://example.com/links {tmp_path}/none {wheels}\n",
    )

    found = discover(tmp_path)
    assert (found.index_url, found.extra_index_urls) == (URL, ("https://a.example.com/50%",))
    assert found.trusted_hosts == ("m.example.com", "a.example.com:8080")
    assert found.wheelhouse == str(wheels)


def test_the_environment_comes_before_the_file(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for pip itself; and what the matrix declares comes before both."""
    pip_conf(home / ".config/pip", "[global]\nindex-url = https://file.example.com/\n")
    monkeypatch.setenv("PIP_INDEX_URL", URL)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))

    assert discover(tmp_path).index_url == URL
    assert discover(tmp_path).wheelhouse == str(tmp_path)
    declared = discover(tmp_path, Site(index_url="https://declared.example.com/", wheelhouse="home"))
    assert (declared.index_url, declared.wheelhouse) == ("https://declared.example.com/", str(home))


def test_pip_told_to_read_no_file(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PIP_CONFIG_FILE names one more file, or turns all of them off."""
    pip_conf(home / ".config/pip", "[global]\nindex-url = https://file.example.com/\n")
    pip_conf(tmp_path, f"[global]\nindex-url = {URL}\n")

    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert discover(tmp_path).index_url == URL
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert discover(tmp_path).index_url == ""


def test_a_pip_file_that_is_broken(home: Path, tmp_path: Path) -> None:
    """Is told, not passed over: builds would fetch from elsewhere."""
    pip_conf(home / ".config/pip", "index-url\n")
    with pytest.raises(FlagError, match=r"(?s)^pip's configuration cannot be read: .*pip\.conf"):
        discover(tmp_path)


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first variable that names a file, unless the matrix declares one; relative to the project, or to home."""
    bundle, other = tmp_path / "ca.pem", tmp_path / "home/other.pem"
    bundle.write_text("")
    other.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    monkeypatch.setenv("PIP_CERT", str(bundle))

    assert discover(tmp_path).ca_bundle == str(bundle)
    assert discover(tmp_path, Site(ca_bundle="home/other.pem")).ca_bundle == str(other)
    assert discover(tmp_path, Site(ca_bundle="~/other.pem")).ca_bundle == str(other)


def test_proxies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are set, in both spellings, as docker knows them."""
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setenv("http_proxy", "")

    assert discover(tmp_path).proxies == {"https_proxy": "http://proxy.example.com:3128", "NO_PROXY": "localhost"}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (Site(ca_bundle="gone.pem"), "[site] ca_bundle: {root}/gone.pem is not a file"),
        (Site(ca_bundle="home"), "[site] ca_bundle: {root}/home is not a file"),
        (Site(wheelhouse="gone"), "[site] wheelhouse: {root}/gone is not a directory"),
        (Site(wheelhouse="a.whl"), "[site] wheelhouse: {root}/a.whl is not a directory"),
        (Site(name="home", wheelhouse="gone"), "[sites.home] wheelhouse: {root}/gone is not a directory"),
        (Site(name="home", ca_bundle="gone"), "[sites.home] ca_bundle: {root}/gone is not a file"),
    ],
)
def test_what_is_declared_must_be_there(tmp_path: Path, declared: Site, message: str) -> None:
    """Which setting, and where it was looked for."""
    (tmp_path / "a.whl").write_text("")
    with pytest.raises(FlagError) as caught:
        discover(tmp_path, declared)
    assert str(caught.value) == message.format(root=tmp_path)


def test_nothing_is_said_where_nothing_is_known() -> None:
    """A step then mounts no file of pip's or uv's at all."""
    assert site_files.secret_files(Site()).keys() == {"apt"}


def test_pip_reads_what_it_is_told() -> None:
    """Paths as they are in the container."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(site_files.secret_files(FULL)["pip"])
    assert dict(parser["global"]) == {
        "cert": "/run/secrets/ca",
        "index-url": URL,
        "extra-index-url": " ".join(FULL.extra_index_urls),
        "trusted-host": "a.example.com b.example.com:8080",
        "find-links": "/wheelhouse",
    }


def test_uv_reads_what_it_is_told() -> None:
    """Whatever characters an address has."""
    assert tomllib.loads(site_files.secret_files(FULL)["uv"]) == {
        "system-certs": True,
        "index-url": URL,
        "extra-index-url": list(FULL.extra_index_urls),
        "find-links": ["/wheelhouse"],
        "allow-insecure-host": ["a.example.com", "b.example.com:8080"],
    }


@pytest.mark.skipif(not shutil.which("apt-config"), reason="needs apt")
def test_apt_reads_what_it_is_told(tmp_path: Path) -> None:
    """Where certificates are, and that it may keep what it downloads; its mirrors are the image's own."""
    (tmp_path / "base.conf").write_text('DPkg::Post-Invoke { "rm -rf /var/cache/apt"; };\n')
    (tmp_path / "apt.conf").write_text(site_files.secret_files(FULL)["apt"])
    asked = ["apt-config", "-c", str(tmp_path / "base.conf"), "-c", str(tmp_path / "apt.conf"), "dump"]
    told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()
    assert 'Acquire::https::CAInfo "/run/secrets/ca";' in told
    assert not [line for line in told if line.startswith(("DPkg::Post-Invoke::", "APT::Update::Post-Invoke::"))]


def test_a_uv_that_resolves_here() -> None:
    """Asks the indexes of a build, further ones first; fetches no Python; trusts the site's certificates."""
    read = tomllib.loads(site.resolving_toml(FULL))
    cache = {"api": "max-age=600", "files": "max-age=31536000, immutable"}
    assert read == {
        "allow-insecure-host": ["a.example.com", "b.example.com:8080"],
        "index": [
            *({"url": url, "cache-control": cache} for url in FULL.extra_index_urls),
            {"url": URL, "cache-control": cache, "default": True},
        ],
    }
    assert site.resolving_environment(FULL) == {
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_WRAP": "1",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_FIND_LINKS": "/srv/wheels",
    }
    assert tomllib.loads(site.resolving_toml(Site()))["index"][0]["url"] == PyPI.simple_url


@pytest.mark.parametrize(
    ("image", "pulled"),
    [
        ("nvidia/cuda:12.1.0", "m.example.com:5000/hub/nvidia/cuda:12.1.0"),
        ("debian:12", "m.example.com:5000/hub/library/debian:12"),
        ("docker.io/nvidia/cuda:12.1.0@sha256:0", "m.example.com:5000/hub/nvidia/cuda:12.1.0@sha256:0"),
        ("swr.example.com:443/team/base:1", "localhost/team/base:1"),
        ("swr.example.com/team/base:1", "swr.example.com/team/base:1"),
    ],
)
def test_mirrors(image: str, pulled: str) -> None:
    """Stand for a whole registry; Docker Hub's own images have a place of their own there."""
    mirrors = {"docker.io": "m.example.com:5000/hub", "swr.example.com:443": "localhost"}
    assert site_files.mirrored(image, Site(mirrors=mirrors)) == pulled
