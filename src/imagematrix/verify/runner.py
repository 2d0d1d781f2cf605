"""Runs the checks of an image: a pytest of its own, then the rules of destinations."""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from os import environ, pathsep
from pathlib import Path
from typing import Any, Final

from imagematrix import audit
from imagematrix.engine import Engine, docker_command
from imagematrix.errors import LostEngineError, NoEngineError
from imagematrix.model import Destination
from imagematrix.planning import checks
from imagematrix.planning.checks import CheckOutcome, CheckResult, Running, Settled, Subject, Verified
from imagematrix.secrecy import hidden
from imagematrix.shell import Shell
from imagematrix.verify import filesystem
from imagematrix.verify.progress import CheckProgress, read_line
from imagematrix.verify.task import CheckKit, CheckTask, of_layers

LABEL: Final = "imagematrix.verify"
"""What the containers of checks carry; its value is the run's."""
_CHECK_SECONDS: Final = 300
"""A check that takes longer hangs."""
_TAIL_LINES: Final = 20
_BLOCK: Final = 4096
"""Bytes for which a disk that is full has no room."""


def run_label(run: str) -> str:
    """Return the label of a run's containers."""
    return f"{LABEL}={run}"


class _InterruptedError(Exception):
    """The checks of an image did not finish, through no fault of the image."""


