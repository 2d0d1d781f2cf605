"""Builds on a real engine: what is built, what is reused, what is printed."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.integration.monorepo import Monorepo, outcomes, wait_for_built
from tests.integration.relay import Relay

from imagematrix.engine import docker_command
from imagematrix.model import Key, node_ref


def test_first_build_makes_everything_and_the_second_nothing(monorepo: Monorepo) -> None:
    done, report = monorepo.build()
    assert done.code == 0, done.out + done.err
    assert outcomes(report)["tools"] == ["built"]
    assert outcomes(report)["app"] == outcomes(report)["boot"] == ["built"] * 3
    assert monorepo.output(f"{monorepo.family}:1.0-1.2").endswith("1.0\n1.2\n")

    again, report = monorepo.build()
    assert again.code == 0
    assert {state for states in outcomes(report).values() for state in states} == {"reused"}
    assert "up to date" in again.out


def test_report_and_labels_keep_their_contract(monorepo: Monorepo) -> None:
    _, report = monorepo.build()
    assert {"started", "seconds", "nodes", "leaves"} <= report.keys()
    assert all({"outcome", "seconds", "log", "attempts"} <= node.keys() for node in report["nodes"])
    leaf = report["leaves"][0]
    assert leaf["outcome"] == "built"
    assert leaf["image"] == f"{monorepo.family}:1.0-1.1"
    image = monorepo.client.images.get(leaf["image"])
    assert leaf["digest"] == image.id
    assert leaf["bytes"] == image.attrs["Size"]
    [base_key] = [Key(node["key"]) for node in report["nodes"] if node["layer"] == "base"]
    base = monorepo.client.images.get(node_ref(base_key))
    expected = {
        "org.opencontainers.image.title": monorepo.family,
        "org.opencontainers.image.version": "1.0-1.1",
        "org.opencontainers.image.base.name": "imagematrix/base:bookworm",
        "org.opencontainers.image.base.digest": base.id,
        "imagematrix.row": f"{monorepo.family}:1.0-1.1",
        "imagematrix.layer": "boot",
        "imagematrix.versions": "app=1.1 tools=1.0",
    }
    assert expected.items() <= image.labels.items()
    assert image.labels["imagematrix.key"] == monorepo.run("list", "--json").json()["rows"][0]["key"]


def test_a_big_file_reaches_the_image_whole(monorepo: Monorepo) -> None:
    """One that is not held in memory."""
    with (monorepo.root / "common/layers/app/files/weights.bin").open("wb") as stream:
        stream.writelines(bytes([number]) * 2**20 for number in range(40))
        wanted = stream.tell()
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN cat", "COPY app/weights.bin /weights.bin\nRUN cat")

    done, _ = monorepo.build("--only", "*-1.1")

    assert done.code == 0, done.out + done.err
    said = monorepo.output(f"{monorepo.family}:1.0-1.1", "sh", "-c", "stat -c %s /weights.bin; sha256sum /weights.bin")
    source = (monorepo.root / "common/layers/app/files/weights.bin").read_bytes()
    assert said.split()[:2] == [str(wanted), hashlib.sha256(source).hexdigest()]


def test_list_follows_the_engine(monorepo: Monorepo) -> None:
    def states() -> set[str]:
        rows = monorepo.run("list", "--json").json()["rows"]
        assert all({"family", "tag", "axes", "groups", "image", "directory", "key"} <= row.keys() for row in rows)
        return {row["state"] for row in rows}

    assert states() == {"missing"}
    monorepo.build()
    assert states() == {"built"}
    monorepo.edit("common/init/hello.sh", "hello", "good day")
    assert states() == {"stale"}


def test_a_changed_version_builds_only_what_stands_on_it(monorepo: Monorepo) -> None:
    monorepo.build()
    monorepo.edit("matrix.toml", '"1.3"', '"1.4"')

    plan = monorepo.run("plan", "--matrix", "--json").json()
    built = [node for node in plan["nodes"] if node["verdict"] == "build"]
    assert [node["layer"] for node in built] == ["app", "boot"]
    assert built[0]["reason"] == "app/version.txt changed: 1.3 -> 1.4"
    assert "its parent app is rebuilt" in built[1]["reason"]
    assert built[0]["leaves"] == [f"{monorepo.family}:1.0-1.4"]
    assert plan["summary"]["build"] == 2

    done, report = monorepo.build()
    assert done.code == 0
    assert sorted(outcomes(report)["app"]) == ["built", "reused", "reused"]
    assert outcomes(report)["tools"] == ["reused"]
    assert not (monorepo.root / f"images/{monorepo.family}/1.0-1.3").exists()


def test_same_size_and_same_mtime_is_no_false_cache_hit(monorepo: Monorepo) -> None:
    """BuildKit judges a folder's files by size and mtime; ours must not be judged so."""
    monorepo.build()
    file = monorepo.root / "common/init/hello.sh"
    before = file.stat()
    file.write_text(file.read_text().replace("hello", "howdy"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert monorepo.build()[0].code == 0
    assert monorepo.output(f"{monorepo.family}:1.0-1.1", "sh", "/init/hello.sh") == "howdy\n"


def test_a_broken_row_costs_only_itself(monorepo: Monorepo) -> None:
    monorepo.edit(
        "common/layers/app/Dockerfile.j2",
        "COPY",
        '{% if app == "1.2" %}\nRUN echo looking for it; echo no package called nosuch >&2; exit 7\n{% endif %}\nCOPY',
    )
    done, report = monorepo.build()
    assert done.code == 1
    assert sorted(outcomes(report)["app"]) == ["built", "built", "failed"]
    assert sorted(outcomes(report)["boot"]) == ["built", "built", "skipped"]
    failed = next(node for node in report["nodes"] if node["outcome"] == "failed")
    assert failed["attempts"] == 1
    assert "no package called nosuch" in (monorepo.root / failed["log"]).read_text()
    for expected in (failed["label"], "no package called nosuch", failed["log"], f"{monorepo.family}:1.0-1.2"):
        assert expected in done.out
    assert "Traceback" not in done.out + done.err


def test_a_reason_is_the_cause_with_the_exit_code_and_the_step(monorepo: Monorepo) -> None:
    """In English above a layer whose image speaks another language, and of that nothing is in the image."""
    template = monorepo.root / "common/layers/boot/Dockerfile.j2"
    template.write_text("ENV LANG=zh_CN.UTF-8\nRUN env | grep ^LC_ \\\n    && ls /nosuch; echo done; false\n")
    done, report = monorepo.build("--retries", "0")
    assert done.code == 1
    boot = next(node for node in report["nodes"] if node["outcome"] == "failed")
    assert boot["why"].startswith("ls: cannot access '/nosuch': No such file or directory; exit code 1 of Dockerfile:")
    assert "RUN env | grep ^LC_ && ls /nosuch; echo done; false" in boot["why"]
    assert "LC_ALL=C.UTF-8" in boot["tail"]
    assert boot["why"] in done.out


def test_a_passing_failure_is_tried_again(monorepo: Monorepo) -> None:
    flaky = (
        f"RUN --mount=type=cache,id={monorepo.family},target=/seen test -e /seen/once"
        " || { touch /seen/once; echo 'curl: (56) Connection reset by peer' >&2; exit 1; }\n"
    )
    monorepo.edit("common/layers/tools/Dockerfile.j2", "RUN", flaky + "RUN")
    done, report = monorepo.build()
    assert done.code == 0, done.out
    assert [node["attempts"] for node in report["nodes"] if node["layer"] == "tools"] == [2]


def test_sigterm_ends_the_run_and_the_next_goes_on(monorepo: Monorepo) -> None:
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN", "RUN sleep {{ 0 if app == '1.1' else 20 }}\nRUN")
    process = monorepo.start("build", "--matrix", "--report", "report", "--jobs", "3")
    wait_for_built(monorepo, "app")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert (monorepo.root / "report/report.json").exists()

    monorepo.edit("common/layers/app/Dockerfile.j2", "else 20", "else 0")
    _, report = monorepo.build()
    assert outcomes(report)["tools"] == ["reused"]


def test_sigkill_loses_nothing_that_was_finished(monorepo: Monorepo) -> None:
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN", "RUN sleep {{ 0 if app == '1.1' else 8 }}\nRUN")
    process = monorepo.start("build", "--matrix", "--jobs", "3")
    wait_for_built(monorepo, "app")
    process.kill()
    process.communicate(timeout=600)

    done, report = monorepo.build()
    assert done.code == 0
    assert outcomes(report)["tools"] == ["reused"]
    assert "reused" in outcomes(report)["app"]


def test_two_builds_at_once_take_turns(monorepo: Monorepo) -> None:
    monorepo.edit("common/layers/tools/Dockerfile.j2", "RUN", "RUN sleep 3\nRUN")
    with monorepo.start("build", "--matrix") as first:
        while not (monorepo.root / ".imagematrix/logs").is_dir() or not list(
            (monorepo.root / ".imagematrix/logs").iterdir()
        ):
            time.sleep(0.05)
        done, report = monorepo.build()
        assert first.wait(timeout=600) == 0
    assert done.code == 0
    assert "waiting until it ends" in done.out
    assert outcomes(report)["tools"] == ["reused"]


def test_fresh_rebuilds_what_installs_from_the_network(monorepo: Monorepo) -> None:
    """The app layer downloads (it mounts a site secret), so a fresh run rebuilds it; tools is reused."""
    monorepo.build()  # makes the base; pulled bases are not fresh by themselves, bootstrapped ones are
    monorepo.edit("matrix.toml", 'bootstrap = "bookworm"', 'image = "imagematrix/base:bookworm"')
    app = "RUN --mount=type=secret,id=ca cat /proc/sys/kernel/random/uuid > /fresh.txt\n"
    monorepo.edit("common/layers/app/Dockerfile.j2", "COPY", app + "COPY")
    image = f"{monorepo.family}:1.0-1.1"
    monorepo.build()
    before = monorepo.output(image, "cat", "/fresh.txt")

    plan = monorepo.run("plan", "--matrix", "--json").json()
    assert plan["summary"]["build"] == 0
    done, report = monorepo.build("--fresh", "--only", "*-1.1")
    assert done.code == 0
    assert outcomes(report)["app"] == ["built"]
    assert outcomes(report)["tools"] == ["reused"]
    assert monorepo.output(image, "cat", "/fresh.txt") != before
    reasons = [node["reason"] for node in monorepo.run("plan", "--matrix", "--json").json()["nodes"]]
    assert any("the refresh epoch moved" in reason for reason in reasons)

    before = monorepo.output(image, "cat", "/fresh.txt")
    done, report = monorepo.build("--fresh=app", "--only", "*-1.1")
    assert done.code == 0
    assert (outcomes(report)["tools"], outcomes(report)["app"]) == (["reused"], ["built"])
    assert monorepo.output(image, "cat", "/fresh.txt") != before


def test_a_wheelhouse_is_mounted_and_never_in_the_image(monorepo: Monorepo, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/demo.whl").write_text("a wheel\n")
    monorepo.edit("matrix.toml", "schema = 1\n", 'schema = 1\n[site]\nwheelhouse = "wheels"\n')
    mount = "RUN --mount=type=secret,id=uv,target=/etc/uv/uv.toml --mount=type=bind,from=wheelhouse,target=/wheelhouse"
    monorepo.edit("common/layers/app/Dockerfile.j2", "COPY", f"{mount} cat /wheelhouse/* /etc/uv/uv.toml > /seen\nCOPY")
    done, _ = monorepo.build()
    assert done.code == 0, done.out
    seen = monorepo.output(f"{monorepo.family}:1.0-1.1", "sh", "-c", "cat /seen; ls -d /wheelhouse /etc/uv || true")
    assert "a wheel\n" in seen
    assert 'find-links = ["/wheelhouse"]' in seen
    assert not seen.endswith(("/wheelhouse\n", "/etc/uv\n"))


def test_no_engine_is_exit_code_3_and_says_how_to_get_one(monorepo: Monorepo) -> None:
    nowhere = {"DOCKER_HOST": f"unix://{monorepo.root}/none.sock"}
    done = monorepo.run("build", "--matrix", env=nowhere)
    assert done.code == 3
    assert "engine start" in done.err
    assert "No such file" in done.err
    assert "Traceback" not in done.err
    plan = monorepo.run("plan", "--matrix", "--json", env=nowhere)
    assert plan.code == 0
    assert plan.json()["summary"]["reuse"] == 0


def test_an_engine_that_dies_costs_neither_the_report_nor_what_was_built(monorepo: Monorepo) -> None:
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN", "RUN sleep 4\nRUN")
    relay = Relay(monorepo.root / "engine.sock", monorepo.host)
    process = monorepo.start(
        "build", "--matrix", "--retries", "0", "--report", "report", env={"DOCKER_HOST": relay.host}
    )
    wait_for_built(monorepo, "tools")
    relay.cut()
    out, _ = process.communicate(timeout=600)
    assert process.returncode in (1, 3), out
    assert "Traceback" not in out
    report = json.loads((monorepo.root / "report/report.json").read_text())
    assert outcomes(report)["tools"] == ["built"]
    assert "failed" in outcomes(report)["app"]

    done, report = monorepo.build()
    assert done.code == 0, done.out
    assert outcomes(report)["tools"] == ["reused"]


def test_a_node_that_is_removed_during_a_build_is_built_again(monorepo: Monorepo) -> None:
    """By `docker system prune`, or by the gc of another checkout: the run ends well all the same."""
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN cat", "RUN sleep 5; cat")
    [tools] = {node["key"] for node in monorepo.run("plan", "--json").json()["nodes"] if node["layer"] == "tools"}
    process = monorepo.start("build", "--matrix", "--jobs", "1", "--report", "report")
    wait_for_built(monorepo, "app")
    monorepo.client.images.remove(node_ref(tools), force=True)
    out, _ = process.communicate(timeout=600)

    assert process.returncode == 0, out
    assert "was removed from the engine" in out
    report = json.loads((monorepo.root / "report/report.json").read_text())
    assert outcomes(report)["tools"] == ["built"]
    assert outcomes(report)["app"] == ["built"] * 3
    assert {leaf["outcome"] for leaf in report["leaves"]} == {"built"}
    assert "3 images are up to date" in monorepo.run("build", "--matrix").out


def test_a_leaf_builds_alone_wherever_it_is_copied(monorepo: Monorepo, tmp_path: Path) -> None:
    monorepo.build()
    image = f"{monorepo.family}:1.0-1.2"
    expected = monorepo.client.images.get(image)
    monorepo.client.images.remove(image)
    alone = tmp_path / "elsewhere"
    shutil.copytree(monorepo.root / f"images/{monorepo.family}/1.0-1.2", alone)

    done = _build_script(monorepo, alone)
    assert done.returncode == 0, done.stderr
    made = monorepo.client.images.get(image)
    assert monorepo.output(image).endswith("1.0\n1.2\n")
    assert made.attrs["Config"]["Cmd"] == expected.attrs["Config"]["Cmd"]
    assert made.labels["imagematrix.row"] == image


def _build_script(monorepo: Monorepo, leaf: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a leaf's script as its users do, with the engine's own docker."""
    docker = Path(docker_command(monorepo.engine)).parent
    path = {"PATH": f"{docker}:{os.environ['PATH']}"}
    environment = {**os.environ, **monorepo.engine.environment, **path, **variables}
    return subprocess.run(
        ["sh", "build-scripts.sh"], cwd=leaf, env=environment, capture_output=True, text=True, check=False
    )


def test_a_leaf_pushes_itself_when_it_is_told_to(monorepo: Monorepo) -> None:
    monorepo.run("render")
    leaf = monorepo.root / f"images/{monorepo.family}/1.0-1.2"
    image = f"127.0.0.1:1/{monorepo.family}:pushed"  # nobody answers there
    try:
        assert _build_script(monorepo, leaf, IMAGE=image).returncode == 0
        done = _build_script(monorepo, leaf, IMAGE=image, PUSH="yes")
        assert done.returncode != 0
        assert f"built {image}" in done.stderr
        assert "127.0.0.1:1" in done.stderr.partition(f"built {image}")[2]
    finally:
        monorepo.client.images.remove(image, force=True)
