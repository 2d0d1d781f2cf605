"""The program of a package layer that compiles what was installed, and puts it into place."""

import hashlib
import importlib.util
import marshal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import imagematrix

PROGRAM: Final = Path(imagematrix.__file__).parent / "templates/place.py"
TIME: Final = 315532900


@pytest.fixture(autouse=True)
def _as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files belong to the user who runs the tests."""
    (tmp_path / "sitecustomize.py").write_text("import os\nos.chown = lambda *_, **__: None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def install(root: Path, **modules: str) -> None:
    """Write modules as an installer leaves them, whatever its umask."""
    folder = root / "out/lib/package"
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
        (folder / f"{name}.py").chmod(0o600)


def place(root: Path, *, time: int = TIME) -> Path:
    """Run the program; return the folder of the modules."""
    argv = [sys.executable, *map(str, (PROGRAM, root / "out", root / "root", time, root / "cache"))]
    subprocess.run(argv, check=True)
    return root / "root/lib/package"


def value(folder: Path, module: str) -> str:
    """Return what a module prints, and whether Python took the bytecode that was there."""
    argv = [sys.executable, "-B", "-v", "-c", f"import {module}"]
    done = subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True)
    assert f"{module}.{sys.implementation.cache_tag}.pyc matches" in done.stderr
    return done.stdout.strip()


def test_all_is_compiled_and_has_one_time_and_the_usual_modes(tmp_path: Path) -> None:
    install(tmp_path, one="print(1)", old="print 1")
    program = tmp_path / "out/bin/run"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o4700)
    (tmp_path / "out/bin/link").symlink_to("nowhere")
    (tmp_path / "out/bin/folder").symlink_to("../lib")
    (tmp_path / "root/lib").mkdir(parents=True)
    (tmp_path / "root/lib").chmod(0o700)
    folder = place(tmp_path)

    assert value(folder, "one") == "1"
    assert [path.name for path in (folder / "__pycache__").iterdir()] == [f"one.{sys.implementation.cache_tag}.pyc"]
    inside = [*(tmp_path / "root").rglob("*")]
    assert {path.lstat().st_mtime for path in inside} == {TIME}
    modes = {path.name: oct(path.stat().st_mode & 0o7777) for path in inside if not path.is_symlink()}
    assert (modes["lib"], modes["one.py"], modes["run"]) == ("0o755", "0o644", "0o755")
    assert (tmp_path / "root/bin/folder").readlink() == Path("../lib")
    assert not (tmp_path / "out").exists()


def test_what_was_compiled_before_is_not_compiled_again(tmp_path: Path) -> None:
    """Also at another time; and a part of it counts for nothing."""
    install(tmp_path / "one", one="print(1)")
    (tmp_path / "cache").mkdir()
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "cache").symlink_to(tmp_path / "cache")
    place(tmp_path / "one")
    (kept,) = (tmp_path / "cache").iterdir()

    code = marshal.dumps(compile("print(2)", "", "exec"))
    kept.write_bytes(hashlib.sha256(code).digest() + code)
    install(tmp_path / "two", one="print(1)")
    assert value(place(tmp_path / "two", time=TIME + 1), "one") == "2"
    kept.write_bytes(kept.read_bytes()[:-1])
    install(tmp_path / "three", one="print(1)")
    assert value(place(tmp_path / "three"), "one") == "1"


def test_a_module_with_another_text_or_place_is_another_one(tmp_path: Path) -> None:
    """Text alone would give tracebacks the path of another module."""
    install(tmp_path, one="print(__file__)", two="print(__file__)", three="print(3)")
    folder = place(tmp_path)
    assert len([*(tmp_path / "cache").iterdir()]) == 3
    assert b"/lib/package/two.py" in Path(importlib.util.cache_from_source(str(folder / "two.py"))).read_bytes()


def test_where_a_file_is_there_already_all_stay_and_it_is_named(tmp_path: Path) -> None:
    """They are complete: other rows link them."""
    install(tmp_path, one="print(1)", two="print(2)")
    there = tmp_path / "root/lib/package/one.py"
    there.parent.mkdir(parents=True)
    there.write_text("print(0)")
    place(tmp_path)

    assert (tmp_path / "out/twice").read_text().splitlines() == [str(there)]
    assert there.read_text() == "print(0)"
    assert [*there.parent.iterdir()] == [there]
    assert value(tmp_path / "out/lib/package", "two") == "2"
    assert {path.stat().st_mtime for path in (tmp_path / "out/lib").rglob("*")} == {TIME}
