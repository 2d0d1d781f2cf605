"""Requirements really resolved against the index this machine has."""

import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.integration.monorepo import Done, Monorepo

from imagematrix.planning import requirements

MATRIX = """\
schema = 1

[bases.debian12]
bootstrap = "bookworm"
os = "debian12"
python = "3.11"

[families.small]
layers = ["tools"]
tag = "{tools}"

[families.small.axes]
base = ["debian12"]
tools = ["TOOLS"]
"""
FILE = "common/layers/tools/files/requirements.txt.j2"
# A port of this machine that nobody listens on; uv gives up at once.
NOWHERE = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0", "NO_PROXY": "127.0.0.1"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = (tmp_path / FILE).parent
    files.mkdir(parents=True)
    (files.parent / "Dockerfile.j2").write_text("COPY tools/requirements.lock /\n")
    (files / "requirements.txt.j2").write_text("{{ tools }}\n")
    return tmp_path


def require(root: Path, tools: str) -> None:
    text = MATRIX.replace("TOOLS", tools).replace('tag = "{tools}"', 'tag = "one"')
    (root / "matrix.toml").write_text(text)


def run(root: Path, *words: str, env: Mapping[str, str] | None = None) -> Done:
    argv = [sys.executable, "-m", "imagematrix", *words]
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(argv, cwd=root, env=environment, capture_output=True, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def locks(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in root.glob("locks/tools/*.txt")}


def test_locked_once_and_for_all(root: Path) -> None:
    """With hashes and no host's name; what is locked needs no index; what has none stays, whatever is upgraded."""
    require(root, "six==1.16.0")
    done = run(root, "lock")
    assert done.code == 0, done.out + done.err
    [text] = locks(root).values()
    assert "six==1.16.0 \\\n    --hash=sha256:" in text
    assert "# via -r tools/requirements.txt" in text
    assert "\n    # downloads 11053 bytes\n    # via" in text
    assert "://" not in text
    assert run(root, "render").code == 0
    assert (root / "images/small/one/tools/requirements.lock").read_text() == requirements.installed(text)

    again = run(root, "lock", env=NOWHERE)
    assert (again.code, again.out) == (0, "1 locks, 0 resolved, 0 files changed\n")
    lost = run(root, "lock", "--upgrade", env={**NOWHERE, "UV_NO_CACHE": "1"})
    assert lost.code == 3, lost.out + lost.err
    assert lost.err.startswith("the package index does not answer: the committed locks are unchanged [IM1005]\nerror: ")
    assert list(locks(root).values()) == [text]


def test_a_row_that_cannot_be(root: Path) -> None:
    """Is told with row, layer and file, in uv's words; check names what is missing."""
    require(root, "six==0.0.1")
    unlocked = run(root, "check")
    assert unlocked.code == 2
    assert unlocked.out.startswith(
        f"{FILE}: error: requirements of layer tools are not locked for Python 3.11 [IM2201 unlocked]\n"
        "    run `invoke lock`\n"
    )
    done = run(root, "lock")
    assert done.code == 2
    assert done.err.startswith(
        f"{FILE}: error: small:one: requirements of layer tools have no solution for Python 3.11 [IM2203 unsolvable]\n"
        "    error: No solution found when resolving dependencies\n"
        "      cause: Because there is no version of six==0.0.1 and you require six==0.0.1,"
        " we can conclude that your requirements are unsatisfiable.\n"
    )
    assert locks(root) == {}


def test_cooldown(root: Path) -> None:
    """What was uploaded later is left out, and the lock says so; a pin of it is refused with what to do."""
    require(root, "six")
    text = (root / "matrix.toml").read_text()
    (root / "matrix.toml").write_text(f'{text}\n[site]\nexclude_newer = "2024-01-01T00:00:00Z"\n')
    assert (done := run(root, "lock")).code == 0, done.out + done.err
    [old] = locks(root).values()
    assert "\nsix==1.16.0 " in old
    assert '\n# Files uploaded before 2024-01-01T00:00:00Z (exclude_newer = "2024-01-01T00:00:00Z")\n' in old

    pinned = f'{text.replace("six", "six==1.17.0")}\n[site]\nexclude_newer = "9999 days"\n'
    (root / "matrix.toml").write_text(pinned)
    refused = run(root, "lock")
    assert refused.code == 2
    assert "six 1.17.0: uploaded at 2024-12-04T" in refused.err
    assert ", can be locked from 2052-04-20T" in refused.err
    assert "to lock them now: exclude_newer_package = { six = false } beside exclude_newer\n" in refused.err

    (root / "matrix.toml").write_text(f"{pinned}exclude_newer_package = {{six = false}}\n")
    assert (done := run(root, "lock")).code == 0, done.out + done.err
    [new] = locks(root).values()
    assert "\nsix==1.17.0 " in new


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Give a folder, and the address under which this machine alone can read it."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def wheel(folder: Path, name: str, version: str) -> str:
    """Write a wheel that holds nothing; its hash."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return sha256(path.read_bytes()).hexdigest()


def test_torch_of_an_index_by_cuda_build(root: Path, served: tuple[Path, str]) -> None:
    """What a base says of builds and their index is locked from there, and installed from there by its hash."""
    folder, address = served
    torch = folder / "whl/cu118/torch"
    torch.mkdir(parents=True)
    hashed = wheel(torch, "torch", "2.4.1+cu118")
    (torch / "index.html").write_text('<a href="torch-2.4.1%2Bcu118-py3-none-any.whl">torch</a>')
    base = f'python = "3.11"\ntorch_build = "cu118"\ntorch_index = "{address}/whl/cu118"\n'
    matrix = MATRIX.replace('python = "3.11"\n', base).replace('"tools"', '"torch"').replace("tools", "torch")
    (root / "matrix.toml").write_text(matrix.replace("TOOLS", "2.4.1"))

    direct = {"NO_PROXY": "127.0.0.1"}
    assert (done := run(root, "lock", env=direct)).code == 0, done.out + done.err
    assert run(root, "render").code == 0
    leaf = root / "images/small/2.4.1"
    lock = leaf / "torch/requirements.lock"
    assert f"\ntorch==2.4.1+cu118 \\\n    --hash=sha256:{hashed}\n" in lock.read_text()
    options = f"--extra-index-url {address}/whl/cu118 --require-hashes -r"
    assert f"uv pip install {options} /tmp/requirements.lock" in (leaf / "Dockerfile").read_text()
    argv = ["uv", "pip", "install", *options.split(), str(lock), "--target", str(root / "installed")]
    subprocess.run([sys.executable, "-m", *argv], env={**os.environ, **direct}, check=True)
    assert (root / "installed/torch-2.4.1+cu118.dist-info").is_dir()


def test_build_goes_on_with_what_is_committed(monorepo: Monorepo) -> None:
    """Whatever becomes of the index; and refuses locks that no longer fit."""
    tools = "common/layers/tools"
    monorepo.edit("matrix.toml", 'os = "debian12"', 'os = "debian12"\npython = "3.11"')
    monorepo.edit(f"{tools}/Dockerfile.j2", "RUN ", "COPY tools/requirements.lock /\nRUN ")
    (monorepo.root / tools / "files").mkdir()
    (monorepo.root / tools / "files/requirements.txt").write_text("six==1.16.0\n")
    assert monorepo.run("lock").code == 0
    assert monorepo.run("lock", "--upgrade", env={**NOWHERE, "UV_NO_CACHE": "1"}).code == 3

    done = monorepo.run("build", "--matrix", env=NOWHERE)
    assert done.code == 0, done.out + done.err
    assert "\nsix==1.16.0 " in monorepo.output(f"{monorepo.family}:1.0-1.1", "cat", "/requirements.lock")

    monorepo.edit(f"{tools}/files/requirements.txt", "1.16.0", "1.17.0")
    refused = (
        f"{tools}/files/requirements.txt: error: requirements of layer tools are not locked for"
        f" Python 3.11 [IM2201 unlocked]\n"
        f"    run `invoke lock`\n    {monorepo.family}:1.0-1.1 and 2 more\n"
    )
    again = monorepo.run("build", "--matrix")
    assert (again.code, again.err) == (2, refused)
    assert monorepo.run("check").code == 2
