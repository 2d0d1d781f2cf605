"""Containers of users that the image does not know: they have a name and a home, and may install packages."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.rooms import Room, rooms_of

from imagematrix.engine import Engine

IMAGE = "python:3.11-debian12"
OF_USER = "python-user:3.11-debian12"
USERS: dict[str, dict[str, Any]] = {
    "root's group": {"user": "12345:0"},
    "a group of its own": {"user": "12345:12345"},
    "nothing writable": {
        "user": "12345:0",
        "read_only": True,
        "tmpfs": {"/tmp": "exec"},  # noqa: S108  # the container's
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
    },
}
WHEEL = """\
import sys, zipfile
name, info = sys.argv[1], f"{sys.argv[1]}-1.0.dist-info"
with zipfile.ZipFile(f"{name}-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr(f"{name}.py", f"def main(): print({name!r})")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\\n{name}={name}:main\\npygmentize={name}:main\\n")
    wheel.writestr(f"{info}/RECORD", "")
"""
KNOWN = """\
import getpass, json, os, pwd
entry, home = pwd.getpwuid(os.getuid()), os.path.expanduser("~")
names = [getpass.getuser(), entry.pw_name, os.environ.get("USER")]
print(json.dumps([*names, entry.pw_dir == home, os.access(home, os.W_OK)]))
"""
NOTEBOOK = """\
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel()
client.execute_interactive("import first; first.main()")
manager.shutdown_kernel(now=True)
"""


@pytest.fixture(scope="module")
def rooms(engine: Engine) -> Iterator[Any]:
    with rooms_of(IMAGE, engine) as start:
        yield start


@pytest.fixture(scope="module", params=USERS)
def room(rooms: Any, request: pytest.FixtureRequest) -> Room:
    made: Room = rooms(**USERS[request.param])
    made.wait_until_healthy()
    return made


@pytest.mark.parametrize("shell", ["bash -ic", "bash -lc", "/init/boot/shell.sh -c"])
def test_programs_know_who_they_run_as(room: Room, shell: str) -> None:
    """In the shells that `docker exec` starts."""
    room.output(f"cat > /dev/shm/known.py <<'END'\n{KNOWN}END")
    said = room.output(f"{shell} 'whoami; python /dev/shm/known.py' 2> /dev/null").splitlines()
    assert (said[-2], json.loads(said[-1])) == ("user", ["user", "user", "user", True, True])


def test_ssh_starts(room: Room) -> None:
    """It ends at once for a user without a name."""
    said = room.run("/init/boot/shell.sh -c 'ssh -o BatchMode=yes -p 1 127.0.0.1'")[1]
    assert "Connection refused" in said


def test_packages_are_installed_beside_the_images(room: Room) -> None:
    """By pip and by uv, over commands of the image too; notebooks see them."""
    room.output(f"cat > /dev/shm/wheel.py <<'END'\n{WHEEL}END")
    make = "cd /dev/shm && python wheel.py first && python wheel.py second"
    by_pip = "pip install -q --no-index ./first-1.0-py3-none-any.whl && first && pygmentize"
    by_uv = "uv pip install -q --no-index ./second-1.0-py3-none-any.whl && second && pygmentize"
    said = room.output(f"/init/boot/shell.sh -c '{make} && {by_pip} && {by_uv}' 2> /dev/null")
    assert said.split() == ["first", "first", "second", "second"]
    room.output(f"cat > /dev/shm/notebook.py <<'END'\n{NOTEBOOK}END")
    assert room.output("/init/boot/shell.sh -c '/opt/python/bin/python /dev/shm/notebook.py' 2> /dev/null") == "first\n"
    assert "No broken requirements" in room.output("/init/boot/shell.sh -c 'pip check'")


def test_an_image_may_say_its_user(engine: Engine) -> None:
    """Then `docker exec` has all of it too, without a shell between."""
    with rooms_of(OF_USER, engine) as start:
        room = start()
        room.wait_until_healthy()
        assert "ssh" not in room.container.logs().decode()
        code, said = room.container.exec_run(["python", "-c", KNOWN])
        assert (code, json.loads(said)) == (0, ["user", "user", None, True, True])
        room.output(f"cat > /dev/shm/wheel.py <<'END'\n{WHEEL}END\ncd /dev/shm && python wheel.py first")
        for command in (["pip", "install", "-q", "--no-index", "./first-1.0-py3-none-any.whl"], ["first"]):
            code, said = room.container.exec_run(command, workdir="/dev/shm")  # noqa: S108  # the container's
            assert code == 0, said
        assert said == b"first\n"


def test_jobs_have_all_of_it(rooms: Any) -> None:
    """Without a shell between."""
    job: Room = rooms(user="12345", command=["python", "-c", KNOWN])
    assert job.container.wait()["StatusCode"] == 0
    assert json.loads(job.container.logs().splitlines()[-1]) == ["user", "user", "user", True, True]


def test_where_nothing_can_be_run_pip_can_and_the_log_says_so(rooms: Any) -> None:
    """As Docker mounts a tmpfs, unless told otherwise."""
    room: Room = rooms(user="12345", read_only=True, tmpfs={"/tmp": ""})  # noqa: S108  # the container's
    room.wait_until_healthy()
    room.output("/init/boot/shell.sh -c 'pip --version'")
    assert "is mounted noexec" in room.container.logs().decode()
