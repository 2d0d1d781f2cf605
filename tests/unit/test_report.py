"""What is printed before, during and after a run."""

import io
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from rich.console import Console
from tests.fakes import FakeExecutor, job_of, plan_of

from imagematrix import __version__, report
from imagematrix.execution import schedule
from imagematrix.model import Flake, FlakeKind, Key, Outcome, Plan, Pushed, PushStatus, Retry, Size, Status, Step
from imagematrix.planning.forecast import Forecast
from imagematrix.planning.requirements import Locked
from imagematrix.report.document import PushEntry, write
from imagematrix.text import formatting

TENSORFLOW = "tensorflow:2.20.0-python3.11-debian12"
OLDER = "tensorflow:2.19.0-python3.11-debian12"
PLAIN = "python:3.11-debian12"
STARTED = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
FLAKE = Flake(kind=FlakeKind.SERVER, source="mirror.example.com")


def three_rows(reused: tuple[str, ...] = ("system",)) -> Plan:
    """Two TensorFlow rows and a plain one on one python."""
    return plan_of(
        {
            "system": None,
            "python": "system",
            "tf220": "python",
            "tf219": "python",
            "nb220": "tf220",
            "nb219": "tf219",
            "nbplain": "python",
        },
        rows={TENSORFLOW: "nb220", OLDER: "nb219", PLAIN: "nbplain"},
        layers={
            "tf220": "tensorflow",
            "tf219": "tensorflow",
            "nb220": "notebook",
            "nb219": "notebook",
            "nbplain": "notebook",
        },
        reused=reused,
    )


def forecast(plan: Plan) -> Forecast:
    """Foresee a run of a plan, one at a time, of which each node takes a minute."""
    return Forecast(plan.steps, {step.node.key: 60.0 for step in plan.steps}, jobs=1)


def image(name: str, number: int = 412_000_000) -> report.ImageFact:
    return report.ImageFact(image=name, digest=f"sha256:{name}", bytes=number)


def ran(plan: Plan, executor: FakeExecutor, *, fail_fast: bool = False) -> report.Document:
    """Run a plan one node at a time and report on it, with an image for each row that may have one."""
    outcomes = schedule.run(
        plan,
        executor,
        report.PlainLog(io.StringIO(), plan, forecast(plan)),
        job=job_of(plan),
        jobs=1,
        stop=threading.Event(),
        sleep=lambda _: None,
        fail_fast=fail_fast,
    )
    return report.make(plan, outcomes, {name: image(name) for name in plan.rows}, started=STARTED, seconds=72.0)


def ended(plan: Plan, statuses: Mapping[str, Status]) -> report.Document:
    """Report on outcomes that are given; a node that is not named was built, in ten seconds."""
    outcomes = [
        Outcome(key=step.node.key, status=statuses.get(step.node.key, Status.BUILT), seconds=10.0, attempts=1)
        for step in plan.steps
    ]
    return report.make(plan, outcomes, {}, started=STARTED, seconds=72.0)


def test_a_run_is_said_to_take_no_more_exactly_than_one_can_know() -> None:
    """Minutes, then hours."""
    said = [formatting.approx_duration(seconds) for seconds in (0.0, 29.0, 31.0, 725.0, 8_999.0, 12_000.0)]
    assert said == ["less than a minute", "less than a minute", "about 1 min", "about 12 min", "about 2 h", "about 3 h"]


def steps(plan: Plan) -> dict[str, Step]:
    return {step.node.key: step for step in plan.steps}


# label


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("system", "system debian12 (3 leaves)"),
        ("tf220", "tensorflow 2.20.0-python3.11-debian12"),
        ("nb220", f"notebook {TENSORFLOW}"),
        ("nbplain", f"notebook {PLAIN}"),
    ],
)
def test_label_says_the_layer_and_what_the_leaves_have_in_common(node: str, expected: str) -> None:
    """A person recognises the node without its key."""
    assert formatting.label(steps(three_rows())[node]) == expected


