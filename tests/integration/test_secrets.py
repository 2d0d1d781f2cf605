"""Secrets that a real build, a real uv and a real check print: they are nowhere afterwards."""

from pathlib import Path
from typing import Final

import pytest
from tests.chat import Chat
from tests.integration.monorepo import Monorepo

from imagematrix.report import webhook

PASSWORD: Final = "Xq7-canary/9z"  # noqa: S105  # of nobody
QUOTED: Final = PASSWORD.replace("/", "%2F")
TOKEN: Final = "Tk5canary3w"  # noqa: S105
SITE: Final = f'[site]\nindex_url = "http://robot:{QUOTED}@127.0.0.1:9/simple"\n'
CHECK: Final = """\
import os

def test_it(host):
    print(os.environ["DEPLOY_TOKEN"])
    assert os.environ["DEPLOY_TOKEN"] == host.check_output("hostname")
"""


def leaks(root: Path, *said: str) -> list[str]:
    """Return where a secret is found, the sources that hold it themselves aside."""
    own = {root / "matrix.toml"}
    files = [path for path in root.rglob("*") if path.is_file() and path not in own]
    texts = {path.relative_to(root).as_posix(): path.read_text(errors="replace") for path in files}
    found = {**texts, **{f"output {number}": text for number, text in enumerate(said)}}
    return [place for place, text in found.items() if any(one in text for one in (PASSWORD, QUOTED, TOKEN))]


@pytest.fixture
def project(monorepo: Monorepo) -> Monorepo:
    monorepo.edit("matrix.toml", "schema = 1\n", f"schema = 1\n{SITE}")
    return monorepo


def test_a_build_and_a_check(project: Monorepo, chat: tuple[str, type[Chat]]) -> None:
    """A step prints pip's configuration and fails; a check fails with a token of the environment."""
    url, handler = chat
    environment = {webhook.VARIABLE: url, "DEPLOY_TOKEN": TOKEN}
    leak = "cat /run/secrets/pip; echo ERROR: $(cat /run/secrets/pip); exit 7"
    fails = "{% if app == '1.2' %}" + leak + "{% else %}cat /run/secrets/pip{% endif %}"
    project.edit("common/layers/app/Dockerfile.j2", "RUN cat", f"RUN --mount=type=secret,id=pip {fails}\n\nRUN cat")
    (project.root / "common/layers/tools/test_tools.py").write_text(CHECK)

    built, report = project.build(env=environment)
    verified = project.run("verify", "--only", "*-1.1", "--report", "report", env=environment)

    assert (built.code, verified.code) == (1, 1), built.err + verified.err
    [failed] = [node for node in report["nodes"] if node["outcome"] == "failed"]
    assert "index-url = http" in failed["why"]
    assert any("http://****@127.0.0.1:9/simple" in line for line in failed["tail"])
    assert "test_it" in verified.out
    said = [built.out, built.err, verified.out, verified.err, *(message.decode() for message in handler.heard)]
    assert leaks(project.root, *said) == []


def test_uv(project: Monorepo) -> None:
    """It names the address that does not answer."""
    layer = project.root / "common/layers/tools"
    (layer / "files").mkdir()
    (layer / "files/requirements.txt").write_text("six==1.16.0\n")
    template = layer / "Dockerfile.j2"
    template.write_text("COPY tools/requirements.lock /r.txt\n" + template.read_text())
    project.edit("matrix.toml", 'os = "debian12"\n', 'os = "debian12"\npython = "3.11"\n')

    done = project.run("lock", "--only", "*-1.1")

    assert done.code != 0
    assert "127.0.0.1" in done.out + done.err
    assert leaks(project.root, done.out, done.err) == []
