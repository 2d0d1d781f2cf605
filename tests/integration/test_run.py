"""Runs on a real engine that meet what a night has ready for them: builds without an end, and ends without warning."""

import io
import json
import signal
import time
from collections.abc import Callable

import pytest
from tests.integration.engines import hand_over, kill_and_restart, own_engine
from tests.integration.monorepo import Monorepo, outcomes

from imagematrix import build, report
from imagematrix.engine import nodes
from imagematrix.model import Status
from imagematrix.project import Selection, open_project
from imagematrix.workspace import Workspace


def test_a_build_that_does_not_end_is_given_up(monorepo: Monorepo) -> None:
    """It fails, is not tried again, and costs what stands on it alone."""
    monorepo.build()
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN", "{% if app == '1.2' %}\nRUN sleep 600\n{% endif %}\nRUN")
    made = build.run(
        open_project(str(monorepo.root / "matrix.toml")),
        Selection(),
        build.Options(jobs=2, retries=2, time_limit=3.0),
        engine=monorepo.engine,
        listen=lambda plan, forecast: report.PlainLog(io.StringIO(), plan, forecast),
        waiting=lambda: None,
    ).report

    (failed,) = (node for node in made.nodes if node.outcome is Status.FAILED)
    assert (failed.layer, failed.attempts) == ("app", 1)
    assert failed.why == "took longer than 0.05 minutes (--time-limit)"
    assert failed.leaves == (f"{monorepo.family}:1.0-1.2",)
    assert "sleep 600" in (monorepo.root / failed.log).read_text()
    assert [leaf.outcome for leaf in made.leaves] == [Status.REUSED, Status.FAILED, Status.REUSED]


@pytest.mark.xdist_group("repository")  # a starting engine disturbs the ports of another
def test_an_engine_that_is_killed_and_comes_back_costs_a_retry(monorepo: Monorepo) -> None:
    """What was finished is not built again, what was being built is; the report names the engine."""
    base = "imagematrix/base:bookworm"
    monorepo.build("--only", "*-1.1")  # makes the base
    (monorepo.root / ".imagematrix/built.jsonl").unlink()
    monorepo.edit("matrix.toml", 'bootstrap = "bookworm"', f'image = "{base}"')
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN", "RUN sleep 10\nRUN")
    with own_engine() as where:
        hand_over(base, monorepo.engine, where)
        process = monorepo.start("build", "--matrix", "--jobs", "3", "--report", "report", env=where)
        until(lambda: '"layer":"tools"' in built(monorepo))
        kill_and_restart(where)
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0, out

        ended = json.loads((monorepo.root / "report/report.json").read_text())["nodes"]
        assert {node["outcome"] for node in ended} == {"built"}
        assert {node["layer"] for node in ended if node["retries"]} == {"app"}, ended
        assert {retry["kind"] for node in ended for retry in node["retries"]} == {"engine"}, ended

        done, report = monorepo.build(env=where)
        assert done.code == 0
        assert {state for states in outcomes(report).values() for state in states} == {"reused"}


KILLS = 20


def test_a_run_that_is_killed_at_any_moment_goes_on_from_there(monorepo: Monorepo) -> None:
    """Twenty times, each a little further: what is on record is there, and is not built again."""
    monorepo.build("--only", "*-1.1")  # makes the base
    monorepo.edit("common/layers/tools/Dockerfile.j2", "RUN", "ENV ANOTHER=1\nRUN")
    monorepo.edit("matrix.toml", '["1.1", "1.2", "1.3"]', str([f"1.{number}" for number in range(8)]).replace("'", '"'))
    workspace = Workspace(monorepo.root / "matrix.toml")
    before = moments(monorepo)
    for kill in range(KILLS):
        run_until(monorepo, before + kill + 1)
        there = nodes(monorepo.engine.images())
        assert {record.key for record in workspace.history()} <= there.keys()

    recorded = [record.key for record in workspace.history()]
    done, report = monorepo.build()
    assert done.code == 0, done.out + done.err
    assert len(recorded) == len({*recorded})
    assert {node["outcome"] for node in report["nodes"] if node["key"] in recorded} == {"reused"}
    assert {leaf["outcome"] for leaf in report["leaves"]} <= {"built", "reused"}
    assert "8 images: " in done.out
    assert monorepo.output(f"{monorepo.family}:1.0-1.7").endswith("1.0\n1.7\n")


def run_until(monorepo: Monorepo, moment: int) -> None:
    """Build, and kill that at a moment."""
    process = monorepo.start("build", "--matrix", "--jobs", "2")
    until(lambda: moments(monorepo) >= moment or process.poll() is not None)
    process.kill()
    out, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, out


def moments(monorepo: Monorepo) -> int:
    """Count the beginnings and ends of builds so far."""
    state = monorepo.root / ".imagematrix"
    return len(list(state.glob("logs/*.log"))) + built(monorepo).count('"key":')


def built(monorepo: Monorepo) -> str:
    record = monorepo.root / ".imagematrix/built.jsonl"
    return record.read_text() if record.exists() else ""


def until(true: Callable[[], bool]) -> None:
    """Wait for something that is sure to come: on a machine that is very busy, late."""
    deadline = time.monotonic() + 300
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