def test_label_names_the_family_that_all_leaves_are_of() -> None:
    """A node of one family's leaves says so; leaves with nothing in common are counted."""
    one = plan_of({"python": None, "a": "python", "b": "python"}, rows={TENSORFLOW: "a", OLDER: "b"})
    two = plan_of({"p": None, "a": "p", "b": "p", "c": "p"}, rows={"x:1-py-a": "a", "x:1-py-b": "b", "y:2-py-a": "c"})
    none = plan_of({"python": None, "a": "python", "b": "python"}, rows={"x:1": "a", "y:2": "b"})

    assert formatting.label(one.steps[0]) == "python tensorflow:python3.11-debian12 (2 leaves)"
    assert formatting.label(two.steps[0]) == "p py (3 leaves)"
    assert formatting.label(none.steps[0]) == "python x:1 and 1 more (2 leaves)"


def test_quantities_are_readable() -> None:
    """Sizes in powers of 1000, times in the units one would say them in."""
    assert [formatting.size(number) for number in (0, 999, 1500, 412_000_000, 1_812_000_000)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "412 MB",
        "1.8 GB",
    ]
    assert [formatting.duration(seconds) for seconds in (0.04, 14.2, 59.97, 192, 3720)] == [
        "0.0s",
        "14.2s",
        "1m 00s",
        "3m 12s",
        "1h 02m",
    ]


# report.json


def push(key: str, status: PushStatus, **said: Any) -> Pushed:
    return Pushed(key=Key(key), name=f"a.io/nodes:{key}", status=status, **said)


def test_summary_of_pushes() -> None:
    """How many there were; those that failed alike are reported together, with what that means."""
    silent = "registry a.io does not answer: Connection refused"
    pushes = (
        push("system", PushStatus.PUSHED),
        push("nb219", PushStatus.FAILED, why=silent),
        push("nb220", PushStatus.FAILED, why=silent),
        push("nbplain", PushStatus.FAILED, why="a.io/nodes:nbplain: denied"),
    )
    nothing = three_rows(reused=("system", "python", "tf220", "tf219", "nb220", "nb219", "nbplain"))
    entries = tuple(PushEntry(node=each.key, name=each.name, outcome=each.status, why=each.why) for each in pushes)
    lines = report.summary(replace(ran(nothing, FakeExecutor()), pushes=entries)).splitlines()

    begin = lines.index(f"not pushed: 2 nodes: {silent}")
    assert lines[begin + 1 : begin + 3] == [
        f"  notebook {OLDER}, notebook {TENSORFLOW}",
        "  what was pushed stays: run the same command to continue",
    ]
    assert "not pushed: 1 node: denied" in lines
    assert "3 images: 3 reused; 0 nodes built, 1 of 4 pushed" in lines[-1]


