"""The official models: to be imported, with what they need; and what the image is asked to leave behind."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix.testing import Interpreter

MODEL = """\
from official.vision.modeling.backbones import resnet
assert resnet.ResNet(50).weights
"""


@pytest.mark.slow
def test_a_model_is_made(python: Interpreter) -> None:
    python.run("model", MODEL)


def test_cudnn_is_found(host: Host, row: Mapping[str, str]) -> None:
    code = f'import ctypes; ctypes.CDLL("libcudnn.so.{row["cudnn"]}")'
    assert host.run(f"python -c '{code}'").succeeded


def test_git_is_gone_and_there_is_room_for_models_and_data(host: Host) -> None:
    assert not host.exists("git")
    assert host.file("/tf/models").is_directory
    assert host.file("/tf/data").is_directory
