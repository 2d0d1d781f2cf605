"""Environments that are hard to hand on: sessions get all of a container's, by the image's own scripts."""

import os
import shutil
import string
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

BOOT = Path(__file__).parents[2] / "common/init/boot"
LETTERS = string.ascii_letters + "_"
OF_SHELLS = {"_", "IFS", "OLDPWD", "OPTIND", "PATH", "PPID", "PWD", "SHELL", "SHLVL", "PS1", "PS2", "PS4"}
"""What each shell has of its own, whatever it is given; SHELL counts where it names a shell."""

names = st.builds(
    str.__add__, st.sampled_from(LETTERS), st.text(LETTERS + string.digits, min_size=2, max_size=12)
).filter(lambda name: name not in OF_SHELLS)
odd_names = st.text(LETTERS + string.digits + ".-:/ %é", min_size=1, max_size=12).filter(
    lambda name: name not in OF_SHELLS
)
snippets = st.sampled_from(
    [
        "'",
        '"',
        "\\",
        "\n",
        "\r",
        "\t",
        "$(exit 3)",
        "`exit 3`",
        "${HOME}",
        "%s",
        "%(x)s",
        "&",
        ";exit 3\n",
        "训练",
        "\x81\x01",
        "!",
    ]
)
values = st.lists(st.one_of(snippets, st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9))).map(
    "".join
)
SERVICES = {f"SERVICE_{number}_PORT_8080_TCP_ADDR": f"10.0.{number % 256}.1" for number in range(1000)}
"""As Kubernetes sets for 140 services."""


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    assert shutil.which("dash"), "dash is Debian's sh"


@settings(max_examples=60, deadline=None)
@given(environment=st.dictionaries(st.one_of(names, odd_names), values, max_size=8))
@example(environment={"TF_CONFIG": '{"a": 1}', "HF_TOKEN": "hf_x", "TOKENIZERS_PARALLELISM": "false", "EMPTY": ""})
@example(environment={"LARGE": "it's\n" * 20_000})
@example(environment={**SERVICES, "LARGE": "x" * 100_000})
@example(environment={"my.setting": "1", "a-b": "2", "BASH_FUNC_f%%": "() {  exit 3\n}", "UID": "1000", "-u": "PATH"})
@example(environment={"LC_ALL": "C.UTF-8", "BROKEN": os.fsdecode(b"\xff'\xe8\xae"), "NAME": "é'"})
def test_a_session_has_the_environment_of_the_container(environment: Mapping[str, str]) -> None:
    """Whole, with the shell that sshd starts; a login shell of its own lacks only names that no shell can assign to."""
    with container(environment) as boot:
        assert differences(environment, session(boot, "env", "--null")) == {}
        assignable = {name: value for name, value in environment.items() if is_assignable(name)}
        for shell in ("bash", "dash"):
            found = environment_of(shell, "-c", f". '{boot}/profile.sh' && exec env --null")
            assert differences(assignable, found) == {}, shell


def test_what_a_session_has_of_its_own_counts_first() -> None:
    own = {"TERM": "xterm", "SSH_AUTH_SOCK": "/tmp/mine", "DISPLAY": "localhost:10.0", "HOME": "/root"}  # noqa: S108
    given_first = {"SSH_AUTH_SOCK": "/agent", "DISPLAY": ":0", "XAUTHORITY": "/cookie", "HOME": "/data", "TERM": "dumb"}
    with container(given_first) as boot:
        found = session(boot, "env", "--null", **own)
    assert differences(own, found) == {}
    assert "XAUTHORITY" not in found


@pytest.mark.parametrize(("name", "value"), [("PATH", "/theirs:/usr/bin:/bin"), ("LANG", "th_TH.UTF-8"), ("TZ", "UTC")])
def test_what_a_distribution_sets_for_everyone_counts_last(name: str, value: str) -> None:
    with container({name: value}) as boot:
        assert session(boot, "env", "--null", **{name: "/usr/bin"})[name] == value


@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/bash"])
def test_the_shell_is_the_one_that_the_container_names(shell: str) -> None:
    with container({"SHELL": shell}) as boot:
        done = run_shell(boot, "-c", 'readlink "/proc/$$/exe"; echo "$SHELL"')
        assert done.stdout.decode().split() == [str(Path(shell).resolve()), shell]


@pytest.mark.parametrize("shell", ["/nosuch/zsh", "bash -x", "", "itself"])
def test_a_shell_that_cannot_be_is_bash(shell: str) -> None:
    with container({}) as boot:
        named = {"SHELL": str(boot / "shell.sh") if shell == "itself" else shell}
        (boot / "environment").write_bytes(b"".join(f"{name}={text}\0".encode() for name, text in named.items()))
        assert session(boot, "env", "--null")["SHELL"] == "/bin/bash"


def test_without_a_run_directory_it_is_a_shell_all_the_same() -> None:
    with container({"NAME": "value"}) as boot:
        (boot / "run.sh").write_text("#!/bin/sh\nexit 1\n")
        found = session(boot, "env", "--null", PATH="/usr/bin:/bin", TZ="UTC")
    assert (found.get("NAME"), found["PATH"], found["TZ"]) == (None, "/usr/bin:/bin", "UTC")


class container:  # noqa: N801  # reads as what it stands for
    """The scripts of an image beside what boot.sh wrote down for a container with this environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {"PATH": "/usr/bin:/bin", **environment}

    def __enter__(self) -> Path:
        self._folder = TemporaryDirectory()
        boot = Path(self._folder.name)
        shutil.copy(BOOT / "shell.sh", boot)
        (boot / "run.sh").write_text('#!/bin/sh\necho "${0%/*}"\n')
        (boot / "run.sh").chmod(0o755)
        words = f"set -euo pipefail; as_root() {{ true; }}; . '{BOOT}/environment.sh'; write_environment '{boot}'"
        subprocess.run(["/bin/bash", "-c", words], env=self._environment, check=True, timeout=30)
        assert {path.stat().st_mode & 0o077 for path in (boot / "environment", boot / "profile.sh")} == {0}
        return boot

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def session(boot: Path, *command: str, **own: str) -> dict[str, str]:
    """Run a command as sshd does, and return the environment that it printed."""
    return _read(run_shell(boot, "-c", " ".join(command), **own).stdout)


def run_shell(boot: Path, *words: str, **own: str) -> "subprocess.CompletedProcess[bytes]":
    environment = {"PATH": "/usr/bin:/bin", "SHELL": str(boot / "shell.sh"), **own}
    return subprocess.run([boot / "shell.sh", *words], env=environment, capture_output=True, check=True, timeout=30)


def environment_of(*command: str) -> dict[str, str]:
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True, timeout=30)
    assert done.stderr == b""
    return _read(done.stdout)


def _read(printed: bytes) -> dict[str, str]:
    entries: Iterator[str] = (os.fsdecode(entry) for entry in printed.split(b"\0") if entry)
    return dict(entry.split("=", 1) for entry in entries)


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> dict[str, tuple[str, str | None]]:
    return {name: (value, found.get(name)) for name, value in wanted.items() if found.get(name) != value}


def is_assignable(name: str) -> bool:
    return name.isascii() and name.isidentifier() and name not in {"EUID", "UID"}  # bash has these of its own
