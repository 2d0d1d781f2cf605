"""A nightly run on a real engine: whole, interrupted and resumed, and never two at once."""

import json
import os
import re
import shlex
import signal
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chat import Chat
from tests.integration.monorepo import REPOSITORY, Monorepo, outcomes, wait_for_built

from imagematrix.model import Site
from imagematrix.registry import Client

if TYPE_CHECKING:
    import subprocess

NIGHT, RESUME = (
    shlex.split(words)
    for words in re.findall(r"scripts/inv (nightly.*)", (REPOSITORY / "docs/examples/crontab").read_text())
)
"""What all examples of docs/nightly.md call (tests/unit/test_nightly_examples.py holds them to it)."""

CHECK = 'def test_it_runs(host):\n    assert host.check_output("cat /both.txt")\n'
"""An image without any check is unchecked, and its moving tags stay."""


def record(monorepo: Monorepo) -> Any:
    path = monorepo.root / ".imagematrix/night.json"
    return json.loads(path.read_text()) if path.exists() else {}


def moved(monorepo: Monorepo) -> set[str]:
    """Return the layers whose nodes have moved, by matrix.lock."""
    path = monorepo.root / "matrix.lock"
    return (
        {name.rpartition("-")[0] for name in tomllib.loads(path.read_text()).get("moved", {})}
        if path.exists()
        else set()
    )


def install(monorepo: Monorepo, command: str) -> None:
    """Let a layer install from the network, so that a nightly run rebuilds it, by a command; another has a check."""
    (monorepo.root / "common/layers/boot/test_boot.py").write_text(CHECK)
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN cat", f"RUN --mount=type=secret,id=apt {command}; cat")


def kill_all(process: "subprocess.Popen[str]") -> None:
    """Do as a reboot does: the night and the part that it waits for are gone at once."""
    parts = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    for part in parts:
        os.kill(int(part), signal.SIGKILL)
    process.communicate(timeout=60)


def test_a_night_goes_on_whatever_comes_of_its_parts(
    monorepo: Monorepo, registry: str, chat: tuple[str, type[Chat]]
) -> None:
    """One row fails: the others are built, verified, published and reported; a chat gets one message."""
    places = f'nodes = "{registry}/{monorepo.family}/nodes"\nregistry = "{registry}/{monorepo.family}"'
    monorepo.edit("matrix.toml", "schema = 1\n", f"schema = 1\n{places}\n")
    install(monorepo, "test {{ app }} != 1.2 || exit 7")
    url, heard = chat[0], chat[1].heard
    done = monorepo.run(*NIGHT, env={"IMAGEMATRIX_WEBHOOK": url, "IMAGEMATRIX_HEARTBEAT": f"{url}/ping"})
    assert done.code == 1, done.out + done.err
    (told,) = map(json.loads, heard)
    assert (told["good"], len(told["broken"])) == (False, 1)
    parts = record(monorepo)["parts"]
    codes = {name: part["code"] for name, part in parts.items()}
    assert codes == {"bases": 0, "build": 1, "verify": 1, "push": 1, "report": 0, "gc": 0}
    client = Client(Site())
    published = client.tags(f"{registry}/{monorepo.family}/{monorepo.family}")
    assert [tag for tag in published if tag.count("-") == 1] == ["1.0-1.1", "1.0-1.3"]
    kept = client.tags(f"{registry}/{monorepo.family}/nodes")
    assert len([tag for tag in kept if re.fullmatch("[0-9a-f]{64}", tag)]) == 6  # base, tools, two apps and boots
    assert (monorepo.root / "report/index.html").exists()
    assert record(monorepo)["finished"]
    assert "build   exit code 1" in done.out
    assert moved(monorepo) == set()  # nothing was there to compare
    assert sorted(row["state"] for row in monorepo.run("list", "--json").json()["rows"]) == [
        "built",
        "built",
        "missing",
    ]

    nothing = monorepo.run(*RESUME)
    assert (nothing.code, nothing.out) == (0, "no interrupted run to resume: nothing to do\n")