class Runner:
    """Starts a pytest for an image and reads what it found."""

    def __init__(self, kit: CheckKit, engine: Engine, *, folder: Path, remember: Callable[[Settled], None]) -> None:
        """Take what checks need, and a folder of this run's own; `remember` hears what need not be checked again."""
        self._kit = kit
        self._remember = remember
        self._engine = engine
        self._folder = folder
        self._label = run_label(folder.name)
        self._shell = Shell()
        self._closed = threading.Event()
        self._running: dict[str, CheckProgress] = {}
        """What each image's checks have reported so far, by row."""

    def running(self) -> tuple[Running, ...]:
        """Return what runs now."""
        return tuple(progress.now() for progress in tuple(self._running.values()))

    def verify(self, task: CheckTask) -> Verified:
        """Run a subject's open suites; what they settle is remembered, also of a run that is stopped meanwhile."""
        subject = task.subject
        begun, interruption = time.monotonic(), ""
        ran: list[CheckResult] = []
        ended = not of_layers(subject)
        try:
            folder = self._begin(subject)
            if not ended:
                self._pytest(task, folder, ran)
                ended = True
            for suite in subject.open:
                if suite.destination:
                    self._running[subject.row.name].turn_to(suite.owner)
                    ran += self._audited(task, suite.destination, owner=suite.owner)
        except _InterruptedError as error:
            interruption = str(error)
        except NoEngineError as error:
            interruption = checks.ENGINE_STOPPED if isinstance(error, LostEngineError) else str(error)
        except InterruptedError:  # it is an OSError, and none of the disk's
            raise
        except OSError as error:
            interruption = f"cannot write {self._folder}: {error.strerror or error}"
        finally:
            self._running.pop(subject.row.name, None)
            for settled in checks.settle(subject, ran, ended=ended):
                self._remember(settled)
        sound = [check for check in ran if not (interruption and check.outcome is CheckOutcome.FAILED)]
        seconds = time.monotonic() - begun
        return Verified(
            row=subject.row, checks=checks.joined(subject, sound), seconds=seconds, interruption=interruption
        )

    def _begin(self, subject: Subject) -> Path:
        if not self._engine.answers():
            raise _InterruptedError(checks.ENGINE_STOPPED)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        self._running[subject.row.name] = CheckProgress(subject.row, folder / "results.jsonl")
        return folder

    def close(self) -> None:
        """Stop what runs; no container outlives a run that can still do this."""
        self._closed.set()
        self._shell.cancel()
        self._engine.remove_containers(self._label)

    def _audited(self, task: CheckTask, destination: Destination, *, owner: str) -> list[CheckResult]:
        stop = self._closed.is_set
        rules = {name: audit.load(self._kit.rules[name], parameters) for name, parameters in destination.rules.items()}
        return filesystem.audited(self._engine, task.subject.image, task.base, rules, owner=owner, stop=stop)

    def _pytest(self, task: CheckTask, folder: Path, ran: list[CheckResult]) -> None:
        """Run the checks of layers, adding to `ran`. Raises _InterruptedError where the image is not to blame."""
        subject, results = task.subject, folder / "results.jsonl"
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (folder / "request.json").write_text(json.dumps(self._request(task, results)), encoding="utf-8")
        said: list[bytes] = []
        code = self._shell.run(self._argv(subject, folder), env=self._environment(), sink=said.append)
        told = [line for text in results.read_text(encoding="utf-8").splitlines() if (line := read_line(text))]
        ran += [_check(each) for each in told if "outcome" in each]
        if lost := next((str(each["lost"]) for each in told if "lost" in each), ""):
            raise _InterruptedError(lost)
        if code not in (0, 1):
            self._attribute(subject, folder, ran, why=f"pytest ended with exit code {code}", said=b"".join(said))

    def _attribute(self, subject: Subject, folder: Path, ran: list[CheckResult], *, why: str, said: bytes) -> None:
        """Find out who ended pytest: the engine, the disk (then an OSError says so), or the checks themselves."""
        if not self._engine.answers():
            raise _InterruptedError(checks.ENGINE_STOPPED)
        (folder / "room").write_bytes(bytes(_BLOCK))
        if not any(check.outcome is CheckOutcome.FAILED for check in ran):
            tail = tuple(hidden(said.decode(errors="replace")).splitlines()[-_TAIL_LINES:])
            owner = of_layers(subject)[0].owner
            ran.append(CheckResult(owner=owner, name="pytest", outcome=CheckOutcome.FAILED, why=why, tail=tail))

    def _request(self, task: CheckTask, results: Path) -> Mapping[str, object]:
        return {**task.request, "image": task.subject.image, "label": self._label, "results": str(results)}

    def _argv(self, subject: Subject, folder: Path) -> list[str]:
        root = self._kit.root
        files = [str(root / self._kit.files[suite.owner]) for suite in of_layers(subject)]
        own = root / self._kit.folder
        return [
            *(sys.executable, "-m", "pytest", "-q", "--color=no", "--tb=short", "--import-mode=importlib"),
            *("-p", "pytest_timeout", f"--timeout={_CHECK_SECONDS}", "-p", "no:cacheprovider"),
            # The repository's own configuration of pytest is for its own tests. Checks of the package are outside the
            # project, and pytest names only what is below its root by its path.
            *("-c", str(folder / "pytest.ini"), "--rootdir", root.anchor),
            f"--confcutdir={own if own.is_dir() else root}",  # without layers of its own, a monorepo has no such folder
            *("-p", "imagematrix.verify.plugin", "--image-request", str(folder / "request.json")),
            *(word for name in self._kit.plugins for word in ("-p", name)),  # their fixtures replace those of the first
            *files,
        ]

    def _environment(self) -> Mapping[str, str]:
        """Let testinfra's docker client be the one that reaches our engine, and its output UTF-8."""
        client = Path(docker_command(self._engine))
        path = environ.get("PATH", "")
        return {
            **self._engine.environment,
            "PATH": f"{client.parent}{pathsep}{path}" if client.is_absolute() else path,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "",
            "PYTHONUTF8": "1",
        }


def _check(values: Mapping[str, Any]) -> CheckResult:
    return CheckResult(
        owner=values["owner"],
        name=values["name"],
        outcome=CheckOutcome(values["outcome"]),
        seconds=values["seconds"],
        why=hidden(values["why"]),
        tail=tuple(map(hidden, values["tail"])),
    )
