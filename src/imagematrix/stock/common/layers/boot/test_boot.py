"""How a container starts, lets people in, keeps its services alive and ends."""

import base64
import re
import shlex
from collections.abc import Mapping
from configparser import RawConfigParser
from datetime import datetime

import pytest
from testinfra.host import Host

from imagematrix.testing import Ended, Image, Job, Machine, Starter, eventually

SSH = "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=30"
SUPERVISOR = "IMAGE_RUN=$(/init/boot/run.sh) supervisorctl -c /init/supervisor/supervisord.conf"
GAVE_UP = "gave up:"
"""What the log says of a service that supervisord starts no more."""

TMP = "/tmp"  # noqa: S108  # in a container that lives for a minute
ASK = f"{TMP}/ask"

SETTINGS = {"HF_TOKEN": "hf_1", "TF_CONFIG": '{"a": 1}', "LINES_OF_TEXT": "it's\ntwo", "a.dot": "%s $(id)"}
"""Settings of a container that sessions had to do without, when sshd's own configuration had to hold them."""

PYTHON = "/opt/python/bin"


@pytest.fixture(scope="module")
def bare(start: Starter) -> Machine:
    """Give a machine that nobody gave a credential, with a hook that fails."""
    hook = "#!/bin/sh\necho trying\nexit 3\n"
    made = start(environment={"SERVICES": "ssh", **SETTINGS}, files={"/init/hooks.d/50-broken": hook})
    assert eventually(lambda: _listens(made, 22)), made.logs()
    return made


@pytest.fixture(scope="module")
def elsewhere(job: Job) -> Ended:
    """Give a job in another time zone, one for all that it tells: most of what a job costs is the container."""
    words = "env --unset=TZ date +%z; readlink -f /etc/localtime; exit 7"
    return job("sh", "-c", words, environment={"TZ": "Asia/Kolkata"})


@pytest.fixture(scope="module")
def anyone(job: Job) -> Ended:
    """Give a job of any user, without a writable root, in a language that the image does not have.

    Thai is compiled in half the time of others.
    """
    words = "whoami; touch ~/x && echo home; date --date=2026-01-01 +%A"
    return job("sh", "-c", words, environment={"LC_ALL": "th_TH.UTF-8"}, user="12345:0", read_only=True)


def printed(job: Ended) -> list[str]:
    """Return what a job itself printed: a busy engine may log what boot.sh says on stderr after it."""
    return [line for line in job.output.splitlines() if not line.startswith("[boot]")]


def test_a_job_ends_with_its_own_exit_code(elsewhere: Ended) -> None:
    assert elsewhere.code == 7


@pytest.mark.as_root
def test_the_time_zone_is_also_that_of_what_starts_without_it(elsewhere: Ended) -> None:
    assert elsewhere.output.splitlines() == ["+0530", "/etc/localtime"]


def test_a_job_runs_under_any_user_and_without_a_writable_root(anyone: Ended) -> None:
    assert (anyone.code, printed(anyone)[-3:-1]) == (0, ["user", "home"])


def test_any_user_has_a_python_that_it_may_install_into(host: Host, restricted: Machine, image: Image) -> None:
    """In a shell that `docker exec` starts."""
    if not (image.services_of_any_user and host.file(f"{PYTHON}/python").exists):
        pytest.skip("the image has no Python, or no service that any user may run")
    assert eventually(lambda: "starting" in restricted.logs()), restricted.logs()
    where = "import sys, os; print(sys.prefix if os.access(sys.prefix, os.W_OK) else None)"
    prefix = restricted.host.check_output(f"/init/boot/shell.sh -c 'python -c \"{where}\"'")
    assert restricted.host.check_output("/init/boot/shell.sh -c 'pip --version; command -v pip'").endswith(
        f"\n{prefix}/bin/pip"
    )


def test_any_language_is_one_setting_also_without_a_writable_root(anyone: Ended) -> None:
    assert printed(anyone)[-1] == "พฤหัสบดี"


def test_every_setting_that_is_wrong_is_named(host: Host) -> None:
    """Of those that the image has."""
    known = host.check_output("sed -n 's/^setting \\([A-Z_]*\\) .*/\\1/p' /init/boot/settings.sh").split()
    every = {
        "TENSORBOARD_PORT": "many",
        "TENSORBOARD_PATH": "board",
        "JUPYTER_BASE_URL": "/lab%",
        "WEB_AUTHENTICATION": "no",
        "WEB_HOSTS": "http://lab.example.com",
        "TENSORBOARD_LOGDIR": "logs",
        "SERVICES": "ftp",
        "TZ": "Mars/Phobos",
        "LANG": "xx_YY.UTF-8",
        "LC_ALL": "zh_CN.GBK",
    }
    wrong = {name: value for name, value in every.items() if name in known}
    settings = " ".join(f"{name}={value}" for name, value in wrong.items())
    said = host.run(f"env {settings} /init/boot/boot.sh true")
    assert said.rc == 64
    assert [name for name, value in wrong.items() if f"{name} is '{value}', expected" not in said.stderr] == []


