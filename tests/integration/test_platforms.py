"""Images for another processor than this machine's: built and checked by emulation, published as one index."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.integration.monorepo import REPOSITORY, Monorepo

from imagematrix.model import Site
from imagematrix.registry import Client

MATRIX = """\
schema = 1
platforms = ["linux/amd64", "linux/arm64"]
registry = "{registry}/{family}"
nodes = "{registry}/{family}/nodes"

[bases.nothing]
image = "scratch"
os = "nothing"

[facts.platform."linux/amd64"]
machine = "x86_64"

[facts.platform."linux/arm64"]
machine = "aarch64"

[families.{family}]
layers = ["busybox", "app"]
tag = "{{app}}"
base = "nothing"

[families.{family}.axes]
app = ["1.0"]
"""
BUSYBOX = """\
COPY busybox/{{ machine }} /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
"""
APP = """\
RUN mkdir /tmp && uname -m > /machine && echo {{ app }} > /app
CMD ["cat", "/machine"]
"""
CHECK = """\
def test_it_runs_on_its_processor(host, row):
    assert host.run("uname -m; cat /machine").stdout.split() == [row["machine"]] * 2
"""
FETCH = """
. scripts/lib/apt.sh
apt_host_lines "$(. /etc/os-release && echo "$VERSION_CODENAME")" | apt_private "$1/apt" /dev/null
apt_download "$1/apt" busybox-static
printf 'APT::%s "arm64";\\n' Architecture Architectures:: >>"$1/apt/apt.conf"
apt_run "$1/apt" update
apt_download "$1/apt" busybox-static
for deb in "$1"/apt/archives/*.deb; do dpkg-deb -x "$deb" "$1/$(dpkg-deb -f "$deb" Architecture)"; done
"""
"""Debian's busybox, which needs no library, for both processors."""


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return the program by machine; from now on this kernel runs that of arm64 too."""
    folder = tmp_path_factory.mktemp("busybox")
    subprocess.run([REPOSITORY / "scripts/emulator", "arm64"], check=True)
    subprocess.run(["bash", "-euo", "pipefail", "-c", FETCH, "bash", folder], check=True, cwd=REPOSITORY)
    return {"x86_64": folder / "amd64/bin/busybox", "aarch64": folder / "arm64/bin/busybox"}


@pytest.fixture
def both(monorepo: Monorepo, busybox: Mapping[str, Path], registry: str) -> Monorepo:
    """A row for two platforms, whose image is one program."""
    common = monorepo.root / "common/layers"
    shutil.rmtree(common)
    for layer, template in (("busybox", BUSYBOX), ("app", APP)):
        (common / layer / "files").mkdir(parents=True)
        (common / layer / "Dockerfile.j2").write_text(template)
    for machine, program in busybox.items():
        shutil.copy2(program, common / "busybox/files" / machine)
    (common / "app/test_app.py").write_text(CHECK)
    (monorepo.root / "matrix.toml").write_text(MATRIX.format(registry=registry, family=monorepo.family))
    return monorepo


def test_what_the_engine_does_not_run_is_not_begun(both: Monorepo) -> None:
    """Unless the site says that it emulates; the rows of its own platform need nothing."""
    done, _ = both.build()
    assert done.code == 3
    assert f"{both.family}:1.0-arm64" in done.err
    assert "emulates" in done.err
    found = both.run("doctor", "--json").json()["prerequisites"]
    assert {each["what"]: each["state"] for each in found}["engine"] == "warning"
    done, report = both.build("--platform", "linux/amd64")
    assert done.code == 0, done.out + done.err
    assert [leaf["name"] for leaf in report["leaves"]] == [f"{both.family}:1.0"]


def test_one_name_for_both(both: Monorepo, registry: str) -> None:
    """The image of arm64 was built and checked by an emulator; who pulls the name gets that of the own machine."""
    with (both.root / "matrix.toml").open("a") as matrix:
        matrix.write('\n[site]\nemulates = ["linux/arm64"]\n')
    repository = f"{registry}/{both.family}/{both.family}"
    done, report = both.build("--push", "--platform", "linux/amd64")
    assert done.code == 0, done.out + done.err
    assert [tag["outcome"] for tag in report["leaves"][0]["published"]] == ["pushed", "waiting", "waiting"]
    assert both.run("verify", "--platform", "linux/amd64").code == 0
    done = both.run("push", "--platform", "linux/amd64")
    assert done.code == 0, done.out + done.err
    assert "1.0" not in Client(Site()).tags(repository)

    done, _ = both.build("--push")
    assert done.code == 0, done.out + done.err
    done = both.run("verify", "--matrix")
    assert done.code == 0, done.out + done.err
    done = both.run("push", "--platform", "linux/arm64")
    assert done.code == 0, done.out + done.err
    index = Client(Site()).manifest(repository, "1.0")
    assert index.platforms == ("linux/amd64", "linux/arm64")

    names = [name for image in both.engine.images() for name in image.names if both.family in name]
    for name in names:
        both.client.images.remove(name, force=True)
    for platform, machine in (("linux/arm64", b"aarch64\n"), ("linux/amd64", b"x86_64\n")):
        pulled = both.client.images.pull(repository, tag="1.0", platform=platform)
        assert both.client.containers.run(pulled.id, remove=True) == machine
        both.client.images.remove(pulled.id, force=True)

    done = both.run("push", "--matrix")
    assert (done.code, done.out.splitlines()[-1]) == (0, "2 images are published: nothing to do")


def test_a_leaf_builds_alone(both: Monorepo) -> None:
    """For the platform that it was rendered for."""
    assert both.run("render").code == 0
    leaf, name = both.root / f"images/{both.family}/1.0-arm64", f"{both.family}:alone"
    environment = {**os.environ, **both.engine.environment, "IMAGE": name}
    subprocess.run(["sh", leaf / "build-scripts.sh"], check=True, env=environment)
    assert both.client.images.get(name).attrs["Architecture"] == "arm64"
    both.client.images.remove(name)
