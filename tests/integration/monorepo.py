"""A small monorepo of a test's own, and what its commands said."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagematrix.engine import Engine

REPOSITORY = Path(__file__).parents[2]
OF_MONOREPO = ("common", "compat", "images", "locks", "matrix.lock", "matrix.toml")
"""What a monorepo has in git."""

MATRIX = """\
schema = 1

[bases.debian12]
bootstrap = "bookworm"
os = "debian12"

[families.{family}]
layers = ["tools", "app", "boot"]
tag = "{{tools}}-{{app}}"
groups = ["small"]

[families.{family}.axes]
base = ["debian12"]
tools = ["1.0"]
app = ["1.1", "1.2", "1.3"]
"""

LAYERS = {
    # The salt is in the environment of every step, also of those that a test puts in: BuildKit remembers steps
    # by their words and environment (not by the ids of their cache mounts), from earlier runs too.
    "tools": "ENV SALT={salt}\nRUN echo {{{{ tools }}}} > /tools.txt\n",
    "app": "COPY app/version.txt /app.txt\nRUN cat /tools.txt /app.txt > /both.txt\n",
    "boot": 'COPY --link init/ /init/\nCMD ["cat", "/both.txt"]\n',
}


@dataclass(frozen=True)
class Done:
    """What a finished command printed, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Monorepo:
    """A project of its own in a temporary folder: only the base is shared with other projects."""

    root: Path
    family: str
    engine: Engine

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "imagematrix", *words],
            cwd=self.root,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "imagematrix", *words],
            cwd=self.root,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def build(self, *words: str, env: Mapping[str, str] | None = None) -> tuple[Done, Any]:
        """Build everything; return what was printed, and the report."""
        folder = self.root / "report"
        shutil.rmtree(folder, ignore_errors=True)
        done = self.run("build", "--matrix", "--report", str(folder), *words, env=env)
        return done, json.loads((folder / "report.json").read_text()) if folder.exists() else None

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def output(self, image: str, *command: str) -> str:
        """Run an image to its end; return what it printed."""
        return str(self.client.containers.run(image, list(command) or None, remove=True, network_mode="none").decode())

    @property
    def host(self) -> str:
        """Where the engine listens: a unix socket."""
        named = {**os.environ, **self.engine.environment}
        return named.get("DOCKER_HOST", "unix:///var/run/docker.sock")

    @property
    def client(self) -> Any:
        return self.engine._client


@dataclass(frozen=True)
class SecureRegistry:
    """A registry with TLS, and the `name:password` that it wants."""

    address: str
    login: str


def imagematrix(*words: str, root: Path = REPOSITORY) -> Done:
    """Run a command in the repository, or in a copy of it."""
    done = subprocess.run(
        [sys.executable, "-m", "imagematrix", *words], cwd=root, capture_output=True, text=True, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def good(*words: str, root: Path = REPOSITORY) -> None:
    """Run one that must succeed."""
    done = imagematrix(*words, root=root)
    assert done.code == 0, done.out[-5000:] + done.err


def copy_repository(folder: Path) -> None:
    """Copy what the repository's monorepo has in git, as it is in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *OF_MONOREPO], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)


def outcomes(report: Any) -> dict[str, list[str]]:
    """Return the outcomes of a report's nodes by layer."""
    found: dict[str, list[str]] = {}
    for node in report["nodes"]:
        found.setdefault(node["layer"], []).append(node["outcome"])
    return found


def built(monorepo: Monorepo) -> str:
    """Return the record of what was built so far."""
    record = monorepo.root / ".imagematrix/built.jsonl"
    return record.read_text() if record.exists() else ""


def until(true: Callable[[], bool], *, seconds: float = 300) -> None:
    """Wait for something that is sure to come: on a machine that is very busy, late."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for_built(monorepo: Monorepo, layer: str) -> None:
    """Wait until a node of a layer is on record as built."""
    until(lambda: f'"layer":"{layer}"' in built(monorepo))
