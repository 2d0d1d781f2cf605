"""The layers of cloud platforms, whose bases cannot be pulled here, on Debian with what they find there made up."""

import shutil
import subprocess
import sys

import pytest
from tests.integration.monorepo import REPOSITORY, Monorepo, imagematrix

FOUND_ON_TI = """\
RUN mkdir -p /etc/yum.repos.d /usr/local/cuda-11.1/targets/x86_64-linux/lib \\
    && for name in tlinux tlinux-sources epel; do \\
        echo "baseurl=http://mirrors.tencent.com/$name" > "/etc/yum.repos.d/$name.repo" || exit 1; done \\
    && touch /usr/local/cuda-11.1/targets/x86_64-linux/lib/libcusolver.so.11
ENV VIRTUAL_ENV="/opt/it's" \\
    NOT_OURS=1
"""

MATRIX = """
[destinations.ti]
pip_index = "http://mirrors.tencentyun.com/pypi/simple"
yum_mirror = "mirrors.tencentyun.com"

[families.{family}ti]
layers = ["found", "tools", "cusolver", "index", "ti"]
tag = "1.0.8"
destination = "ti"

[[families.{family}ti.row]]
base = "debian12"
cuda = "11.1.1"
tensorflow = "2.4.0"
horovod = "0.21.3"
"""


def test_an_image_for_ti_passes_the_checks_of_its_layers(monorepo: Monorepo) -> None:
    matrix = monorepo.root / "matrix.toml"
    matrix.write_text(matrix.read_text() + MATRIX.format(family=monorepo.family))
    shutil.rmtree(monorepo.root / "common/layers/tools")  # the package's is meant
    (monorepo.root / "common/layers/found").mkdir()
    (monorepo.root / "common/layers/found/Dockerfile.j2").write_text(FOUND_ON_TI)
    image = f"{monorepo.family}ti:1.0.8"
    done = monorepo.run("build", "--only", image)
    assert done.code == 0, done.out + done.err

    done = monorepo.run("verify", "--only", image)
    assert done.code == 0, done.out + done.err
    # What no row says stays in the image.
    read = "unset PS1; . /root/.bashrc; echo ${NOT_OURS:-nothing}"
    assert monorepo.output(image, "env", "-i", "bash", "-c", read) == "nothing\n"


@pytest.fixture(scope="module")
def custom_base() -> str:
    image = "custom-base-today:2026-python3.11-debian12"
    command = [sys.executable, "-m", "imagematrix", "build", "--only", image]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    return f"swr.cn-north-4.myhuaweicloud.com/modelarts/{image}"


def test_what_becomes_a_base_passes_its_own_review_and_not_that_of_images_on_a_base(custom_base: str) -> None:
    only = ("verify", "--only", custom_base.rpartition("/")[2])
    assert imagematrix(*only).code == 0
    done = imagematrix(*only, "--destination", "modelarts")
    assert done.code == 1
    assert "destination modelarts: official-base" in done.out
    assert "/etc/passwd changed" in done.out
    assert "destination modelarts: no-new-setuid" not in done.out
