"""JupyterLab and TensorBoard as the outside meets them: under their paths, in Chinese, and not open to everyone."""

import json
import re

from testinfra.host import Host

from imagematrix.verify.plugin import Machine, eventually

LOGS = """\
from pathlib import Path
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
value = summary_pb2.Summary.Value(tag="loss", simple_value=0.5)
event = event_pb2.Event(step=1, wall_time=1, summary=summary_pb2.Summary(value=[value]))
folder = Path("/root/tensorboard-logs/check")
folder.mkdir()
with open(folder / "events.out.tfevents.1", "wb") as file:
    RecordWriter(file).write(event.SerializeToString())
"""
"""What a training would leave behind. TensorBoard's EventFileWriter would import TensorFlow for it."""


def test_jupyter_answers_under_its_path_with_the_token(host: Host, machine: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(machine)}/api/status?token={machine.token}") == "200")
    assert _status(host, f"{_jupyter(machine)}/lab?token={machine.token}") == "200"


def test_jupyter_refuses_who_has_no_token(host: Host, machine: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(machine)}/api/status") == "403")
    assert _status(host, f"{_jupyter(machine)}/api/status?token=wrong") == "403"


def test_jupyter_is_in_chinese(host: Host, machine: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(machine)}/api/status?token={machine.token}") == "200")
    settings = f"{_jupyter(machine)}/lab/api/settings/@jupyterlab/translation-extension:plugin?token={machine.token}"
    assert json.loads(_get(host, settings))["schema"]["properties"]["locale"]["default"] == "zh_CN"
    words = json.loads(_get(host, f"{_jupyter(machine)}/lab/api/translations/zh_CN?token={machine.token}"))["data"]
    assert "文件" in words["jupyterlab"]["File Browser"][0]


def test_a_notebook_has_the_images_python(host: Host, machine: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(machine)}/api/status?token={machine.token}") == "200")
    found = _get(host, f"{_jupyter(machine)}/api/kernelspecs?token={machine.token}")
    kernel = json.loads(found)["kernelspecs"]["python3"]["spec"]["argv"][0]
    python = machine.host.check_output("python -c 'import sys; print(sys.executable)'")
    assert machine.host.check_output(f"readlink -f $(command -v {kernel})") == machine.host.check_output(
        f"readlink -f {python}"
    )


def test_a_given_token_is_not_in_the_log(machine: Machine) -> None:
    assert machine.token not in machine.logs()


def test_a_token_that_nobody_gave_is_made_and_logged(host: Host, restricted: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(restricted)}/api/status") == "403"), restricted.logs()
    assert _status(host, f"{_jupyter(restricted)}/api/status?token={_logged_token(restricted)}") == "200"


def test_jupyters_language_is_the_containers(host: Host, restricted: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(restricted)}/api/status") == "403"), restricted.logs()
    settings = f"{_jupyter(restricted)}/lab/api/settings/@jupyterlab/translation-extension:plugin"
    found = json.loads(_get(host, f"{settings}?token={_logged_token(restricted)}"))
    assert found["schema"]["properties"]["locale"]["default"] == "default"


def test_any_user_has_both_without_a_writable_root(restricted: Machine) -> None:
    assert eventually(lambda: restricted.host.run("/init/boot/health.sh").succeeded), restricted.logs()


def _logged_token(machine: Machine) -> str:
    return str(re.findall(r"lab\?token=(\w{32,})", machine.logs())[0])


def test_tensorboard_shows_what_lies_in_its_folder(host: Host, machine: Machine) -> None:
    machine.host.check_output(f"python - <<'END'\n{LOGS}END")
    board = f"http://{machine.address}:6006/monitor"
    assert eventually(lambda: _status(host, f"{board}/") == "200"), machine.logs()
    assert eventually(lambda: '"check"' in _get(host, f"{board}/data/runs"))


def _jupyter(machine: Machine) -> str:
    return f"http://{machine.address}:8888/jupyter"


def _status(host: Host, url: str) -> str:
    return str(host.run(f"curl --noproxy '*' -s -m 60 -o /dev/null -w '%{{http_code}}' '{url}'").stdout)


def _get(host: Host, url: str) -> str:
    return str(host.run(f"curl --noproxy '*' -s -m 60 '{url}'").stdout)
