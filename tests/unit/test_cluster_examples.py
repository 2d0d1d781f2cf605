"""The ready-made examples of docs/cluster.md: their commands exist, and the systems that read them accept them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from imagematrix.commands.cluster import cluster
from imagematrix.commands.worker import worker

EXAMPLES = Path(__file__).parents[2] / "docs/examples/cluster"
COMMAND = re.compile(r"imagematrix (worker|cluster)\b([^\n]*)")


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_its_commands_have_the_flags(path: Path) -> None:
    flags = {"worker": worker.options, "cluster": cluster.options}
    found = COMMAND.findall(path.read_text(encoding="utf-8").replace("imagematrix/cluster", ""))

    used = [(name, flag) for name, rest in found for flag in re.findall(r"--([a-z-]+)", rest)]
    assert used
    assert [(name, flag) for name, flag in used if flag.replace("-", "_") not in flags[name]] == []


def test_kubernetes_gets_what_it_needs() -> None:
    """Each volume that is mounted is declared, and each selector finds its pods."""
    made = {each["kind"]: each for each in yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text())}
    assert made.keys() == {"Service", "Deployment", "DaemonSet"}
    for kind in ("Deployment", "DaemonSet"):
        template = made[kind]["spec"]["template"]
        pod, labels = template["spec"], template["metadata"]["labels"]
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert made[kind]["spec"]["selector"]["matchLabels"] == labels
    assert made["Service"]["spec"]["selector"] == made["Deployment"]["spec"]["template"]["metadata"]["labels"]


def test_compose_accepts_its_file() -> None:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*argv, EXAMPLES / "compose.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
