"""The pytest plugin that runs the checks of layers against one image: what their fixtures are, who hears results.

A check file is `common/layers/LAYER/test_LAYER.py`. `imagematrix.verify` starts one pytest per image, with a request
in JSON: the image, its row and what need not run. Results go, one line of JSON each, to the file the request names.
"""

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from testinfra.host import Host

from imagematrix import engine, secrecy
from imagematrix.compat import BroughtBy, CudaUse
from imagematrix.errors import NoEngineError
from imagematrix.verify.containers import Containers
from imagematrix.verify.given import Image, Job, Machine, Starter
from imagematrix.verify.interpreter import Interpreter

pytest.register_assert_rewrite("imagematrix.verify.environment")  # before a check file imports it
_OPTION: Final = "--image-request"
_TAIL_LINES: Final = 15
_WHY_LINES: Final = 6


@pytest.fixture(scope="session")
def row(_request: Mapping[str, Any]) -> Mapping[str, str]:
    """Give the values of the image's row: its axes and all facts that follow from them."""
    return dict(_request["values"])


@pytest.fixture(scope="session")
def image(_request: Mapping[str, Any], _containers: Containers) -> Image:
    """Give what is known of the image without running it.

    `name`, `layers`, `config` (as `docker inspect` has it) and the `locked` packages.
    """
    return Image(
        name=_request["name"],
        layers=tuple(_request["layers"]),
        config=_containers.engine.config(_containers.image),
        locked=dict(_request["locked"]),
        cuda={name: use and _cuda_use(**use) for name, use in _request["cuda"].items()},
        services=dict(_request["services"]),
        driver_requirement=_request["driver"],
    )


def _cuda_use(version: str, brought_by: str) -> CudaUse:
    return CudaUse(version=version, brought_by=BroughtBy(brought_by))


@pytest.fixture(scope="session")
def host(_containers: Containers) -> Host:
    """Give a shell of root in a container that runs nothing else: one for all checks of the image."""
    return _containers.shell(_containers.start("infinity", entrypoint="sleep", user="0"))


