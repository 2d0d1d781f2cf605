"""Services of containers: a folder of common/services each, and all that follows from it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests import manifests, nights, projects

from imagematrix.errors import InputError
from imagematrix.model import File
from imagematrix.project import Project, Selection
from imagematrix.report import catalogue, runs

MATRIX = """\
schema = 1
[bases.debian]
image = "debian:12"
os = "debian12"
[families.web]
layers = ["proxy", "boot"]
tag = "1"
axes.base = ["debian"]
[families.humble]
layers = ["proxy", "boot"]
tag = "1"
[[families.humble.row]]
base = "debian"
run_as = "1000"
[families.plain]
layers = ["system", "boot"]
tag = "1"
axes.base = ["debian"]
"""

NGINX: Mapping[str, str] = {
    "service.toml": """\
layers    = ["proxy"]
program   = "nginx"
port      = 80
host_port = 8080
title     = "the pages of /srv"
use       = "http://localhost:{port}/"
ready     = "/healthz"

[settings.NGINX_PORT]
kind    = "port"
default = "80"
meaning = "port of nginx"

[settings.NGINX_PASSWORD]
kind    = "secret"
meaning = "password of the pages"
""",
    "service.sh": 'prepare_nginx() { serve nginx "$NGINX_PORT" /healthz; }\n',
    "supervisor.conf": "[program:nginx]\ncommand = nginx -g 'daemon off;'\n",
}


def opened(root: Path, nginx: Mapping[str, str] = NGINX) -> Project:
    """Write a monorepo with this repository's services, and with one more that is given."""
    files = {
        **projects.machine_files(),
        "common/layers/proxy/Dockerfile.j2": "ENV PROXY=1\n",
        **{f"common/services/nginx/{name}": text for name, text in nginx.items()},
    }
    return projects.project(root, matrix=MATRIX, files=files)


def leaf(project: Project, name: str) -> Mapping[str, File]:
    rendered = project.leaves(project.rows(Selection(only=(name,))))
    [files] = project.files(rendered).values()
    return {file.path: file for file in files}


def texts(root: Path, name: str) -> Mapping[str, str]:
    return {path: file.content.decode() for path, file in leaf(opened(root), name).items()}


def test_one_folder_adds_a_service_to_the_images_that_have_its_program(tmp_path: Path) -> None:
    found = texts(tmp_path, "web:1")
    deployment = found["run-example/k8s-run-deployment.yaml"]
    documents = manifests.documents(deployment)
    [container] = manifests.pods(documents["Deployment"])[0]["spec"]["containers"]
    [composed] = yaml.safe_load(found["run-example/compose.yaml"])["services"].values()

    assert "EXPOSE 22 80\n" in found["Dockerfile"]
    assert "NGINX_PORT=80" in found["Dockerfile"]
    assert {path for path in found if path.startswith("services/nginx/")} == {
        "services/nginx/service.sh",
        "services/nginx/supervisor.conf",
    }
    assert "service nginx nginx\n" in found["boot/settings.sh"]
    assert "secret NGINX_PASSWORD\n" in found["boot/settings.sh"]
    assert "setting NGINX_PORT port 80\n" in found["boot/settings.sh"]
    assert "${ADDRESS:-127.0.0.1}:${NGINX_PORT:-8080}:80" in composed["ports"]
    assert "NGINX_PASSWORD" in composed["environment"]
    assert '--publish "${ADDRESS:-127.0.0.1}:${NGINX_PORT:-8080}:80"' in found["run-example/docker-run.sh"]
    assert "http://localhost:8080/" in found["run-example/docker-run.sh"]
    assert {"name": "nginx", "containerPort": 80} in container["ports"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "nginx"}
    assert manifests.problems(deployment) == []
    assert "| 80 | the pages of /srv |" in found["README.md"]
    assert "| `NGINX_PORT` | `80` | port of nginx |" in found["README.md"]


def test_the_page_for_users_says_how_an_image_with_services_is_started(tmp_path: Path) -> None:
    project = opened(tmp_path)
    night = next(nights.nights(nights.grid(1), 1))
    published = runs.read(nights.with_published(night))
    [name] = published.by_name
    [row] = project.rows(Selection(only=("web:1",)))
    family, _, tag = name.partition(":")
    known = replace(row, tag=tag, family=replace(row.family, name=family))

    [entry] = catalogue.make([known], [published], (), lambda _: project.services(row))

    assert "--env NGINX_PASSWORD --env ROOT_PASSWORD --env SSH_AUTHORIZED_KEYS" in entry.run
    assert "--publish 127.0.0.1:2222:22 --publish 127.0.0.1:8080:80" in entry.run


def test_an_image_without_its_program_has_nothing_of_a_service(tmp_path: Path) -> None:
    found = texts(tmp_path, "plain:1")
    assert [path for path, text in found.items() if "nginx" in f"{path}{text}".lower()] == []
    assert "EXPOSE 22\n" in found["Dockerfile"]


def test_an_image_of_another_user_has_no_service_that_needs_root(tmp_path: Path) -> None:
    found = texts(tmp_path, "humble:1")
    [container] = manifests.pods(manifests.documents(found["run-example/k8s-run-deployment.yaml"])["Deployment"])[0][
        "spec"
    ]["containers"]

    assert "EXPOSE 80\n" in found["Dockerfile"]
    assert "\nUSER 1000\n" in found["Dockerfile"]
    assert container["securityContext"]["runAsNonRoot"] is True
    examples = [text for path, text in found.items() if path.startswith(("run-example/", "README"))]
    assert [
        text for text in examples if "SSH_AUTHORIZED_KEYS" in text or "ROOT_PASSWORD" in text or "/root" in text
    ] == []


def test_an_edit_of_a_service_changes_the_images_that_have_it_alone(tmp_path: Path) -> None:
    before, after = opened(tmp_path / "old"), opened(tmp_path / "new", {**NGINX, "service.sh": "exit 1\n"})
    final_nodes = [project.dag(project.leaves(project.matrix.rows)).final_nodes for project in (before, after)]
    assert {name for name in final_nodes[0] if final_nodes[0][name] != final_nodes[1][name]} == {"web:1", "humble:1"}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('layers    = ["proxy"]', 'layers    = ["prox"]', 1),
        ('layers    = ["proxy"]\n', "", 0),
        ("port      = 80\n", 'port      = "80"\n', 3),
        ("port      = 80\n", "port      = 65536\n", 3),
        ("host_port = 8080", "host_prot = 8080", 4),
        ('kind    = "port"\n', "", 0),
        ('ready     = "/healthz"', 'root      = "yes"', 7),
        ('default = "80"', "default = 80", 11),
        ("title     =", "title     ", 5),
    ],
)
def test_what_is_wrong_in_a_declaration_has_its_line(tmp_path: Path, old: str, new: str, line: int) -> None:
    assert old in NGINX["service.toml"]
    with pytest.raises(InputError) as caught:
        opened(tmp_path, {**NGINX, "service.toml": NGINX["service.toml"].replace(old, new, 1)})
    assert {problem.file for problem in caught.value.diagnostics} == {"common/services/nginx/service.toml"}
    assert not line or line in {problem.line for problem in caught.value.diagnostics}


def test_a_folder_without_a_declaration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        opened(tmp_path, {"service.sh": "true\n"})
    assert [problem.file for problem in caught.value.diagnostics] == ["common/services/nginx"]