def test_json_is_the_contract() -> None:
    """Every field of the issue, for a row that was built and one that was not."""
    plan = plan_of({"python": None, "tf": "python", "nb": "tf"}, rows={TENSORFLOW: "nb", PLAIN: "python"})
    outcomes = (
        Outcome(
            key=Key("python"),
            status=Status.BUILT,
            seconds=16.12345,
            attempts=2,
            retries=(Retry(number=1, why="503", flake=FLAKE, wait_seconds=2.41111),),
            started=0.00012,
            slot=1,
            log="logs/python.log",
        ),
        Outcome(
            key=Key("tf"),
            status=Status.FAILED,
            seconds=3.0,
            attempts=1,
            started=18.6,
            slot=0,
            why="no wheel",
            tail=("E",),
            log="logs/tf.log",
        ),
        Outcome(key=Key("nb"), status=Status.SKIPPED, why="tf failed", caused_by=Key("tf")),
    )
    east = timezone(timedelta(hours=8))

    origins = report.Origins(
        bases={"": "debian:12"},
        locks={PLAIN: [Locked(layer="python", path="locks/python/1.txt", text="numpy==1.26.4 \\\n    --hash=x\n")]},
    )

    made = report.make(
        plan,
        outcomes,
        {PLAIN: image(PLAIN)},
        pushes=(push("python", PushStatus.FAILED, seconds=7.5, attempts=3, why="500"),),
        started=STARTED.astimezone(east),
        seconds=19.5,
        bytes_of={Key("python"): 300},
        origins=origins,
    )

    assert json.loads(write(made)) == {
        "schema": 1,
        "checkout": {"project": "", "branch": "", "commit": "", "link": ""},
        "imagematrix": __version__,
        "started": "2026-11-22T03:04:05Z",
        "seconds": 19.5,
        "nodes": [
            {
                "key": "python",
                "layer": "python",
                "parent": None,
                "packages": None,
                "label": "python debian12 (2 leaves)",
                "outcome": "built",
                "seconds": 16.123,
                "waited": 0.0,
                "pulled": 0.0,
                "log": "logs/python.log",
                "attempts": 2,
                "retries": [
                    {"number": 1, "why": "503", "kind": "server", "source": "mirror.example.com", "waited": 2.411}
                ],
                "started": 0.0,
                "lane": 1,
                "machine": "",
                "why": "",
                "tail": [],
                "bytes": 300,
                "drifted": [],
                "leaves": [PLAIN, TENSORFLOW],
            },
            {
                "key": "tf",
                "layer": "tf",
                "parent": "python",
                "packages": None,
                "label": f"tf {TENSORFLOW}",
                "outcome": "failed",
                "seconds": 3.0,
                "waited": 0.0,
                "pulled": 0.0,
                "log": "logs/tf.log",
                "attempts": 1,
                "retries": [],
                "started": 18.6,
                "lane": 0,
                "machine": "",
                "why": "no wheel",
                "tail": ["E"],
                "bytes": None,
                "drifted": [],
                "leaves": [TENSORFLOW],
            },
            {
                "key": "nb",
                "layer": "nb",
                "parent": "tf",
                "packages": None,
                "label": f"nb {TENSORFLOW}",
                "outcome": "skipped",
                "seconds": 0.0,
                "waited": 0.0,
                "pulled": 0.0,
                "log": "",
                "attempts": 0,
                "retries": [],
                "started": None,
                "lane": None,
                "machine": "",
                "why": "tf failed",
                "tail": [],
                "bytes": None,
                "drifted": [],
                "leaves": [TENSORFLOW],
            },
        ],
        "leaves": [
            {
                "name": PLAIN,
                "family": "python",
                "tag": "3.11-debian12",
                "platform": "linux/amd64",
                "outcome": "built",
                "image": PLAIN,
                "digest": f"sha256:{PLAIN}",
                "bytes": 412_000_000,
                "blame": None,
                "seconds": 0.0,
                "why": "",
                "base": "debian:12",
                "locks": ["locks/python/1.txt"],
            },
            {
                "name": TENSORFLOW,
                "family": "tensorflow",
                "tag": "2.20.0-python3.11-debian12",
                "platform": "linux/amd64",
                "outcome": "failed",
                "image": TENSORFLOW,
                "digest": None,
                "bytes": None,
                "blame": {"node": "tf", "label": f"tf {TENSORFLOW}"},
                "seconds": 3.0,
                "why": "tf failed",
                "base": "debian:12",
                "locks": [],
            },
        ],
        "locks": {"locks/python/1.txt": {"numpy": "1.26.4"}},
        "facts": {},
        "pushes": [
            {
                "node": "python",
                "name": "a.io/nodes:python",
                "outcome": "failed",
                "seconds": 7.5,
                "attempts": 3,
                "retries": [],
                "why": "500",
                "machine": "",
                "started": None,
            }
        ],
        "machines": [],
    }


def test_an_older_image_is_not_reported_for_a_row_that_failed() -> None:
    """The tag may still be there from yesterday: the report is about today."""
    made = ran(three_rows(), FakeExecutor(fails={"nb219"}))

    digests = {leaf.name: leaf.digest for leaf in made.leaves}
    assert digests[OLDER] is None
    assert digests[TENSORFLOW] == image(TENSORFLOW).digest