@pytest.fixture(scope="session")
def python(host: Host, _containers: Containers) -> Iterator[Interpreter]:
    """Give one Python in the container of `host`, for imports that are too slow to repeat in each check.

    `python.run(name, source)` returns the source's `result`; what it raises fails the check, and
    `raise Skipped("why")` skips it.
    """
    made = Interpreter(("docker", "exec", "--interactive", host.backend.hostname, "python"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def job(_containers: Containers) -> Job:
    """Give what runs a command as a job: `docker run --rm IMAGE command`.

    `job("date", environment=…, user=…, read_only=…)` runs it to its end: `code`, `output`.
    """
    return _containers.job


@pytest.fixture(scope="session")
def machine_settings() -> Mapping[str, str]:
    """Give the environment that `machine` is started with: `common/layers/conftest.py` overrides it."""
    return {}


@pytest.fixture(scope="session")
def machine(machine_settings: Mapping[str, str], _containers: Containers) -> Machine:
    """Give a container as users start it, with its services; one for all checks. `machine.host` is inside."""
    made = _containers.start(environment=machine_settings)
    return Machine(container=made, host=_containers.shell(made), settings=machine_settings)


@pytest.fixture(scope="session")
def gpu(_containers: Containers) -> Host:
    """Give a shell in a container that has all GPUs of the engine's machine; without one, the check is skipped."""
    if not _containers.engine.has_gpus():
        pytest.skip("the engine has no GPU")
    return _containers.shell(_containers.start("infinity", entrypoint="sleep", gpus=True))


@pytest.fixture(scope="session")
def restricted(_containers: Containers) -> Machine:
    """Give a container as Kubernetes platforms run it: any user, a root that cannot be written to; and in English."""
    made = _containers.start(environment={"LANG": "C.UTF-8"}, user="12345:0", read_only=True)
    return Machine(container=made, host=_containers.shell(made))


@pytest.fixture(scope="session", autouse=True)
def _early(request: pytest.FixtureRequest) -> None:
    """Start the machines at once that checks will need: their services come up while cheaper checks run."""
    needed = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in ("machine", "restricted"):
        if name in needed:
            request.getfixturevalue(name)


@pytest.fixture(scope="module")
def start(_containers: Containers) -> Iterator[Starter]:
    """Give a function that starts more machines, for checks of how one is started."""
    with ExitStack() as until:

        def starter(*, environment: Mapping[str, str], files: Mapping[str, str] | None = None) -> Machine:
            made = _containers.started((), environment, files or {})
            until.callback(made.remove)
            return Machine(container=made, host=_containers.shell(made))

        yield starter


_CONTAINERS: Final = pytest.StashKey[Containers]()
_ALL_KNOWN: Final = pytest.StashKey[bool]()
"""Every check passed in an earlier run."""


@pytest.fixture(scope="session")
def _request(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    return _read_request(request.config)


@pytest.fixture(scope="session")
def _containers(request: pytest.FixtureRequest, _request: Mapping[str, Any]) -> Iterator[Containers]:
    label, _, value = _request["label"].partition("=")
    made = Containers(engine=engine.connect(), image=_request["image"], labels={label: value})
    request.config.stash[_CONTAINERS] = made
    yield made
    for shell in made.opened:
        shell.close()
    for container in made.made:
        container.remove()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the request."""
    parser.addoption(_OPTION, required=True, help="JSON: the image, its row, what need not run")


def pytest_configure(config: pytest.Config) -> None:
    """Say which marks checks may carry, and listen to results."""
    secrecy.learn_environment()
    config.addinivalue_line("markers", "slow: it runs after the quick ones")
    config.addinivalue_line("markers", "as_root: for images that run as root, not as the `run_as` of their row")
    config.addinivalue_line("markers", "final: it ends the machine, so it runs last of all")
    config.pluginmanager.register(_Listener(_read_request(config)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what passed before, and what is not for the image; cheap checks come first."""
    request = _read_request(config)
    if "run_as" in request["values"]:
        items[:] = (item for item in items if not item.get_closest_marker("as_root"))
    known = {(layer, name) for layer, names in request["known"].items() for name in names}
    wanted = [item for item in items if (_layer(item.path), item.name) not in known]
    config.stash[_ALL_KNOWN] = bool(items) and not wanted
    items[:] = sorted(wanted, key=_cost)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Succeed when nothing had to run: an interrupted run has settled every check, but no suite as a whole."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.stash.get(_ALL_KNOWN, False):
        session.exitstatus = pytest.ExitCode.OK


def _cost(item: pytest.Item) -> int:
    """Rank a check by what it needs: a shell, a job, a machine, the machine's end."""
    if item.get_closest_marker("final"):
        return 4
    if item.get_closest_marker("slow"):
        return 3
    fixtures = set(getattr(item, "fixturenames", ()))
    return 2 if fixtures & {"machine", "restricted", "start"} else 1 if "job" in fixtures else 0


class _Listener:
    """Writes down how many checks there are, which one begins, and each one's result the moment it is known."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._path = Path(request["results"])
        self._setup_seconds = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and (lost := _loss(item.config, call)):
            self._tell({"lost": lost})
            item.session.shouldstop = lost
        elif report.failed and call.when == "call":
            report.sections += _last_words(item)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A check is reported once: when it ran, when its set-up failed, or when its tear-down failed.
        if report.when == "setup":
            self._setup_seconds = report.duration  # a training takes place there
        if report.when == "call" or not report.passed:
            layer = _layer(Path(report.nodeid.partition("::")[0]))
            seconds = report.duration + (self._setup_seconds if report.when == "call" else 0.0)
            self._write(layer, report.nodeid.partition("::")[2], report, seconds=seconds)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._tell({"total": len(session.items)})

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        file, _, name = nodeid.partition("::")
        self._tell({"check": f"{_layer(Path(file))}: {name}"})

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(_layer(Path(report.nodeid)), "the file itself", report, seconds=0.0)

    def _write(
        self, layer: str, name: str, report: pytest.TestReport | pytest.CollectReport, *, seconds: float
    ) -> None:
        why, tail = _told(report)
        line = {"owner": layer, "name": name, "outcome": report.outcome, "seconds": seconds, "why": why, "tail": tail}
        self._tell(line)

    def _tell(self, line: Mapping[str, object]) -> None:
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(secrecy.hidden(json.dumps(line, ensure_ascii=False)) + "\n")


def _loss(config: pytest.Config, call: pytest.CallInfo[None]) -> str:
    error = call.excinfo.value if call.excinfo else None
    containers = config.stash.get(_CONTAINERS, None)
    if containers:
        return containers.loss(error)
    return str(error) if isinstance(error, NoEngineError) else ""


def _told(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, list[str]]:
    """Return why a check failed or was skipped, and what else there is to read."""
    if report.passed:
        return "", []
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: "), []
    lines = [line[1:].strip() for line in report.longreprtext.splitlines() if line.startswith("E ")]
    lines = lines or report.longreprtext.splitlines()
    said = [line for _, text in report.sections for line in text.splitlines()]
    return "\n".join(lines[:_WHY_LINES]), [*lines[_WHY_LINES:], *said][-_TAIL_LINES:]


def _last_words(item: pytest.Item) -> list[tuple[str, str]]:
    """Return what the machine of a failed check said last."""
    machines = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Machine)]
    return [("docker logs", "\n".join(machine.logs().splitlines()[-_TAIL_LINES:])) for machine in machines]


def _layer(path: Path) -> str:
    return path.parent.name


def _read_request(config: pytest.Config) -> Mapping[str, Any]:
    text = Path(config.getoption(_OPTION)).read_text(encoding="utf-8")
    request: Mapping[str, Any] = json.loads(text)
    return request