def test_behind_jupyterhub_the_web_pages_ask_for_a_token(host: Host) -> None:
    """Its proxy passes on what anybody sends."""
    said = host.run("env JUPYTERHUB_SERVICE_PREFIX=/user/me/ WEB_AUTHENTICATION=none /init/boot/boot.sh true")
    assert (said.rc, "WEB_AUTHENTICATION is 'none', expected token" in said.stderr) == (64, True)


@pytest.mark.parametrize(
    ("user", "plant", "planted"),
    [
        ("root", "install -d -o nobody {}", f"{TMP}/image-0"),
        ("root", "install -d -o nobody {}", "/run/image"),
        ("daemon", "install -d -o nobody {}", f"{TMP}/image-1"),
        ("daemon", "install -d -o daemon -m 777 {}", f"{TMP}/image-1"),
        ("daemon", "install -d -o daemon -m 700 /tmp/theirs && ln -s /tmp/theirs {}", f"{TMP}/image-1"),
    ],
)
def test_what_others_planted_in_place_of_the_run_directory_is_not_read(
    host: Host, user: str, plant: str, planted: str
) -> None:
    """By a login; a start makes another directory, and the next login reads that one."""
    profile = shlex.quote("export MARK=stolen")
    login = "env -i HOME=/tmp bash -lc 'echo ${MARK-none}'"
    start = f"/init/boot/boot.sh sh -c 'echo $IMAGE_RUN' && {login}"
    as_user = f"setpriv --reuid={user} --regid={user} --clear-groups env HOME=/tmp MARK=own bash -c"
    try:
        host.check_output(f"{plant.format(planted)} && echo {profile} > {planted}/profile.sh")
        assert host.check_output(f"{as_user} {shlex.quote(login)}") == "none"
        run, mark = host.check_output(f"{as_user} {shlex.quote(start)}").split()
        assert (run == planted, mark) == (False, "own")
        assert host.check_output(f"stat -c '%a %U' {run}") == f"700 {user}"
    finally:
        host.run("rm -rf /run/image* /tmp/image* /tmp/theirs /tmp/.local")


@pytest.mark.as_root
def test_what_a_user_may_not_run_is_left_out_and_said(restricted: Machine) -> None:
    assert eventually(lambda: "ssh is left out" in restricted.logs())


@pytest.mark.as_root
def test_ssh_is_left_out_where_root_has_lost_what_logins_need(host: Host) -> None:
    """As in pods that drop all capabilities."""
    said = host.run("SERVICES=ssh setpriv --bounding-set=-all /init/boot/boot.sh")
    assert (said.rc, "it needs the capabilities SETGID, SETUID" in said.stderr) == (64, True), said.stderr


@pytest.mark.as_root
def test_a_hook_that_fails_is_logged_and_the_container_still_starts(bare: Machine) -> None:
    assert "hook 50-broken failed with exit code 3" in bare.logs()
    assert bare.container.running()


@pytest.mark.as_root
def test_without_a_credential_ssh_takes_no_password_and_the_log_says_how_to_give_one(host: Host, bare: Machine) -> None:
    offered = host.run(f"{SSH} -o BatchMode=yes -o PreferredAuthentications=none root@{bare.address}").stderr
    assert "Permission denied (publickey)" in offered
    assert "no login is possible yet" in bare.logs()
    assert "ROOT_PASSWORD" in bare.logs()


@pytest.mark.as_root
def test_a_key_logs_in(host: Host, machine: Machine, row: Mapping[str, str]) -> None:
    assert eventually(lambda: _listens(machine, 22)), machine.logs()
    said = host.check_output(f"{SSH} -i /dev/shm/key -o BatchMode=yes root@{machine.address} 'echo $LANG; echo $TZ'")
    assert said.split() == [row.get("language", "zh_CN.UTF-8"), row.get("timezone", "Asia/Shanghai")]


@pytest.mark.as_root
def test_a_password_logs_in_and_a_wrong_one_does_not(host: Host, machine: Machine) -> None:
    assert eventually(lambda: _listens(machine, 22)), machine.logs()
    assert _with_password(host, machine, machine.settings["ROOT_PASSWORD"]) == "0"
    assert _with_password(host, machine, "sesame") == "255"


