"""The Pythons that are not the distribution's, really built: a base's own, and Miniconda with a stand-in for Anaconda.

Anaconda's installers are not available everywhere; what is proven is all around one: that it is fetched with the site's
certificates, is what the matrix says to the byte, and that its Python becomes the image's.
"""

import functools
import hashlib
import http.server
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.monorepo import Monorepo

from imagematrix import site
from imagematrix.engine import docker_command
from imagematrix.model import Site

MATRIX = """\
schema = 1

[bases.debian12]
bootstrap = "bookworm"
os = "debian12"

[families.{family}]
layers = ["plain", "{source}", "six"]
tag = "{source}-{{python}}"

[[families.{family}.row]]
base = "debian12"
python = "{python}"
miniconda = "Miniconda3-stand-in.sh"
miniconda_sha256 = "{sha256}"
"""

# What is not on trial is done once: the salt comes after it.
PLAIN = """\
{{% import "site.j2" as site %}}
RUN {{{{ site.apt(os) }}}} \\
    apt-get update && apt-get install -y --no-install-recommends ca-certificates wget python3-pip python3-venv
ENV SALT={salt}
"""

SIX = '{% import "site.j2" as site %}\nRUN {{ site.install("six", python) }} && {{ site.check(python) }}\n'

INSTALLER = """\
#!/bin/bash
# As Anaconda's: -b -p PREFIX
set -eu
python3 -m venv --without-pip "$3"
mkdir -p "$3/pkgs" "$3/etc/profile.d"
touch "$3/etc/profile.d/conda.sh"
printf '#!/bin/sh\\necho conda 0\\n' > "$3/bin/conda"
chmod +x "$3/bin/conda"
"""

LOCATION = "import sys; print(sys.prefix, *sys.version_info[:2])"


def pythons(monorepo: Monorepo, source: str, *, python: str = "3.11", installer: str = INSTALLER) -> Monorepo:
    """Make a monorepo of one row with a layer of the package, upon a Debian with a Python and pip."""
    layers = monorepo.root / "common/layers"
    for name in ("tools", "app", "boot"):
        subprocess.run(["rm", "-r", str(layers / name)], check=True)
    for name, template in (("plain", PLAIN.format(salt=monorepo.family)), ("six", SIX)):
        (layers / name).mkdir()
        (layers / name / "Dockerfile.j2").write_text(template)
    (layers / "six/files").mkdir()
    (layers / "six/files/requirements.txt").write_text("six==1.17.0\n")
    sha256 = hashlib.sha256(installer.encode()).hexdigest()
    matrix = MATRIX.format(family=monorepo.family, source=source, python=python, sha256=sha256)
    (monorepo.root / "matrix.toml").write_text(matrix)
    assert monorepo.run("lock").code == 0
    return monorepo


def test_a_bases_own_python_is_adopted(monorepo: Monorepo) -> None:
    """Its packages are seen, ours come first, and it stays as it was."""
    made = pythons(monorepo, "adopt")
    done, _ = made.build()
    assert done.code == 0, done.out + done.err

    image = f"{made.family}:adopt-3.11"
    assert made.output(image, "python", "-c", LOCATION).split() == ["/opt/python", "3", "11"]
    assert made.output(image, "pip", "--version").startswith("pip 26.0.1 from /opt/python/")
    assert made.output(image, "bash", "-lc", "command -v pip uv").split() == [
        "/opt/python/bin/pip",
        "/opt/python/bin/uv",
    ]
    assert made.output(image, "python", "-c", "import six; print(six.__version__, six.__file__)").split() == [
        "1.17.0",
        "/opt/python/lib/python3.11/site-packages/six.py",
    ]
    assert made.output(image, "/usr/bin/python3", "-m", "pip", "--version").startswith("pip 23.0.1 from /usr/lib/")
    assert "EPOCH" not in made.output(image, "env")


def test_another_python_than_the_rows(monorepo: Monorepo) -> None:
    """The node fails, and says which Python there is."""
    done, report = pythons(monorepo, "adopt", python="3.12").build()

    assert done.code == 1
    failed = next(node for node in report["nodes"] if node["outcome"] == "failed")
    assert failed["layer"] == "adopt"
    assert failed["why"].startswith("python3 is Python 3.11, and this image is to have 3.12; exit code 1 of ")


def test_miniconda(monorepo: Monorepo, anaconda: "Anaconda") -> None:
    """Its Python is below the image's own environment, and its conda beside that."""
    made = pythons(monorepo, "miniconda")
    anaconda.serve(INSTALLER)
    done = anaconda.build(made)
    assert done.returncode == 0, done.stderr[-5000:]

    image = f"{made.family}:miniconda-3.11"
    assert made.output(image, "python", "-c", LOCATION).split() == ["/opt/python", "3", "11"]
    assert made.output(image, "pip", "--version").startswith("pip 26.0.1 from /opt/python/")
    assert made.output(image, "conda") == "conda 0\n"
    assert made.output(image, "cat", "/opt/miniconda/.condarc").split() == ["channels:", "-", "conda-forge"]
    assert made.output(image, "python", "-c", "import six; print(six.__version__)") == "1.17.0\n"


def test_an_installer_that_is_another(monorepo: Monorepo, anaconda: "Anaconda") -> None:
    """One that is not what the matrix says is not run."""
    made = pythons(monorepo, "miniconda")
    anaconda.serve(INSTALLER + "# one line more\n")
    done = anaconda.build(made)

    assert done.returncode != 0
    assert "computed checksum did NOT match" in done.stderr


class Anaconda:
    """repo.anaconda.com on this machine, with a certificate that only the site's bundle vouches for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key, self._certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
                *("-subj", "/CN=repo.anaconda.com", "-addext", "subjectAltName=DNS:repo.anaconda.com"),
                *("-keyout", str(self._key), "-out", str(self._certificate)),
            ],
            check=True,
            capture_output=True,
        )
        handler = functools.partial(_Quiet, directory=str(folder / "www"))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 443), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def serve(self, installer: str) -> None:
        path = self._folder / "www/miniconda/Miniconda3-stand-in.sh"
        path.parent.mkdir(parents=True)
        path.write_text(installer)

    def build(self, made: Monorepo) -> "subprocess.CompletedProcess[str]":
        """Build the only leaf alone, as someone would who has just its directory."""
        assert made.run("render").code == 0
        (leaf,) = (made.root / "images" / made.family).iterdir()
        where = site.discover(Site(), root=made.root)
        bundle = self._folder / "bundle.pem"
        bundle.write_text(Path(where.ca_bundle).read_text() + self._certificate.read_text())
        named = {"CA_BUNDLE": str(bundle), "NETWORK": "host", "PIP_INDEX_URL": where.index_url}
        programs = f"{Path(docker_command(made.engine)).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "build-scripts.sh", "--add-host", "repo.anaconda.com:127.0.0.1"],
            cwd=leaf,
            env={**os.environ, **made.engine.environment, "PATH": programs, **{k: v for k, v in named.items() if v}},
            capture_output=True,
            text=True,
            check=False,
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: what was asked is seen in what was built."""


@pytest.fixture
def anaconda(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anaconda]:
    made = Anaconda(tmp_path_factory.mktemp("anaconda"))
    yield made
    made.close()