def test_a_row_that_exists_is_not_broken_by_an_ancestor_it_does_not_need() -> None:
    """Its parent is built again for another row, and fails: the image is there all the same."""
    plan = plan_of({"python": None, "a": "python", "b": "python"}, rows={"x:1": "a", "x:2": "b"}, reused={"a"})

    made = ended(plan, {"python": Status.FAILED, "a": Status.REUSED, "b": Status.SKIPPED})

    assert [(leaf.name, leaf.outcome, leaf.blame and leaf.blame.node) for leaf in made.leaves] == [
        ("x:1", Status.REUSED, None),
        ("x:2", Status.FAILED, "python"),
    ]


def test_an_interrupted_node_counts_as_failed_and_blames_nobody() -> None:
    """The documented outcomes are four; its row was not finished, rather than broken."""
    made = ended(three_rows(), {"nb219": Status.INTERRUPTED})

    node = next(node for node in made.nodes if node.key == "nb219")
    leaf = next(leaf for leaf in made.leaves if leaf.name == OLDER)
    assert (node.outcome, node.why) == (Status.FAILED, "interrupted")
    assert (leaf.outcome, leaf.blame, leaf.why) == (Status.SKIPPED, None, "interrupted")
    assert {document["outcome"] for document in json.loads(write(made))["nodes"]} == {"built", "failed"}


# summary


def test_summary_of_a_failed_run_says_what_broke_and_what_it_blocks() -> None:
    """The node, why, the end of its output, the log, the images, and how to try just that again."""
    text = report.summary(ran(three_rows(), FakeExecutor(fails={"nb219"})))

    assert text.splitlines() == [
        "image                                   outcome     size   own time   shares",
        f"{PLAIN}                    built     412 MB       0.0s   2 of 3 nodes with 2 rows",
        f"{OLDER}   failed                 0.0s   2 of 4 nodes with 2 rows",
        f"{TENSORFLOW}   built     412 MB       0.0s   2 of 4 nodes with 2 rows",
        "",
        f"failed: notebook {OLDER}  (1 attempt, 0.0s)",
        "  no such package: nb219",
        "  | line 1",
        "  | E: line 2",
        "  log:     logs/nb219.log",
        f"  blocks:  1 image: {OLDER}",
        f"  repeat:  invoke build --only '{OLDER}'",
        "",
        "3 images: 2 built, 1 failed; 5 nodes built in 1m 12s",
    ]


def test_summary_groups_leaves_by_the_node_that_broke_them() -> None:
    """A shared node that fails is reported once, with everything that it blocks."""
    text = report.summary(ran(three_rows(), FakeExecutor(fails={"python"})))

    assert text.count("failed: ") == 1
    assert f"  blocks:  3 images: {PLAIN}, {OLDER}, {TENSORFLOW}" in text.splitlines()


def test_summary_shows_output_as_it_is_and_no_more_than_its_end() -> None:
    """Brackets in a tail are no markup, long lines are not cut, and 15 lines are enough."""
    tail = (*(f"line {number}" for number in range(30)), "[red]see [/nowhere] " + "x" * 300)
    plan = plan_of({"a": None})
    outcome = Outcome(key=Key("a"), status=Status.FAILED, attempts=3, why="[Errno 2]", tail=tail)

    lines = report.summary(report.make(plan, (outcome,), {}, started=STARTED, seconds=1.0)).splitlines()

    shown = [line for line in lines if line.startswith("  | ")]
    assert shown == [f"  | {line}" for line in tail[-15:]]
    assert "  [Errno 2]" in lines


def test_summary_of_nothing_to_do_is_one_line() -> None:
    """The second run says why it built nothing."""
    plan = three_rows(reused=("system", "python", "tf220", "tf219", "nb220", "nb219", "nbplain"))

    assert report.summary(ran(plan, FakeExecutor())) == "3 images are up to date\n"


