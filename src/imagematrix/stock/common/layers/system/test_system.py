"""What every image promises, whatever is on top: a machine in Chinese, and nothing in it that belongs to anyone."""

import re
from collections.abc import Mapping

from testinfra.host import Host

from imagematrix.testing import Image

TOOLS = "curl less ps rsync scp sftp ssh ssh-keygen tmux unzip vim wget xauth xz zip"
SITE = "/etc/pip.conf /etc/uv /etc/apt/apt.conf.d/99-site /wheelhouse /root/.cache/pip /root/.cache/uv"
"""Where what belongs to the place an image was built at is mounted during a build, and caches."""
CREDENTIALS = ".netrc .git-credentials .pypirc .docker/config.json .ssh/id_rsa .ssh/id_ed25519 .aws/credentials"
PEOPLES_FOLDERS = "/etc /home /init /mnt /opt/init /root /srv /tmp /var"
"""Where a private key would be somebody's. Packages carry test data that look like one."""


def test_it_speaks_its_language_without_garbling(host: Host, row: Mapping[str, str]) -> None:
    """Chinese, unless the matrix says otherwise."""
    assert host.check_output("echo $LANG") == row.get("language", "zh_CN.UTF-8")
    assert host.check_output("locale charmap") == "UTF-8"
    assert "没有那个文件" in host.run("LC_ALL=zh_CN.UTF-8 ls /nosuch").stderr
    assert host.check_output("cd $(mktemp -d) && touch 训练 && ls") == "训练"


def test_it_keeps_its_time(host: Host, row: Mapping[str, str]) -> None:
    """Beijing time, unless the matrix says otherwise; also for what is started without TZ."""
    there = host.check_output(f"TZ={row.get('timezone', 'Asia/Shanghai')} date '+%Z %z'")
    assert host.check_output("date '+%Z %z'") == there
    assert host.check_output("env -u TZ date '+%Z %z'") == there


def test_a_file_mounted_at_etc_localtime_replaces_no_time_zone(host: Host) -> None:
    """As it does where that is a link: the mount lands on the zone, which is then wrong for every program."""
    assert host.check_output("readlink -f /etc/localtime") == "/etc/localtime"


def test_another_time_zone_is_one_setting(host: Host) -> None:
    assert host.check_output("TZ=Asia/Kolkata date +%z") == "+0530"


def test_the_tools_of_a_machine_to_work_on_are_there(host: Host) -> None:
    assert host.check_output(f"for tool in {TOOLS}; do command -v $tool > /dev/null || echo $tool; done") == ""


def test_ssh_host_keys_are_not_in_the_image(host: Host) -> None:
    assert host.check_output("find /etc/ssh -name 'ssh_host_*'") == ""


def test_nobody_has_a_password(host: Host) -> None:
    """Neither a known one nor an empty one."""
    passwords = dict(line.split(":")[:2] for line in host.check_output("cat /etc/shadow").splitlines())
    assert {name for name, password in passwords.items() if password[:1] not in {"*", "!"}} == set()


def test_no_setting_of_the_image_is_a_secret(image: Image) -> None:
    settings = dict(line.split("=", 1) for line in image.config["Env"])
    assert {name for name, value in settings.items() if value and _is_secret(name)} == set()


def _is_secret(name: str) -> bool:
    return bool(re.search(r"PASSWORD|PASSWD|SECRET|TOKEN|AUTHORIZED_KEYS|(^|_)KEY$", name))


def test_no_credential_lies_in_a_file(host: Host) -> None:
    kept = [f"{home}/{name}" for home in ("/root", "/home/*") for name in CREDENTIALS.split()]
    found = host.run(f"ls -d {' '.join(kept)} 2> /dev/null").stdout
    keys = host.run(f"grep -rIlsE -e '^-----BEGIN ([A-Z]+ )?PRIVATE KEY-----' {PEOPLES_FOLDERS}").stdout
    assert found + keys == ""


def test_not_everyone_may_write_to_files_of_its_python(host: Host) -> None:
    assert host.run("find /opt/python /opt/miniconda -xdev -type f -perm -002 2> /dev/null").stdout == ""


def test_what_belongs_to_the_site_stayed_outside(host: Host) -> None:
    assert host.run(f"ls -d {SITE} 2> /dev/null").stdout == ""
