"""The layers of cloud platforms, whose bases cannot be pulled here, on Debian with what they find there made up."""

import shutil
import subprocess
import sys

import pytest
from tests.integration.monorepo import REPOSITORY, Monorepo
from tests.integration.test_quickstart import imagematrix

from imagematrix.engine import Engine

FOUND_ON_TI = """\
RUN mkdir -p /etc/yum.repos.d /usr/local/cuda-11.1/targets/x86_64-linux/lib \\
    && for name in tlinux tlinux-sources epel; do \\
        echo "baseurl=http://mirrors.tencent.com/$name" > "/etc/yum.repos.d/$name.repo" || exit 1; done \\
    && touch /usr/local/cuda-11.1/targets/x86_64-linux/lib/libcusolver.so.11
ENV VIRTUAL_ENV="/opt/it's" \\
    NOT_OURS=1
"""

MATRIX = """
[platforms.ti]
pip_index = "http://mirrors.tencentyun.com/pypi/simple"
yum_mirror = "mirrors.tencentyun.com"

[families.{family}ti]
layers = ["found", "cusolver", "index", "ti"]
tag = "1.0.8"
platform = "ti"

[[families.{family}ti.row]]
base = "debian12"
cuda = "11.1.1"
tensorflow = "2.4.0"
horovod = "0.21.3"
"""


def test_a_ti_image_fetches_from_the_platforms_mirrors_and_tells_its_environment(monorepo: Monorepo) -> None:
    matrix = monorepo.root / "matrix.toml"
    matrix.write_text(matrix.read_text() + MATRIX.format(family=monorepo.family))
    for layer in ("cusolver", "index", "ti"):
        shutil.copytree(REPOSITORY / "common/layers" / layer, monorepo.root / "common/layers" / layer)
    (monorepo.root / "common/layers/found").mkdir()
    (monorepo.root / "common/layers/found/Dockerfile.j2").write_text(FOUND_ON_TI)
    image = f"{monorepo.family}ti:1.0.8"
    done = monorepo.run("build", "--only", image)
    assert done.code == 0, done.out + done.err

    assert monorepo.output(image, "sh", "-c", "grep -c tencentyun /etc/yum.repos.d/*.repo").count(":1") == 3
    assert "index-url = http://mirrors.tencentyun.com/pypi/simple" in monorepo.output(image, "cat", "/etc/pip.conf")
    link = "/usr/local/cuda-11.1/targets/x86_64-linux/lib/libcusolver.so.10"
    assert monorepo.output(image, "readlink", "-e", link).endswith("libcusolver.so.11\n")
    # As the platform does it: nothing is set before .bashrc is read.
    read = 'unset PS1; . /root/.bashrc; echo "$VIRTUAL_ENV $TF_VERSION $HOROVOD_VERSION $OS_VERSION ${NOT_OURS:-}"'
    assert monorepo.output(image, "env", "-i", "bash", "-c", read) == "/opt/it's 2.4.0 0.21.3 rhel7.4 \n"


@pytest.fixture(scope="module")
def custom_base() -> str:
    image = "custom-base-today:2026-python3.11-debian12"
    command = [sys.executable, "-m", "imagematrix", "build", "--only", image]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    return f"swr.cn-north-4.myhuaweicloud.com/modelarts/{image}"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("id -u modelarts work; id -g modelarts work", "1100 1101 1100 1101"),
        ("stat -c '%U:%G %a' /cache", "work:work 755"),
        ("stat -c %U /home/work/README", "work"),
        ("find /opt /home /cache -perm /6000 | wc -l", "0"),
        ("python -c 'import boto3, sys; print(sys.prefix)'", "/opt/python"),
        ("pip config get global.index-url", "https://pypi.tuna.tsinghua.edu.cn/simple"),
    ],
)
def test_a_modelarts_base_has_its_users_cache_and_tools(
    custom_base: str, engine: Engine, command: str, expected: str
) -> None:
    said = engine._client.containers.run(custom_base, ["sh", "-c", command], remove=True, network_mode="none").decode()
    assert said.split() == expected.split()


def test_what_becomes_a_base_passes_its_own_review_and_not_that_of_images_on_a_base(custom_base: str) -> None:
    only = ("verify", "--only", custom_base.rpartition("/")[2])
    assert imagematrix(*only).code == 0
    done = imagematrix(*only, "--platform", "modelarts")
    assert done.code == 1
    assert "platform modelarts: official-base" in done.out
    assert "/etc/passwd changed" in done.out
    assert "platform modelarts: no-new-setuid" not in done.out
