"""JupyterLab and TensorBoard as the outside meets them: under their paths, in Chinese, and not open to everyone.

Of the machines only `restricted` has TensorBoard: starting it takes seconds of a processor.
"""

import json
import re

import pytest
from testinfra.host import Host

from imagematrix.testing import Machine, eventually

CURL = "curl --noproxy '*' -s -m 60"

LOGS = """\
import sys
from pathlib import Path
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
value = summary_pb2.Summary.Value(tag="loss", simple_value=0.5)
event = event_pb2.Event(step=1, wall_time=1, summary=summary_pb2.Summary(value=[value]))
folder = Path(sys.argv[1], "check")
folder.mkdir()
with open(folder / "events.out.tfevents.1", "wb") as file:
    RecordWriter(file).write(event.SerializeToString())
"""
"""What a training would leave behind. TensorBoard's EventFileWriter would import TensorFlow for it."""


def test_jupyter_answers_under_its_path_with_the_token(host: Host, machine: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(machine)}/api/status?{_login(machine)}") == "200")
    assert _status(host, f"{_jupyter(machine)}/lab?{_login(machine)}") == "200"


def test_jupyter_refuses_who_has_no_token(host: Host, machine: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(machine)}/api/status") == "403")
    assert _status(host, f"{_jupyter(machine)}/api/status?token=wrong") == "403"


def test_jupyter_is_in_chinese(host: Host, machine: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(machine)}/api/status?{_login(machine)}") == "200")
    settings = f"{_jupyter(machine)}/lab/api/settings/@jupyterlab/translation-extension:plugin?{_login(machine)}"
    assert json.loads(_get(host, settings))["schema"]["properties"]["locale"]["default"] == "zh_CN"
    words = json.loads(_get(host, f"{_jupyter(machine)}/lab/api/translations/zh_CN?{_login(machine)}"))["data"]
    assert "文件" in words["jupyterlab"]["File Browser"][0]


def test_a_notebook_has_the_images_python(host: Host, machine: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(machine)}/api/status?{_login(machine)}") == "200")
    found = _get(host, f"{_jupyter(machine)}/api/kernelspecs?{_login(machine)}")
    kernel = json.loads(found)["kernelspecs"]["python3"]["spec"]["argv"][0]
    python = machine.host.check_output("python -c 'import sys; print(sys.executable)'")
    assert machine.host.check_output(f"readlink -f $(command -v {kernel})") == machine.host.check_output(
        f"readlink -f {python}"
    )


def test_a_given_token_is_not_in_the_log(machine: Machine) -> None:
    assert machine.settings["JUPYTER_TOKEN"] not in machine.logs()


def test_a_token_that_nobody_gave_is_made_and_logged(host: Host, restricted: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(restricted)}/api/status") == "403"), restricted.logs()
    assert _status(host, f"{_jupyter(restricted)}/api/status?token={_token(restricted)}") == "200"
    assert sorted(_links(restricted)) == ["6006", "8888"]


def test_jupyters_language_is_the_containers(host: Host, restricted: Machine) -> None:
    assert eventually(lambda: _status(host, f"{_jupyter(restricted)}/api/status") == "403"), restricted.logs()
    settings = f"{_jupyter(restricted)}/lab/api/settings/@jupyterlab/translation-extension:plugin"
    found = json.loads(_get(host, f"{settings}?token={_token(restricted)}"))
    assert found["schema"]["properties"]["locale"]["default"] == "default"


def test_any_user_has_both_without_a_writable_root(restricted: Machine) -> None:
    assert eventually(lambda: restricted.host.run("/init/boot/health.sh").succeeded), restricted.logs()


def test_tensorboard_refuses_who_has_no_token(host: Host, restricted: Machine) -> None:
    board = f"http://{restricted.address}:6006/monitor"
    assert eventually(lambda: _status(host, f"{board}/") == "403"), restricted.logs()
    for path in ("/?token=wrong", "/data/runs", "/data/plugins_listing"):
        assert _status(host, f"{board}{path}") == "403"


def test_the_logged_link_opens_tensorboard_which_shows_what_lies_in_its_folder(host: Host, restricted: Machine) -> None:
    """The link in a browser; then the cookie that the browser got."""
    assert eventually(lambda: _status(host, _links(restricted)["6006"]) == "200"), restricted.logs()
    [folder] = re.findall(r"tensorboard: .* reading (\S+)", restricted.logs())
    restricted.host.check_output(f"python - {folder} <<'END'\n{LOGS}END")
    browser = f"{CURL} -L -H 'Accept: text/html' -b /dev/shm/cookies -c /dev/shm/cookies"
    assert "<title>TensorBoard" in host.check_output(f"{browser} '{_links(restricted)['6006']}'")
    runs = f"{browser} http://{restricted.address}:6006/monitor/data/runs"
    assert eventually(lambda: '"check"' in host.run(runs).stdout), restricted.logs()


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ("", "/jupyter"),
        ("NB_PREFIX=/notebook/team/mine", "/notebook/team/mine"),
        ("JUPYTERHUB_SERVICE_PREFIX=/user/a%40b.example/", "/user/a%40b.example/"),
        ("NB_PREFIX=/notebook/team/mine JUPYTER_BASE_URL=/lab", "/lab"),
    ],
)
def test_jupyters_path_may_be_the_platforms(host: Host, settings: str, path: str) -> None:
    assert host.check_output(f"env {settings} /init/boot/boot.sh printenv JUPYTER_BASE_URL") == path


def _links(machine: Machine) -> dict[str, str]:
    """Return the links that the log shows, by their ports, as another container reaches them."""
    found = re.findall(r"http://localhost:(\d+)(/\S+\?token=\w{32,})", machine.logs())
    return {port: f"http://{machine.address}:{port}{path}" for port, path in found}


def _token(machine: Machine) -> str:
    return _links(machine)["8888"].partition("token=")[2]


def _jupyter(machine: Machine) -> str:
    return f"http://{machine.address}:8888/jupyter"


def _status(host: Host, url: str) -> str:
    return str(host.run(f"{CURL} -o /dev/null -w '%{{http_code}}' '{url}'").stdout)


def _get(host: Host, url: str) -> str:
    return str(host.run(f"{CURL} '{url}'").stdout)


def _login(machine: Machine) -> str:
    return f"token={machine.settings['JUPYTER_TOKEN']}"