def test_summary_of_a_wide_grid_folds_what_was_reused() -> None:
    """Of 300 rows, the one that was built is shown."""
    parents: dict[str, str | None] = {f"n{number}": None for number in range(300)}
    plan = plan_of(parents, rows={f"x:{name}": name for name in parents}, reused=set(parents) - {"n7"})

    lines = report.summary(ran(plan, FakeExecutor())).splitlines()

    assert [line.split()[:2] for line in lines[1:3]] == [["x:n7", "built"], ["299", "images"]]
    assert lines[-1].startswith("300 images: 1 built, 299 reused; 1 node built")
    assert len(lines) < 8


def test_summary_of_an_interrupted_run_says_that_what_is_done_is_kept() -> None:
    """No failure is shown where there was none."""
    text = report.summary(ended(three_rows(), {"nb219": Status.INTERRUPTED}))

    assert f"interrupted while building: notebook {OLDER}" in text
    assert "run the same command to continue" in text
    assert "failed" not in text


def test_summary_says_what_fail_fast_left_out() -> None:
    """Rows that were not tried are not blamed on the node that failed."""
    plan = plan_of({"a": None, "b": None}, rows={"x:1": "a", "x:2": "b"})

    lines = report.summary(ran(plan, FakeExecutor(fails={"a"}), fail_fast=True)).splitlines()

    assert "  blocks:  1 image: x:1" in lines
    assert "skipped: 1 image: not started after a failed (--fail-fast)" in lines


def test_summary_has_colours_only_when_asked() -> None:
    """A log has no escape codes; a terminal has, around the same words."""
    made = ran(three_rows(), FakeExecutor(fails={"nb219"}))

    assert "\x1b[" not in report.summary(made)
    assert "\x1b[1;31mfailed" in report.summary(made, color=True)


# during a run


def test_plain_log_is_one_line_per_event() -> None:
    """Elapsed time, what happened, to which node; reused nodes are only counted."""
    plan = plan_of(
        {"system": None, "python": "system", "tf": "python"}, rows={"tf:1-debian12": "tf"}, reused={"system"}
    )
    python, tf = plan.steps[1], plan.steps[2]
    stream, now = io.StringIO(), [0.0]

    with report.PlainLog(stream, plan, forecast(plan), clock=lambda: now[0]) as log:
        now[0] += 4.1
        log.finished(plan.steps[0], Outcome(key=Key("system"), status=Status.REUSED))
        log.started(python)
        now[0] += 4.1
        log.retried(python, Retry(number=1, why="503", flake=FLAKE, wait_seconds=2.4))
        now[0] += 52.1
        log.finished(python, Outcome(key=Key("python"), status=Status.BUILT, seconds=14.2, attempts=2))
        log.output(Key("tf"), "Collecting tensorflow")
        log.finished(
            tf, Outcome(key=Key("tf"), status=Status.FAILED, seconds=3, attempts=1, why="no wheel", log="l.log")
        )
        log.finished(tf, Outcome(key=Key("tf"), status=Status.SKIPPED, why="python failed", caused_by=Key("python")))
        log.finished(tf, Outcome(key=Key("tf"), status=Status.SKIPPED, why="interrupted before it started"))
        log.finished(tf, Outcome(key=Key("tf"), status=Status.INTERRUPTED, seconds=3, attempts=1, why="interrupted"))

    assert stream.getvalue().splitlines() == [
        "3 nodes: 2 to build, 1 reused; takes about 2 min",
        "[   4.1s] start   python tf:1-debian12",
        "[   8.2s] retry   python tf:1-debian12  (attempt 1 failed: 503; next in 2s)",
        "[  60.3s] built   python tf:1-debian12  (14.2s, 2 attempts)",
        "[  60.3s] about 1 min left",
        "[  60.3s] failed  tf 1-debian12  (3.0s): no wheel; log: l.log",
        "[  60.3s] skipped tf 1-debian12  (python failed)",
        "[  60.3s] stopped tf 1-debian12  (3.0s)",
    ]