def _with_password(host: Host, machine: Machine, password: str) -> str:
    """Log in with a password; return ssh's exit code."""
    options = "-o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1"
    return str(
        host.check_output(
            f"echo '#!/bin/sh\necho \"$ANSWER\"' > {ASK}; chmod 700 {ASK};"
            f" export ANSWER={shlex.quote(password)} SSH_ASKPASS={ASK} SSH_ASKPASS_REQUIRE=force DISPLAY=none:0;"
            f" setsid -w {SSH} {options} root@{machine.address} true < /dev/null > /dev/null 2>&1; echo $?"
        )
    )


@pytest.mark.as_root
@pytest.mark.parametrize(
    ("file", "text"), [("/etc/sync_passwd", "root:open sesame"), ("/run/secrets/root_password", "open sesame")]
)
def test_a_file_may_hold_the_password(host: Host, file: str, text: str) -> None:
    """A mounted secret, or what the platform wrote: boot.sh takes it for the one that the machine above was given."""
    place = f"mkdir -p $(dirname {file}) && echo '{text}' > {file}"
    steps = ". /init/boot/lib.sh; . /init/services/ssh/service.sh; run=/nosuch; secret ROOT_PASSWORD; password_of_root"
    taken = f"bash -euc '{steps}'"
    assert host.check_output(f"{place}; {taken}; rm {file}") == "open sesame"


@pytest.mark.as_root
def test_host_keys_are_the_containers_own(machine: Machine, bare: Machine) -> None:
    assert eventually(lambda: _listens(machine, 22)), machine.logs()
    read = "cat /etc/ssh/ssh_host_ed25519_key.pub"
    assert machine.host.check_output(read).split()[1] != bare.host.check_output(read).split()[1]


def test_a_login_greets_with_what_the_machine_has(host: Host, machine: Machine, image: Image) -> None:
    for each in (machine.host, host) if image.services else (host,):
        banner = each.check_output("/init/boot/banner.sh")
        assert all(word in banner for word in ("System", "CPU", "Memory", "GPU", "Disk"))


V1 = {
    "cpu/cpu.cfs_quota_us": "50000",
    "cpu/cpu.cfs_period_us": "100000",
    "memory/memory.limit_in_bytes": "268435456",
    "memory/memory.usage_in_bytes": "214748365",
    "memory/memory.stat": "total_inactive_file 107374182",
}
V2 = {
    "cpu.max": "50000 100000",
    "memory.max": "268435456",
    "memory.current": "214748365",
    "memory.stat": "inactive_file 107374182",
}


@pytest.mark.parametrize("files", [V1, V2], ids=["version 1", "version 2"])
def test_the_banner_knows_both_versions_of_control_groups(host: Host, files: dict[str, str]) -> None:
    folder = host.check_output("mktemp -d")
    write = [f"mkdir -p $(dirname {name}) && echo '{text}' > {name}" for name, text in files.items()]
    banner = host.check_output(" && ".join([f"cd {folder}", *write, f"LC_ALL=C.UTF-8 /init/boot/banner.sh {folder}"]))
    assert "CPU        0.5 cores" in banner
    assert "Memory     0.2 GiB, in use: 0.1 GiB" in banner


def test_every_program_in_supervisors_files_exists(host: Host, image: Image) -> None:
    parser = RawConfigParser(strict=False, inline_comment_prefixes=(";",))
    services = shlex.join(f"/init/services/{name}/supervisor.conf" for name in image.services)
    parser.read_string(host.check_output(f"cat /init/supervisor/*.conf {services}"))
    programs = {
        name: shlex.split(parser[section]["command"])[0]
        for section in parser.sections()
        for kind, _, name in [section.partition(":")]
        if kind in {"program", "eventlistener", "fcgi-program"}
    }
    assert programs.keys() >= image.services.keys()
    named = shlex.join(programs.values())
    assert host.check_output(f'for name in {named}; do test -x "$(command -v $name)" || echo $name; done') == ""


