"""Folders that may hold a secret: private, gone afterwards, and swept after a kill."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests import projects
from tests.fakes import job_of

from imagematrix import scratch
from imagematrix.engine import buildx
from imagematrix.model import DockerfileBuild, Site

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def secrets(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "s3cret" in path.read_text()]


def test_nobody_else_looks_in(temporary: Path) -> None:
    with scratch.folder("site") as made:
        (made / "uv.toml").write_text("s3cret")
        assert stat.S_IMODE(made.parent.stat().st_mode) == stat.S_IMODE(made.stat().st_mode) == 0o700
    assert secrets(temporary) == []


def test_what_a_killed_run_left_is_swept(temporary: Path) -> None:
    """By the next one, while those of runs that live stay."""
    program = (
        "import os, tempfile; from imagematrix import scratch\n"
        f"tempfile.tempdir = {str(temporary)!r}\n"
        "with scratch.folder('site') as made:\n"
        "    (made / 'uv.toml').write_text('s3cret'); os._exit(9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with scratch.folder("living") as living:
        subprocess.run([sys.executable, "-c", program], env=environment, check=False)
        assert len(secrets(temporary)) == 1
        with scratch.folder("next"):
            assert secrets(temporary) == []
            assert living.is_dir()


@pytest.mark.parametrize("kind", ["link", "open", "file"])
def test_a_folder_that_somebody_else_made_is_not_used(temporary: Path, kind: str) -> None:
    """Everybody may write to /tmp, and the name can be guessed."""
    planted, elsewhere = temporary / f"imagematrix-{os.getuid()}", temporary / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        planted.symlink_to(elsewhere)
    elif kind == "open":
        planted.mkdir()
        planted.chmod(0o777)
    else:
        planted.write_text("")

    with scratch.folder("site") as made:
        assert planted not in made.parents
        assert not any(elsewhere.iterdir())


def test_a_proxys_password_is_in_no_command_line(tmp_path: Path) -> None:
    """Everybody on the machine sees those of all."""
    opened = projects.project(tmp_path)
    plan = projects.plan(opened, projects.PYTORCH)
    job = job_of(plan)(plan.steps[0], {})
    assert isinstance(job.work, DockerfileBuild)
    site = Site(proxies={"https_proxy": "http://robot:s3cret@proxy.example.com:3128"})

    argv = buildx.argv(job, job.work, program="buildx", site=site, secrets={}, compression="", metadata="")

    assert "https_proxy" in argv
    assert not any("s3cret" in word for word in argv)