def test_a_log_that_has_nothing_to_say_quotes_what_a_build_printed_last() -> None:
    """And no end that has passed: what takes longer than it was thought to says nothing of the rest."""
    plan = plan_of({"tf": None}, rows={"tf:1-debian12": "tf"})
    [step] = plan.steps
    stream, now = io.StringIO(), [0.0]

    with report.PlainLog(stream, plan, forecast(plan), clock=lambda: now[0]) as log:
        log.started(step)
        log.output(step.node.key, "\x1b[2KDownloading tensorflow (410 MB of 590 MB)" + "!" * 60)
        for _ in range(20):
            now[0] += 31.0
            log.tick()

    first, last = stream.getvalue().splitlines()[2], stream.getvalue().splitlines()[-1]
    assert first.startswith("[  31.0s] tf 1-debian12 builds (31.0s): [2KDownloading tensorflow (410 MB of 590 MB)!")
    assert first.endswith(("…; about 1 min left", "…; less than a minute left"))
    assert "left" not in last
    assert last.startswith("[ 620.0s] tf 1-debian12 builds (10m 20s): ")


def test_board_shows_what_runs_over_the_counts() -> None:
    """Elapsed time and the last line of output, as text and not as markup; finished builds leave the board."""
    plan = three_rows()
    node = steps(plan)
    now = [100.0]
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=30)

    with report.Board(console, plan, forecast(plan), clock=lambda: now[0]) as board:
        board.finished(node["system"], Outcome(key=Key("system"), status=Status.REUSED))
        board.started(node["tf220"])
        board.started(node["tf219"])
        board.output(Key("tf220"), "Installing [bold]wheels")
        now[0] += 61.0
        before = drawn(board)
        board.finished(node["tf220"], Outcome(key=Key("tf220"), status=Status.BUILT, seconds=61.0, attempts=1))
        after = drawn(board)

    assert [line.split() for line in before] == [
        ["tensorflow", "2.20.0-python3.11-debian12", "1m", "01s", "Installing", "[bold]wheels"],
        ["tensorflow", "2.19.0-python3.11-debian12", "1m", "01s"],
        ["1", "of", "7", "nodes", "(1", "reused)", "1m", "01s,", "about", "5", "min", "left"],
    ]
    assert after[-1] == "2 of 7 nodes (1 built · 1 reused)  1m 01s, about 4 min left"
    assert len(after) == 2


def test_board_leaves_room_on_a_short_terminal() -> None:
    """More builds than half the screen has lines are counted, not drawn."""
    plan = plan_of(dict.fromkeys("abcdefgh"))
    board = report.Board(Console(file=io.StringIO(), force_terminal=True, width=80, height=6), plan, forecast(plan))

    for step in plan.steps:
        board.started(step)

    assert [line.split()[0] for line in drawn(board)] == ["a", "b", "c", "and", "0"]