def test_every_service_runs_and_the_health_check_says_so(machine: Machine, restricted: Machine, image: Image) -> None:
    """Together the two machines run all services: TensorBoard is left out of the first."""
    check = image.config["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    if not image.services:
        pytest.skip("the image has no service")
    for each in (machine, restricted) if image.services_of_any_user else (machine,):
        host, logs = each.host, each.logs
        ended = eventually(lambda: host.run(shlex.join(check[1:])).succeeded or GAVE_UP in logs())  # noqa: B023
        assert ended, logs()
        assert host.run(shlex.join(check[1:])).succeeded, host.run(check[1]).stdout
    states = machine.host.run(f"{SUPERVISOR} status").stdout
    assert {line.split()[1] for line in states.splitlines()} <= {"RUNNING", "STARTING"}, states


@pytest.mark.as_root
def test_a_session_has_all_of_the_containers_settings(bare: Machine) -> None:
    """In the shell that sshd starts; tests/integration/test_sessions.py logs in, by all ways there are."""
    shell = bare.host.check_output("getent passwd root").rpartition(":")[2]
    shown = bare.host.check_output(f"env -i HOME=/root {shell} -c 'env --null' | base64 --wrap=0")
    found = dict(entry.split("=", 1) for entry in base64.b64decode(shown).decode().split("\0") if entry)
    assert {name: found.get(name) for name in SETTINGS} == SETTINGS
    assert found["PATH"].startswith(f"{PYTHON}:") == bare.host.file(f"{PYTHON}/python").exists


@pytest.mark.as_root
def test_a_login_that_sshd_refuses_is_seen_by_the_health_check(bare: Machine) -> None:
    """Though something listens on the port; and what the check does is not logged."""
    assert eventually(lambda: bare.host.run("/init/boot/health.sh").succeeded), bare.logs()
    broken = "cp /etc/passwd /etc/passwd.kept; sed -i '/^root:/s|[^:]*$|/nosuch|' /etc/passwd"
    said = bare.host.run(f"{broken}; /init/boot/health.sh; code=$?; mv /etc/passwd.kept /etc/passwd; exit $code")
    assert (said.rc, "ssh does not answer on port 22" in said.stdout) == (1, True), said.stdout
    assert bare.host.run("/init/boot/health.sh").succeeded
    assert "127.72.69.65" not in bare.logs()


@pytest.mark.as_root
def test_a_service_that_dies_is_started_again(bare: Machine) -> None:
    before = bare.host.check_output("pgrep -o -x sshd")
    bare.host.check_output(f"kill -9 {before}")
    assert eventually(lambda: bare.host.run("pgrep -o -x sshd").stdout.strip() not in {"", before}), bare.logs()


@pytest.mark.as_root
def test_orphans_are_buried(bare: Machine) -> None:
    bare.host.check_output("sh -c 'sleep 0.1 & sleep 0.1 & sleep 0.1 &'")
    assert eventually(lambda: not bare.host.run("pgrep -x sleep").stdout)
    assert eventually(lambda: "Z" not in bare.host.check_output("ps -e -o stat="))


@pytest.mark.as_root
def test_a_service_that_cannot_start_is_seen_in_the_log_and_by_the_health_check(bare: Machine) -> None:
    """The last that the bare machine is asked: a machine more for it would cost a second."""
    broken = "#!/bin/sh\necho no key today\nexit 1\n"
    bare.host.check_output(f"printf '{broken}' > /sshd; chmod 755 /sshd; mv /sshd /usr/sbin; pkill -x sshd")
    assert eventually(lambda: f"{GAVE_UP} ssh entered FATAL state" in bare.logs()), bare.logs()
    assert "no key today" in bare.logs()
    said = bare.host.run("/init/boot/health.sh")
    assert (said.rc, "ssh does not answer on port 22" in said.stdout) == (1, True)


@pytest.mark.as_root
def test_services_do_not_see_the_credentials_that_were_given(machine: Machine) -> None:
    assert eventually(lambda: _listens(machine, 22)), machine.logs()
    look = (
        "supervisord=$(pgrep -o -f /supervisord);"
        " for process in 1 $supervisord $(pgrep -P $supervisord); do"
        " grep -zE '^(ROOT_PASSWORD|SSH_AUTHORIZED_KEYS|JUPYTER_TOKEN)=' /proc/$process/environ; done"
    )
    assert machine.host.run(look).stdout == ""


@pytest.mark.as_root
@pytest.mark.final
def test_docker_stop_takes_less_than_five_seconds_and_ends_well(machine: Machine) -> None:
    """By the container's own log: how long a busy engine takes to ask and to notice is not the image's."""
    assert eventually(lambda: _listens(machine, 22)), machine.logs()
    machine.container.stop()
    assert machine.container.wait() == 0
    told = re.findall(r"^(\S+ [\d:]+,\d+) \w+ (?:received SIGTERM|stopped: )", machine.logs(), re.MULTILINE)
    asked, *ended = [datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f") for stamp in told]  # noqa: DTZ007  # differences
    assert (max(ended) - asked).total_seconds() < 5, machine.logs()


def _listens(machine: Machine, port: int) -> bool:
    return bool(machine.host.run(f"grep -qsE ':{port:04X} [0-9A-F]+:0000 0A ' /proc/net/tcp /proc/net/tcp6").succeeded)
