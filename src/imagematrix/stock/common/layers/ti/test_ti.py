"""What Tencent's TI finds in an image: its mirror, and in .bashrc the environment, which it reads before all else."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

REPOSITORIES = "tlinux tlinux-sources epel"


@pytest.mark.parametrize("name", REPOSITORIES.split())
def test_packages_come_from_the_mirror_inside_its_network(host: Host, row: Mapping[str, str], name: str) -> None:
    said = host.file(f"/etc/yum.repos.d/{name}.repo").content_string
    assert row["yum_mirror"] in said
    assert "mirrors.tencent.com" not in said


def test_it_starts_in_roots_home(host: Host) -> None:
    assert host.check_output("pwd") == "/root"


@pytest.mark.parametrize("name", ["PATH", "VIRTUAL_ENV", "PYTHONUNBUFFERED", "DISTRO", "OS_VERSION", "PLATFORM"])
def test_bashrc_gives_the_images_environment(host: Host, name: str) -> None:
    """To a shell that has none, as the platform starts it."""
    given = host.check_output(f'echo "${{{name}-}}"')
    assert _read(host, name) == given


@pytest.mark.parametrize(("name", "axis"), [("TF_VERSION", "tensorflow"), ("HOROVOD_VERSION", "horovod")])
def test_bashrc_tells_the_rows_versions(host: Host, row: Mapping[str, str], name: str, axis: str) -> None:
    assert _read(host, name) == row.get(axis, "")


def _read(host: Host, name: str) -> str:
    script = f'unset PS1; . /root/.bashrc; echo "${{{name}-}}"'
    return str(host.check_output("env -i HOME=/root bash -c %s", script))
