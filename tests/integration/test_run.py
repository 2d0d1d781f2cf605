"""Runs on a real engine that meet what a night has ready for them: builds without an end, and ends without warning."""

import io
import signal

from tests.integration.monorepo import Monorepo, built, until

from imagematrix import report
from imagematrix.commands.build import run as build
from imagematrix.commands.build.decision import BuildOptions
from imagematrix.model import Status
from imagematrix.planning.trust import nodes
from imagematrix.project import open_project
from imagematrix.state import State


def test_a_build_that_does_not_end_is_given_up(monorepo: Monorepo) -> None:
    """It fails, is not retried, and blocks only what is built on it."""
    monorepo.build()
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN", "{% if app == '1.2' %}\nRUN sleep 600\n{% endif %}\nRUN")
    project = open_project(str(monorepo.root / "matrix.toml"))
    made = build.run(
        project,
        project.obtainable,
        BuildOptions(jobs=2, retries=2, time_limit=3.0),
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


KILLS = 20


def test_a_run_that_is_killed_at_any_moment_goes_on_from_there(monorepo: Monorepo) -> None:
    """Twenty times, each a little further: what is on record is there, and is not built again."""
    monorepo.build("--only", "*-1.1")  # makes the base
    monorepo.edit("common/layers/tools/Dockerfile.j2", "RUN", "ENV ANOTHER=1\nRUN")
    monorepo.edit("matrix.toml", '["1.1", "1.2", "1.3"]', str([f"1.{number}" for number in range(8)]).replace("'", '"'))
    state = State(monorepo.root)
    before = moments(monorepo)
    for kill in range(KILLS):
        run_until(monorepo, before + kill + 1)
        there = nodes(monorepo.engine.images(), state.bonds())
        assert {record.key for record in state.history()} <= there.keys()

    recorded = [record.key for record in state.history()]
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