def drawn(board: report.Board) -> list[str]:
    screen = Console(file=io.StringIO(), width=100, color_system=None)
    screen.print(board.draw())
    assert isinstance(screen.file, io.StringIO)
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_board_and_everything_else_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor gets the log too."""
    plan = three_rows()
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(report.listener(Terminal(), plan, forecast(plan)), report.Board)
    assert isinstance(report.listener(io.StringIO(), plan, forecast(plan)), report.PlainLog)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(report.listener(Terminal(), plan, forecast(plan)), report.PlainLog)


# before a run


def test_plan_text_groups_by_layer_and_reason() -> None:
    """Why, for whom, and how much of it all."""
    plan = plan_of(
        {"system": None, "python": "system", "a": "python", "b": "python", "c": "system"},
        rows={"x:1-debian12": "a", "x:2-debian12": "b", "x:3-debian12": "c"},
        reused={"system", "c"},
    )

    assert report.plan_text(plan, {}, 725.0).splitlines() == [
        "build python: 1 node: no python was built before",
        "    python x:debian12 (2 leaves)  for x:1-debian12, x:2-debian12",
        "",
        "build a: 1 node: no a was built before",
        "    a x:1-debian12",
        "",
        "build b: 1 node: no b was built before",
        "    b x:2-debian12",
        "",
        "waiting: x:1-debian12, x:2-debian12",
        "",
        "5 nodes: 3 to build, 2 reused; 2 of 3 leaves wait; takes about 12 min",
    ]


def test_plan_text_of_nothing_to_build_is_one_line() -> None:
    """Nothing to build needs no list."""
    plan = plan_of({"a": None, "b": "a"}, reused={"a", "b"})

    assert report.plan_text(plan, {}, 0.0) == "2 nodes: nothing to build, 1 leaf up to date\n"


def test_plan_text_of_a_cold_wide_grid_is_short() -> None:
    """Three hundred alike nodes are one group with a dozen names."""
    parents: dict[str, str | None] = {f"n{number:03}": None for number in range(300)}
    plan = plan_of(parents, layers=dict.fromkeys(parents, "boot"))
    same = Plan(
        steps=tuple(
            Step(node=step.node, verdict=step.verdict, reason="no boot was built before", leaves=step.leaves)
            for step in plan.steps
        ),
        final_nodes=plan.final_nodes,
        rows=plan.rows,
    )

    lines = report.plan_text(same, {}, 0.0).splitlines()

    assert lines[0] == "build boot: 300 nodes: no boot was built before"
    assert lines[13] == "    and 288 more"
    assert len(lines) == 18


def test_plan_json_is_the_contract() -> None:
    """Nodes parents first, and counts."""
    plan = plan_of({"system": None, "python": "system"}, rows={PLAIN: "python"}, reused={"system"})
    sizes = {Key("python"): Size(download=20, installed=50)}

    assert json.loads(report.plan_json(plan, sizes, 61.4)) == {
        "schema": 1,
        "nodes": [
            {
                "key": "system",
                "layer": "system",
                "parent": None,
                "packages": None,
                "chained": "",
                "verdict": "reuse",
                "reason": "an image with key system exists",
                "leaves": [PLAIN],
                "download": None,
                "installed": None,
            },
            {
                "key": "python",
                "layer": "python",
                "parent": "system",
                "packages": None,
                "chained": "",
                "verdict": "build",
                "reason": "no python was built before",
                "leaves": [PLAIN],
                "download": 20,
                "installed": 50,
            },
        ],
        "summary": {
            "nodes": 2,
            "build": 1,
            "reuse": 1,
            "leaves": 1,
            "waiting": 1,
            "download": 20,
            "installed": 50,
            "stored": 20,
            "seconds": 61,
        },
    }


def test_a_plan_tells_what_it_downloads() -> None:
    """Of the nodes to build alone, and where something is not known, that."""
    plan = plan_of({"a": None, "b": "a", "c": "b"}, rows={PLAIN: "c"}, reused={"a"})
    sizes = {
        Key("a"): Size(download=7_000_000_000, installed=9_000_000_000),
        Key("b"): Size(download=339_000_000, installed=1_200_000_000),
        Key("c"): Size(download=5_000_000, installed=15_000_000, unknown=2),
    }

    lines = report.plan_text(plan, sizes, 700.0).splitlines()
    assert lines[1].endswith("  339 MB to download, about 1.2 GB installed")
    assert lines[4].endswith("  5.0 MB to download, about 15 MB installed, and 2 files of unknown size")
    assert lines[-1] == (
        "3 nodes: 2 to build, 1 reused; 1 of 1 leaf waits; Python packages: 344 MB to download, about 1.2 GB installed,"
        " and 2 files of unknown size; takes about 12 min"
    )
    assert json.loads(report.plan_json(plan, sizes, 61.4))["nodes"][2]["download"] is None
