"""Logging in to a container as people and their programs do: each session has the container's environment, whole."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.rooms import Room, rooms_of

from imagematrix.engine import Engine

IMAGE = "python:3.11-debian12"
SERVICES = {f"SERVICE_{number}_PORT_8080_TCP_ADDR": "10.0.0.1" for number in range(1000)}
"""As Kubernetes sets for 140 services."""
SETTINGS = {
    "HF_TOKEN": "hf_1",
    "TOKENIZERS_PARALLELISM": "false",
    "TF_CONFIG": '{"a": 1}',
    "A_KEY": '-----BEGIN-----\nit\'s\n"two"\\\n',
    "GREETING": "训练 %s ${HOME} $(id)",
    "EMPTY": "",
    "LARGE": "x" * 100_000,
    **SERVICES,
}
SECRETS = {"ROOT_PASSWORD": "correct horse", "JUPYTER_TOKEN": "sesame"}
SHOW = """\
#!/opt/python/bin/python
import json, os
with open("/shown", "w") as file:
    json.dump(dict(os.environ), file)
"""
SSH = "ssh -i /key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


@pytest.fixture(scope="module")
def rooms(engine: Engine) -> Iterator[Any]:
    with rooms_of(IMAGE, engine) as start:
        yield start


@pytest.fixture(scope="module")
def client(rooms: Any) -> Room:
    """Give the machine from which people log in."""
    room: Room = rooms(entrypoint="sleep", command=["infinity"])
    room.output("ssh-keygen -q -t ed25519 -N '' -f /key")
    return room


@pytest.fixture(scope="module")
def server(rooms: Any, client: Room) -> Room:
    room: Room = rooms(environment={**SETTINGS, **SECRETS, **logins(client), "SERVICES": "ssh"})
    room.output(f"cat > /show <<'END'\n{SHOW}END\nchmod +x /show")
    room.wait_until_healthy()
    return room


@pytest.fixture(scope="module")
def closed(rooms: Any, client: Room) -> Room:
    """Give a server whose root cannot be written to, where IPv6 is off."""
    room: Room = rooms(
        environment={**logins(client), "SERVICES": "ssh", "HF_TOKEN": "hf_1"},
        read_only=True,
        tmpfs={"/tmp": "", "/run": ""},  # noqa: S108  # the container's
        sysctls={"net.ipv6.conf.all.disable_ipv6": "1"},
    )
    room.wait_until_healthy()
    return room


def logins(client: Room) -> dict[str, str]:
    return {"SSH_AUTHORIZED_KEYS": client.output("cat /key.pub")}


@pytest.mark.parametrize(
    "login",
    [
        "{ssh} {host} /show",
        "{ssh} {host} sh -c /show",
        "{ssh} {host} bash -lc /show",
        "echo /show | {ssh} -T {host} bash",
        "{ssh} -tt {host} /show",
        "(echo /show; echo exit) | {ssh} -tt {host}",
    ],
    ids=["command", "sh", "login shell", "as VS Code does", "terminal", "interactive"],
)
def test_every_kind_of_session_has_all_settings(client: Room, server: Room, login: str) -> None:
    client.output(login.format(ssh=SSH, host=f"root@{server.address}"))
    found = json.loads(server.output("cat /shown; rm /shown"))
    assert {name: value for name, value in SETTINGS.items() if found.get(name) != value} == {}
    assert found["PATH"].startswith("/opt/python/bin:")
    assert found["SSH_CONNECTION"]
    assert found.keys().isdisjoint({*SECRETS, "SSH_AUTHORIZED_KEYS"})


def test_files_are_copied_by_all_protocols(client: Room, server: Room) -> None:
    options, host = SSH.removeprefix("ssh "), f"root@{server.address}"
    client.output(f"echo one > /one; scp {options} /one {host}:/by-sftp; scp -O {options} /one {host}:/by-scp")
    client.output(f"rsync -e '{SSH}' /one {host}:/by-rsync; echo 'put /one /by-batch' | sftp -b - {options} {host}")
    assert server.output("cat /by-sftp /by-scp /by-rsync /by-batch") == "one\n" * 4


@pytest.mark.parametrize("kind", ["server", "closed"])
def test_displays_are_forwarded(client: Room, kind: str, request: pytest.FixtureRequest) -> None:
    """With their cookie; also where the root cannot be written to, and IPv6 is off."""
    host = f"root@{request.getfixturevalue(kind).address}"
    display, cookie = client.output(
        f"DISPLAY=:9 {SSH} -Y {host} 'echo $DISPLAY; xauth -q list' 2> /dev/null"
    ).splitlines()
    assert display == "localhost:10.0"
    assert "MIT-MAGIC-COOKIE-1" in cookie


def test_a_session_has_the_shell_of_the_container_and_its_own_agent(rooms: Any, client: Room) -> None:
    server = rooms(environment={**logins(client), "SERVICES": "ssh", "SSH_AUTH_SOCK": "/agent", "SHELL": "/bin/sh"})
    server.wait_until_healthy()
    assert (
        client.output(f"{SSH} root@{server.address} 'readlink -f /proc/$$/exe; echo $SHELL'")
        == "/usr/bin/dash\n/bin/sh\n"
    )
    ask = f"root@{server.address} 'echo $SSH_AUTH_SOCK'"
    assert client.output(f"{SSH} {ask}") == "/agent\n"
    own = client.output(f"eval $(ssh-agent) > /dev/null; {SSH} -A {ask}; ssh-agent -k > /dev/null")
    assert own not in {"", "\n", "/agent\n"}


LEAKS = """\
from pathlib import Path
for process in Path("/proc").glob("[0-9]*"):
    held = (process / "environ").read_bytes().split(b"\\0")
    if b"ASKS=1" not in held:
        named = (b"HF_", b"ROOT_", b"SSH_AUTHORIZED", b"JUPYTER_TOKEN")
        print(process.name, *(entry.decode() for entry in held if entry.startswith(named)))
"""


def test_no_process_of_the_container_has_its_secrets(server: Room) -> None:
    """Process 1 too, which lives as long as the container. What `docker exec` runs has them from the engine."""
    code, output = server.container.exec_run(["python", "-c", LEAKS], environment={"ASKS": "1"})
    found = dict(line.split(maxsplit=1) for line in output.decode().splitlines() if " " in line)
    assert (code, found["1"], {*found.values()}) == (0, "HF_TOKEN=hf_1", {"HF_TOKEN=hf_1"})
    assert server.run("grep -rl 'correct horse' /run /tmp /etc")[0] == 1


def test_the_health_check_notices_a_server_that_answers_nobody(rooms: Any, client: Room) -> None:
    """It still listens on its port."""
    server = rooms(environment={**logins(client), "SERVICES": "ssh"})
    server.wait_until_healthy()
    code, said = server.run("pkill -STOP -o -x sshd; /init/boot/health.sh")
    assert (code, said.strip()) == (1, "ssh does not answer on port 22")
    assert server.run("pkill -CONT -o -x sshd; /init/boot/health.sh")[0] == 0


def test_containers_can_be_started_again(server: Room, client: Room) -> None:
    """With the secrets of their first start. The last, since it ends what others use."""
    server.container.restart(timeout=5)
    server.wait_until_healthy()
    assert client.output(f"{SSH} root@{server.address} 'echo $HF_TOKEN'") == "hf_1\n"
