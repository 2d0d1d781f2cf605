"""Engines that are killed, and disks that are full: each test has an engine of its own."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from tests.integration.engines import hand_over, kill, kill_and_restart, own_engine, programs, start
from tests.integration.monorepo import REPOSITORY, Monorepo, built, outcomes, until

from imagematrix.engine import docker_command


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


CHECKS: Final = """\
import os
import pathlib

def test_quick(host):
    assert host.run("true").succeeded

def test_slow(host):
    pathlib.Path(os.environ["REACHED"], str(os.getpid())).touch()
    assert host.run(f"sleep {os.environ['SLEEP']}").succeeded

def test_after_it(host):
    assert host.run("true").succeeded
"""


def verifications(monorepo: Monorepo) -> Mapping[str, Any]:
    leaves = json.loads((monorepo.root / "report/report.json").read_text())["leaves"]
    return {leaf["name"].partition(":1.0-")[2]: leaf for leaf in leaves}


@pytest.mark.parametrize("end", [kill, kill_and_restart], ids=["stays away", "comes back"])
def test_an_engine_that_is_killed_while_images_are_checked(
    monorepo: Monorepo, end: Callable[[Mapping[str, str]], None]
) -> None:
    """The images are not checked, neither failed nor passed; the next run removes the containers and checks them."""
    base = "imagematrix/base:bookworm"
    monorepo.build("--only", "*-1.1")  # makes the base
    monorepo.edit("matrix.toml", 'bootstrap = "bookworm"', f'image = "{base}"')
    (monorepo.root / "common/layers/tools/test_tools.py").write_text(CHECKS)
    reached = monorepo.root / "reached"
    reached.mkdir()
    with own_engine() as where:
        environment = {**where, "REACHED": str(reached), "SLEEP": "100"}
        hand_over(base, monorepo.engine, where)
        assert monorepo.build(env=where)[0].code == 0
        words = ("verify", "--matrix", "--jobs", "2", "--report", "report")
        process = monorepo.start(*words, env=environment)
        until(lambda: len(list(reached.iterdir())) == 2)
        end(where)
        out, _ = process.communicate(timeout=300)

        assert (process.returncode, "Traceback" in out) == (3, False), out
        cut_off = {name for name, leaf in verifications(monorepo).items() if leaf["verification"] == "not checked"}
        # An engine that is back in time checks the third.
        assert {"1.1", "1.2", "1.3"} - cut_off <= ({"1.3"} if end is kill_and_restart else set()), out
        assert all(
            check["outcome"] == "passed" for leaf in verifications(monorepo).values() for check in leaf["checks"]
        )
        assert 'failures="1"' not in (monorepo.root / "report/junit.xml").read_text()

        if end is kill:
            start(where)
        done = monorepo.run(*words, env={**environment, "SLEEP": "0"})
        assert done.code == 0, done.out + done.err
        assert {leaf["verification"] for leaf in verifications(monorepo).values()} == {"passed"}
        # What had passed by then is not repeated.
        known = [
            check["name"] for leaf in verifications(monorepo).values() for check in leaf["checks"] if check["known"]
        ]
        assert known.count("test_quick") >= 2
        docker = [docker_command(monorepo.engine), "ps", "--all", "--quiet", "--filter", "label=imagematrix.verify"]
        left = subprocess.run(docker, env={**os.environ, **where}, check=True, stdout=subprocess.PIPE)
        assert left.stdout == b""


def test_a_full_disk_costs_what_did_not_fit(monorepo: Monorepo) -> None:
    """It is not retried; what was built stays, and once there is room the same command continues."""
    base = "imagematrix/base:bookworm"
    monorepo.build("--only", "*-1.1")  # makes the base
    monorepo.edit("matrix.toml", 'bootstrap = "bookworm"', f'image = "{base}"')
    small = "RUN echo {{ app }} > /app.txt\n"
    # The others are done by then: on a full disk every build may fail.
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


def test_forwarding_stays_on_until_the_last_engine_stops() -> None:
    """In a network namespace, where it is off at first. The engine that turned it on stops first.

    `ip` takes its time, as on a busy machine, and the scripts fail where a part of a pipe does.
    """
    commands = """
        set -o pipefail
        ip() {
            command ip "$@" | while read -r line; do echo "$line"; case $* in *"show type"*) sleep 0.1 ;; esac; done
        }
        mount -t sysfs sysfs /sys
        . scripts/lib/bridge.sh
        forwarding() { cat /proc/sys/net/ipv4/ip_forward; }
        echo 0 >/proc/sys/net/ipv4/ip_forward; forwarding
        for number in 1 2 3; do bridge_up imxtest$number >/dev/null || exit 1; done; forwarding
        bridge_down imxtest1 imx || exit 1; forwarding
        for number in 2 3; do bridge_down imxtest$number imx || exit 1; done; forwarding
    """
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin:{programs().parent / 'libexec'}"
    done = subprocess.run(
        ["unshare", "--net", "--mount", "bash", "-euc", commands],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.split(), done.stderr) == (["0", "1", "1", "0"], "")