def test_a_night_that_was_killed_is_gone_on_with(monorepo: Monorepo, chat: tuple[str, type[Chat]]) -> None:
    """And while it runs, another one does nothing. A monitor is called once, when the night has succeeded."""
    install(monorepo, "sleep {{ 0 if app == '1.1' else 60 }}")
    process = monorepo.start(*NIGHT)
    wait_for_built(monorepo, "app")
    second = monorepo.run(*NIGHT)
    assert second.code == 1
    assert "another nightly run of this project is in progress" in second.err
    kill_all(process)
    cut = record(monorepo)
    assert not cut["finished"]

    monorepo.edit("common/layers/app/Dockerfile.j2", "else 60", "else 0")
    assert chat[1].heard == []
    done = monorepo.run(*RESUME, "--heartbeat", f"{chat[0]}/api/push/0123456789abcdef0123")
    assert done.code == 0, done.out + done.err
    assert [heard.endswith(b"/api/push/0123456789abcdef0123") for heard in chat[1].heard] == [True]
    assert "0123456789abcdef0123" not in done.out + done.err
    assert record(monorepo)["last_good"]
    assert f"resuming nightly run {cut['epoch']}" in done.out
    assert "== lock" not in done.out
    assert record(monorepo)["epoch"] == cut["epoch"]
    nodes = json.loads((monorepo.root / "report/report.json").read_text())["nodes"]
    assert [node["outcome"] for node in nodes if node["layer"] == "tools"] == ["reused"]


def test_what_is_wrong_is_told_before_the_night_begins(monorepo: Monorepo) -> None:
    assert monorepo.run("nightly", "--group", "nosuch").code == 2
    assert monorepo.run("nightly", "--heartbeat", "nowhere").code == 2
    assert monorepo.run("nightly", env={"DOCKER_HOST": "unix:///nonexistent/docker.sock"}).code == 3
    assert record(monorepo) == {}


def test_a_download_that_brings_the_same_keeps_its_image(monorepo: Monorepo) -> None:
    """What brings something else is rebuilt, with what is built on it, and the file that differs is named."""
    download = "RUN true || curl https://example.com/x; date +%N > /var/log/noise; echo same > /same.txt\n"
    monorepo.edit("common/layers/tools/Dockerfile.j2", "ENV", f"{download}ENV")
    monorepo.edit(
        "common/layers/app/Dockerfile.j2",
        "RUN cat",
        "RUN true || curl https://example.com/y; test {{ app }} != 1.3 || echo $EPOCH > /moved.txt; cat",
    )
    first = monorepo.build()[1]
    before = {leaf["name"]: leaf["digest"] for leaf in first["leaves"]}
    named = {image.id: image.tags for image in monorepo.client.images.list(filters={"reference": monorepo.family})}

    done, second = monorepo.build("--refresh")
    assert done.code == 0, done.out + done.err
    after = {leaf["name"]: leaf["digest"] for leaf in second["leaves"]}
    changed = [name for name in after if after[name] != before[name]]
    assert changed == [f"{monorepo.family}:1.0-1.3"]
    assert moved(monorepo) == {"app"}
    assert "/moved.txt (" in done.err
    ended = {layer: sorted(each) for layer, each in outcomes(second).items()}
    assert ended == {
        "base": ["reused"],
        "tools": ["reused"],
        "app": ["reused"] * 3,  # the one that moved was built when it was compared
        "boot": ["built", "reused", "reused"],
    }
    names = {image.id: image.tags for image in monorepo.client.images.list(filters={"reference": monorepo.family})}
    assert {image: tags for image, tags in named.items() if image in after.values()} == {
        image: tags for image, tags in names.items() if image in before.values()
    }

    third = monorepo.build()[1]
    assert {node["outcome"] for node in third["nodes"]} == {"reused"}
    assert {leaf["name"]: leaf["digest"] for leaf in third["leaves"]} == after
