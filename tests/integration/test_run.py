"""Runs on a real engine that meet what a night has ready for them: builds without an end, and ends without warning."""

import io

from tests.integration.monorepo import Monorepo

from imagematrix import build, report
from imagematrix.model import Status
from imagematrix.project import Selection, open_project


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
