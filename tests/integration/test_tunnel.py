"""An engine behind ssh: a real server of it, with keys and a configuration of its own."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.engines import hand_over, own_engine
from tests.integration.monorepo import REPOSITORY, Monorepo, until

SERVER = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/me.pub
PasswordAuthentication no
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
PidFile none
MaxStartups 2
"""
"""Two logins at once, where docker's own clients would make one for each request."""

CLIENT = """\
Host build1
    HostName 127.0.0.1
    Port {port}
    User root
    IdentityFile {folder}/me
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
"""

ELSEWHERE = """\
set -e
hostname elsewhere
mount -t tmpfs -o size=1m tmpfs "$IMAGEMATRIX_ENGINE_DIR/data"
exec "$@"
"""
"""Runs a command as on a machine with another name, and with another disk where the engine has its own."""


BUILD = ("-m", "imagematrix", "build", "--matrix", "--jobs", "3")


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let `ssh build1` lead to a server here."""
    for key in ("host", "me"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / key], check=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host.pub').read_text()}")
    (tmp_path / "server").write_text(SERVER.format(port=port, folder=tmp_path))
    (tmp_path / "client").write_text(CLIENT.format(port=port, folder=tmp_path))
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/client "$@"\n')
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with _serving(tmp_path, port):
        yield


@contextmanager
def _serving(folder: Path, port: int) -> Iterator[None]:
    """Run the server. It wants a user and a folder of its own, which the host may lack: it sees them alone."""
    done = subprocess.run([REPOSITORY / "scripts/sshd"], check=True, stdout=subprocess.PIPE, text=True)
    program = Path(done.stdout.strip())
    (folder / "passwd").write_text(
        f"{Path('/etc/passwd').read_text()}sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
    )
    prepare = f"mount --bind {folder}/passwd /etc/passwd; mount -t tmpfs tmpfs /run; mkdir -m 755 /run/sshd"
    libraries = ":".join(sorted({str(path.parent) for path in program.parents[2].rglob("*.so.*")}))
    argv = ["unshare", "--mount", "sh", "-c", f"{prepare}; exec {program} -D -e -f {folder}/server"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(argv, env={**os.environ, "LD_LIBRARY_PATH": libraries}, stderr=log) as server,
    ):
        try:
            until(lambda: _accepts(port), seconds=30)
            yield
        finally:
            server.terminate()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.usefixtures("ssh")
def test_an_engine_behind_ssh(monorepo: Monorepo, tmp_path: Path) -> None:
    """All builds go through one login, and the disk guard does not look at the disk that is here."""
    monorepo.build("--only", "*-1.1")  # makes the base
    base = "imagematrix/base:bookworm"
    monorepo.edit("matrix.toml", 'bootstrap = "bookworm"', f'image = "{base}"')
    with own_engine() as where:
        hand_over(base, monorepo.engine, where)
        there = where["DOCKER_HOST"].removeprefix("unix://")
        done = subprocess.run(
            [*("unshare", "--mount", "--uts", "sh", "-c", ELSEWHERE, "sh", sys.executable), *BUILD],
            cwd=monorepo.root,
            env={**os.environ, **where, "DOCKER_HOST": f"ssh://build1{there}"},
            capture_output=True,
            text=True,
            check=False,
        )
    log = (tmp_path / "log").read_text()
    assert done.returncode == 0, done.stdout + done.stderr + log
    assert "3 built" in done.stdout
    assert log.count("Accepted publickey") == 1
