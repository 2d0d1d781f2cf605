"""Engines that are killed, and disks that are full: each test has an engine of its own.

They run beside no test that publishes ports: a starting engine disturbs those of another.
"""

import json
import os
import re
import shutil
from pathlib import Path

from tests.integration.engines import hand_over, kill_and_restart, own_engine
from tests.integration.monorepo import Monorepo, built, outcomes, until


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
        kinds = {retry["kind"] for node in ended for retry in node["retries"]}
        # A try that ended as the engine was there again saw no more than a connection that broke.
        assert "engine" in kinds, ended
        assert kinds <= {"engine", "network"}, ended

        done, report = monorepo.build(env=where)
        assert done.code == 0
        assert {state for states in outcomes(report).values() for state in states} == {"reused"}


def test_a_full_disk_costs_what_did_not_fit(monorepo: Monorepo) -> None:
    """It is not tried again; what was built stays, and once there is room the same command goes on."""
    base = "imagematrix/base:bookworm"
    monorepo.build("--only", "*-1.1")  # makes the base
    monorepo.edit("matrix.toml", 'bootstrap = "bookworm"', f'image = "{base}"')
    small = "RUN echo {{ app }} > /app.txt\n"
    # The others are done by then: on a disk that is full nobody is safe.
    big = "RUN {{ 'sleep 8; ' if app == '1.2' }}head -c {{ '2G' if app == '1.2' else '1M' }} /dev/urandom > /big\n"
    monorepo.edit("common/layers/app/Dockerfile.j2", "COPY", big + "COPY")
    with own_engine(megabytes=1200) as where:
        hand_over(base, monorepo.engine, where)
        done, report = monorepo.build(env=where)
        assert done.code == 1, done.out + done.err
        full = next(node for node in report["nodes"] if node["outcome"] == "failed")
        assert (full["layer"], full["attempts"]) == ("app", 1)
        assert "No space left on device" in done.out
        assert "; `invoke gc` makes room on the disk" in done.out
        assert sorted(outcomes(report)["app"]) == ["built", "built", "failed"]
        assert sorted(outcomes(report)["boot"]) == ["built", "built", "skipped"]

        monorepo.edit("common/layers/app/Dockerfile.j2", big, small)
        done, report = monorepo.build(env=where)
        assert done.code == 0, done.out + done.err
        assert outcomes(report)["tools"] == ["reused"]

        with (Path(where["IMAGEMATRIX_ENGINE_DIR"]) / "data/other").open("wb") as other:
            os.posix_fallocate(other.fileno(), 0, shutil.disk_usage(other.name).free - 400_000_000)
        monorepo.edit("common/layers/app/Dockerfile.j2", small, "RUN echo again {{ app }} > /app.txt\n")
        done, report = monorepo.build(env=where)
        assert done.code == 1, done.out + done.err
        assert outcomes(report)["app"] == ["skipped"] * 3
        said = r"skipped: 3 images: disk guard: \d+ MB free, \d+ MB needed; `invoke gc` "
        assert re.search(said, done.out), done.out
