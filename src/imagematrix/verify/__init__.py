"""Verifies images by running them: for each one a pytest of its own, some at once.

`checks` decides what must run; `plugin` is what runs inside pytest. Results come as data, through pytest's hooks.
"""

import json
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from os import environ, pathsep
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from imagematrix import audit, compat
from imagematrix.engine import Engine, docker_command, doubts, nodes
from imagematrix.errors import FlagError, LostEngineError, NoEngineError, did_you_mean
from imagematrix.model import Key, Leaf, Platform, Row
from imagematrix.planning import checks
from imagematrix.planning.checks import Check, CheckOutcome, Running, Subject, Suite, Verified
from imagematrix.secrecy import hidden
from imagematrix.shell import Shell, stoppable
from imagematrix.text import words

if TYPE_CHECKING:  # not for each process that runs checks: it imports the planner
    from imagematrix.planning.graph import Dag
    from imagematrix.project import Project

LABEL: Final = "imagematrix.verify"
"""What the containers of checks carry; its value is the run's."""
_CHECK_SECONDS: Final = 300
"""A check that takes longer hangs."""
_LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_PLUGIN: Final = (
    *("plugin.py", "given.py", "containers.py", "shell_backend.py"),
    *("interpreter.py", "companions.py", "cuda.py"),
)
_AUDITOR: Final = ("filesystem.py", "../audit/contents.py", "../audit/layers.py", "../audit/rule.py")
_TAIL_LINES: Final = 20
_POLL_SECONDS: Final = 0.5
_BLOCK: Final = 4096
"""Bytes for which a disk that is full has no room."""


class Listener(Protocol):
    """Hears how a run goes on, always from the thread that began it; to be used in a `with`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_error: object) -> None: ...

    def running(self, images: Sequence[Running]) -> None:
        """Hear, twice a second, what runs."""

    def finished(self, image: Verified) -> None:
        """Hear what came of an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run, in the order of the rows' names."""

    started: datetime
    seconds: float
    images: tuple[Verified, ...]
    interrupted: bool
    lost: NoEngineError | None = None
    """Set when the engine went away and nothing else is wrong: some images are not checked."""

    @property
    def good(self) -> bool:
        """Whether every image is there and passed."""
        return not self.interrupted and all(image.good for image in self.images)


def run(
    project: "Project",
    rows: Sequence[Row],
    *,
    engine: Engine,
    jobs: int,
    platform: str = "",
    listen: Callable[[int], Listener],
) -> Result:
    """Check the selected rows' images on an engine; `listen` gives who hears of those that have something to check.

    An image obeys the rules of its family's platform, and of the one that is named. Raises FlagError when there is
    none of that name.
    """
    asked = _platform(project, platform)
    started, clock = datetime.now(UTC), time.monotonic()
    leaves = project.leaves(rows)
    dag = project.dag(leaves)
    listed, bonds = engine.images(), project.workspace.bonds()
    present, doubted = nodes(listed, bonds), doubts(listed, bonds)
    found = subjects(project, dag, images={key: image.id for key, image in present.items()}, also=asked)
    missing = [
        Verified(row=dag.rows[name], checks=(), built=False, doubt=doubted.get(tip, ""))
        for name, tip in dag.tips.items()
        if tip not in present
    ]
    known = [_known(subject) for subject in found if not subject.open]
    # The biggest take longest: begun last, they would be waited for alone.
    waiting = sorted((subject for subject in found if subject.open), key=lambda one: -present[one.key].bytes)
    with stoppable() as stop:
        ran = _act(
            project,
            waiting,
            leaves,
            engine=engine,
            jobs=jobs,
            listen=listen,
            stop=stop,
        )
    images = sorted([*missing, *known, *ran], key=lambda image: image.row.name)
    return Result(
        started=started,
        seconds=time.monotonic() - clock,
        images=tuple(images),
        interrupted=stop.is_set(),
        lost=_lost(images),
    )


def _lost(images: Sequence[Verified]) -> NoEngineError | None:
    """Return that the engine went away, where that alone is wrong."""
    bad = [image for image in images if not image.good]
    is_lost = all(image.cut_off for image in bad) and any(image.cut_off in checks.ENGINE_LOST for image in bad)
    return NoEngineError(f"{words.count(len(bad), 'image')} not checked: {bad[0].cut_off}") if is_lost else None


def subjects(
    project: "Project", dag: "Dag", *, images: Mapping[Key, str], also: Platform | None = None
) -> tuple[Subject, ...]:
    """Return what is to be checked of the images that are there, and what of it is settled.

    `images` are their ids, `also` is another platform whose rules they must obey.
    """
    judge = Judge(project)
    tips = {name: tip for name, tip in dag.tips.items() if tip in images}
    return tuple(judge.subject(dag.rows[name], tip, images[tip], also=also) for name, tip in tips.items())


