"""A missing extra is reported before the work that needs it begins."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from tests import projects

from imagematrix.cli import program
from imagematrix.commands import extras


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        (["build", "--matrix", "--report", "out"], "plotly", "report"),
        (["push", "--matrix", "--report", "out"], "itables", "report"),
        (["report"], "plotly", "report"),
        (["verify", "--matrix"], "testinfra", "verify"),
        (["nightly"], "pytest", "verify"),
    ],
)
def test_a_part_that_is_not_installed_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    module: str,
    extra: str,
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == module else find_spec(name))
    file = projects.write(tmp_path)
    with pytest.raises(SystemExit) as ended:
        program.run(["imagematrix", *command, "--file", str(file)])
    assert ended.value.code == 2
    assert f"pip install 'imagematrix[{extra}]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