class Judge:
    """Says what is to be checked of an image, from what is remembered by the time that it is made."""

    def __init__(self, project: "Project") -> None:
        self._texts = checks.Texts(
            files=project.workspace.checks(),
            plugin="".join(map(_text, _PLUGIN)),
            rules={name: rule.text for name, rule in project.matrix.rules.items()},
            auditor="".join(map(_text, _AUDITOR)),
        )
        self._known = checks.Known(project.workspace.settled())

    def subject(self, row: Row, key: Key, image: str, *, also: Platform | None = None) -> Subject:
        """Return what is to be checked of the image (by its id) of a row, and what of it is settled."""
        return checks.decide(
            row,
            key,
            image,
            texts=self._texts,
            platforms=tuple({one.name: one for one in (row.platform, also) if one}.values()),
            known=self._known,
        )


def _platform(project: "Project", name: str) -> Platform | None:
    if name and name not in project.matrix.platforms:
        hint = did_you_mean(name, project.matrix.platforms)
        raise FlagError(f"--platform {name}: no platform of that name\n    {hint}")
    return project.matrix.platforms.get(name)


def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _known(subject: Subject) -> Verified:
    return Verified(row=subject.row, checks=checks.joined(subject, ()))


def _act(
    project: "Project",
    subjects: Sequence[Subject],
    leaves: Mapping[str, Leaf],
    *,
    engine: Engine,
    jobs: int,
    listen: Callable[[int], Listener],
    stop: threading.Event,
) -> list[Verified]:
    """Run the open suites of subjects, `jobs` images at once; what is not begun when it is stopped is left out."""
    if not subjects:
        return []
    done: list[Verified] = []
    left = threading.Event()
    with (
        project.workspace.run_folder(
            killed=lambda name: engine.remove_containers(_label(name)), clean=lambda: not left.is_set()
        ) as folder,
        ThreadPoolExecutor(jobs) as pool,
        listen(len(subjects)) as listener,
    ):
        runner = _Runner(project, engine, folder=folder)
        waiting: set[Future[Verified]] = {
            pool.submit(runner.verify, subject, leaves[subject.row.name]) for subject in subjects
        }
        try:
            while waiting and not stop.is_set():
                finished, waiting = wait(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                listener.running(runner.running())
                for future in finished:
                    done.append(future.result())
                    listener.finished(done[-1])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            try:
                runner.close()
            except NoEngineError:  # the next run removes its containers
                left.set()
    return done


def _label(run: str) -> str:
    """Return the label of a run's containers."""
    return f"{LABEL}={run}"


class _CutOffError(Exception):
    """The checks of an image did not come to their end, through no fault of the image."""


class _Runner:
    """Starts a pytest for an image and reads what it found."""

    def __init__(self, project: "Project", engine: Engine, *, folder: Path) -> None:
        self._project = project
        self._engine = engine
        self._folder = folder
        self._label = _label(folder.name)
        self._shell = Shell()
        self._closed = threading.Event()
        self._running: dict[str, _Progress] = {}
        """What each image's checks have told so far, by row."""

    def running(self) -> tuple[Running, ...]:
        """Return what runs now."""
        return tuple(progress.now() for progress in tuple(self._running.values()))

    def verify(self, subject: Subject, leaf: Leaf) -> Verified:
        """Run a subject's open suites; what they settle is remembered, also of a run that is stopped meanwhile."""
        begun, cut_off = time.monotonic(), ""
        ran: list[Check] = []
        ended = not _layers(subject)
        try:
            folder = self._begin(subject)
            if not ended:
                self._pytest(subject, leaf, folder, ran)
                ended = True
            for suite in subject.open:
                if suite.platform:
                    self._running[subject.row.name].turn_to(suite.owner)
                    ran += self._audited(subject, leaf, suite.platform, owner=suite.owner)
        except _CutOffError as error:
            cut_off = str(error)
        except NoEngineError as error:
            cut_off = checks.ENGINE_STOPPED if isinstance(error, LostEngineError) else str(error)
        except InterruptedError:  # it is an OSError, and none of the disk's
            raise
        except OSError as error:
            cut_off = f"cannot write {self._folder}: {error.strerror or error}"
        finally:
            self._running.pop(subject.row.name, None)
            for settled in checks.settle(subject, ran, ended=ended):
                self._project.workspace.remember_settled(settled)
        sound = [check for check in ran if not (cut_off and check.outcome is CheckOutcome.FAILED)]
        seconds = time.monotonic() - begun
        return Verified(row=subject.row, checks=checks.joined(subject, sound), seconds=seconds, cut_off=cut_off)

    def _begin(self, subject: Subject) -> Path:
        if not self._engine.answers():
            raise _CutOffError(checks.ENGINE_STOPPED)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        self._running[subject.row.name] = _Progress(subject.row, folder / "results.jsonl")
        return folder

    def close(self) -> None:
        """Stop what runs; no container outlives a run that can still do this."""
        self._closed.set()
        self._shell.cancel()
        self._engine.remove_containers(self._label)

    def _audited(self, subject: Subject, leaf: Leaf, platform: Platform, *, owner: str) -> list[Check]:
        from imagematrix.verify import filesystem

        stop = self._closed.is_set
        known = self._project.matrix.rules
        rules = {name: audit.load(known[name], parameters) for name, parameters in platform.rules.items()}
        return filesystem.audited(self._engine, subject.image, leaf.base_image, rules, owner=owner, stop=stop)

    def _pytest(self, subject: Subject, leaf: Leaf, folder: Path, ran: list[Check]) -> None:
        """Run the checks of layers, adding to those that ran. Raises _CutOffError where the image is not to blame."""
        results = folder / "results.jsonl"
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (folder / "request.json").write_text(json.dumps(self._request(subject, leaf, results)), encoding="utf-8")
        said: list[bytes] = []
        code = self._shell.run(self._argv(subject, folder), env=self._environment(), sink=said.append)
        told = [line for text in results.read_text(encoding="utf-8").splitlines() if (line := _line(text))]
        ran += [_check(each) for each in told if "outcome" in each]
        if lost := next((str(each["lost"]) for each in told if "lost" in each), ""):
            raise _CutOffError(lost)
        if code not in (0, 1):
            self._blame(subject, folder, ran, why=f"pytest ended with exit code {code}", said=b"".join(said))

    def _blame(self, subject: Subject, folder: Path, ran: list[Check], *, why: str, said: bytes) -> None:
        """Find out who ended pytest: the engine, the disk (then an OSError says so), or the checks themselves."""
        if not self._engine.answers():
            raise _CutOffError(checks.ENGINE_STOPPED)
        (folder / "room").write_bytes(bytes(_BLOCK))
        if not any(check.outcome is CheckOutcome.FAILED for check in ran):
            tail = tuple(hidden(said.decode(errors="replace")).splitlines()[-_TAIL_LINES:])
            owner = _layers(subject)[0].owner
            ran.append(Check(owner=owner, name="pytest", outcome=CheckOutcome.FAILED, why=why, tail=tail))

    def _request(self, subject: Subject, leaf: Leaf, results: Path) -> Mapping[str, object]:
        return {
            "name": subject.row.name,
            "image": subject.image,
            "layers": subject.row.family.layers,
            "values": dict(subject.row.values),
            "locked": _locked(leaf),
            # Decided here, where the project's corrections of the catalogue are known.
            "cuda": {name: use and asdict(use) for name, use in compat.cuda_by_framework(subject.row.values).items()},
            "driver": compat.driver_requirement(subject.row.values),
            "known": {suite.owner: [check.name for check in suite.known] for suite in _layers(subject)},
            "label": self._label,
            "results": str(results),
        }

    def _argv(self, subject: Subject, folder: Path) -> list[str]:
        root = self._project.workspace.root
        files = [str(root / self._project.workspace.check_file(suite.owner)) for suite in _layers(subject)]
        return [
            *(sys.executable, "-m", "pytest", "-q", "--color=no", "--tb=short", "--import-mode=importlib"),
            *("-p", "pytest_timeout", f"--timeout={_CHECK_SECONDS}", "-p", "no:cacheprovider"),
            # The repository's own configuration of pytest is for its own tests.
            *("-c", str(folder / "pytest.ini"), "--rootdir", str(root), "--noconftest"),
            *("-p", "imagematrix.verify.plugin", "--image-request", str(folder / "request.json")),
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


def _layers(subject: Subject) -> list[Suite]:
    """Return what pytest must run."""
    return [suite for suite in subject.open if suite.platform is None]


def _locked(leaf: Leaf) -> Mapping[str, str]:
    """Return the packages that a leaf's locks name; a layer's lock outdoes those below it."""
    texts = [
        file.content.decode()
        for stage in leaf.stages
        for file in stage.inputs
        if file.path == f"{stage.layer}/requirements.lock"
    ]
    return {name: version for text in texts for name, version in _LOCKED.findall(text)}


class _Progress:
    """How far an image's checks are, by what pytest has told so far."""

    def __init__(self, row: Row, results: Path) -> None:
        results.touch()
        self._results = results
        self._read = 0
        self._now = Running(row=row)
        self._rules = ""
        """What is checked once pytest has ended."""

    def now(self) -> Running:
        """Return it as it is now; for one thread."""
        with self._results.open("rb") as stream:
            stream.seek(self._read)
            for line in stream:
                if line.endswith(b"\n"):
                    self._read += len(line)
                    self._now = _moved_on(self._now, _line(line))
        return replace(self._now, check=self._rules or self._now.check)

    def turn_to(self, rules: str) -> None:
        """Say what is checked once pytest has ended; from any thread."""
        self._rules = rules


def _moved_on(running: Running, told: Mapping[str, Any]) -> Running:
    if "total" in told:
        return replace(running, total=told["total"])
    if "check" in told:
        return replace(running, check=told["check"])
    return replace(running, done=running.done + 1) if "outcome" in told else running


def _line(text: str | bytes) -> Mapping[str, Any]:
    """Return what pytest has told in a line; nothing of one that a full disk cut short."""
    try:
        told: Mapping[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return told


def _check(values: Mapping[str, Any]) -> Check:
    return Check(
        owner=values["owner"],
        name=values["name"],
        outcome=CheckOutcome(values["outcome"]),
        seconds=values["seconds"],
        why=hidden(values["why"]),
        tail=tuple(map(hidden, values["tail"])),
    )
